"""Gather waiting calls from all threads and tasks into batches, run by one worker thread.

Reading a batch of prompts costs as much as reading them one by one, but each further token costs
a batch of 16 hardly more than a lone row. So a call waits a few milliseconds for others; while a
batch runs, those that come meanwhile gather for the next one.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable, Sequence

from .batch_report import Watch, report_of
from .errors import GenerationFailed, ModelBusy, ModelClosed, WorkerDied
from .rows import Row
from .scheduling import BatchLimits, next_batch


class Batcher:
    """A queue of rows and the one thread that runs them.

    The thread starts with the first row and starts anew if it died. Faults stay where they
    belong: a batch that raises fails its own rows, a thread that ends fails all that wait.
    """

    def __init__(
        self,
        run: Callable[[list[Row]], float],
        limits: BatchLimits | None = None,
        watches: Sequence[Watch] = (),
    ) -> None:
        """Take what runs a batch.

        Args:
            run: Pushes tokens into the rows until each is done, and returns the seconds that
                capturing took; called by the worker thread only.
            limits: Defaults of `BatchLimits` where None.
            watches: Told of each batch.
        """
        self._run, self._watches = run, tuple(watches)
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
        while batch := self._next_batch():
            begin, captured = time.perf_counter(), 0.0
            try:
                captured = self._run(batch)
            except Exception as fault:  # noqa: BLE001 - the boundary: callers hear of every fault
                _fail(batch, GenerationFailed, f"generating failed: {fault!r}", fault)
            except BaseException as fault:  # noqa: BLE001 - SystemExit and the like end a thread
                self._die(batch, fault)
                return
            _fail(batch, GenerationFailed, "generation ended without finishing this call", None)
            self._tell(batch, time.perf_counter() - begin, captured)

    def _tell(self, batch: Sequence[Row], seconds: float, captured: float) -> None:
        if not self._watches:
            return
        with self._changed:
            waiting = len(self._waiting)
        report = report_of(batch, seconds=seconds, capture_seconds=captured, waiting=waiting)
        for watch in self._watches:
            watch(report)

    def _die(self, batch: list[Row], fault: BaseException) -> None:
        with self._changed:
            orphans = [*batch, *self._waiting]
            self._waiting.clear()
            self._running = ()
            self._thread = None
        message = f"the generating thread ended with {fault!r}; the next call starts a new one"
        _fail(orphans, WorkerDied, message, fault)

    def _next_batch(self) -> list[Row]:
        """Wait for rows and take those that fit; [] once closed."""
        with self._changed:
            self._running = ()
            while not self._waiting and not self._closed:
                self._changed.wait()
            self._gather()
            batch = [] if self._closed else self._take()
            self._running = batch
            return batch

    def _gather(self) -> None:
        until = time.monotonic() + self._limits.gather_at_most_s
        while len(self._waiting) < self._limits.rows and time.monotonic() < until:
            seen = len(self._waiting)
            self._changed.wait(self._limits.gather_s)
            if self._closed or len(self._waiting) == seen:
                return

    def _take(self) -> list[Row]:
        batch = next_batch(self._waiting, self._limits)
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
