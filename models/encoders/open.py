"""Open a topic encoder by name: bundled, a folder, a provider's, or a factory of one's own.

`ENCODERS` holds one entry for each kind of name; errors and help list them from there. Importing
this is cheap: libraries are imported where an encoder is opened.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..catalogue import CATALOGUE, TOPIC
from ..device import DTYPES, may_have_gpu
from ..errors import MissingExtra, ModelNotFound, ModelUnusable
from ..extras import has_extra, missing_extra, needed_for
from ..installed import topic_model_path

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


_TITLE = CATALOGUE[TOPIC].title


class TopicEncoder(Protocol):
    """What `open_topic_encoder` returns: a `stores.types.Encoder`."""

    @property
    def version(self) -> str:
        """A name that changes whenever the vectors of texts change."""

    @property
    def dimension(self) -> int:
        """Length of one vector."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one unit row a text, shape (len(texts), dimension). May block."""


@dataclass(frozen=True)
class EncoderKind:
    """A kind of topic encoders, known by how they are named.

    Attributes:
        name: Name of the kind.
        forms: How its encoders are named, in short: for help texts.
        how: The same in full: for errors.
        fits: Says whether a name is one of its encoders'.
        open: Opens the encoder of a name in a number format. Blocks.
    """

    name: str
    forms: str
    how: str
    fits: Callable[[str], bool]
    open: Callable[[str, str], TopicEncoder]


def open_topic_encoder(name: str = "bundled", *, dtype: str = "auto") -> TopicEncoder:
    """Open a topic encoder. Blocks for seconds: call it in a thread.

    Args:
        name: As an entry of `ENCODERS` says: "bundled", a folder, a hub id, "static:FOLDER",
            "provider:model" or "python:module:factory".
        dtype: For encoders loaded here, see `device.choose_dtype`.

    Raises:
        MissingExtra: The packages that it needs are not installed.
        ModelNotFound: No kind has encoders of this name, or there is no such encoder.
        ModelError: It can't be opened, or its server does not answer.
    """
    kind = next((each for each in reversed(ENCODERS.values()) if each.fits(name)), None)
    if kind is None:
        ways = "; ".join(each.how for each in reversed(ENCODERS.values()))
        raise ModelNotFound(f"no topic encoder {name!r}: name one in one of these ways: {ways}")
    return kind.open(name, dtype)


def forms_of_encoders() -> str:
    """Return how topic encoders are named, in short, for help texts."""
    return ", ".join(each.forms for each in reversed(ENCODERS.values()))


def number_format(version: str) -> str:
    """Return the number format that an encoder's version names; `auto` where it names none.

    >>> number_format("all-MiniLM-L6-v2@ee4d4a69484c/fp32")
    'fp32'
    """
    named = version.rpartition("/")[2]
    return named if named in DTYPES else "auto"


def _open_bundled(name: str, dtype: str) -> TopicEncoder:
    from .sentence import MAX_TOKENS, load_sentence_encoder

    path = topic_model_path()
    # As fast as torch in fp32, and there at once (`bert`); whoever wants bf16 says so.
    if dtype != "bf16" and not (has_extra("local") and may_have_gpu()):
        from .bert import BertEncoder

        return BertEncoder(path, name=_TITLE, max_tokens=MAX_TOKENS)
    if not has_extra("local"):
        raise MissingExtra(
            f"{_TITLE} in bf16, with which this store was filled, needs torch, which is not "
            "installed: pip install 'patlm[local]', or fill a store anew without it"
        )
    return load_sentence_encoder(str(path), name=_TITLE, local=True, dtype=dtype)


def _is_static(name: str) -> bool:
    return name.startswith("static:") or _saved_by_model2vec(Path(name).expanduser())


def _saved_by_model2vec(folder: Path) -> bool:
    try:
        first = json.loads((folder / "modules.json").read_text("utf-8"))[0]
        return str(first["type"]).endswith(".StaticEmbedding")
    except (OSError, ValueError, LookupError, TypeError):  # missing, or of another shape
        return False


def _open_static(name: str, dtype: str) -> TopicEncoder:
    from .embeddings import StaticEncoder

    return StaticEncoder(Path(name.removeprefix("static:")).expanduser())


def _is_sentence(name: str) -> bool:
    return ":" not in name and ("/" in name or Path(name).is_dir())


def _open_sentence(name: str, dtype: str) -> TopicEncoder:
    from .sentence import load_sentence_encoder

    local = Path(name).is_dir()
    return load_sentence_encoder(name, name=name, local=local, dtype=dtype)


def _open_factory(name: str, dtype: str) -> TopicEncoder:
    from langchain_core.embeddings import Embeddings

    from .embeddings import EmbeddingsEncoder

    module, _, attribute = name.removeprefix("python:").partition(":")
    try:
        factory = attrgetter(attribute)(importlib.import_module(module))
    except (ImportError, AttributeError, ValueError) as error:
        raise ModelNotFound(f"no factory {name!r} of a topic encoder: {error}") from error
    try:
        made = factory()
    except ImportError as error:
        raise missing_extra(error, name) or ModelUnusable(f"{name}: {error}") from error
    # The boundary to foreign code: a factory may raise any error.
    except Exception as error:  # noqa: BLE001
        raise ModelUnusable(
            f"{name!r} could not be opened: {error}", code="cannot_open_model"
        ) from error
    if not isinstance(made, Embeddings):
        raise ModelUnusable(
            f"{name!r} must give an Embeddings of LangChain's; it gave {type(made).__name__}",
            code="not_a_model",
        )
    return EmbeddingsEncoder(made, name=name)


def _open_remote(name: str, dtype: str) -> TopicEncoder:
    with needed_for(f"the topic encoder {name!r}"):
        from langchain.embeddings import init_embeddings
    from .embeddings import EmbeddingsEncoder

    try:
        embeddings = init_embeddings(name, **_options(name.partition(":")[0]))
    except ImportError as error:
        raise missing_extra(error, f"the topic encoder {name!r}") or ModelNotFound(
            f"{name!r}: {error}"
        ) from error
    # The boundary to foreign code: providers raise kinds of their own.
    except Exception as error:  # noqa: BLE001
        line = " ".join(str(error).split())
        raise ModelUnusable(
            f"the topic encoder {name!r} could not be opened: {line}", code="cannot_open_model"
        ) from error
    return EmbeddingsEncoder(embeddings, name=name)


def _options(provider: str) -> dict[str, Any]:
    """Return the options of a provider's class; it reads its server's address by itself."""
    if provider != "openai":
        return {}
    # Retries of an SDK inside ours would multiply. Texts are sent as such: the class would send
    # token ids otherwise, by a tokenizer that it downloads, and other servers do not take them.
    options: dict[str, Any] = {"max_retries": 0, "check_embedding_ctx_length": False}
    own_server = any(map(os.environ.get, ("OPENAI_API_BASE", "OPENAI_BASE_URL")))
    if own_server and not os.environ.get("OPENAI_API_KEY"):
        options["api_key"] = "none"  # the SDK requires one, one's own server does not
    return options


ENCODERS: dict[str, EncoderKind] = {
    each.name: each
    for each in (
        EncoderKind(
            "remote",
            "provider:model",
            "'provider:model' as LangChain's init_embeddings takes it, such as "
            "'openai:text-embedding-3-small' or 'ollama:nomic-embed-text' "
            "(pip install 'patlm[remote]')",
            lambda name: bool(name.partition(":")[2]),
            _open_remote,
        ),
        EncoderKind(
            "python",
            "python:package.module:factory",
            "'python:package.module:factory', which gives an Embeddings of LangChain's",
            lambda name: name.startswith("python:"),
            _open_factory,
        ),
        EncoderKind(
            "sentence",
            "a path, a hub id",
            "a folder or hub id of a sentence-transformers model (pip install 'patlm[local]')",
            _is_sentence,
            _open_sentence,
        ),
        EncoderKind(
            "static",
            "static:FOLDER",
            "a folder that model2vec saved, or 'static:FOLDER' (pip install 'patlm[static]')",
            _is_static,
            _open_static,
        ),
        EncoderKind(
            "bundled",
            "bundled",
            f"'bundled' ({_TITLE}, `patlm models install {TOPIC}`)",
            lambda name: name == "bundled",
            _open_bundled,
        ),
    )
}
"""All kinds by name, the most general first; of several that fit a name, the last is taken."""
