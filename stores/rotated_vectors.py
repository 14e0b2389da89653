"""Many unit vectors in 650 bytes each, searched by their first few rotated components.

The rotation is that of a principal component analysis, an orthogonal matrix: cosines stay what
they were, but most of a vector's length gathers in its first components. The first 48 (the head)
are kept in float32 and give an estimate for every text. The next 48 (the middle) correct it for
some thousands, the others (the tail) complete it for the best of these; both are kept as one byte
a component with a scale a row, which leaves an error of some 10⁻⁴. Jégou, Tavenard, Douze and
Amsaleg (2011, "Searching in one billion vectors") refine coarse codes by finer ones likewise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .dots import dots
from .ragged import Places
from .records import Vectors

HEAD = 48
"""Components of the head."""

MIDDLE = 48
"""Components of the middle."""

SAMPLE = 4_096
"""Vectors that the rotation is made from."""

_CHUNK = 1_024
"""Vectors worked on at once: what a core's cache holds."""


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
        if vectors.ndim == 1:
            return dots(self.basis.T, vectors)
        turned: Vectors = vectors @ self.basis
        return turned


@dataclass(frozen=True)
class ByteRows:
    """Rows of numbers, one byte each.

    Attributes:
        codes: The numbers in units of `scale`, int8, shape (rows, width).
        scale: Shape (rows,).
    """

    codes: NDArray[np.int8]
    scale: Vectors

    @classmethod
    def room(cls, rows: int, width: int) -> ByteRows:
        """Return room for so many rows, for `put` to fill before anybody reads them."""
        return cls(np.empty((rows, width), np.int8), np.empty(rows, np.float32))

    def put(self, begin: int, rows: Vectors) -> None:
        """Write rows, shape (rows, width), with 127 for the greatest number of each."""
        greatest = np.maximum(rows.max(axis=1, initial=0), -rows.min(axis=1, initial=0))
        per_unit = np.divide(127, greatest, out=np.zeros_like(greatest), where=greatest > 0)
        at = slice(begin, begin + len(rows))
        self.codes[at] = np.rint(rows * per_unit[:, None])
        self.scale[at] = greatest / 127

    @classmethod
    def joined(cls, parts: Sequence[ByteRows]) -> ByteRows:
        """Return the rows of all parts, one after another."""
        codes, scales = [part.codes for part in parts], [part.scale for part in parts]
        return cls(np.concatenate(codes), np.concatenate(scales))

    def dots(self, places: Places, query: Vectors) -> Vectors:
        """Return the dot products of some rows with a query, shape (places,)."""
        found: Vectors = self.scale.take(places)
        for begin in range(0, len(places), _CHUNK):
            some = slice(begin, begin + _CHUNK)
            found[some] *= dots(self.codes.take(places[some], axis=0).astype(np.float32), query)
        return found


@dataclass(frozen=True)
class RotatedVectors:
    """Vectors in the axes of a rotation.

    Attributes:
        head: First components, one row a component, shape (h, texts).
        middle: The next.
        tail: All others.
    """

    head: Vectors
    middle: ByteRows
    tail: ByteRows

    @classmethod
    def build(cls, vectors: Vectors, rotation: Rotation) -> RotatedVectors:
        """Return vectors, shape (n, d), in the axes of the rotation."""
        count, dimension = vectors.shape
        ends = [min(end, dimension) for end in (HEAD, HEAD + MIDDLE)]
        head = np.empty((ends[0], count), np.float32)
        middle = ByteRows.room(count, ends[1] - ends[0])
        tail = ByteRows.room(count, dimension - ends[1])
        for begin in range(0, count, _CHUNK):
            turned = rotation.turned(vectors[begin : begin + _CHUNK])
            head[:, begin : begin + _CHUNK] = turned[:, : ends[0]].T
            middle.put(begin, turned[:, ends[0] : ends[1]])
            tail.put(begin, turned[:, ends[1] :])
        return cls(head, middle, tail)

    def __len__(self) -> int:
        return int(self.head.shape[1])

    def followed_by(self, other: RotatedVectors) -> RotatedVectors:
        """Return these vectors and then the other's, of the same rotation."""
        return RotatedVectors(
            np.concatenate([self.head, other.head], axis=1),
            ByteRows.joined([self.middle, other.middle]),
            ByteRows.joined([self.tail, other.tail]),
        )

    def estimates(self, turned: Vectors) -> Vectors:
        """Return the heads' share of all cosines, shape (texts,).

        Args:
            turned: The query in the same axes, shape (d,).
        """
        found: Vectors = np.einsum("i,ij->j", turned[:HEAD], self.head)
        return found

    def corrections(self, places: Places, turned: Vectors) -> Vectors:
        """Return what the middle adds to the estimates of some, shape (places,)."""
        return self.middle.dots(places, turned[HEAD : HEAD + MIDDLE])

    def rests(self, places: Places, turned: Vectors) -> Vectors:
        """Return what middle and tail add to the estimates of some, shape (places,)."""
        rest = self.corrections(places, turned)
        rest += self.tail.dots(places, turned[HEAD + MIDDLE :])
        return rest
