"""The end of a run: its result, and its record for the trace."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from langgraph.runtime import Runtime

from .errors import DeadlineError, LoopError, RequestError, RunFailedError
from .model_call import BASE
from .parts import ProvideParts
from .state import (
    Kept,
    LoopState,
    NodeLog,
    RunContext,
    StopReason,
    Update,
    is_first_step,
    read_request,
    start_time,
)
from .trace_record import record_of
from .turn import Turn, read_context

GiveUp = Callable[[LoopState, Runtime[RunContext], BaseException], Awaitable[Update]]
"""Ends a run whose node failed: the best draft so far, or a clear error."""

ROLES = ("style", "preference", "integrate")


async def finished(
    turn: Turn,
    kept: Kept,
    reason: StopReason,
    *,
    last: dict[str, Any] | None = None,
    warnings: tuple[str, ...] = (),
) -> Update:
    """Return the run's result as an update of the state, and write its trace.

    Args:
        turn: The turn of the node that ends the run.
        kept: The draft to give back, with what led to it.
        reason: Why the run ends.
        last: What the ending node itself has to log.
        warnings: What the ending node wants the caller to know.
    """
    log = _this_run(turn)
    if last is not None:
        now = {"began": time.time(), "seconds": 0.0}
        log[f"check-stop@{turn.iteration}"] = {**now, **last}  # type: ignore[typeddict-item]
    said = [text for entry in log.values() for text in entry.get("warnings", [])]
    roles = (*ROLES, *(name for name in kept["summaries"] if name not in ROLES))
    update: Update = {
        "text": kept["text"],
        "summaries": kept["summaries"],
        "evidence": kept["evidence"],
        "iterations": turn.iteration,
        "stop_reason": reason,
        "warnings": list(dict.fromkeys([*said, *warnings])),
        "models": {role: turn.parts.role(role).name for role in roles},
        "adapters": {role: turn.context.adapters.get(role, BASE) for role in roles},
        "timings": _timings(log, turn.started),
        "kept": dict(kept),
    }
    await write_trace(turn, log, update)
    return update


def build_give_up(provide: ProvideParts) -> GiveUp:
    """Return what ends a run whose node failed for good."""

    async def give_up(
        state: LoopState, runtime: Runtime[RunContext], error: BaseException
    ) -> Update:
        if isinstance(error, RequestError):  # there is no request to make a turn of
            raise error
        first = is_first_step(state)
        turn = Turn(
            state=state,
            request=read_request(state),
            context=read_context(runtime),
            parts=await provide(),
            iteration=1 if first else state["iteration"],
            started=start_time(state),
        )
        return await gave_up(turn, error)

    return give_up


async def gave_up(turn: Turn, error: BaseException) -> Update:
    """Return the best draft so far where a node failed for good.

    Raises:
        DeadlineError: The time was spent before there was a draft.
        RunFailedError: A node failed before there was a draft.
        LoopError: The request was not usable.
    """
    if turn.iteration > 1:
        reason: StopReason = "deadline" if isinstance(error, DeadlineError) else "error"
        kept = Kept(**turn.state["kept"])  # type: ignore[typeddict-item]
        return await finished(turn, kept, reason, warnings=(str(error),))
    await write_trace(turn, _this_run(turn), {}, error=error)
    if isinstance(error, LoopError):
        raise error
    raise RunFailedError(
        f"the run ended without a draft: {type(error).__name__}: {error}"
    ) from error


async def write_trace(
    turn: Turn, log: dict[str, NodeLog], result: Update, *, error: BaseException | None = None
) -> None:
    """Write the run's record, where records are kept."""
    if turn.parts.trace is not None:
        record = record_of(turn, log, result, error)
        await asyncio.to_thread(turn.parts.trace.append, record)


def _this_run(turn: Turn) -> dict[str, NodeLog]:
    """Return the log of this run alone: a thread's state may hold an earlier run's."""
    log = turn.state.get("log", {})
    return {key: entry for key, entry in log.items() if entry["began"] >= turn.started}


def _timings(log: dict[str, NodeLog], started: float) -> dict[str, float]:
    seconds: dict[str, float] = {}
    for key, entry in log.items():
        node = key.partition("@")[0]
        seconds[node] = round(seconds.get(node, 0.0) + entry["seconds"], 4)
    return {**seconds, "total": round(time.time() - started, 4)}
