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
from .reliability import TEXTS_FOR_HALF

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
class Weights:
    """What counts how much where evidence is ranked.

    The defaults were chosen by `patlm bench evidence` on the splits that may decide
    (docs/retrieval.md).

    Attributes:
        words: For preference: ranks by BM25.
        topic: For preference: ranks by the topic vectors.
        alignment: For preference: what an author's alignment does to a score, from x (1 - a/2) to
            x (1 + a/2).
        apart: For preference: what a cosine of 1 to a piece already taken costs.
        length: For style: the share of the length direction that is left out (`length_axis`).
        half: For style: texts from which an author's mean is half signal (`reliability`); 0: all
            means are taken for sure.
    """

    words: float = 1.0
    topic: float = 1.0
    alignment: float = 0.0
    apart: float = 0.1
    length: float = 1.0
    half: float = TEXTS_FOR_HALF


WEIGHTS = Weights()


@dataclass(frozen=True)
class Choice:
    """Whose texts are wanted.

    Attributes:
        take: `aligned`: the nearest people; `random`: anybody among the candidates, each text
            matched in length and rating with one of the aligned ones; `anti_aligned`: those
            farthest away; `same_topic`: texts on the topic, for preference by relevance alone;
            `random_topic`: anybody's, on other topics.
        seed: Of what is drawn; the same request draws the same with it.
        weights: What counts how much.
    """

    take: Take = "aligned"
    seed: int = 0
    weights: Weights = WEIGHTS

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
