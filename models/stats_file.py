"""Publish how a process serves: one small JSON file, replaced at most once a second.

The generating thread only takes notes; a thread of its own writes, so that a slow disk holds no
call up and the last state is there even where no further batch follows.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path
from typing import Literal

import psutil
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from .telemetry import BatchReport, ServingStats, Snapshot

_log = logging.getLogger(__name__)

_LAST_WRITE_S = 5.0
"""How long `close` waits for a disk that hangs."""

_CLOCK_S = 1.0
"""How exactly the start of a process is known beside the time of a file."""


class ProcessStats(BaseModel):
    """What a file holds.

    Attributes:
        version: Of this format.
        pid: The process that serves.
        model: As the process names it.
        started: When the model was opened.
        updated: When this was written.
        closed: Whether the model has been closed.
        stats: What was served.
    """

    model_config = ConfigDict(frozen=True)

    version: Literal[1] = 1
    pid: int
    model: str
    started: AwareDatetime
    updated: AwareDatetime
    closed: bool
    stats: Snapshot

    def running(self) -> bool:
        """Say whether the process is still there, and its model open."""
        if self.closed:
            return False
        try:
            process = psutil.Process(self.pid)
            born = process.create_time()
            # A process that was born after the file was written got a dead one's number.
            same = born <= self.updated.timestamp() + _CLOCK_S
            return same and bool(process.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:  # somebody else's, but there
            return True


class StatsFile:
    """A watch that publishes a `ServingStats` to `FOLDER/{pid}.json` after the first batch.

    A second one of the same process gets `{pid}-2.json`. Where the file can't be written, the log
    says so once and nothing is written any more; calls are not touched.

    Args:
        folder: Made where it is missing; of this machine alone, since numbers of processes are.
        model: What the file names as the model.
        every_s: Seconds between two writes at least.
    """

    def __init__(self, folder: Path, model: str, *, every_s: float = 1.0) -> None:
        self._path = _claim(folder.expanduser().absolute())
        self._model, self._every_s = model, every_s
        self._started = datetime.now(UTC)
        self._stats = ServingStats()
        self._news, self._closing = threading.Event(), threading.Event()
        self._writer = threading.Thread(target=self._publish, name="patlm-stats", daemon=True)
        self._writer.start()
        # Exit functions run in reverse order. A batcher registers its own with its first call,
        # which is later: so it ends, and tells of its last batch, before this one closes.
        atexit.register(self.close)

    def __call__(self, report: BatchReport) -> None:
        """Take in one batch, to be written soon."""
        self._stats(report)
        self._news.set()

    def close(self) -> None:
        """Write the last state, and that it is the last. Blocks."""
        self._closing.set()
        self._news.set()
        self._writer.join(_LAST_WRITE_S)
        atexit.unregister(self.close)
        _release(self._path)

    def _publish(self) -> None:
        while True:
            self._news.wait()
            self._news.clear()
            closed = self._closing.is_set()  # asked first: what is told afterwards comes again
            try:
                self._write(closed)
            except OSError as error:
                _log.warning("numbers of serving are not written any more: %s", error)
                return
            if closed:
                return
            self._closing.wait(self._every_s)

    def _write(self, closed: bool) -> None:
        stats = self._stats.snapshot()
        if stats.total.calls == 0:  # closed before it was asked anything
            return
        record = ProcessStats(
            pid=os.getpid(),
            model=self._model,
            started=self._started,
            updated=datetime.now(UTC),
            closed=closed,
            stats=stats,
        )
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".tmp")
        draft.write_text(record.model_dump_json(), encoding="utf-8")
        os.replace(draft, self._path)


def read_stats(
    folder: Path, report: Callable[[str], None] = lambda fault: None
) -> list[ProcessStats]:
    """Return what processes have published, the oldest first; none where there is no folder.

    Args:
        folder: Where `StatsFile` writes.
        report: Told of each file that can't be used; it is left out.

    Raises:
        OSError: The folder or a file can't be read.
    """
    try:
        paths = [path for path in folder.expanduser().iterdir() if path.suffix == ".json"]
    except FileNotFoundError:
        return []
    found = []
    for path in sorted(paths):
        try:
            found.append(ProcessStats.model_validate_json(path.read_bytes()))
        except FileNotFoundError:  # removed since the folder was listed
            continue
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "the file"
            report(
                f"{path} is left out: expected what this version of patlm writes there, and of "
                f"{place} is said: {first['msg']}; remove it if it is of no use"
            )
    return sorted(found, key=lambda record: record.started)


_claimed: set[Path] = set()
_claiming = threading.Lock()


def _claim(folder: Path) -> Path:
    """Return a file of this process that none of its other models writes to."""
    pid = os.getpid()
    with _claiming:
        names = chain([f"{pid}.json"], (f"{pid}-{number}.json" for number in count(2)))
        path = next(folder / name for name in names if folder / name not in _claimed)
        _claimed.add(path)
    return path


def _release(path: Path) -> None:
    with _claiming:
        _claimed.discard(path)
