"""Pieces of evidence that do not say one thing: maximal marginal relevance, near-copies once.

Carbonell and Goldstein 1998: the next piece is the one whose score less w times its highest cosine
to a piece already taken is the greatest. A near-copy of one already taken is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from .dots import all_dots
from .ragged import Places
from .ranking import Scores

if TYPE_CHECKING:
    from .pools import Pool

LOOKED_AT = 32
"""Candidates from the front of a ranking that a piece is picked among."""


def take_apart(
    pool: Pool, places: Places, tiers: Sequence[Places], scores: Scores, k: int, weight: float
) -> Places:
    """Return up to k candidates, in the order in which they are taken.

    Args:
        pool: All texts.
        places: The candidates' places in it.
        tiers: Candidates, best first; one of a later tier is taken where the earlier ones have no
            more to give.
        scores: Of all candidates; those of a tier are in this order.
        k: How many.
        weight: What a cosine of 1 to a piece already taken costs.
    """
    taken = np.zeros(0, np.int64)
    for window in _windows(tiers, k):
        if len(taken) >= k:
            break
        taken = _extend(pool, places, taken, window, scores, k, weight)
    return taken


def _windows(tiers: Sequence[Places], k: int) -> Iterator[Places]:
    for tier in tiers:
        # Never beyond the better half: the ends of a ranking are to stay apart.
        width = max(k, min(LOOKED_AT, len(tier) // 2))
        for begin in range(0, len(tier), width):
            yield tier[begin : begin + width]


def _extend(
    pool: Pool,
    places: Places,
    taken: Places,
    window: Places,
    scores: Scores,
    k: int,
    weight: float,
) -> Places:
    both = np.concatenate([taken, window])
    vectors = pool.vectors[places[both]]
    cosines = all_dots(vectors)
    copies = pool.copies_among(places[both])
    inside = list(range(len(taken)))
    left = np.ones(len(both), np.bool_)
    left[inside] = False
    while len(inside) < k:
        left &= ~copies[:, inside].any(axis=1)
        open_ = np.flatnonzero(left)
        if not len(open_):
            break
        cost = weight * cosines[open_][:, inside].max(axis=1) if inside else 0.0
        best = int(open_[np.argmax(scores[both[open_]] - cost)])
        inside.append(best)
        left[best] = False
    return both[inside]
