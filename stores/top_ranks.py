"""The upper end of a long list of scores: exact ranks down to some depth without sorting it all.

A sample guesses a score that about `DEPTH` others exceed; only those above it are sorted. The
guess is checked, so what comes out doesn't depend on it: at 250,000 scores 0.6 ms for 2.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .ragged import Places
from .records import Vectors

DEPTH = 16_384
"""Ranks are exact down to here; below, all share DEPTH + 1 (61/(60 + DEPTH) = 0.004)."""

_STEP = 16
"""One in so many scores is in the sample."""


@dataclass(frozen=True)
class TopRanks:
    """Scores, and their upper end.

    Attributes:
        scores: All, float32, shape (texts,); -inf: out of the ranking.
        least: At least `DEPTH` scores are as great as this.
        places: Where those above it lie, ascending, shape (some,).
        top: The scores there, in ascending order.
    """

    scores: Vectors
    least: np.float32
    places: Places
    top: NDArray[np.float32]

    @classmethod
    def of(cls, scores: Vectors, depth: int = DEPTH) -> TopRanks:
        """Return the ranks of some scores.

        Args:
            scores: Shape (texts,).
            depth: How far down the order is to be known, `DEPTH` or more.
        """
        least, places = _above_a_sampled(scores, depth)
        return cls(scores, least, places, np.sort(scores[places]))

    def at(self, places: Places) -> Places:
        """Return ranks from 1, equal scores sharing one, no more than DEPTH + 1."""
        scores = self.scores[places]
        found = len(self.top) - np.searchsorted(self.top, scores, side="right") + 1
        found[scores < self.least] = DEPTH + 1
        return np.minimum(found, DEPTH + 1)

    def down_to(self, rank: int) -> tuple[Places, Places]:
        """Return the places of scores above that of some rank, and of those that equal it.

        All places, and none, if there are fewer.
        """
        if rank <= len(self.top):
            some = self.scores[self.places]
            last = self.top[-rank]
            return self.places[some > last], self.places[some == last]
        if self.least > -np.inf:
            return self.places, np.flatnonzero(self.scores == self.least)
        return self.places, self.places[:0]


def _above_a_sampled(scores: Vectors, depth: int) -> tuple[np.float32, Places]:
    """Return a score that `depth` or more reach, and the places of those above it.

    Those that equal it are left out of the sort: where few texts have a word, most are 0.
    """
    if len(scores) > 2 * depth:
        sample = np.sort(scores[::_STEP])
        least = sample[-(depth // _STEP * 5 // 4)]
        above = np.flatnonzero(scores > least)
        enough = len(above) >= depth or len(above) + np.count_nonzero(scores == least) >= depth
        if least > -np.inf and enough:
            return least, above
    nothing = np.float32(-np.inf)
    return nothing, np.flatnonzero(scores > nothing)
