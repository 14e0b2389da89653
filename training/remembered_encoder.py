"""An encoder that embeds no text twice, and each by itself.

The last digits of a vector depend on what shares its batch, and after a kill other texts come
together than before: embedded alone, a text has the same vector in every run.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from ..stores.records import Encoder, Vectors


class RememberedEncoder:
    """A `stores.records.Encoder` in front of another; keeps every vector as long as it lives."""

    def __init__(self, encoder: Encoder) -> None:
        """Take the encoder that is asked where a text is new."""
        self._encoder = encoder
        self._known: dict[str, Vectors] = {}
        # One at a time: encoders use all cores, and threads beside each other would only wait.
        self._lock = threading.Lock()

    @property
    def version(self) -> str:
        """The encoder's own."""
        return self._encoder.version

    @property
    def dimension(self) -> int:
        """Length of one vector."""
        return self._encoder.dimension

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return one unit row a text, shape (len(texts), dimension). May block."""
        with self._lock:
            for text in texts:
                if text not in self._known:
                    self._known[text] = self._encoder.encode([text])[0]
        rows = [self._known[text] for text in texts]
        return np.array(rows, np.float32).reshape(len(texts), self.dimension)
