"""What is told of a batch that has run, to whoever watches a model at work."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .rows import Row


@dataclass(frozen=True)
class CallReport:
    """One call of a batch; times in seconds since it was asked for.

    Attributes:
        role: What it was for, or None where that was not said.
        adapter: What it ran with; None: the base model.
        prompt_tokens: Tokens read.
        new_tokens: Tokens written.
        started_s: When it was taken from the queue to be read.
        first_token_s: When its first token came; None: none did.
        ended_s: When it was answered; None: it failed or was cancelled.
        queued_at: When it was asked for, in seconds of `time.perf_counter`.
    """

    role: str | None
    adapter: str | None
    prompt_tokens: int
    new_tokens: int
    started_s: float
    first_token_s: float | None
    ended_s: float | None
    queued_at: float


@dataclass(frozen=True)
class RoleWork:
    """What a batch did for one role.

    Attributes:
        role: None where it was not said.
        rows: Calls that were in it.
        prompt_tokens: Tokens read; those of calls that ran already are none.
        new_tokens: Tokens written.
    """

    role: str | None
    rows: int
    prompt_tokens: int
    new_tokens: int


@dataclass(frozen=True)
class BatchReport:
    """Calls that ran together, until some were answered or others could join.

    Attributes:
        calls: Those that ended in it, those that failed included.
        work: What was done, by role.
        seconds: How long it ran.
        capture_seconds: How much of it went into capturing log-probabilities.
        waiting: Calls that wait to be read.
    """

    calls: tuple[CallReport, ...]
    work: tuple[RoleWork, ...]
    seconds: float
    capture_seconds: float
    waiting: int


Watch = Callable[[BatchReport], None]
"""Called by the generating thread after each batch; must be quick and must not raise."""


class WatchedBatch:
    """Takes notes where a batch begins, and reports where it ends.

    Args:
        rows: That run in it, the newcomers included.
        capture_seconds: Spent on capturing log-probabilities before.
    """

    def __init__(self, rows: Sequence[Row], capture_seconds: float) -> None:
        self._begun = time.perf_counter()
        self._rows = [(row, row.drawn) for row in rows]
        self._captured = capture_seconds

    def report(self, capture_seconds: float, waiting: int) -> BatchReport:
        """Return what happened since."""
        return BatchReport(
            calls=tuple(_call(row) for row, _ in self._rows if row.done),
            work=self._work(),
            seconds=time.perf_counter() - self._begun,
            capture_seconds=capture_seconds - self._captured,
            waiting=waiting,
        )

    def _work(self) -> tuple[RoleWork, ...]:
        of_role: dict[str | None, list[tuple[Row, int]]] = defaultdict(list)
        for row, drawn in self._rows:
            of_role[row.sampling.role].append((row, drawn))
        return tuple(
            RoleWork(
                role=role,
                rows=len(rows),
                prompt_tokens=sum(len(row.prompt_ids) for row, drawn in rows if not drawn),
                new_tokens=sum(row.drawn - drawn for row, drawn in rows),
            )
            for role, rows in of_role.items()
        )


def _call(row: Row) -> CallReport:
    times = row.times
    return CallReport(
        role=row.sampling.role,
        adapter=row.adapter,
        prompt_tokens=len(row.prompt_ids),
        new_tokens=row.drawn,
        started_s=_since(times.queued, times.started) or 0.0,
        first_token_s=_since(times.queued, times.first_token),
        ended_s=_since(times.queued, times.ended),
        queued_at=times.queued,
    )


def _since(begin: float, then: float) -> float | None:
    return then - begin if then else None
