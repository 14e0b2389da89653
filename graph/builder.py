r"""The loop as a LangGraph state machine: nodes and edges only.

Both trajectories run in parallel; check-stop continues with both of them, or ends the run:

    START -> style-retrieve ------> style-reason ------+
         \-> preference-retrieve -> preference-reason -+-> integrate -> check-stop -> END
                  ^                                                        |
                  +------------ not settled yet (next iteration) ----------+
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from copy import copy
from typing import TYPE_CHECKING, Any, get_args

from langchain_core.callbacks import AsyncCallbackManager, CallbackManager
from langgraph.channels import BinaryOperatorAggregate
from langgraph.errors import NodeError, NodeTimeoutError
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel._write import ChannelWrite, ChannelWriteTupleEntry
from langgraph.runtime import Runtime
from langgraph.types import Command, RetryPolicy
from langgraph.utils.runnable import RunnableCallable  # type: ignore[attr-defined]

from ..models.tracing import (
    Tracing,
    counts,
    is_traced,
    is_wanted,
    say_once,
    untraced,
    without_tracers,
)
from ..nodes.check_stop import build_check_stop
from ..nodes.dependencies import ProvideParts
from ..nodes.errors import LoopError, ModelCallError
from ..nodes.integrate import build_integrate
from ..nodes.reason import TRAJECTORIES, Trajectory
from ..nodes.result import build_give_up
from ..nodes.state import Ended, LoopState, Request, Result, RunContext, Task, merge

if TYPE_CHECKING:
    from langchain_core.callbacks import BaseCallbackHandler
    from langchain_core.runnables import RunnableConfig

RunInLoop = Callable[[Callable[[], Awaitable[Any]]], Any]
"""Runs a coroutine in an event loop that all nodes share, and blocks until it is done."""


def build_graph(
    provide: ProvideParts,
    trajectories: Sequence[Trajectory] = TRAJECTORIES,
    *,
    run: RunInLoop | None = None,
    tracing: Tracing | None = None,
) -> LoopGraph:
    """Return the loop, ready to be compiled.

    Args:
        provide: Opens the parts on first use; nothing is loaded before a node runs.
        trajectories: The trajectories of the loop.
        run: For `graph.invoke` and `graph.stream`, which call nodes outside of an event loop; None:
            these say to call `ainvoke`.
        tracing: What LangSmith is sent where tracing is switched on; None: by PATLM_TRACING.
    """
    words = {trajectory.name: trajectory.words for trajectory in trajectories}
    retrievals = [f"{trajectory.name}-retrieve" for trajectory in trajectories]

    def route_after_check(state: Ended) -> list[str] | str:
        # To all retrievals or to none: a branch to one would silently end the other sides.
        return END if state.get("stop_reason") else retrievals

    async def route_without_thread(state: Ended) -> list[str] | str:
        # LangGraph calls a plain function in a thread, which costs more than all that it does.
        return route_after_check(state)

    builder = LoopGraph(
        LoopState, context_schema=RunContext, input_schema=Request, output_schema=Result
    )
    builder.tracing = tracing
    builder.set_node_defaults(
        retry_policy=RetryPolicy(
            initial_interval=0.2, max_attempts=3, jitter=False, retry_on=is_transient
        ),
        error_handler=_both_ways(
            "error-handler", _error_handler(provide, trajectories), run, with_error=True
        ),
    )
    for trajectory, retrieval in zip(trajectories, retrievals, strict=True):
        reasoner = f"{trajectory.name}-reason"
        _add(builder, retrieval, trajectory.build_retrieve(provide), run)
        _add(builder, reasoner, trajectory.build_reason(provide, words), run)
        builder.add_edge(START, retrieval)
        builder.add_edge(retrieval, reasoner)
        # One edge each instead of a join: all trajectories take two steps, so integrate is called
        # once. The server shows a join wrongly as the next node at a breakpoint.
        builder.add_edge(reasoner, "integrate")
    _add(builder, "integrate", build_integrate(provide, words), run)
    _add(builder, "check-stop", build_check_stop(provide), run)
    builder.add_edge("integrate", "check-stop")
    route = RunnableCallable(
        route_after_check, route_without_thread, name="route_after_check", trace=False
    )
    builder.add_conditional_edges("check-stop", route, [*retrievals, END])
    return builder


class LoopApp(CompiledStateGraph[LoopState, RunContext, Request, Result]):
    """A compiled graph whose runs LangSmith sees as little of as the setting says.

    All runs go through `stream` or `astream`, also those that `langgraph dev` makes.
    """

    def stream(
        self, input: Any, config: RunnableConfig | None = None, **options: Any
    ) -> Iterator[Any]:
        """Run the graph; arguments are those of LangGraph."""
        if not self._hides(config):
            yield from super().stream(input, config, **options)
            return
        config = without_tracers(config, CallbackManager, *self._counts(input, options))
        run: Any = super().stream(input, config, **options)
        with closing(run) as steps:
            while True:
                # Only while the graph works: what is done with a step is not ours.
                with untraced():
                    step = next(steps, _END)
                if step is _END:
                    return
                yield step

    async def astream(
        self, input: Any, config: RunnableConfig | None = None, **options: Any
    ) -> AsyncIterator[Any]:
        """Run the graph; arguments are those of LangGraph."""
        if not self._hides(config):
            whole: Any = super().astream(input, config, **options)
            async with aclosing(whole) as steps:
                async for step in steps:
                    yield step
            return
        config = without_tracers(config, AsyncCallbackManager, *self._counts(input, options))
        run: Any = super().astream(input, config, **options)
        async with aclosing(run) as steps:
            while True:
                with untraced():
                    step = await anext(steps, _END)
                if step is _END:
                    return
                yield step

    def bulk_update_state(self, config: RunnableConfig, supersteps: Any) -> RunnableConfig:
        """Change the state of a thread; arguments are those of LangGraph."""
        if not self._hides(config):
            return super().bulk_update_state(config, supersteps)
        with untraced():
            return super().bulk_update_state(without_tracers(config, CallbackManager), supersteps)

    async def abulk_update_state(self, config: RunnableConfig, supersteps: Any) -> RunnableConfig:
        """Change the state of a thread; arguments are those of LangGraph."""
        if not self._hides(config):
            return await super().abulk_update_state(config, supersteps)
        with untraced():
            config = without_tracers(config, AsyncCallbackManager)
            return await super().abulk_update_state(config, supersteps)

    @property
    def _tracing(self) -> Tracing:
        # Of the builder: `langgraph dev` runs a copy of the graph, which keeps nothing else.
        assert isinstance(self.builder, LoopGraph) and self.builder.tracing is not None
        return self.builder.tracing

    def _hides(self, config: RunnableConfig | None) -> bool:
        # What hides a run costs at each step, and most runs nobody would see.
        return self._tracing != "on" and is_traced(config)

    def _counts(self, given: Any, options: Mapping[str, Any]) -> list[BaseCallbackHandler]:
        """Return the handler that tells LangSmith of a run, if it is to be told."""
        if self._tracing == "off" or not is_wanted():
            return []
        from ..stores.forgotten import key_of, recorded_user  # with Arrow, for this alone

        user, task = _said(given, "user_id"), _said(given, "task")
        namespace = _said(options.get("context"), "namespace") or "default"
        about = {
            "user": None if user is None else key_of(str(namespace), recorded_user(user)),
            "task": task if task in get_args(Task) else None,
        }
        return [counts(about)]


_END = object()


def _said(given: Any, name: str) -> Any:
    return given.get(name) if isinstance(given, Mapping) else getattr(given, name, None)


class LoopGraph(StateGraph[LoopState, RunContext, Request, Result]):
    """A graph over the loop's state.

    Attributes:
        tracing: What LangSmith is sent of its runs; None: by PATLM_TRACING.
    """

    tracing: Tracing | None = None

    def compile(self, *given: Any, **options: Any) -> LoopApp:
        """Return the graph, ready to run; arguments are those of LangGraph."""
        if self.tracing is None:
            from .settings import Settings

            self.tracing = Settings().tracing
        say_once(self.tracing)
        compiled = super().compile(*given, **options)
        # A run begins with an empty state: what an earlier one, perhaps another person's, left on
        # the thread is not even streamed.
        channels = {
            name: channel
            for name, channel in compiled.channels.items()
            if isinstance(channel, BinaryOperatorAggregate)
        }

        def emptied(_: Any) -> list[tuple[str, Any]]:
            return [
                (name, None if channel.operator is merge else copy(channel.value))
                for name, channel in channels.items()
            ]

        compiled.nodes[START].writers.append(ChannelWrite((ChannelWriteTupleEntry(emptied),)))
        compiled.__class__ = LoopApp  # there is no other way in: `compile` names its class
        return compiled  # type: ignore[return-value]


def is_transient(error: Exception) -> bool:
    """Return whether a retry of a node may help; never after a deadline or a timeout."""
    if isinstance(error, ModelCallError):
        return error.transient
    if isinstance(error, (LoopError, NodeTimeoutError, TimeoutError)):
        return False
    return isinstance(error, ConnectionError)


def _add(builder: LoopGraph, name: str, node: Any, run: RunInLoop | None) -> None:
    builder.add_node(name, _both_ways(name, node, run))


def _both_ways(
    name: str, node: Any, run: RunInLoop | None, *, with_error: bool = False
) -> RunnableCallable:
    """Return a node that can be called without an event loop, too.

    LangGraph wraps a coroutine function in the same class, but without a synchronous side, so
    `graph.invoke` would fail with a message about the node.
    """

    def call(**given: Any) -> Any:
        if run is None:
            raise LoopError(
                "the nodes of this graph are asynchronous: use `await graph.ainvoke(...)`, or "
                "`Personalizer.write(...)` outside of an event loop",
                code="asynchronous_only",
            )
        return run(lambda: node(**given))

    # LangGraph hands over what the signature names.
    def step(state: LoopState, runtime: Runtime[RunContext]) -> Any:
        return call(state=state, runtime=runtime)

    def handle(state: LoopState, error: NodeError, runtime: Runtime[RunContext]) -> Any:
        return call(state=state, error=error, runtime=runtime)

    return RunnableCallable(handle if with_error else step, node, name=name, trace=False)


def _error_handler(provide: ProvideParts, trajectories: Sequence[Trajectory]) -> Any:
    give_up = build_give_up(provide)
    after = {"integrate": "check-stop", "check-stop": "check-stop"}
    for trajectory in trajectories:
        after[f"{trajectory.name}-retrieve"] = f"{trajectory.name}-reason"
        after[f"{trajectory.name}-reason"] = "integrate"

    async def handle(state: LoopState, error: NodeError, runtime: Runtime[RunContext]) -> Any:
        """Let check-stop return the best draft so far, or raise a clear error.

        The path is the usual one: both sides stay in step, so check-stop is called once.
        """
        update = await give_up(state, runtime, error.error)
        return Command(update=update, goto=after[error.node])

    return handle
