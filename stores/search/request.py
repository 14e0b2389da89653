"""Whose texts a search takes: those of the people it is for, or those of a control.

Controls draw from the same candidates and differ in nothing but the authors, or in nothing but
the topic: whatever is gained over them is owed to the right people, or to the right topic.

The requester's side of a user: what may be known of somebody when writing for them.

Own history is the user's texts less targets, less those on the requested topic, less exact
duplicates of a target. The rest of the user's texts only says what has to be left out.

How far what is known of somebody's style can be trusted: further with each text.

A text's style vector is its author's own style plus what is the text's alone. With r the mean
cosine of two texts of one author on different topics, less that of two authors, the mean of n texts
correlates with its author's own style as sqrt(n / (n + c)), c = (1 - r) / r (Spearman 1910,
Brown 1910). A cosine of two means is expected to be that of the two styles shrunk by this factor
for either side: of two authors at the same cosine, the one with more texts is the surer find.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import pyarrow as pa

from ..texts.arrow import PLAIN_COLUMNS, exact_sum, texts_of_rows, vectors_of
from ..types import History, Hit, Sums, Text, Vectors
from .words import bare

if TYPE_CHECKING:
    from ..texts.arrow import Places

TEXTS_FOR_HALF = 3.3
"""c: r = .234 over 438 people of the `train` split of instruments, untrained style encoder
(`patlm bench evidence`, docs/retrieval.md)."""

WORDS_OF_A_TEXT = 46
"""Words of a request that are worth one text: the median text of the same data."""


def reliability(texts: float, half: float = TEXTS_FOR_HALF) -> float:
    """Return sqrt(n / (n + c)), 0 for no text.

    Args:
        texts: n; a request's own words count as a share of a text.
        half: c.
    """
    return (texts / (texts + half)) ** 0.5 if texts else 0.0


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


HISTORY_COLUMNS = (*PLAIN_COLUMNS, "style", "topic")


def history_of_rows(rows: pa.Table, namespace: str, user_id: str, topic_id: str | None) -> History:
    """Return the history that all of one user's rows of the table `texts` make.

    Args:
        rows: All of the user's rows.
        namespace: The tenant.
        user_id: The requester.
        topic_id: What the request is about; None or "" where that is not known.
    """
    texts = texts_of_rows(rows)
    style, topic = vectors_of(rows, "style"), vectors_of(rows, "topic")
    hidden = frozenset(bare(text.body) for text in texts if text.target) - {""}
    own = [
        place
        for place, text in enumerate(texts)
        if not text.target
        and not (topic_id and text.topic_id == topic_id)
        and bare(text.body) not in hidden
    ]
    own.sort(key=lambda place: _time(texts[place]), reverse=True)
    return History(
        namespace=namespace,
        user_id=user_id,
        texts=tuple(texts[place] for place in own),
        style=style[own],
        topic_vectors=topic[own],
        contributed=_contributed(texts, topic),
        hidden_bodies=hidden,
    )


def _time(text: Text) -> tuple[float, int, str]:
    """Order texts by time where it is given, else by place; texts with a time come later."""
    timestamp = float("-inf") if text.timestamp is None else float(text.timestamp)
    return (timestamp, text.position, text.text_id)


def _contributed(texts: list[Text], vectors: Vectors) -> dict[str, tuple[Sums, int]]:
    rows: dict[str, list[int]] = {}
    for place, text in enumerate(texts):
        if text.shared and text.topic_id:
            rows.setdefault(text.topic_id, []).append(place)
    return {topic: (exact_sum(vectors[at]), len(at)) for topic, at in rows.items()}
