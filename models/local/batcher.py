"""Bring the calls of all threads and tasks together in one running batch, by one worker thread.

Each further token costs 16 rows two or three times what it costs one, so calls are written
together: a first one waits a few milliseconds for others, and those that come later join after the
next few tokens.

Choose which waiting calls share the next batch.

The call that has waited longest is always in it, so nobody starves. Where more wait than fit, those
most like it come along: short prompts beside a long one are padding to be read, and short answers
beside a long one leave their places empty.
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
"""What a new token costs beside one that is read (70 and 470 tokens/s on two cores)."""


@dataclass(frozen=True)
class BatchLimits:
    """How large a batch may become.

    Attributes:
        rows: Calls in one batch.
        tokens: Prompt and new tokens of all rows together, padding included; bounds the memory
            of keys and values (46 kB a token for the bundled model in fp32).
        gather_s: Go on waiting while calls come this close after one another, in seconds.
        gather_at_most_s: Start after this time, in seconds, whether or not more are coming.
        steps: Tokens that those who run get before others may join them: whoever joins is read
            while they wait.
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
    """What calls that share a batch take, each padded to the largest of them.

    Attributes:
        rows: So many.
        read: Tokens read, or written already.
        new: Tokens that are still to be written at most.
    """

    rows: int = 0
    read: int = 0
    new: int = 0

    def with_row(self, row: Row) -> Load:
        """Return what they and one more take."""
        read = max(self.read, len(row.prompt_ids))
        return Load(self.rows + 1, read, max(self.new, row.sampling.max_tokens))

    def within(self, limits: BatchLimits) -> bool:
        """Return whether that is allowed; one row alone always is."""
        tokens = self.rows * (self.read + self.new)
        return self.rows <= limits.rows and (self.rows == 1 or tokens <= limits.tokens)


def next_batch(waiting: Sequence[Row], limits: BatchLimits, running: Load = Load()) -> list[Row]:
    """Return the rows that are to be read next.

    Args:
        waiting: The longest waiting first.
        limits: What a batch may hold. A row that exceeds it alone is a batch of its own.
        running: What runs already and goes on beside them.

    Returns:
        No rows where nobody waits, or where the one that has waited longest does not fit beside
        those that run: it is not passed by for smaller ones.
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
    """Return how unlike the work of two rows is, in tokens read; ties stay in waiting order."""
    read = abs(len(row.prompt_ids) - len(other.prompt_ids))
    return read + NEW_TOKEN_COST * abs(row.sampling.max_tokens - other.sampling.max_tokens)


class Engine(Protocol):
    """What writes rows, as `RunningBatch` does; called by the worker thread only.

    Attributes:
        admits: Whether rows may join while others run.
        capture_seconds: Spent on capturing log-probabilities so far.
    """

    admits: bool
    capture_seconds: float

    @property
    def rows(self) -> Sequence[Row]:
        """Those that run and are not done."""

    @property
    def load(self) -> Load:
        """What they take."""

    def admit(self, rows: Sequence[Row]) -> None:
        """Read further rows."""

    def write(self, enough: Callable[[int], bool]) -> None:
        """Write on until rows are done, or `enough` says so after so many tokens."""

    def clear(self) -> None:
        """Forget all rows."""


class Batcher:
    """A queue of rows and the one thread that runs them.

    The thread starts with the first row and starts anew if it died. Faults stay where they
    belong: a batch that raises fails its own rows, a thread that ends fails all that wait.
    """

    def __init__(
        self, engine: Engine, limits: BatchLimits | None = None, watches: Sequence[Watch] = ()
    ) -> None:
        """Take what writes rows.

        Args:
            engine: Belongs to this batcher from now on.
            limits: Defaults of `BatchLimits` where None.
            watches: Told of each batch.
        """
        self._engine, self._watches = engine, tuple(watches)
        self._limits = limits or BatchLimits()
        self._waiting: list[Row] = []
        self._running: Sequence[Row] = ()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    def submit(self, row: Row) -> None:
        """Queue a row; its future tells the rest. May block for microseconds.

        Raises:
            ModelClosed: After `close`.
            ModelBusy: Where the queue is full.
        """
        with self._changed:
            if self._closed:
                raise ModelClosed("this model was closed; open it again")
            if len(self._waiting) >= self._limits.waiting:
                raise ModelBusy(
                    f"{len(self._waiting)} calls wait and the limit is {self._limits.waiting}; "
                    "ask again later"
                )
            self._waiting.append(row)
            self._changed.notify()
            if self._thread is None or not self._thread.is_alive():
                self._start()

    def close(self) -> None:
        """Stop the thread; calls under way or waiting end with `ModelClosed`. Blocks."""
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
        # A daemon, so that a forgotten `close` keeps no program alive; but a thread that is torn
        # down inside torch aborts the process, so it is stopped before the interpreter goes.
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
        """Read the newcomers, then write on for a while."""
        watched = WatchedBatch([*self._engine.rows, *newcomers], self._engine.capture_seconds)
        try:
            self._engine.admit(newcomers)
        except Exception as fault:  # noqa: BLE001 - the boundary: callers hear of every fault
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
        """Return whether somebody may join now."""
        if tokens < self._limits.steps or not self._engine.admits:
            return False
        # Without the lock: a list of another moment is as good, and this comes with every token.
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
        """Return who is to be read next, at once where others run; None once closed."""
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
        # One exception a row: a shared one would gather the tracebacks of all its callers.
        error = kind(message)
        error.__cause__ = cause
        row.fail(error)
