"""What is told of a batch that has run, to whoever watches a model at work."""

from __future__ import annotations

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
        started_s: When its batch began.
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
class BatchReport:
    """One batch.

    Attributes:
        calls: Its calls, those that failed included.
        seconds: How long it ran.
        capture_seconds: How much of it went into capturing log-probabilities.
        waiting: Calls that wait for the next one.
    """

    calls: tuple[CallReport, ...]
    seconds: float
    capture_seconds: float
    waiting: int


Watch = Callable[[BatchReport], None]
"""Called by the generating thread after each batch; must be quick and must not raise."""


def report_of(
    rows: Sequence[Row], *, seconds: float, capture_seconds: float, waiting: int
) -> BatchReport:
    """Return the report of a batch of rows that are done."""
    return BatchReport(tuple(map(_call, rows)), seconds, capture_seconds, waiting)


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
