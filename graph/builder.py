r"""The loop as a LangGraph state machine: nodes and edges only.

Both trajectories run in parallel; check-stop continues with both of them, or ends the run:

    START -> style-retrieve ------> style-reason ------+
         \-> preference-retrieve -> preference-reason -+-> integrate -> check-stop -> END
                  ^                                                        |
                  +------------ not settled yet (next iteration) ----------+
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langgraph.errors import NodeError, NodeTimeoutError
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command, RetryPolicy

from ..nodes.check_stop import build_check_stop
from ..nodes.dependencies import ProvideParts
from ..nodes.errors import LoopError, ModelCallError
from ..nodes.integrate import build_integrate
from ..nodes.reason import TRAJECTORIES, Trajectory
from ..nodes.result import build_give_up
from ..nodes.state import LoopState, Request, Result, RunContext

LoopGraph = StateGraph[LoopState, RunContext, Request, Result]


def build_graph(
    provide: ProvideParts, trajectories: Sequence[Trajectory] = TRAJECTORIES
) -> LoopGraph:
    """Return the loop, ready to be compiled.

    Args:
        provide: Opens the parts on first use; nothing is loaded before a node runs.
        trajectories: The trajectories of the loop.
    """
    words = {trajectory.name: trajectory.words for trajectory in trajectories}
    retrievals = [f"{trajectory.name}-retrieve" for trajectory in trajectories]

    def route_after_check(state: LoopState) -> list[str] | str:
        # To all retrievals or to none: a branch to one would silently end the other sides.
        return END if state.get("stop_reason") else retrievals

    builder = StateGraph(
        LoopState, context_schema=RunContext, input_schema=Request, output_schema=Result
    )
    builder.set_node_defaults(
        retry_policy=RetryPolicy(
            initial_interval=0.2, max_attempts=3, jitter=False, retry_on=is_transient
        ),
        error_handler=_error_handler(provide, trajectories),
    )
    for trajectory, retrieval in zip(trajectories, retrievals, strict=True):
        reasoner = f"{trajectory.name}-reason"
        _add(builder, retrieval, trajectory.build_retrieve(provide))
        _add(builder, reasoner, trajectory.build_reason(provide, words))
        builder.add_edge(START, retrieval)
        builder.add_edge(retrieval, reasoner)
        # One edge each instead of a join: all trajectories take two steps, so integrate is called
        # once. The server shows a join wrongly as the next node at a breakpoint.
        builder.add_edge(reasoner, "integrate")
    _add(builder, "integrate", build_integrate(provide, words))
    _add(builder, "check-stop", build_check_stop(provide))
    builder.add_edge("integrate", "check-stop")
    builder.add_conditional_edges("check-stop", route_after_check, [*retrievals, END])
    return builder


def is_transient(error: Exception) -> bool:
    """Return whether a retry of a node may help; never after a deadline or a timeout."""
    if isinstance(error, ModelCallError):
        return error.transient
    if isinstance(error, (LoopError, NodeTimeoutError, TimeoutError)):
        return False
    return isinstance(error, ConnectionError)


def _add(builder: LoopGraph, name: str, node: Any) -> None:
    builder.add_node(name, node)


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
