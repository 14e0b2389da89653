"""Sums of vectors that are exact, so that a share can be taken out of them without a trace.

A topic's vector must leave out what the requester wrote on it. In floating point (S + u) - u
differs from S in its last bits, in a way that depends on u: the requester's target would show
through the scores. So every vector is rounded to half precision when it is stored, all of whose
values below 1 lie on a grid of 2⁻²⁴, and summed in float64: sums of up to 2²⁸ texts are then
exact, the same in every order, and (S + u) - u = S bit for bit.

What is stored is the vector, for everything that is computed with it: in memory it takes two bytes
a number without any loss. Cosines differ from those of the encoder's own vectors by 10⁻⁵ usually
and by 2⁻¹¹ at most.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .records import Sums, Vectors


def on_grid(vectors: NDArray[np.floating]) -> Vectors:
    """Return the vectors rounded to half precision, as float32, same shape."""
    return vectors.astype(np.float16).astype(np.float32)


def exact_sum(vectors: Vectors) -> Sums:
    """Return the sum over rows of vectors on the grid, shape (dimension,)."""
    total: Sums = vectors.sum(axis=0, dtype=np.float64)
    return total


def unit(sums: NDArray[np.floating]) -> Vectors:
    """Return rows of unit length, float32, same shape; a row of zeros stays one."""
    lengths = np.linalg.norm(sums, axis=-1, keepdims=True)
    units: Vectors = np.zeros(sums.shape, np.float32)
    np.divide(sums, lengths, out=units, where=lengths > 0, casting="same_kind")
    return units
