"""Batch the calls of all threads and tasks: one queue, one worker thread.

A decoding step for 16 rows costs two or three times a step for one, so calls share a batch. The
first call waits a few milliseconds for others; later calls join after the next few tokens.

The call that has waited longest is always in the next batch, so none starves. Where more calls wait
than fit, the most similar ones are chosen: short prompts beside a long one are padding, and short
answers beside a long one leave rows empty.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..errors import GenerationFailed, ModelBusy, ModelClosed, WorkerDied
from ..telemetry import Watch, WatchedBatch
from .rows import Row

NEW_TOKEN_COST = 7
"""Cost of generating a token relative to prefilling one (70 and 470 tokens/s on two cores)."""


@dataclass(frozen=True)
class BatchLimits:
    """Limits of a batch.

    Attributes:
        rows: Calls in one batch.
        tokens: Prompt and new tokens of all rows together, padding included; bounds the memory
            of keys and values (46 kB a token for smollm2-135m in fp32).
        gather_s: Keep waiting while calls arrive within this time of each other, in seconds.
        gather_at_most_s: Start after this time at the latest, in seconds.
        steps: Tokens that running rows generate before others may join: they wait while a
            joining row is prefilled.
        waiting: Calls in the queue before new ones are refused.
    """

    rows: int = 32
    tokens: int = 16_384
    gather_s: float = 0.004
    gather_at_most_s: float = 0.04
    steps: int = 4
    waiting: int = 4_096


@dataclass(frozen=True)
class Load:
    """The size of a batch, each row padded to the longest.

    Attributes:
        rows: Number of rows.
        read: Tokens that are read or generated already, of the longest row.
        new: Maximum number of tokens still to generate.
    """

    rows: int = 0
    read: int = 0
    new: int = 0

    def with_row(self, row: Row) -> Load:
        """Return the load with one more row."""
        read = max(self.read, len(row.prompt_ids))
        return Load(self.rows + 1, read, max(self.new, row.sampling.max_tokens))

    def within(self, limits: BatchLimits) -> bool:
        """Return whether the load is within the limits; a single row always is."""
        tokens = self.rows * (self.read + self.new)
        return self.rows <= limits.rows and (self.rows == 1 or tokens <= limits.tokens)


def next_batch(waiting: Sequence[Row], limits: BatchLimits, running: Load = Load()) -> list[Row]:
    """Return the rows to prefill next.

    Args:
        waiting: The waiting rows, longest waiting first.
        limits: Limits of a batch. A row that exceeds them alone gets a batch of its own.
        running: The load of the rows that run already.

    Returns:
        No rows where none waits, or where the one that has waited longest does not fit yet:
        smaller ones do not overtake it.
    """
    alike = sorted(waiting, key=lambda row: _distance(row, waiting[0]))
    batch: list[Row] = []
    load = running
    for row in alike:
        load = load.with_row(row)
        if not load.within(limits):
            break
        batch.append(row)
    return batch


def _distance(row: Row, other: Row) -> int:
    """Return how different the work of two rows is, in prefilled tokens."""
    read = abs(len(row.prompt_ids) - len(other.prompt_ids))
    return read + NEW_TOKEN_COST * abs(row.sampling.max_tokens - other.sampling.max_tokens)


class Engine(Protocol):
    """Generates rows, as `RunningBatch` does; only the worker thread calls it.

    Attributes:
        admits: Whether rows may join while others run.
        capture_seconds: Time spent on capturing log-probabilities so far.
    """

    admits: bool
    capture_seconds: float

    @property
    def rows(self) -> Sequence[Row]:
        """Rows that run and are not done."""

    @property
    def load(self) -> Load:
        """The size of the running batch."""

    def admit(self, rows: Sequence[Row]) -> None:
        """Prefill further rows."""

    def write(self, enough: Callable[[int], bool]) -> None:
        """Generate until rows are done, or until `enough(tokens)` returns True."""

    def clear(self) -> None:
        """Remove all rows."""


class Batcher:
    """A queue of rows and the thread that runs them.

    The thread starts with the first row and is restarted if it died. A batch that raises fails
    its own rows only; a thread that ends fails all waiting rows.
    """

    def __init__(
        self, engine: Engine, limits: BatchLimits | None = None, watches: Sequence[Watch] = ()
    ) -> None:
        """Take the engine that generates.

        Args:
            engine: The engine; the batcher takes ownership.
            limits: Defaults of `BatchLimits` where None.
            watches: Receive a report of each batch.
        """
        self._engine, self._watches = engine, tuple(watches)
        self._limits = limits or BatchLimits()
        self._waiting: list[Row] = []
        self._running: Sequence[Row] = ()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    def submit(self, row: Row) -> None:
        """Queue a row; the result arrives in its future. May block for microseconds.

        Raises:
            ModelClosed: After `close`.
            ModelBusy: The queue is full.
        """
        with self._changed:
            if self._closed:
                raise ModelClosed("this model was closed; open it again")
            if len(self._waiting) >= self._limits.waiting:
                raise ModelBusy(
                    f"{len(self._waiting)} calls wait and the limit is {self._limits.waiting}; "
                    "ask again later",
                    code="queue_full",
                )
            self._waiting.append(row)
            self._changed.notify()
            if self._thread is None or not self._thread.is_alive():
                self._start()

    def close(self) -> None:
        """Stop the thread; running and waiting calls end with `ModelClosed`. Blocks."""
        with self._changed:
            self._closed = True
            dropped = [*self._waiting, *self._running]
            self._waiting.clear()
            self._changed.notify_all()
            thread = self._thread
        for row in dropped:
            row.fail(ModelClosed("the model was closed before this call was answered"))
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        atexit.unregister(self.close)

    def _start(self) -> None:
        # A daemon, so that a forgotten `close` does not keep the program alive. A thread that is
        # killed inside torch aborts the process, so it is stopped before the interpreter exits.
        atexit.register(self.close)
        self._thread = threading.Thread(target=self._serve, name="patlm-generate", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        try:
            while (newcomers := self._next()) is not None:
                self._run(newcomers)
        except BaseException as fault:  # noqa: BLE001 - SystemExit and the like end a thread
            self._die(fault)

    def _run(self, newcomers: Sequence[Row]) -> None:
        """Prefill new rows, then generate for a while."""
        watched = WatchedBatch([*self._engine.rows, *newcomers], self._engine.capture_seconds)
        try:
            self._engine.admit(newcomers)
        except Exception as fault:  # noqa: BLE001 - the boundary: callers receive every error
            _fail(newcomers, GenerationFailed, f"reading the prompt failed: {fault!r}", fault)
        try:
            self._engine.write(self._enough)
        except Exception as fault:  # noqa: BLE001 - likewise
            _fail(self._running, GenerationFailed, f"generating failed: {fault!r}", fault)
            self._engine.clear()
        forgotten = [row for row in self._running if row not in self._engine.rows]
        _fail(forgotten, GenerationFailed, "generation ended without finishing this call", None)
        self._tell(watched)

    def _enough(self, tokens: int) -> bool:
        """Return whether a waiting row may join now."""
        if tokens < self._limits.steps or not self._engine.admits:
            return False
        # Without the lock: this runs at every token, and a slightly older list is good enough.
        return bool(next_batch(self._waiting[:1], self._limits, self._engine.load))

    def _tell(self, watched: WatchedBatch) -> None:
        if not self._watches:
            return
        with self._changed:
            waiting = len(self._waiting)
        report = watched.report(self._engine.capture_seconds, waiting)
        for watch in self._watches:
            watch(report)

    def _die(self, fault: BaseException) -> None:
        with self._changed:
            orphans = [*self._running, *self._waiting]
            self._waiting.clear()
            self._running = ()
            self._engine.clear()  # before another thread may use it
            self._thread = None
        message = f"the generating thread ended with {fault!r}; the next call starts a new one"
        _fail(orphans, WorkerDied, message, fault)

    def _next(self) -> list[Row] | None:
        """Return the rows to prefill next, without waiting where others run; None once closed."""
        with self._changed:
            running = self._running = self._engine.rows
            while not running and not self._waiting and not self._closed:
                self._changed.wait()
            if not running:
                self._gather()
            if self._closed:
                return None
            newcomers = self._take() if self._engine.admits or not running else []
            self._running = [*running, *newcomers]
            return newcomers

    def _gather(self) -> None:
        until = time.monotonic() + self._limits.gather_at_most_s
        while len(self._waiting) < self._limits.rows and time.monotonic() < until:
            seen = len(self._waiting)
            self._changed.wait(self._limits.gather_s)
            if self._closed or len(self._waiting) == seen:
                return

    def _take(self) -> list[Row]:
        batch = next_batch(self._waiting, self._limits, self._engine.load)
        taken = set(map(id, batch))
        self._waiting = [row for row in self._waiting if id(row) not in taken]
        return batch


def _fail(
    rows: Sequence[Row], kind: type[Exception], message: str, cause: BaseException | None
) -> None:
    for row in rows:
        # One exception per row: a shared one would collect the tracebacks of all callers.
        error = kind(message)
        error.__cause__ = cause
        row.fail(error)
