"""What a process publishes of its serving: seldom, whole, to its end, and at no call's cost."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from patlm.models.stats_file import ProcessStats, StatsFile, read_stats
from patlm.models.telemetry import ServingStats
from processes import run_python
from serving_reports import batch_report, until

MINE = f"{os.getpid()}.json"

ENDS_WITHIN_A_BATCH = """
import threading, time
from pathlib import Path
from patlm.models.batching import Batcher
from patlm.models.rows import Row
from patlm.models.sampling import Sampling
from patlm.models.scheduling import Load
from patlm.models.stats_file import StatsFile

under_way = threading.Event()

class Engine:
    admits, capture_seconds, rows, load = True, 0.0, (), Load()

    def admit(self, rows):
        for row in rows:
            row.start()
            row.push(7)
        if len(rows[0].prompt_ids) == 2:
            under_way.set()
            time.sleep(0.5)
        for row in rows:
            row.push(0)

    def write(self, enough):
        pass

def ask(prompt):
    row = Row([1] * prompt, Sampling(), decode=str, end_ids=frozenset({0}))
    batcher.submit(row)
    return row

batcher = Batcher(Engine(), watches=[StatsFile(Path("stats"), "tiny", every_s=60)])
ask(1).future.result(10)
ask(2)
under_way.wait(10)
"""


def record(pid: int, **fields: Any) -> ProcessStats:
    now = datetime.now(UTC)
    values = {"pid": pid, "model": "tiny", "started": now, "updated": now, "closed": False}
    return ProcessStats(**{**values, "stats": ServingStats().snapshot(), **fields})


def test_what_is_published(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there yet"
    before = datetime.now(UTC)
    file = StatsFile(folder, "tiny", every_s=0.01)
    file(batch_report(waiting=4))
    (found,) = until(lambda: read_stats(folder))
    assert [path.name for path in folder.iterdir()] == [MINE]
    assert (found.pid, found.model, found.closed) == (os.getpid(), "tiny", False)
    assert before <= found.started <= found.updated <= datetime.now(UTC)
    assert (found.stats.waiting, found.stats.total.calls) == (4, 1)
    assert found.running()
    file(batch_report())  # no further one follows, and it is there all the same
    until(lambda: read_stats(folder)[0].stats.total.calls == 2)
    file.close()
    (found,) = read_stats(folder)
    assert found.closed and not found.running()
    assert json.loads((folder / MINE).read_text())["version"] == 1


def test_seldom_and_the_last_state_at_the_end(tmp_path: Path) -> None:
    file = StatsFile(tmp_path, "tiny", every_s=60)
    file(batch_report())
    until(lambda: read_stats(tmp_path))
    for _ in range(5):
        file(batch_report())
    time.sleep(0.3)
    assert read_stats(tmp_path)[0].stats.total.calls == 1
    begin = time.monotonic()
    file.close()
    assert time.monotonic() - begin < 5  # it does not sit out the minute
    assert read_stats(tmp_path)[0].stats.total.calls == 6


def test_the_last_batch_of_a_process_is_there(tmp_path: Path) -> None:
    """It is under way when the process ends: its call fails, and that is told."""
    done = run_python("-c", ENDS_WITHIN_A_BATCH, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (found,) = read_stats(tmp_path / "stats")
    assert (found.stats.total.batches, found.stats.total.calls, found.closed) == (2, 2, True)


def test_a_model_that_was_asked_nothing_leaves_no_file(tmp_path: Path) -> None:
    StatsFile(tmp_path, "tiny").close()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_takes_nothing_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "stats").write_text("not a folder")
    file = StatsFile(tmp_path / "stats", "tiny", every_s=0.01)
    with caplog.at_level(logging.WARNING, "patlm.models.stats_file"):
        file(batch_report())
        until(lambda: caplog.records)
        for _ in range(5):
            file(batch_report())
            time.sleep(0.02)
        file.close()
    (told,) = caplog.records
    assert "not written any more" in told.message and str(tmp_path) in told.message


def test_two_models_of_a_process_have_a_file_each(tmp_path: Path) -> None:
    first, second = StatsFile(tmp_path, "one"), StatsFile(tmp_path, "two")
    first(batch_report())
    second(batch_report())
    first.close()
    third = StatsFile(tmp_path, "three")  # the first one's place is free again
    third(batch_report())
    for file in (second, third):
        file.close()
    names = {path.name: json.loads(path.read_text())["model"] for path in tmp_path.iterdir()}
    assert names == {MINE: "three", f"{os.getpid()}-2.json": "two"}


def test_a_process_that_is_gone_is_not_running() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    there = record(process.pid)
    assert there.running()
    process.kill()
    until(lambda: not there.running())  # also while nobody has asked how it ended
    process.communicate()
    assert not there.running()


def test_a_process_that_got_a_dead_ones_number_is_not_it() -> None:
    hour = timedelta(hours=1)
    mine = record(os.getpid())
    long_ago = datetime.now(UTC) - 1000 * hour
    assert mine.running()
    assert not mine.model_copy(update={"updated": long_ago}).running()


def test_files_of_others_are_told_and_left_out(tmp_path: Path) -> None:
    good = record(7).model_dump_json()
    (tmp_path / "7.json").write_text(good)
    (tmp_path / "8.json").write_text("{")
    (tmp_path / "9.json").write_text(good.replace('"version":1', '"version":2'))
    (tmp_path / "10.tmp").write_text("half a dra")
    faults: list[str] = []
    assert [found.pid for found in read_stats(tmp_path, faults.append)] == [7]
    assert [fault.split()[0] for fault in faults] == [
        str(tmp_path / "8.json"),
        str(tmp_path / "9.json"),
    ]
    assert "version" in faults[1]


def test_the_oldest_process_comes_first(tmp_path: Path) -> None:
    for pid, hours in ((1, 1), (2, 3), (3, 2)):
        started = datetime.now(UTC) - timedelta(hours=hours)
        (tmp_path / f"{pid}.json").write_text(record(pid, started=started).model_dump_json())
    assert [found.pid for found in read_stats(tmp_path)] == [2, 3, 1]


def test_no_folder_holds_nothing(tmp_path: Path) -> None:
    assert read_stats(tmp_path / "nowhere") == []
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError):
        read_stats(tmp_path / "file")
