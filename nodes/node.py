"""The frame of every node: its inputs, the run's deadline, its log entry.

`as_node` adds this frame to a node's own work, so the files of the nodes hold nothing else.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from langgraph.runtime import Runtime

from ..stores.errors import shortened
from .budget import Mode
from .dependencies import Parts, ProvideParts, SizeLimits
from .errors import DeadlineError, RequestError
from .prompts.files import PromptSet, prompt_set
from .state import LoopState, NodeLog, Request, RunContext, Update, is_first_step, read_request
from .strategies import Strategies, Strategy

LONG_TEXTS = 50_000
"""Characters of request, texts and draft from which building a prompt takes long."""


@dataclass(frozen=True)
class Moment:
    """Identifies a call of a node: the run and the iteration.

    Attributes:
        run: Distinguishes the run from others of its thread.
        iteration: Counts from 1.
        started: Start of the run, in seconds since 1970.
    """

    run: str
    iteration: int
    started: float


@dataclass(frozen=True)
class Turn:
    """The inputs of a node in one iteration."""

    state: LoopState
    request: Request
    context: RunContext
    parts: Parts
    run: str
    iteration: int
    started: float
    adapters: Mapping[str, str] = field(default_factory=dict)

    @property
    def seconds_left(self) -> float:
        """Seconds until the deadline; negative when it has passed."""
        return self.started + self.context.deadline_s - time.time()

    @cached_property
    def is_long(self) -> bool:
        """Whether the texts at hand are so long that work on them is done in a thread."""
        state = self.state
        pieces = [state.get("own", []), *state.get("evidence", {}).values()]
        texts = sum(len(piece["body"]) for side in pieces for piece in side)
        return texts + len(self.request.words) + len(state.get("draft", "")) > LONG_TEXTS

    @property
    def k(self) -> int:
        """Texts of evidence that a side brings back in this run."""
        return self.context.k or self.parts.budget.k

    @property
    def min_authors(self) -> int:
        """Authors whose texts a preference needs at least in this run."""
        return self.context.min_authors or self.parts.min_authors

    @property
    def mode(self) -> Mode:
        """How much of the loop is run."""
        return self.context.mode or self.parts.budget.mode

    @property
    def prompts(self) -> PromptSet:
        """The wording of this run's prompts."""
        return prompt_set(self.parts.budget.prompts, self.parts.prompt_folder)

    def strategy(self, side: str) -> Strategy:
        """Return the retrieval strategy of a side in this run."""
        return self.parts.strategies[self.context.strategies.get(side, "aligned")]


Work = Callable[[Turn], Awaitable[tuple[Update, dict[str, Any]]]]
"""A node's own work: returns its update of the state and its entry in the log."""


class Node(Protocol):
    """A node as LangGraph calls it."""

    __name__: str

    async def __call__(self, state: LoopState, runtime: Runtime[RunContext]) -> Update:
        """Return the update of the state."""


def read_context(runtime: Runtime[RunContext]) -> RunContext:
    """Return the context of this run; the context of an app's own graph sets nothing."""
    return runtime.context if isinstance(runtime.context, RunContext) else RunContext()


def check_strategies(context: RunContext, strategies: Strategies) -> None:
    """Check that every strategy that a run names exists.

    Raises:
        RequestError: One does not exist.
    """
    sides = {side: None for strategy in strategies.values() for side in strategy.sides}
    for side, name in context.strategies.items():
        if side not in sides:
            raise RequestError(
                f"strategy {shortened(name)} is named for {shortened(side)}, which is no side "
                f"that picks by strategy: name one for {', '.join(sides)}",
                field="strategies",
            )
        known = [known for known, strategy in strategies.items() if side in strategy.sides]
        if name not in known:
            raise RequestError(
                f"strategy {shortened(name)} for {side} is not known: take one of "
                f"{', '.join(known)}",
                field="strategies",
            )


def check_sizes(request: Request, limits: SizeLimits) -> None:
    """Check that no text of a request is longer than it may be.

    Raises:
        RequestError: One is.
    """
    most = {"title": limits.title, "text": limits.text, "instruction": limits.text}
    for name, longest in most.items():
        if len(getattr(request, name) or "") > longest:
            raise RequestError(
                f"{name}: has {len(getattr(request, name)):,} characters, more than {longest:,}: "
                f"shorten it, or raise max_{'title' if name == 'title' else 'text'}",
                field=name,
            )


def in_tenant(context: RunContext, parts: Parts) -> RunContext:
    """Return the context with the tenant of the parts, unless it names its own.

    Raises:
        RequestError: It names another one than the parts are for.
    """
    if context.namespace == parts.namespace:
        return context
    if "namespace" in context.model_fields_set:
        if parts.one_tenant:
            raise other_tenant(context.namespace, parts.namespace)
        return context
    return context.model_copy(update={"namespace": parts.namespace})


def other_tenant(given: str, own: str) -> RequestError:
    """Return the error for a run in another tenant than that of its personalizer."""
    return RequestError(
        f"namespace: expected {shortened(own)}, for which this personalizer was opened, got "
        f"{shortened(given)}: open one for it, Personalizer(namespace=...)",
        field="namespace",
    )


async def choose_adapters(state: LoopState, context: RunContext, parts: Parts) -> Mapping[str, str]:
    """Return the adapter of each role that has one; a run keeps its choice to the end.

    Raises:
        RequestError: One is named for an unknown role, or for a model without adapters.
    """
    if not is_first_step(state):
        return state.get("chosen_adapters", {})
    if context.adapters is None:
        return {} if parts.promoted is None else await asyncio.to_thread(parts.promoted)
    for role, name in context.adapters.items():
        if role not in parts.chat:
            raise RequestError(
                f"adapter {shortened(name)} is named for the role {shortened(role)}, which is not "
                f"there: name one of {', '.join(parts.chat)}",
                field="adapters",
            )
        if not parts.role(role).takes_adapters:
            raise RequestError(
                f"adapter {shortened(name)} can't be used: {parts.role(role).name}, the model "
                f"of the role {role}, takes no adapters",
                field="adapters",
            )
    return context.adapters


def read_moment(state: LoopState, runtime: Runtime[RunContext]) -> Moment:
    """Return the run and iteration of a call."""
    if not is_first_step(state):
        return Moment(state["run"], state["iteration"], state["started"])
    info = runtime.execution_info
    if info is None:  # called directly, outside a graph
        return Moment(uuid.uuid4().hex, 1, time.time())
    # All nodes of the first step share one checkpoint, so they derive the same name. A retry does
    # not start a new run.
    return Moment(info.checkpoint_id, 1, info.node_first_attempt_time or time.time())


def as_node(name: str, provide: ProvideParts, work: Work, *, may_overrun: bool = False) -> Node:
    """Return the LangGraph node `name` that does `work`.

    Args:
        name: The node's id; the state keeps its log under `{name}@{iteration}`.
        provide: Opens the parts, on the first call.
        work: The node's own work.
        may_overrun: For the node that ends a run: it is quick and must be able to finish.

    Raises (from the node):
        DeadlineError: The deadline passed before the work was done.
    """

    async def node(state: LoopState, runtime: Runtime[RunContext]) -> Update:
        if "failure" in state and not may_overrun:  # the run only has to end
            return {"failure": state["failure"]}
        request = read_request(state)
        context = read_context(runtime)
        now = read_moment(state, runtime)
        began = time.time()
        left = None if may_overrun else now.started + context.deadline_s - began
        try:
            async with asyncio.timeout(left) as limit:
                parts = await provide()
                if first := is_first_step(state):
                    check_sizes(request, parts.limits)
                    check_strategies(context, parts.strategies)
                scale = await parts.scale(anew=first)
                request = request.on_scale(scale)
                adapters = await choose_adapters(state, context, parts)
                tenant = in_tenant(context, parts)
                turn = Turn(state, request, tenant, parts, **vars(now), adapters=adapters)
                update, entry = await work(turn)
        except TimeoutError:
            if limit.expired():
                raise DeadlineError(name, context.deadline_s) from None
            raise
        times = {"run": now.run, "began": began, "seconds": time.time() - began}
        log: NodeLog = {**times, **entry}  # type: ignore[typeddict-item]
        if first:
            chosen = {"chosen_adapters": dict(adapters)}
            update |= {"request": request.model_dump(), **vars(now), **chosen}
        return {"log": {f"{name}@{now.iteration}": log}, **update}

    node.__name__ = name
    return node
