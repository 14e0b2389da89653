"""What is told of a batch that has run, to whoever watches a model at work.

How a model serves: counts since it was opened, speeds over its last calls and batches.

stats = ServingStats()
model = open_local_chat("path/to/model", watches=[stats])
...
print(stats.snapshot().total.tokens_per_s)
"""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from .local.rows import Row
from .local.sampling import BASE


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


UNSAID = "-"
"""Stands for the role of calls that did not say what they were for."""


@dataclass(frozen=True)
class Counts:
    """What has been served since the model was opened.

    Attributes:
        calls: Calls that ended, those that failed included.
        failed: Of these, calls that failed or were cancelled.
        batches: Batches that held one; a call that others join is in several.
        prompt_tokens: Tokens read.
        new_tokens: Tokens written.
    """

    calls: int = 0
    failed: int = 0
    batches: int = 0
    prompt_tokens: int = 0
    new_tokens: int = 0

    def with_batch(self, batch: BatchReport) -> Counts:
        """Return these counts and those of one batch."""
        return Counts(
            calls=self.calls + len(batch.calls),
            failed=self.failed + sum(call.ended_s is None for call in batch.calls),
            batches=self.batches + 1,
            prompt_tokens=self.prompt_tokens + sum(work.prompt_tokens for work in batch.work),
            new_tokens=self.new_tokens + sum(work.new_tokens for work in batch.work),
        )


@dataclass(frozen=True)
class Spread:
    """Half of the values are below `p50`, 95% below `p95` (linear between neighbours)."""

    p50: float
    p95: float


@dataclass(frozen=True)
class Figures(Counts):
    """The counts, and what the window says; None where it holds nothing of the kind.

    Those of a role are taken over the batches that held calls of it, from its own calls. Only the
    share of capturing is that of the whole batches: it is not known by call.

    Attributes:
        batch_size_mean: Calls that ran together, mean over the time of generating.
        batch_size_last: Calls in the latest batch.
        tokens_per_s: New tokens a second of generating; waiting for calls does not count.
        prompt_tokens_per_s: Tokens read a second of generating.
        ttft_ms: From being asked to the first token, of calls that got one.
        total_ms: From being asked to the answer, of calls that got one.
        capture_share: Share of the generating time that went into capturing log-probabilities.
    """

    batch_size_mean: float | None = None
    batch_size_last: int | None = None
    tokens_per_s: float | None = None
    prompt_tokens_per_s: float | None = None
    ttft_ms: Spread | None = None
    total_ms: Spread | None = None
    capture_share: float | None = None


@dataclass(frozen=True)
class Snapshot:
    """What is known at one moment.

    Attributes:
        waiting: Calls in the queue when the last batch ended.
        total: Of all calls.
        roles: By role; "-" for calls that did not say theirs.
        adapters: Calls by adapter; "base" for the base model.
    """

    waiting: int
    total: Figures
    roles: dict[str, Figures]
    adapters: dict[str, int]


class ServingStats:
    """A watch that sums up what it is told; any thread may ask it.

    Args:
        calls: The latest calls that the times are taken over.
        batches: The latest batches that the speeds are taken over.
    """

    def __init__(self, *, calls: int = 1_000, batches: int = 200) -> None:
        self._calls: deque[CallReport] = deque(maxlen=calls)
        self._batches: deque[BatchReport] = deque(maxlen=batches)
        self._waiting = 0
        self._total = Counts()
        self._roles: dict[str, Counts] = {}
        self._adapters: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, report: BatchReport) -> None:
        """Take in one batch; costs microseconds."""
        with self._lock:
            self._batches.append(report)
            self._calls.extend(report.calls)
            self._waiting = report.waiting
            self._total = self._total.with_batch(report)
            for role in {work.role or UNSAID for work in report.work}:
                counted = self._roles.get(role, Counts())
                self._roles[role] = counted.with_batch(_part_of_role(role, report))
            self._adapters.update(call.adapter or BASE for call in report.calls)

    def snapshot(self) -> Snapshot:
        """Return what is known now; costs milliseconds where the window is full."""
        with self._lock:  # copies alone: the generating thread may be waiting for it
            waiting, total, roles = self._waiting, self._total, dict(self._roles)
            batches, calls, adapters = list(self._batches), list(self._calls), dict(self._adapters)
        return Snapshot(
            waiting=waiting,
            total=_figures(total, batches, calls),
            roles={
                role: _figures(counts, _batches_of_role(role, batches), _of_role(role, calls))
                for role, counts in sorted(roles.items())
            },
            adapters=dict(sorted(adapters.items())),
        )


def _figures(
    counts: Counts, batches: Sequence[BatchReport], calls: Sequence[CallReport]
) -> Figures:
    if not batches:
        return Figures(**asdict(counts))
    sizes = [sum(work.rows for work in batch.work) for batch in batches]
    seconds = sum(batch.seconds for batch in batches)
    done = [work for batch in batches for work in batch.work]
    row_seconds = sum(size * batch.seconds for size, batch in zip(sizes, batches, strict=True))
    return Figures(
        **asdict(counts),
        batch_size_mean=_ratio(row_seconds, seconds),
        batch_size_last=sizes[-1],
        tokens_per_s=_ratio(sum(work.new_tokens for work in done), seconds),
        prompt_tokens_per_s=_ratio(sum(work.prompt_tokens for work in done), seconds),
        ttft_ms=_spread_ms(call.first_token_s for call in calls),
        total_ms=_spread_ms(call.ended_s for call in calls),
        capture_share=_ratio(sum(batch.capture_seconds for batch in batches), seconds),
    )


def _ratio(part: float, seconds: float) -> float | None:
    return part / seconds if seconds else None


def _spread_ms(seconds: Iterable[float | None]) -> Spread | None:
    known = [value for value in seconds if value is not None]
    if not known:
        return None
    p50, p95 = np.quantile(known, (0.5, 0.95)) * 1e3
    return Spread(float(p50), float(p95))


def _of_role(role: str, calls: Iterable[CallReport]) -> tuple[CallReport, ...]:
    return tuple(call for call in calls if (call.role or UNSAID) == role)


def _part_of_role(role: str, batch: BatchReport) -> BatchReport:
    work = tuple(work for work in batch.work if (work.role or UNSAID) == role)
    return replace(batch, calls=_of_role(role, batch.calls), work=work)


def _batches_of_role(role: str, batches: Iterable[BatchReport]) -> list[BatchReport]:
    """Return the batches that held calls of a role, with what concerns these alone."""
    found = [_part_of_role(role, batch) for batch in batches]
    return [batch for batch in found if batch.work]
