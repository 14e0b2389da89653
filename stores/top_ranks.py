"""The upper end of a long list of scores: exact ranks down to some depth without sorting it all.

A sample guesses a score that about `DEPTH` others exceed; only those above it are sorted. The
guess is checked, so what comes out doesn't depend on it: at 250,000 scores 0.4 ms for 2.2.
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
    """Scores, and their upper end in order.

    Attributes:
        scores: All, float32, shape (texts,); -inf: out of the ranking.
        top: The greatest, ascending: every score that is not less than `top[0]`.
    """

    scores: Vectors
    top: NDArray[np.float32]

    @classmethod
    def of(cls, scores: Vectors) -> TopRanks:
        """Return the ranks of some scores."""
        return cls(scores, _greatest(scores))

    def at(self, places: Places) -> Places:
        """Return ranks from 1, equal scores sharing one, no more than DEPTH + 1."""
        found = len(self.top) - np.searchsorted(self.top, self.scores[places], side="right") + 1
        return np.minimum(found, DEPTH + 1)

    def down_to(self, rank: int) -> tuple[Places, Places]:
        """Return the places of scores above that of some rank, and of those that equal it."""
        least = self.top[-min(rank, len(self.top))]
        reached = np.flatnonzero(self.scores >= max(least, np.finfo(np.float32).min))
        above = self.scores[reached] > least
        return reached[above], reached[~above]


def _greatest(scores: Vectors) -> NDArray[np.float32]:
    """Return at least the DEPTH greatest scores, with all that equal the least; ascending."""
    if len(scores) > 2 * DEPTH:
        sample = np.sort(scores[::_STEP])
        least = sample[-(DEPTH // _STEP * 5 // 4)]
        # Equal scores are counted, not sorted: where few texts have a word, most are 0.
        equal = np.count_nonzero(scores == least)
        above = scores[np.flatnonzero(scores > least)]
        if len(above) + equal >= DEPTH:
            return np.concatenate([np.full(equal, least), np.sort(above)])
    return np.sort(scores)
