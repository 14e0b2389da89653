"""Encoders of sentence-transformers: all-MiniLM-L6-v2, or any other model."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..device import choose_device, choose_dtype, dtype_name
from ..errors import ModelNotFound, ModelUnusable
from ..extras import needed_for
from ..quiet import quiet_loading

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

MAX_TOKENS = 256
"""Longer texts are cut: their subject is clear by then, and attention is quadratic."""

CHARACTERS_A_TOKEN = 128
"""Characters for a token that are tokenised: a tokenizer reads all before it cuts, and to it no
word is longer than 100."""


class SentenceEncoder:
    """A `stores.types.Encoder` over a loaded sentence-transformers model."""

    def __init__(
        self,
        model: SentenceTransformer,
        *,
        name: str,
        max_tokens: int | None = MAX_TOKENS,
        batch_size: int = 32,
    ) -> None:
        """Take a live model.

        Args:
            model: The loaded model.
            name: Part of `version`, for people.
            max_tokens: Upper limit of the model's own maximum length; None: no other limit.
            batch_size: Texts of a batch; texts of similar length are batched together.
        """
        if max_tokens is not None:
            model.max_seq_length = min(model.max_seq_length or max_tokens, max_tokens)
        dimension = model.get_embedding_dimension()
        if dimension is None:
            raise ModelUnusable(
                f"the sentence-transformers model {name!r} does not say how long its vectors are; "
                "name one with a pooling layer"
            )
        self._model = model
        self._most = (model.max_seq_length or MAX_TOKENS) * CHARACTERS_A_TOKEN
        self._dimension = dimension
        self._batch_size = batch_size
        self._version = f"{name}@{_fingerprint(model)}/{dtype_name(next(model.parameters()).dtype)}"
        # The tokenizer keeps padding and truncation as state: two threads at once would raise
        # "Already borrowed". One call uses all cores anyway.
        self._lock = threading.Lock()

    @property
    def version(self) -> str:
        """Name, content hash of the weights and number format: all three decide a vector."""
        return self._version

    @property
    def dimension(self) -> int:
        """Length of one vector: 384 for all-MiniLM-L6-v2."""
        return self._dimension

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one unit row a text, shape (len(texts), dimension). Blocks."""
        if not texts:
            return np.zeros((0, self._dimension), dtype=np.float32)
        with self._lock:
            vectors = self._model.encode(
                [text[: self._most] for text in texts],
                batch_size=self._batch_size,
                show_progress_bar=False,
                convert_to_tensor=True,
            )
        # Normalised here, not by the model: in bf16 its rows are only nearly of length one.
        rows: NDArray[np.float32] = vectors.float().cpu().numpy()
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        units: NDArray[np.float32] = (rows / np.maximum(lengths, 1e-12)).astype(np.float32)
        return units


def load_sentence_encoder(
    path: str, *, name: str, local: bool, dtype: str = "auto"
) -> SentenceEncoder:
    """Load a sentence-transformers model. Blocks for seconds: call it in a thread.

    Args:
        path: A folder or a hub id.
        name: Part of `version` and of error messages.
        local: Whether only local files are used.
        dtype: See `device.choose_dtype`; the gain on a CPU is that of the chat model.

    Raises:
        MissingExtra: The extra [local] is not installed.
        ModelNotFound: Nothing is there under this name.
    """
    with needed_for(f"the sentence-transformers model {name!r}"):
        from sentence_transformers import SentenceTransformer

    device = choose_device()
    with quiet_loading():
        try:
            model = SentenceTransformer(
                path,
                device=device,
                local_files_only=local,
                model_kwargs={"dtype": choose_dtype(dtype, device)},
            )
        except (OSError, ValueError) as error:
            raise ModelNotFound(
                f"no sentence-transformers model at {name!r}: expected 'bundled', a folder or a "
                f"hub id ({error})"
            ) from error
    return SentenceEncoder(model, name=name)


def _fingerprint(model: SentenceTransformer) -> str:
    """Return 12 hex digits over names, shapes and bytes of all weights."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:12]
