"""The end of a run: its result, and its record for the trace."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from typing import Any

from langgraph.runtime import Runtime

from .errors import DeadlineError, LoopError, RequestError, RunFailedError
from .model_call import BASE
from .parts import Parts, ProvideParts
from .state import Kept, LoopState, NodeLog, RunContext, StopReason, Update, read_request
from .trace_record import record_of
from .turn import Turn, read_context, read_moment

GiveUp = Callable[[LoopState, Runtime[RunContext], BaseException], Awaitable[Update]]
"""Ends a run whose node failed: the best draft so far, or a clear error."""

ROLES = ("style", "preference", "integrate")

SECONDS_FOR_PARTS = 1.0
"""How long the end of a failed run waits for parts that are still being opened."""

FAILURES_REMEMBERED = 1000
"""Failed runs whose second failure, in the same step, is known for that."""

UNSCORED = -1.0
"""Score of a draft that check-stop did not get to: no cosine is lower."""


async def finished(
    turn: Turn,
    kept: Kept,
    reason: StopReason,
    *,
    last: dict[str, Any] | None = None,
    warnings: tuple[str, ...] = (),
) -> Update:
    """Return the run's result as an update of the state, and write its trace.

    Warnings about drafts are those of the kept one. Where the trace can't be written the result
    says so: a full disk is no reason to lose a draft.

    Args:
        turn: The turn of the node that ends the run.
        kept: The draft to give back, with what led to it.
        reason: Why the run ends.
        last: What the ending node itself has to log.
        warnings: What the ending node wants the caller to know.
    """
    log = _this_run(turn)
    if last is not None:
        now = {"run": turn.run, "began": time.time(), "seconds": 0.0}
        log[f"check-stop@{turn.iteration}"] = {**now, **last}  # type: ignore[typeddict-item]
    said = [
        text
        for key, entry in log.items()
        if not key.startswith("integrate@") or key == f"integrate@{kept['iteration']}"
        for text in entry.get("warnings", [])
    ]
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
        "request": {},  # the thread's next run has to bring its own
    }
    try:
        await write_trace(turn, log, update)
    except OSError as error:
        update["warnings"].append(f"the record of this run was not kept: {error}")
    return update


def build_give_up(provide: ProvideParts) -> GiveUp:
    """Return what ends a run whose node failed for good."""
    failed: deque[str] = deque(maxlen=FAILURES_REMEMBERED)

    async def give_up(
        state: LoopState, runtime: Runtime[RunContext], error: BaseException
    ) -> Update:
        if isinstance(error, RequestError):  # there is no request to make a turn of
            raise error
        request, context = read_request(state), read_context(runtime)
        now = read_moment(state, runtime)
        parts = await _opened(provide, error)
        if now.run in failed:  # both sides failed in one step: one of them tells of it
            parts = replace(parts, trace=None)
        failed.append(now.run)
        return await gave_up(Turn(state, request, context, parts, **asdict(now)), error)

    return give_up


async def _opened(provide: ProvideParts, error: BaseException) -> Parts:
    """Return the parts; the error itself is raised where they are what the run waited for."""
    try:
        async with asyncio.timeout(SECONDS_FOR_PARTS):
            return await provide()
    except TimeoutError:
        raise error from None


async def gave_up(turn: Turn, error: BaseException) -> Update:
    """Return the best draft so far where a node failed for good.

    Raises:
        DeadlineError: The time was spent before there was a draft.
        RunFailedError: A node failed before there was a draft.
        LoopError: The request was not usable.
    """
    kept = _best_so_far(turn)
    if kept is not None:
        reason: StopReason = "deadline" if isinstance(error, DeadlineError) else "error"
        said = str(error) or type(error).__name__
        return await finished(turn, kept, reason, warnings=(said,))
    try:
        await write_trace(turn, _this_run(turn), {}, error=error)
    except OSError as lost:
        error.add_note(f"the record of this run was not kept: {lost}")
    if isinstance(error, LoopError):
        raise error
    raise RunFailedError(
        f"the run ended without a draft: {type(error).__name__}: {error}"
    ) from error


def _best_so_far(turn: Turn) -> Kept | None:
    """Return the draft that check-stop kept, else one that it did not get to, else None."""
    state = turn.state
    if turn.iteration > 1:
        return Kept(**state["kept"])  # type: ignore[typeddict-item]
    if "integrate@1" not in _this_run(turn):
        return None
    summaries, evidence = dict(state["summaries"]), dict(state["evidence"])
    return Kept(
        text=state["draft"], score=UNSCORED, iteration=1, summaries=summaries, evidence=evidence
    )


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
    return {key: entry for key, entry in log.items() if entry["run"] == turn.run}


def _timings(log: dict[str, NodeLog], started: float) -> dict[str, float]:
    seconds: dict[str, float] = {}
    for key, entry in log.items():
        node = key.partition("@")[0]
        seconds[node] = round(seconds.get(node, 0.0) + entry["seconds"], 4)
    return {**seconds, "total": round(time.time() - started, 4)}
