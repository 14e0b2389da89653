"""Hash character n-grams into a few dimensions, the same on every machine and in every process.

Python's `hash` is salted per process, so the rolling hash is our own: little-endian code points,
64-bit arithmetic that wraps, a finaliser of SplitMix64. Feature hashing with signs keeps inner
products right in expectation (Weinberger et al. 2009).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: n-grams of one to this many characters.
LONGEST = 4

_BASE = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def hash_ngrams(text: str, dimension: int) -> NDArray[np.float64]:
    """Return signed, damped counts of the text's n-grams, shape (dimension,).

    The vector of each n-gram length is scaled to length one before they are added up: otherwise
    the many long ones would drown the few short ones.
    """
    codes = np.frombuffer(text.encode("utf-32-le", "replace"), dtype="<u4").astype(np.uint64)
    vector = np.zeros(dimension)
    rolling = np.zeros(len(codes), dtype=np.uint64)
    for length in range(1, LONGEST + 1):
        if len(codes) < length:
            break
        with np.errstate(over="ignore"):
            rolling = rolling[: len(codes) - length + 1] * _BASE + codes[length - 1 :]
            hashes, counts = np.unique(_finalise(rolling + np.uint64(length)), return_counts=True)
        signs = np.where(hashes >> np.uint64(63), 1.0, -1.0)
        bins = (hashes % np.uint64(dimension)).astype(np.intp)
        part = np.bincount(bins, weights=signs * np.sqrt(counts), minlength=dimension)
        vector += part / (float(np.linalg.norm(part)) or 1.0)
    return vector


def _finalise(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    values = (values ^ (values >> np.uint64(30))) * _MIX_1
    values = (values ^ (values >> np.uint64(27))) * _MIX_2
    return values ^ (values >> np.uint64(31))
