"""Reports of a local model's batches, serving statistics, and OpenTelemetry spans.

stats = ServingStats()
model = open_local_chat("path/to/model", watches=[stats])
...
print(stats.snapshot().total.tokens_per_s)
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .extras import needed_for
from .local.rows import Row
from .local.sampling import BASE

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CallReport:
    """One call of a batch; times in seconds since the call was made.

    Attributes:
        role: Role of the call; None if the caller gave none.
        adapter: Adapter of the call; None for the base model.
        prompt_tokens: Prompt tokens processed.
        new_tokens: Tokens generated.
        started_s: When it left the queue.
        first_token_s: When its first token was generated; None if never.
        ended_s: When it was answered; None if it failed or was cancelled.
        queued_at: When the call was made, in seconds of `time.perf_counter`.
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
    """The work of one role in a batch.

    Attributes:
        role: The role; None if the caller gave none.
        rows: Calls of the role in the batch.
        prompt_tokens: Prompt tokens processed; 0 for calls that were already running.
        new_tokens: Tokens generated.
    """

    role: str | None
    rows: int
    prompt_tokens: int
    new_tokens: int


@dataclass(frozen=True)
class BatchReport:
    """Calls that ran together until some were answered or others could join.

    Attributes:
        calls: The calls that ended in this batch, failed ones included.
        work: Rows and tokens by role.
        seconds: Duration.
        capture_seconds: The part of `seconds` spent on capturing log-probabilities.
        waiting: Calls still in the queue.
    """

    calls: tuple[CallReport, ...]
    work: tuple[RoleWork, ...]
    seconds: float
    capture_seconds: float
    waiting: int


Watch = Callable[[BatchReport], None]
"""Called by the generating thread after each batch; must be quick and must not raise."""


class WatchedBatch:
    """Measures one batch from its start to its end.

    Args:
        rows: The rows of the batch, new ones included.
        capture_seconds: Total time spent on capturing log-probabilities so far.
    """

    def __init__(self, rows: Sequence[Row], capture_seconds: float) -> None:
        self._begun = time.perf_counter()
        self._rows = [(row, row.drawn) for row in rows]
        self._captured = capture_seconds

    def report(self, capture_seconds: float, waiting: int) -> BatchReport:
        """Return the report of the batch that just ended."""
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


NO_ROLE = "-"
"""Name under which calls without a role are counted."""


@dataclass(frozen=True)
class Counts:
    """Totals since the model was opened.

    Attributes:
        calls: Calls that ended, failed ones included.
        failed: Calls that failed or were cancelled.
        batches: Batches with at least one such call; a call can be in several.
        prompt_tokens: Prompt tokens processed.
        new_tokens: Tokens generated.
    """

    calls: int = 0
    failed: int = 0
    batches: int = 0
    prompt_tokens: int = 0
    new_tokens: int = 0

    def with_batch(self, batch: BatchReport) -> Counts:
        """Return these counts plus those of one batch."""
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
    """The counts, and speeds over the latest calls and batches; None if there are none.

    The figures of a role cover its own calls and their batches; only `capture_share` covers whole
    batches, since capture time is not measured per call.

    Attributes:
        batch_size_mean: Mean number of calls per batch, weighted by running time.
        batch_size_last: Calls in the latest batch.
        tokens_per_s: Generated tokens per second of running time; idle time does not count.
        prompt_tokens_per_s: Prompt tokens per second of running time.
        ttft_ms: Time from the call to its first token.
        total_ms: Time from the call to its answer.
        capture_share: Share of the running time spent on capturing log-probabilities.
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
    """The statistics at one point in time.

    Attributes:
        waiting: Calls in the queue when the last batch ended.
        total: Figures of all calls.
        roles: Figures by role; "-" for calls without one.
        adapters: Number of calls by adapter; "base" for the base model.
    """

    waiting: int
    total: Figures
    roles: dict[str, Figures]
    adapters: dict[str, int]


class ServingStats:
    """A watch that collects statistics; thread-safe.

    Args:
        calls: Number of latest calls in the time statistics.
        batches: Number of latest batches in the speed statistics.
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
        """Add one batch; takes microseconds."""
        with self._lock:
            self._batches.append(report)
            self._calls.extend(report.calls)
            self._waiting = report.waiting
            self._total = self._total.with_batch(report)
            for role in {work.role or NO_ROLE for work in report.work}:
                counted = self._roles.get(role, Counts())
                self._roles[role] = counted.with_batch(_part_of_role(role, report))
            self._adapters.update(call.adapter or BASE for call in report.calls)

    def snapshot(self) -> Snapshot:
        """Return the current statistics; takes milliseconds if the windows are full."""
        with self._lock:  # only copies: the generating thread may be waiting for the lock
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
    return tuple(call for call in calls if (call.role or NO_ROLE) == role)


def _part_of_role(role: str, batch: BatchReport) -> BatchReport:
    work = tuple(work for work in batch.work if (work.role or NO_ROLE) == role)
    return replace(batch, calls=_of_role(role, batch.calls), work=work)


def _batches_of_role(role: str, batches: Iterable[BatchReport]) -> list[BatchReport]:
    """Return the batches with calls of a role, restricted to these calls."""
    found = [_part_of_role(role, batch) for batch in batches]
    return [batch for batch in found if batch.work]


class CallSpans:
    """A watch that creates one OpenTelemetry span per call, from the call to its answer.

    Names follow the GenAI semantic conventions where they exist
    (https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/, still experimental). Spans
    are created after the batch, in the generating thread, and each starts its own trace: a report
    does not contain the caller's trace.

    Args:
        model: Name of the model in the spans.
        tracer_provider: Provider of the tracer; None for the app's global provider.

    Raises:
        MissingExtra: The package opentelemetry-api is not installed.
    """

    def __init__(self, model: str, tracer_provider: TracerProvider | None = None) -> None:
        with needed_for("PATLM_OTEL"):
            from opentelemetry.trace import get_tracer
        self._model = model
        self._tracer = get_tracer("patlm.models", tracer_provider=tracer_provider)
        self._broken = False

    def __call__(self, report: BatchReport) -> None:
        """Create the spans of one batch."""
        if self._broken:
            return
        # Spans need wall time, reports have perf_counter: reading both now relates them.
        now_ns, now_s = time.time_ns(), time.perf_counter()
        try:
            for call in report.calls:
                begin_ns = now_ns - round((now_s - call.queued_at) * 1e9)
                self._span(call, sum(work.rows for work in report.work), begin_ns, now_ns)
        # The boundary to the app's span processors: their errors must not end the thread.
        except Exception:  # noqa: BLE001
            self._broken = True
            _log.warning("spans are disabled: a span processor failed", exc_info=True)

    def _span(self, call: CallReport, batch_size: int, begin_ns: int, now_ns: int) -> None:
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind, Status, StatusCode

        span = self._tracer.start_span(
            f"chat {self._model}",
            context=Context(),
            kind=SpanKind.INTERNAL,  # the conventions' kind for an in-process model
            attributes=self._attributes(call, batch_size),
            start_time=begin_ns,
        )
        if call.ended_s is None:
            span.set_attribute("error.type", "_OTHER")
            span.set_status(Status(StatusCode.ERROR, "failed or cancelled"))
            span.end(now_ns)
        else:
            span.end(begin_ns + round(call.ended_s * 1e9))

    def _attributes(self, call: CallReport, batch_size: int) -> dict[str, str | int | float]:
        attributes: dict[str, str | int | float] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "patlm",
            "gen_ai.request.model": self._model,
            "gen_ai.usage.input_tokens": call.prompt_tokens,
            "gen_ai.usage.output_tokens": call.new_tokens,
            "patlm.adapter": call.adapter or BASE,
            "patlm.batch_size": batch_size,
            "patlm.waited_ms": call.started_s * 1e3,
        }
        if call.role is not None:
            attributes["patlm.role"] = call.role
        if call.first_token_s is not None:
            attributes["patlm.first_token_ms"] = call.first_token_s * 1e3
        return attributes
