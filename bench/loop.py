"""Cost of the framework: the loop with instant models and stores, against empty nodes.

Both run alternately in one process, so that their ratio holds when the machine's speed drifts.
Times are per iteration: one pass of six nodes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import quantiles
from typing import Any, TypedDict

import numpy as np
from langchain_core.messages import AIMessage
from langgraph.graph import END, START, StateGraph

from ..graph.builder import build_graph
from ..models.encoders.remembered import RECENT, RememberedEncoder
from ..nodes.dependencies import ChatRole, Parts
from ..nodes.result import ROLES
from ..nodes.state import Request, RunContext
from ..stores.search.request import SearchRequest
from ..stores.types import Found, History, Hit, Neighbour, Text, Vectors
from .fake_model import FakeModel

WARM_UP = 20


@dataclass(frozen=True)
class LoopTimes:
    """Milliseconds per iteration.

    Attributes:
        framework_ms: p50 and p95 of the loop with instant models and stores, without calls of
            models.
        empty_graph_ms: The same of six empty nodes in the loop's shape.
        model_calls_ms: Overhead of langchain-core: three calls of an instant model, one for each
            role.
        runs: Measured runs of each.
    """

    framework_ms: dict[str, float]
    empty_graph_ms: dict[str, float]
    model_calls_ms: dict[str, float]
    runs: int

    @property
    def ratio(self) -> float:
        """Median of the loop over median of the empty graph."""
        return self.framework_ms["p50"] / self.empty_graph_ms["p50"]


def measure_loop(runs: int = 200) -> LoopTimes:
    """Time the loop and the empty graph alternately.

    Args:
        runs: Runs of each, after a warm-up.
    """
    return asyncio.run(_measure(runs))


async def _measure(runs: int) -> LoopTimes:
    parts = _instant_parts()

    async def provide() -> Parts:
        return parts

    loop = build_graph(provide).compile()
    empty = _empty_graph()
    context = RunContext(max_iterations=2)
    model = FakeModel()

    async def call_models() -> None:
        for _ in ROLES:
            await model.ainvoke([("system", "You write."), ("user", "Write.")], max_tokens=8)

    loop_ms, empty_ms, calls_ms = [], [], []
    for run in range(runs + WARM_UP):
        # A title of its own: what is remembered of a run must not help the next one.
        request = Request(user_id="u", task="long", title=f"Two nights by the sea, part {run}")
        a = await _milliseconds(partial(loop.ainvoke, request, context=context))
        b = await _milliseconds(lambda: empty.ainvoke({"iteration": 1}))
        c = await _milliseconds(call_models)
        if run >= WARM_UP:
            loop_ms.append(a / context.max_iterations)
            empty_ms.append(b / context.max_iterations)
            calls_ms.append(c)
    return LoopTimes(_p50_p95(loop_ms), _p50_p95(empty_ms), _p50_p95(calls_ms), runs)


async def _milliseconds(call: Callable[[], Awaitable[Any]]) -> float:
    begin = time.perf_counter()
    await call()
    return (time.perf_counter() - begin) * 1000


def _p50_p95(values: Sequence[float]) -> dict[str, float]:
    cuts = quantiles(values, n=20, method="inclusive")
    return {"p50": round(cuts[9], 3), "p95": round(cuts[18], 3)}


class _InstantModel(FakeModel):
    """Answers instantly without LangChain, never twice the same: the loop must not settle."""

    calls: int = 0

    async def ainvoke(self, input: Any, config: Any = None, **kwargs: Any) -> AIMessage:
        self.calls += 1
        return AIMessage(f"answer {self.calls} to {len(input[-1][1])} characters")


class _InstantEncoder:
    version = "instant"
    dimension = 8

    def __init__(self) -> None:
        self._rows = np.eye(self.dimension, dtype=np.float32)

    def encode(self, texts: Sequence[str]) -> Vectors:
        return self._rows[[len(text) % self.dimension for text in texts]]


class _QuickEncoder(_InstantEncoder):
    def is_quick(self, texts: Sequence[str]) -> bool:
        return True


class _InstantStore:
    def __init__(self) -> None:
        texts = [Text(f"user-{i}", f"I slept well {i} times, the view is fine.") for i in range(4)]
        self._found = Found(
            hits=tuple(Hit(text, 0.5, "instant") for text in texts),
            neighbours=tuple(Neighbour(text.user_id, 0.5) for text in texts),
            pool_size=4,
        )

    async def history(
        self, namespace: str, user_id: str, *, topic_id: str | None = None
    ) -> History:
        none = np.zeros((0, 8), np.float32)
        return History(namespace, user_id, (), none, none, {}, frozenset())

    async def search_by_style(self, request: SearchRequest) -> Found:
        return self._found

    async def search_by_preference(self, request: SearchRequest) -> Found:
        return self._found


def _instant_parts() -> Parts:
    # As the bundled ones: that of style needs no thread for a title, that of topics always does.
    style, topic = _QuickEncoder(), RememberedEncoder(_InstantEncoder(), RECENT)
    role = ChatRole(_InstantModel(), "instant")
    chat = dict.fromkeys(ROLES, role)
    return Parts(_InstantStore(), style, topic, chat, count=lambda text: len(text) // 4)


class _EmptyState(TypedDict):
    iteration: int


def _empty_graph() -> Any:
    """Return a graph of six empty nodes in the loop's shape, two iterations."""

    async def nothing(state: _EmptyState) -> None:
        return None

    async def count(state: _EmptyState) -> _EmptyState:
        return {"iteration": state["iteration"] + 1}

    retrievals, reasoners = ["style-retrieve", "preference-retrieve"], ["style-r", "preference-r"]
    builder = StateGraph(_EmptyState)
    for retrieval, reasoner in zip(retrievals, reasoners, strict=True):
        builder.add_node(retrieval, nothing)
        builder.add_node(reasoner, nothing)
        builder.add_edge(START, retrieval)
        builder.add_edge(retrieval, reasoner)
    builder.add_node("integrate", nothing)
    builder.add_node("check-stop", count)
    builder.add_edge(reasoners, "integrate")
    builder.add_edge("integrate", "check-stop")
    builder.add_conditional_edges(
        "check-stop",
        lambda state: END if state["iteration"] > 2 else retrievals,
        [*retrievals, END],
    )
    return builder.compile()
