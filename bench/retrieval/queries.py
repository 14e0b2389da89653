"""Searches as a request makes them, timed one by one, and the same without approximation."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from ...stores.search.request import SearchRequest
from ...stores.texts.store import TextStore
from ...stores.types import Embedded, Found, Text, Vectors
from .corpus import LARGE_TOPIC, Codes

Trajectory = Literal["style", "preference", "both"]
TRAJECTORIES: tuple[Trajectory, ...] = get_args(Trajectory)

K = 10
WARM_UPS = 50
TIED = 1e-6
"""Scores closer than this count as equal: vectors are float32."""

DEEPER = 3
"""Multiple of k that is searched for ties with the last of the k best."""


@dataclass(frozen=True)
class Query:
    """A text as its author's request: the target that is to be written.

    Attributes:
        text: Whose author asks, and about which topic.
        style: Its style vector.
        topic: Its topic vector.
    """

    text: Text
    style: Vectors
    topic: Vectors

    @property
    def in_large_topic(self) -> bool:
        """Whether it is about the topic that holds a quarter of all texts."""
        return self.text.topic_id == LARGE_TOPIC

    @property
    def words(self) -> str:
        """What the request says: the title, as a long task does."""
        return self.text.title or " ".join(self.text.body.split()[:8])


@dataclass(frozen=True)
class Answer:
    """Time and results of one search.

    Attributes:
        milliseconds: From the query to the evidence, without embedding.
        found: By side.
    """

    milliseconds: float
    found: Mapping[str, Found]


def draw_queries(batches: Iterator[Embedded], texts: int, wanted: int, seed: int) -> list[Query]:
    """Draw texts, each as likely, in random order; some twice where there are too few.

    Args:
        batches: All texts with their vectors.
        texts: Number of texts.
        wanted: Number to draw.
        seed: Random seed.
    """
    rng = np.random.default_rng(seed)
    places = rng.choice(texts, size=wanted, replace=wanted > texts)
    picked = dict.fromkeys(places.tolist())
    found: dict[int, Query] = {}
    at = 0
    for batch in batches:
        here: Codes = np.array([each - at for each in picked if 0 <= each - at < len(batch.texts)])
        for place in here.tolist():
            style, topic = batch.style[place].copy(), batch.topic[place].copy()
            found[at + place] = Query(batch.texts[place], style, topic)
        at += len(batch.texts)
    return [found[place] for place in places.tolist()]


async def ask(
    store: TextStore, query: Query, trajectory: Trajectory, k: int = K, *, exact: bool = False
) -> Answer:
    """Search as one request does: the requester's history, then each side of it in parallel."""
    sides = ("style", "preference") if trajectory == "both" else (trajectory,)
    searches = {"style": _by_style, "preference": _by_preference}
    began = time.perf_counter()
    found = await asyncio.gather(*(searches[side](store, query, k, exact) for side in sides))
    milliseconds = (time.perf_counter() - began) * 1000
    return Answer(milliseconds, dict(zip(sides, found, strict=True)))


async def ask_in_turn(
    store: TextStore, queries: Sequence[Query]
) -> dict[Trajectory, list[tuple[Query, Answer]]]:
    """Ask every third query of each trajectory, in turn, so that a drift of the machine hits all.

    No query is asked twice, so that caches help only through a shared topic.

    Args:
        store: To search.
        queries: Three for each measurement; the first `3 * WARM_UPS` are not counted.
    """
    answers: dict[Trajectory, list[tuple[Query, Answer]]] = {name: [] for name in TRAJECTORIES}
    for place, query in enumerate(queries):
        trajectory = TRAJECTORIES[place % len(TRAJECTORIES)]
        answer = await ask(store, query, trajectory)
        if place >= WARM_UPS * len(TRAJECTORIES):
            answers[trajectory].append((query, answer))
    return answers


@dataclass(frozen=True)
class Checked:
    """An answer compared with the exact one.

    Attributes:
        query: What was asked.
        recall: Share of the exact evidence that was found, over the sides.
        exact_ms: Time of the exact search.
    """

    query: Query
    recall: float
    exact_ms: float


async def check(
    store: TextStore, asked: Sequence[tuple[Query, Answer]], trajectory: Trajectory
) -> list[Checked]:
    """Ask again without approximation, those of the large topic first: its texts stay in memory."""
    checked = []
    for query, answer in sorted(asked, key=lambda pair: not pair[0].in_large_topic):
        exact = await ask(store, query, trajectory, exact=True)
        recalls = [
            await _recall(store, query, side, answer.found[side], exact.found[side])
            for side in exact.found
        ]
        checked.append(Checked(query, float(np.mean(recalls)), exact.milliseconds))
    return checked


def recall_at(found: Found, best: Found, deeper: Found) -> float:
    """Return the share of the best hits that was found; ties with the last count as well.

    Args:
        found: Hits to judge.
        best: The k best hits.
        deeper: More of them, with ties of the last.
    """
    if not best.hits:
        return 1.0
    last = best.hits[-1].score
    good = {hit.text.text_id for hit in best.hits}
    good |= {hit.text.text_id for hit in deeper.hits if abs(hit.score - last) <= TIED}
    right = sum(hit.text.text_id in good for hit in found.hits)
    return min(right, len(best.hits)) / len(best.hits)


async def _recall(store: TextStore, query: Query, side: str, found: Found, best: Found) -> float:
    recall = recall_at(found, best, best)
    if recall == 1.0:
        return recall
    trajectory: Trajectory = "style" if side == "style" else "preference"
    deeper = (await ask(store, query, trajectory, K * DEEPER, exact=True)).found[side]
    return recall_at(found, best, deeper)


async def _by_style(store: TextStore, query: Query, k: int, exact: bool) -> Found:
    text = query.text
    history = await store.history(text.namespace, text.user_id, topic_id=text.topic_id)
    request = SearchRequest(history, query.style, topic_id=text.topic_id, k=k, exact=exact)
    return await store.search_by_style(request)


async def _by_preference(store: TextStore, query: Query, k: int, exact: bool) -> Found:
    text = query.text
    history = await store.history(text.namespace, text.user_id, topic_id=text.topic_id)
    request = SearchRequest(
        history, query.topic, words=query.words, topic_id=text.topic_id, k=k, exact=exact
    )
    return await store.search_by_preference(request)
