"""The best of very many, in order: sorted as far as somebody looks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .ragged import Places

HEAD = 256
"""So many are sorted at first; all 100,000 users of a large store take 8 ms."""


class BestFirst:
    """Rows by their scores, the highest first, equal ones in the order of the rows.

    Args:
        rows: In ascending order, shape (n,).
        scores: Of each row, shape (n,).
    """

    def __init__(self, rows: Places, scores: NDArray[np.floating]) -> None:
        self._rows, self._scores = rows, scores
        self._sorted = np.zeros(0, np.int64)

    def __len__(self) -> int:
        return len(self._rows)

    def between(self, begin: int, end: int) -> Places:
        """Return the rows that come at the places from `begin` up to `end`."""
        if len(self._sorted) < min(end, len(self)):
            self._sorted = self._best(max(HEAD, 2 * end))
        return self._sorted[begin:end]

    def _best(self, count: int) -> Places:
        if count >= len(self):
            return self._rows[np.argsort(-self._scores, kind="stable")]
        least = np.partition(self._scores, len(self) - count)[len(self) - count]
        # More than `count` where several have the least score: whole, so that ties go by row.
        head = np.flatnonzero(self._scores >= least)
        return self._rows[head[np.argsort(-self._scores[head], kind="stable")]]
