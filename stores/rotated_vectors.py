"""Many unit vectors in 600 bytes each, searched by their first few rotated components.

The rotation is that of a principal component analysis, an orthogonal matrix: cosines stay what
they were, but most of a vector's length gathers in its first components. Those (the head) are kept
in float32 and give an estimate for every text (3.5 ms at 250,000); the others (the tail) as
one byte each, with one scale a row, and complete the cosine of the few hundred that matter, to
about 10⁻⁴. Jégou, Douze and Schmid (2011) refine a coarse code by a second one likewise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .ragged import Places
from .records import Vectors

HEAD = 64
"""Components of the head."""

SAMPLE = 4_096
"""Vectors that the rotation is made from."""

_CHUNK = 16_384


@dataclass(frozen=True)
class Rotation:
    """An orthogonal change of axes, the most telling first.

    Attributes:
        basis: The new axes as columns, shape (d, d).
    """

    basis: Vectors

    @classmethod
    def of(cls, vectors: Vectors) -> Rotation:
        """Return the principal axes, about the origin, of a sample of vectors, shape (n, d)."""
        sample = vectors[:: max(1, len(vectors) // SAMPLE)].astype(np.float64)
        _, axes = np.linalg.eigh(sample.T @ sample)
        return cls(np.ascontiguousarray(axes[:, ::-1], np.float32))

    def turned(self, vectors: Vectors) -> Vectors:
        """Return vectors in the new axes, shape (..., d)."""
        turned: Vectors = vectors @ self.basis
        return turned


@dataclass(frozen=True)
class RotatedVectors:
    """Vectors in the axes of a rotation.

    Attributes:
        head: First components, one row a component, shape (h, texts).
        tail: The others in units of `scale`, int8, shape (texts, d - h).
        scale: Shape (texts,).
    """

    head: Vectors
    tail: NDArray[np.int8]
    scale: Vectors

    @classmethod
    def build(cls, vectors: Vectors, rotation: Rotation) -> RotatedVectors:
        """Return vectors, shape (n, d), in the axes of the rotation."""
        count, dimension = vectors.shape
        width = min(HEAD, dimension)
        head = np.empty((width, count), np.float32)
        tail = np.empty((count, dimension - width), np.int8)
        scale = np.empty(count, np.float32)
        for begin in range(0, count, _CHUNK):
            some = slice(begin, begin + _CHUNK)
            turned = rotation.turned(vectors[some])
            head[:, some] = turned[:, :width].T
            rest = turned[:, width:]
            greatest = np.maximum(rest.max(axis=1, initial=0), -rest.min(axis=1, initial=0))
            scale[some] = greatest / 127
            per_unit = np.divide(127, greatest, out=np.zeros_like(greatest), where=greatest > 0)
            np.rint(rest * per_unit[:, None], out=tail[some], casting="unsafe")
        return cls(head, tail, scale)

    def __len__(self) -> int:
        return len(self.scale)

    def followed_by(self, other: RotatedVectors) -> RotatedVectors:
        """Return these vectors and then the other's, of the same rotation."""
        return RotatedVectors(
            np.concatenate([self.head, other.head], axis=1),
            np.concatenate([self.tail, other.tail]),
            np.concatenate([self.scale, other.scale]),
        )

    def estimates(self, turned: Vectors) -> Vectors:
        """Return the heads' share of all cosines, shape (texts,).

        Args:
            turned: The query in the same axes, shape (d,).
        """
        found: Vectors = turned[: len(self.head)] @ self.head
        return found

    def cosines(self, places: Places, turned: Vectors) -> Vectors:
        """Return the cosines of some, shape (places,), within about 10⁻⁴.

        Summed in float64, so that equal vectors get equal cosines wherever they lie.
        """
        query = turned.astype(np.float64)
        width = len(self.head)
        near = query[:width] @ self.head.take(places, axis=1).astype(np.float64)
        rest = self.tail.take(places, axis=0).astype(np.float64) @ query[width:]
        found: Vectors = (near + rest * self.scale[places]).astype(np.float32)
        return found
