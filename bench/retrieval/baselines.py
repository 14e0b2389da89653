"""Baselines of a search over a million texts: numpy over all vectors, LangGraph's store.

Both search both kinds of vectors over all texts, without users, topics or targets. A baseline that
exceeds its time limit is stopped and reported so.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...stores.types import Vectors
from .corpus_files import CorpusFiles
from .queries import K, Query

if TYPE_CHECKING:
    from langgraph.store.memory import InMemoryStore

LIMIT_S = 90.0
"""Seconds that a baseline may take for one size."""

LEAST_QUERIES = 20
"""Least searches for a percentile."""

WARM_UPS = 3
PUT_AT_ONCE = 1_024
NUMPY, LANGGRAPH = "numpy_exact", "langgraph_in_memory"


@dataclass(frozen=True)
class BaselineTimes:
    """Times of a baseline.

    Attributes:
        system: Its name.
        milliseconds: Of each search; fewer than `LEAST_QUERIES`: it was stopped.
        stopped: Why, or "".
    """

    system: str
    milliseconds: Sequence[float]
    stopped: str = ""


def measure_numpy(
    style: Vectors, topic: Vectors, queries: Sequence[Query], limit_s: float = LIMIT_S
) -> BaselineTimes:
    """Time exact search over all texts' vectors, both kinds one after the other."""

    def search(query: Query) -> None:
        for vectors, wanted in ((style, query.style), (topic, query.topic)):
            cosines = vectors @ wanted
            best = np.argpartition(cosines, -K)[-K:]
            best[np.argsort(-cosines[best])]

    return _timed(NUMPY, search, queries, time.perf_counter() + limit_s)


def measure_langgraph(
    files: CorpusFiles, queries: Sequence[Query], limit_s: float = LIMIT_S
) -> BaselineTimes:
    """Time LangGraph's `InMemoryStore`, one for each kind of vectors, both asked in parallel."""
    until = time.perf_counter() + limit_s
    known: dict[str, tuple[Vectors, Vectors]] = {}
    stores = _open_stores(files, known)
    put = 0
    for part in _parts(files):
        if time.perf_counter() > until:
            why = f"{put:,} texts put in {limit_s:.0f} s, and not all"
            return BaselineTimes(LANGGRAPH, [], why)
        known.clear()
        known.update({text_id: (style, topic) for text_id, _, style, topic in part})
        for store in stores:
            store.batch(_puts(part))
        put += len(part)
    known.update({query.text.text_id: (query.style, query.topic) for query in queries})

    async def both(text_id: str) -> None:
        await asyncio.gather(
            *(store.asearch(("texts",), query=text_id, limit=K) for store in stores)
        )

    with asyncio.Runner() as runner:
        return _timed(LANGGRAPH, lambda query: runner.run(both(query.text.text_id)), queries, until)


def _open_stores(
    files: CorpusFiles, known: Mapping[str, tuple[Vectors, Vectors]]
) -> tuple[InMemoryStore, InMemoryStore]:
    """Return a store a kind, which embed the id of a text by looking up its vector."""
    from langgraph.store.memory import InMemoryStore

    def looked_up(kind: int) -> Callable[[Sequence[str]], Any]:
        # Rows of arrays, not lists: 28 times less memory, and faster to search.
        return lambda text_ids: [known[text_id][kind] for text_id in text_ids]

    dimensions = (files.style_dimension, files.topic_dimension)
    style, topic = (
        InMemoryStore(index={"dims": dims, "embed": looked_up(kind), "fields": ["text_id"]})
        for kind, dims in enumerate(dimensions)
    )
    return style, topic


def _parts(files: CorpusFiles) -> Iterator[list[tuple[str, str, Vectors, Vectors]]]:
    for batch in files.batches():
        rows = [
            (text.text_id, text.body, style, topic)
            for text, style, topic in zip(batch.texts, batch.style, batch.topic, strict=True)
        ]
        for begin in range(0, len(rows), PUT_AT_ONCE):
            yield rows[begin : begin + PUT_AT_ONCE]


def _puts(part: Sequence[tuple[str, str, Vectors, Vectors]]) -> list[Any]:
    from langgraph.store.base import PutOp

    return [
        PutOp(("texts",), text_id, {"text_id": text_id, "body": body})
        for text_id, body, _, _ in part
    ]


def _timed(
    system: str, search: Callable[[Query], None], queries: Sequence[Query], until: float
) -> BaselineTimes:
    times: list[float] = []
    for place, query in enumerate(queries):
        began = time.perf_counter()
        if began > until:
            break
        search(query)
        if place >= WARM_UPS:
            times.append((time.perf_counter() - began) * 1000)
    if len(times) < min(LEAST_QUERIES, len(queries) - WARM_UPS):
        return BaselineTimes(system, [], f"only {len(times)} searches within the limit")
    return BaselineTimes(system, times)
