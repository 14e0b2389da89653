"""Vectors of texts, remembered: a run asks for the same ones again.

A draft is compared with the one before it, both summaries with theirs, and the next iteration looks
for evidence with a draft that was just compared; a benchmark embeds the same texts for each arm.

Each text is embedded alone: the last digits of a vector depend on the other texts of its batch, and
a resumed run has other batches.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .open import TopicEncoder

    Rows = NDArray[np.float32]

RECENT = 512
"""Texts that serving remembers: those of some tens of requests at once, less than a MB."""


class RememberedEncoder:
    """An encoder that keeps another one's vectors in memory, by digests of the texts.

    Several threads may use it.
    """

    def __init__(self, encoder: TopicEncoder, limit: int | None = None) -> None:
        """Wrap an encoder.

        Args:
            encoder: Encodes what is not remembered.
            limit: Texts that are remembered at most, the latest ones; None: all.
        """
        self._encoder, self._limit = encoder, limit
        self._known: OrderedDict[bytes, Rows] = OrderedDict()
        # One at a time: an encoder uses all cores, so parallel threads would only wait.
        self._encoding, self._changing = threading.Lock(), threading.Lock()

    @property
    def version(self) -> str:
        """Version of the wrapped encoder."""
        return self._encoder.version

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self._encoder.dimension

    def is_quick(self, texts: Sequence[str]) -> bool:
        """Return whether all texts are remembered, so that no thread is needed."""
        return all(_digest(text) in self._known for text in texts)

    def encode(self, texts: Sequence[str]) -> Rows:
        """Return one unit row per text, shape (len(texts), dimension). May block."""
        import numpy as np  # importing this package must stay cheap

        known = [self._row(text) for text in texts]
        rows: Rows = np.array(known, np.float32)
        return rows.reshape(len(texts), self.dimension)

    def _row(self, text: str) -> Rows:
        key = _digest(text)
        row = self._known.get(key)
        if row is None:
            with self._encoding:
                row = self._known.get(key)  # perhaps another thread has just encoded it
                if row is None:
                    row = self._encoder.encode([text])[0]
        with self._changing:
            self._known[key] = row
            self._known.move_to_end(key)
            if self._limit is not None and len(self._known) > self._limit:
                self._known.popitem(last=False)
        return row


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
