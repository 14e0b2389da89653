"""Many unit vectors in 650 bytes each, searched by their first few rotated components.

The rotation is that of a principal component analysis, an orthogonal matrix: cosines stay what
they were, but most of a vector's length gathers in its first components. The first 48 (the head)
are kept in float32 and give an estimate for every text. The next 48 (the middle) correct it for
some thousands, the others (the tail) complete it for the best of these; both are kept as one byte
a component with a scale a row, which leaves an error of some 10⁻⁴. Jégou, Tavenard, Douze and
Amsaleg (2011, "Searching in one billion vectors") refine coarse codes by finer ones likewise.

Cosines to very many vectors: estimated for all of them, exact for the nearest.

The estimate is the dot product of the first principal components (see `rotated_vectors`), which
reads a quarter of the memory that the whole vectors take; the best are then computed in full.

Dot products in the thread that asks for them.

numpy's `@` hands all but the smallest products to BLAS, whose threads go on spinning for some 25 ms
after each, on the cores that a request needs: in a store of a million texts both retrievals took
55 ms of processor time with it and 24 without.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..texts.arrow import Places
from ..types import Vectors


def dots(rows: NDArray[np.floating], vector: NDArray[np.floating]) -> Vectors:
    """Return the product of each row, shape (n, d), and one vector, shape (n,)."""
    found: Vectors = np.einsum("ij,j->i", rows, vector)
    return found


def all_dots(rows: Vectors) -> Vectors:
    """Return the products of some rows with each other, shape (n, n)."""
    found: Vectors = np.einsum("id,jd->ij", rows, rows)
    return found


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


REFINED_HEAD = 64
"""Components of the estimate."""

REFINED = 1_024
"""Vectors whose cosine is computed in full: those with the highest estimates. Of 100,000 users' the
nearest 14 were among the first 512 estimates for each of 200 texts."""


@dataclass(frozen=True)
class CoarseVectors:
    """The first components of some vectors.

    Attributes:
        rotation: The axes.
        head: Shape (vectors, at most `REFINED_HEAD`).
    """

    rotation: Rotation
    head: Vectors

    @classmethod
    def of(cls, vectors: Vectors) -> CoarseVectors:
        """Return the coarse form of unit vectors, shape (n, d)."""
        rotation = Rotation.of(vectors)
        return cls(rotation, np.ascontiguousarray(vectors @ rotation.basis[:, :REFINED_HEAD]))

    def cosines(self, vectors: Vectors, query: Vectors) -> Vectors:
        """Return the cosines to a query, shape (n,); exact for the `REFINED` nearest.

        Args:
            vectors: Those that this was made of.
            query: Unit vector, shape (d,).
        """
        found: Vectors = dots(self.head, self.rotation.turned(query)[:REFINED_HEAD])
        if len(found) <= REFINED:
            nearest = np.arange(len(found))
        else:
            nearest = np.argpartition(found, -REFINED)[-REFINED:]
        found[nearest] = dots(vectors.take(nearest, axis=0), query)
        return found
