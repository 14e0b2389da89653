"""An encoder that embeds each text once: benches fill several stores with the same texts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..stores.records import Encoder, Vectors


class RememberedEncoder:
    """A `stores.records.Encoder` in front of another; keeps every vector, for one bench's life."""

    def __init__(self, encoder: Encoder) -> None:
        """Take the encoder that is asked where a text is new."""
        self._encoder = encoder
        self._known: dict[str, Vectors] = {}

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
        new = list(dict.fromkeys(text for text in texts if text not in self._known))
        if new:
            self._known.update(zip(new, self._encoder.encode(new), strict=True))
        rows = [self._known[text] for text in texts]
        return np.array(rows, np.float32).reshape(len(texts), self.dimension)
