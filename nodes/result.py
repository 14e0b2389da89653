"""End a run: build its result and write its trace record."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from langgraph.runtime import Runtime

from ..models.local.sampling import BASE
from ..stores.errors import StoreError
from .budget import Count
from .dependencies import Parts, ProvideParts
from .errors import DeadlineError, LoopError, ModelCallError, RequestError, RunFailedError
from .node import Moment, Turn, in_tenant, read_context, read_moment
from .state import (
    Failure,
    Kept,
    LoopState,
    NodeLog,
    RunContext,
    StopReason,
    Update,
    calls_of,
    read_request,
)

GiveUp = Callable[[LoopState, Runtime[RunContext], BaseException], Awaitable[Update]]
"""Handles a failed node: returns why the run ends, or raises a clear error."""

ROLES = ("style", "preference", "integrate")

SECONDS_FOR_PARTS = 0.3
"""Seconds that a failed run waits for parts that are still opening."""

FAILURES_REMEMBERED = 1000
"""Number of failed runs that are remembered, so each is recorded once."""

UNSCORED = -1.0
"""Score of a draft that check-stop did not reach: no cosine is lower."""


async def finished(
    turn: Turn,
    kept: Kept,
    reason: StopReason,
    *,
    last: dict[str, Any] | None = None,
    warnings: tuple[str, ...] = (),
) -> Update:
    """Return the run's result as an update of the state, and write its trace.

    Warnings about drafts are those of the kept draft. If the trace can't be written, the result
    carries a warning: a full disk must not lose a draft.

    Args:
        turn: The turn of the node that ends the run.
        kept: The draft to return, with its summaries and evidence.
        reason: Why the run ends.
        last: Log entry of the node that ends the run.
        warnings: Warnings of the node that ends the run.
    """
    log = log_of_run(turn.state, turn.run)
    if last is not None:
        now = {"run": turn.run, "began": time.time(), "seconds": 0.0}
        log[f"check-stop@{turn.iteration}"] = {**now, **last}  # type: ignore[typeddict-item]
    roles = (*ROLES, *(name for name in kept["summaries"] if name not in ROLES))
    update: Update = {
        "run_id": uuid.uuid4().hex,
        "text": kept["text"],
        "summaries": kept["summaries"],
        "evidence": kept["evidence"],
        "iterations": turn.iteration,
        "stop_reason": reason,
        "warnings": [*_said(log, kept), *warnings],
        "models": {role: turn.parts.role(role).name for role in roles},
        "adapters": _adapters(log, roles),
        "timings": _timings(log, turn.started),
        **_spent(log, turn.parts.count),
        "cut": _cut(log),
        "shown": _shown(log, kept),
        "kept": dict(kept),
        "request": {},  # the thread's next run must bring its own request
    }
    try:
        await write_trace(turn, log, update)
    except (OSError, StoreError) as error:
        update["warnings"].append(f"the record of this run was not kept: {error}")
    return update


def build_give_up(provide: ProvideParts) -> GiveUp:
    """Return the handler of nodes that failed permanently.

    If there is a draft, the handler's update states why the run ends. All nodes pass it on to
    check-stop, which ends the run: check-stop is alone in its step, so nothing of the other side,
    which may still be running, gets into the result.

    Raises (from the handler):
        DeadlineError: The deadline passed before there was a draft.
        RunFailedError: A node failed before there was a draft.
        LoopError: The request was not valid.
    """
    told: OrderedDict[str, asyncio.Task[None]] = OrderedDict()

    async def give_up(
        state: LoopState, runtime: Runtime[RunContext], error: BaseException
    ) -> Update:
        # Without a request there is no turn; a second failure comes from the handler itself.
        if isinstance(error, RequestError) or "failure" in state:
            raise error
        request, context = read_request(state), read_context(runtime)
        now = read_moment(state, runtime)
        if now.iteration > 1 or "integrate@1" in log_of_run(state, now.run):
            failure: Failure = {"reason": "error", "says": str(error) or type(error).__name__}
            if isinstance(error, DeadlineError):
                failure = {"reason": "deadline", "says": error.with_draft}
            return {"failure": failure, "log": _failed_call(now, error)}
        parts = await _opened(provide, error)
        if now.run not in told:
            adapters = state.get("chosen_adapters", {})
            tenant = in_tenant(context, parts)
            turn = Turn(state, request, tenant, parts, **vars(now), adapters=adapters)
            told[now.run] = asyncio.create_task(_tell(turn, error))
            if len(told) > FAILURES_REMEMBERED:
                told.popitem(last=False)
        # If both sides fail in one step, one record is written and both wait for it: the first
        # error raised cancels everything that is still running.
        await asyncio.shield(told[now.run])
        raise _clear(error)

    return give_up


def _clear(error: BaseException) -> BaseException:
    """Return the error that the caller of a run without a draft receives."""
    if isinstance(error, LoopError):
        return error
    clear = RunFailedError(f"the run ended without a draft: {type(error).__name__}: {error}")
    clear.__cause__ = error
    return clear


async def _opened(provide: ProvideParts, error: BaseException) -> Parts:
    """Return the parts; raise the given error if the run was waiting for them."""
    try:
        async with asyncio.timeout(SECONDS_FOR_PARTS):
            return await provide()
    except TimeoutError:
        raise error from None


async def _tell(turn: Turn, error: BaseException) -> None:
    """Write the record of a run without a draft."""
    try:
        log = log_of_run(turn.state, turn.run) | _failed_call(turn, error)
        await write_trace(turn, log, {}, error=error)
    except (OSError, StoreError) as lost:
        error.add_note(f"the record of this run was not kept: {lost}")


def _failed_call(now: Moment | Turn, error: BaseException) -> dict[str, NodeLog]:
    """Return the log entry of a call that failed permanently; retries leave none."""
    if not isinstance(error, ModelCallError):
        return {}
    role, seconds = error.call["role"], error.call.get("seconds", 0.0)
    node = "integrate" if role == "integrate" else f"{role}-reason"
    entry = NodeLog(run=now.run, began=time.time() - seconds, seconds=seconds, call=error.call)
    return {f"{node}@{now.iteration}": entry}


async def finish_early(turn: Turn) -> Update:
    """Return the result of a run whose node failed: the best draft so far and the reason."""
    failure = turn.state["failure"]
    return await finished(turn, _best_so_far(turn), failure["reason"], warnings=(failure["says"],))


def _best_so_far(turn: Turn) -> Kept:
    """Return the draft that check-stop kept, or the one that it failed on."""
    state = turn.state
    if turn.iteration > 1:
        return state["kept"]
    summaries, evidence = dict(state["summaries"]), dict(state["evidence"])
    return Kept(
        text=state["draft"], score=UNSCORED, iteration=1, summaries=summaries, evidence=evidence
    )


async def write_trace(
    turn: Turn, log: dict[str, NodeLog], result: Update, *, error: BaseException | None = None
) -> None:
    """Write the run's record if records are kept."""
    if turn.parts.trace is not None:
        from .trace import record_of

        record = record_of(turn, log, result, error)
        await asyncio.to_thread(turn.parts.trace.append, record)


def log_of_run(state: LoopState, run: str) -> dict[str, NodeLog]:
    """Return the log of one run: the state of a thread may hold earlier runs, too."""
    log = state.get("log", {})
    return {key: entry for key, entry in log.items() if entry["run"] == run}


def _said(log: dict[str, NodeLog], kept: Kept) -> list[str]:
    """Return the warnings of a run, each once; those about drafts only for the kept draft."""
    said = [
        text
        for key, entry in log.items()
        if not key.startswith("integrate@") or key == f"integrate@{kept['iteration']}"
        for text in entry.get("warnings", [])
    ]
    return list(dict.fromkeys(said))


def _adapters(log: dict[str, NodeLog], roles: Iterable[str]) -> dict[str, str]:
    """Return the adapter of each role's last call; a role without a call used none."""
    used = dict.fromkeys(roles, BASE)
    for entry in sorted(log.values(), key=lambda entry: entry["began"]):
        if "call" in entry:
            used[entry["call"]["role"]] = entry["call"]["adapter"]
    return used


def _spent(log: dict[str, NodeLog], count: Count) -> dict[str, int]:
    """Return calls and tokens of a run; the counter estimates what a model does not report."""
    calls = [call for entry in log.values() for call in calls_of(entry)]
    read, written = 0, 0
    for call in calls:
        told_in, told_out = call.get("tokens_in"), call.get("tokens_out")
        prompt = "\n".join(turn["content"] for turn in call.get("messages", ()))
        read += count(prompt) if told_in is None else told_in
        written += count(call.get("text") or "") if told_out is None else told_out
    return {"calls": len(calls), "tokens_in": read, "tokens_out": written}


def _shown(log: dict[str, NodeLog], kept: Kept) -> dict[str, int]:
    """Return how many texts of its evidence each side showed for the kept draft."""
    entries = {name: log.get(f"{name}-reason@{kept['iteration']}") for name in kept["evidence"]}
    return {name: 0 if entry is None else entry.get("shown", 0) for name, entry in entries.items()}


def _cut(log: dict[str, NodeLog]) -> dict[str, float]:
    """Return the largest share that was cut of each part of the prompts."""
    shares: dict[str, float] = {}
    for entry in log.values():
        for part, share in entry.get("cut", {}).items():
            shares[part] = max(shares.get(part, 0.0), round(share, 4))
    return shares


def _timings(log: dict[str, NodeLog], started: float) -> dict[str, float]:
    seconds: dict[str, float] = {}
    for key, entry in log.items():
        node = key.partition("@")[0]
        seconds[node] = round(seconds.get(node, 0.0) + entry["seconds"], 4)
    return {**seconds, "total": round(time.time() - started, 4)}
