"""What is installed with which extra, and the one line that names a missing one.

The core installs without torch and without any provider; what a package of an extra is needed for
is imported inside `needed_for`, or reported by `missing_extra` where an import failed already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from .errors import MissingExtra

EXTRAS: dict[str, tuple[str, ...]] = {
    "local": (
        "torch",
        "transformers",
        "peft",
        "sentence_transformers",
        "langchain_huggingface",
        "gguf",
        "joblib",
    ),
    "remote": (
        "langchain",
        "langchain_openai",
        "langchain_anthropic",
        "langchain_mistralai",
        "langchain_ollama",
        "circuitbreaker",
    ),
    "static": ("model2vec",),
    "train": (
        "trl",
        "datasets",
        "accelerate",
        "scipy",
        "sklearn",
        "rouge_score",
        "nltk",
        "vaderSentiment",
        "matplotlib",
        "yaml",
    ),
    "ray": ("ray",),
    "telemetry": ("opentelemetry",),
}
"""Import names by extra; what is in none of them is installed with patlm itself."""


def extra_of(package: str) -> str | None:
    """Return the extra that installs a package, by its import name; None: none does."""
    return next((extra for extra, names in EXTRAS.items() if package in names), None)


def has_extra(extra: str) -> bool:
    """Return whether all packages of an extra can be imported; nothing is imported."""
    return all(find_spec(package) is not None for package in EXTRAS[extra])


def check_extra(extra: str, purpose: str) -> None:
    """Check that an extra is installed, before work that would be in vain without.

    Raises:
        MissingExtra: It is not.
    """
    if not has_extra(extra):
        raise MissingExtra(f"{purpose}: pip install 'patlm[{extra}]'")


def missing_extra(
    error: ImportError, purpose: str = "this", whole: str | None = None
) -> MissingExtra | None:
    """Return the error that names the extra of a package that is missing.

    Args:
        error: Of the import that failed.
        purpose: What needs the package, as the beginning of a sentence.
        whole: The extra with all that the purpose needs; None: that of the package.

    Returns:
        None where no extra installs what is missing: then the error is a fault.
    """
    package = _missing_package(error)
    extra = extra_of(package)
    if extra is None:
        return None
    return MissingExtra(
        f"{purpose} needs the package {package}, which is not installed: "
        f"pip install 'patlm[{whole or extra}]'"
    )


def _missing_package(error: BaseException | None) -> str:
    """Return the import name of the package; LangChain's own errors name it in their cause."""
    while error is not None:
        if isinstance(error, ImportError) and error.name:
            return error.name.partition(".")[0]
        error = error.__cause__
    return ""


@contextmanager
def needed_for(purpose: str) -> Iterator[None]:
    """Import packages of an extra; a missing one becomes one line that names the extra.

    Args:
        purpose: What needs them, as the beginning of a sentence.

    Raises:
        MissingExtra: One is not installed.
    """
    try:
        yield
    except ImportError as error:
        missing = missing_extra(error, purpose)
        if missing is None:
            raise
        raise missing from error


def names_extras(resolve: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return the `__getattr__` of a package whose missing extras are named.

    Args:
        resolve: Imports the module of a public name.
    """

    def named(name: str) -> Any:
        with needed_for(name):
            return resolve(name)

    return named
