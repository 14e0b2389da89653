"""One node's turn: what it is handed, the deadline it keeps, the log it leaves.

`as_node` wraps a node's own work so that the six files beside this one hold nothing but theirs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from langgraph.runtime import Runtime

from .errors import DeadlineError, RequestError
from .parts import Parts, ProvideParts
from .state import (
    LoopState,
    NodeLog,
    Request,
    RunContext,
    Update,
    is_first_step,
    read_request,
    start_time,
)


@dataclass(frozen=True)
class Turn:
    """What a node works from in one iteration."""

    state: LoopState
    request: Request
    context: RunContext
    parts: Parts
    iteration: int
    started: float

    @property
    def seconds_left(self) -> float:
        """Seconds until the deadline; negative when it has passed."""
        return self.started + self.context.deadline_s - time.time()


Work = Callable[[Turn], Awaitable[tuple[Update, dict[str, Any]]]]
"""A node's own work: returns its update of the state and its entry in the log."""


class Node(Protocol):
    """A node as LangGraph calls it."""

    __name__: str

    async def __call__(self, state: LoopState, runtime: Runtime[RunContext]) -> Update:
        """Return the update of the state."""


STRATEGIES = ("aligned",)


def read_context(runtime: Runtime[RunContext]) -> RunContext:
    """Return what this run may set.

    Raises:
        RequestError: It names a strategy or an adapter that is not there.
    """
    context = runtime.context or RunContext()
    for side, strategy in context.strategies.items():
        if strategy not in STRATEGIES:
            raise RequestError(
                f"strategy {strategy!r} for {side} is not known: take one of {', '.join(STRATEGIES)}"
            )
    if context.adapters:
        named = ", ".join(f"{role}={name}" for role, name in context.adapters.items())
        raise RequestError(f"no adapter is installed, got {named}: leave adapters empty")
    return context


def as_node(name: str, provide: ProvideParts, work: Work, *, may_overrun: bool = False) -> Node:
    """Return the LangGraph node `name` that does `work`.

    Args:
        name: The node's id; its log stands in the state under `{name}@{iteration}`.
        provide: Opens the parts, on the first call.
        work: What the node does.
        may_overrun: For the node that ends a run: it is quick and has to be let finish.

    Raises (from the node):
        DeadlineError: The run's time was spent before the work was done.
    """

    async def node(state: LoopState, runtime: Runtime[RunContext]) -> Update:
        request = read_request(state)
        context = read_context(runtime)
        started = start_time(state)
        iteration = 1 if is_first_step(state) else state["iteration"]
        began = time.time()
        left = None if may_overrun else started + context.deadline_s - began
        try:
            async with asyncio.timeout(left) as limit:
                parts = await provide()
                turn = Turn(state, request, context, parts, iteration, started)
                update, entry = await work(turn)
        except TimeoutError:
            if limit.expired():
                raise DeadlineError(name, context.deadline_s) from None
            raise
        log: NodeLog = {"began": began, "seconds": time.time() - began, **entry}  # type: ignore[typeddict-item]
        if is_first_step(state):
            update |= {"request": request.model_dump(), "iteration": 1, "started": started}
        return {"log": {f"{name}@{iteration}": log}, **update}

    node.__name__ = name
    return node
