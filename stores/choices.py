"""Whose texts a search takes: those of the people it is for, or those of a control.

Controls draw from the same candidates and differ in nothing but the authors, or in nothing but
the topic: whatever is gained over them is owed to the right people, or to the right topic.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from .records import Hit, Text

if TYPE_CHECKING:
    # For types alone, as in `records`: the nodes import this file.
    from .ragged import Places

Take = Literal["aligned", "random", "anti_aligned", "same_topic", "random_topic"]
TAKES: tuple[Take, ...] = get_args(Take)

OTHER_RATING = 0.25
"""What another rating weighs in matching: as much as a text that is 28% longer."""

DRAWN_PER_TEXT = 16
"""Random authors looked at for each text, to find one of like length and rating."""


@dataclass(frozen=True)
class Choice:
    """Whose texts are wanted.

    Attributes:
        take: `aligned`: the nearest people; `random`: anybody among the candidates, each text
            matched in length and rating with one of the aligned ones; `anti_aligned`: those
            farthest away; `same_topic`: texts on the topic, for preference by relevance alone;
            `random_topic`: anybody's, on other topics.
        seed: Of what is drawn; the same request draws the same with it.
    """

    take: Take = "aligned"
    seed: int = 0

    def shuffled(self, count: int, *request: str | None) -> Places:
        """Return the numbers below `count` in an order that seed and request decide."""
        import numpy as np

        key = "\x1f".join([str(self.seed), self.take, *(part or "" for part in request)])
        digest = hashlib.sha256(key.encode()).digest()
        drawn: Places = np.random.default_rng(list(digest)).permutation(count)
        return drawn


ALIGNED = Choice()


def matched(wanted: Sequence[Text], candidates: Sequence[Hit]) -> list[Hit]:
    """Return for each wanted text the candidate most like it in length and rating.

    Each candidate serves once; where they run out, the rest is left. Ties go to the earlier one.
    """
    left = list(candidates)
    taken = []
    for text in wanted[: len(left)]:
        best = min(range(len(left)), key=lambda place: _unlike(text, left[place].text))
        taken.append(left.pop(best))
    return taken


def _unlike(one: Text, other: Text) -> float:
    lengths = [len(text.body.split()) + 1 for text in (one, other)]
    return abs(math.log(lengths[0] / lengths[1])) + OTHER_RATING * (one.rating != other.rating)
