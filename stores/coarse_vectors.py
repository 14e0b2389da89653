"""Cosines to very many vectors: estimated for all of them, exact for the nearest.

The estimate is the dot product of the first principal components (see `rotated_vectors`), which
reads a quarter of the memory that the whole vectors take; the best are then computed in full.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .dots import dots
from .records import Vectors
from .rotated_vectors import Rotation

HEAD = 64
"""Components of the estimate."""

REFINED = 1_024
"""Vectors whose cosine is computed in full: those with the highest estimates. Of 100,000 users' the
nearest 14 were among the first 512 estimates for each of 200 texts."""


@dataclass(frozen=True)
class CoarseVectors:
    """The first components of some vectors.

    Attributes:
        rotation: The axes.
        head: Shape (vectors, at most `HEAD`).
    """

    rotation: Rotation
    head: Vectors

    @classmethod
    def of(cls, vectors: Vectors) -> CoarseVectors:
        """Return the coarse form of unit vectors, shape (n, d)."""
        rotation = Rotation.of(vectors)
        return cls(rotation, np.ascontiguousarray(vectors @ rotation.basis[:, :HEAD]))

    def cosines(self, vectors: Vectors, query: Vectors) -> Vectors:
        """Return the cosines to a query, shape (n,); exact for the `REFINED` nearest.

        Args:
            vectors: Those that this was made of.
            query: Unit vector, shape (d,).
        """
        found: Vectors = dots(self.head, self.rotation.turned(query)[:HEAD])
        if len(found) <= REFINED:
            nearest = np.arange(len(found))
        else:
            nearest = np.argpartition(found, -REFINED)[-REFINED:]
        found[nearest] = dots(vectors.take(nearest, axis=0), query)
        return found
