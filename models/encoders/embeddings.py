"""Encoders of other libraries: any `Embeddings` of LangChain's, static models of model2vec."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from tenacity import (
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from ..errors import (
    CallRefused,
    ModelBusy,
    ModelError,
    ModelNotFound,
    ModelUnusable,
    RemoteFailed,
)
from ..extras import needed_for
from ..remote.faults import Fault, read_fault

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

Rows = NDArray[np.float32]

MAX_CHARACTERS = 4_000
"""Longer texts are cut before they are sent: their subject is clear by then, and every provider's
model takes that much."""

TEXTS_AT_ONCE = 64
"""Texts of a request to a server."""

_HASHED = ("model.safetensors", "tokenizer.json")

ATTEMPTS = 3
WAIT_S = 0.5


class EmbeddingsEncoder:
    """A `stores.types.Encoder` over any `Embeddings` of LangChain's.

    Args:
        embeddings: A server's, or a class of one's own; it must take calls from several threads.
        name: Part of `version`: a store that was filled with another encoder is refused.
        wait_s: Seconds before the second attempt at most; doubled before the third.

    Raises:
        ModelError: The first call, which asks for the dimension, failed.
    """

    def __init__(self, embeddings: Embeddings, *, name: str, wait_s: float = WAIT_S) -> None:
        self._embeddings = embeddings
        self._name, self._wait_s = name, wait_s
        self._dimension: int = self._ask(["a text"]).shape[1]
        self._version = f"{name}/{self._dimension}"

    @property
    def version(self) -> str:
        """Name and dimension: the weights of a server can't be seen."""
        return self._version

    @property
    def dimension(self) -> int:
        """Length of one vector, as the first call gave it."""
        return self._dimension

    def encode(self, texts: Sequence[str]) -> Rows:
        """Return one unit row a text, shape (len(texts), dimension); zeros for an empty one.

        Blocks. Texts are cut to `MAX_CHARACTERS`.

        Raises:
            ModelBusy, RemoteFailed: The server did not answer, in `ATTEMPTS` attempts.
            CallRefused: It refused the request.
            ModelUnusable: Its answer is not one vector of the first call's length a text.
        """
        rows = np.zeros((len(texts), self._dimension), np.float32)
        # Providers refuse empty texts.
        filled = [at for at, text in enumerate(texts) if text.strip()]
        for begin in range(0, len(filled), TEXTS_AT_ONCE):
            at = filled[begin : begin + TEXTS_AT_ONCE]
            found = self._ask([texts[each][:MAX_CHARACTERS] for each in at])
            if found.shape[1] != self._dimension:
                raise ModelUnusable(
                    f"{self._name} gave vectors of {found.shape[1]} numbers, after "
                    f"{self._dimension} in the first call: open it again",
                    code="wrong_vectors",
                )
            rows[at] = found
        return _units(rows)

    def _ask(self, texts: list[str]) -> Rows:
        retrying = Retrying(
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_random_exponential(multiplier=self._wait_s, max=8),
            retry=retry_if_exception_type((RemoteFailed, ModelBusy)),
            reraise=True,
        )
        found: Rows = retrying(self._ask_once, texts)
        return found

    def _ask_once(self, texts: list[str]) -> Rows:
        try:
            answer = self._embeddings.embed_documents(texts)
        # The boundary to foreign code: providers raise kinds of their own.
        except Exception as error:  # noqa: BLE001
            raise self._failed(error) from error
        try:
            rows = np.array(answer, np.float32)
        except (TypeError, ValueError):
            rows = np.zeros(0, np.float32)
        if rows.ndim != 2 or len(rows) != len(texts) or not np.isfinite(rows).all():
            raise ModelUnusable(
                f"{self._name} gave no list of {len(texts)} vectors for as many texts: name an "
                "embedding model, not a chat model",
                code="wrong_vectors",
            )
        return rows

    def _failed(self, error: Exception) -> ModelError:
        if isinstance(error, NotImplementedError | TypeError):
            return ModelUnusable(f"{self._name} can't embed texts: {error}")
        fault = read_fault(error)
        status = getattr(error, "status_code", None)
        if fault.status is None and isinstance(status, int):  # as Ollama's client tells it
            fault = Fault(" ".join(str(error).split()), status)
        if fault.busy:
            return ModelBusy(f"{self._name} is busy ({fault.says}): try again later")
        if fault.transient:
            return RemoteFailed(f"{self._name} did not embed the texts: {fault.says}")
        return CallRefused(
            f"{self._name} refused to embed texts: {fault.says}", code="server_refused"
        )


class StaticEncoder:
    """A `stores.types.Encoder` over a static model of model2vec: a vector for each token.

    Args:
        folder: As `StaticModel.save_pretrained` writes it.

    Raises:
        MissingExtra: model2vec is not installed.
        ModelNotFound: There is no such model in the folder.
    """

    def __init__(self, folder: Path) -> None:
        with needed_for(f"the static encoder {folder}"):
            from model2vec import StaticModel
        digest = hashlib.sha256()
        try:
            for path in sorted(folder.rglob("*")):
                if path.name in _HASHED:
                    digest.update(path.read_bytes())
            self._model = StaticModel.from_pretrained(folder)
        except (OSError, ValueError, KeyError) as error:
            raise ModelNotFound(
                f"no static model at {folder}: expected a folder that model2vec saved ({error})"
            ) from error
        self._version = f"{folder.name}@{digest.hexdigest()[:12]}"

    @property
    def version(self) -> str:
        """Name of the folder and content hash of its files."""
        return self._version

    @property
    def dimension(self) -> int:
        """Length of one vector."""
        return int(self._model.dim)

    def encode(self, texts: Sequence[str]) -> Rows:
        """Return one unit row a text, shape (len(texts), dimension); zeros for an empty one."""
        if not texts:
            return np.zeros((0, self.dimension), np.float32)
        # In this process: texts are few, and others would each read the model.
        found = self._model.encode(list(texts), use_multiprocessing=False)
        rows: Rows = np.asarray(found, np.float32)
        return _units(rows)


def _units(rows: Rows) -> Rows:
    units: Rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return units
