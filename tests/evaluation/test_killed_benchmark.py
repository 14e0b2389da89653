"""A benchmark whose process is killed goes on where it was, and ends as an unbroken one does."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from planted import write_planted
from processes import HANG_SECONDS, environment

pytestmark = [pytest.mark.bundled, pytest.mark.slow]

ARMS = "no_context,both,random_users,shuffled,best_of_n,copy_typical"


def command(data: Path, out: Path, cache: Path) -> list[str]:
    options = ["--data", str(data), "--out", str(out), "--cache", str(cache)]
    chosen = ["--split", "all", "--limit", "6", "--arms", ARMS, "--json"]
    model = ["--model", "python:planted:slow_model"]
    program = [sys.executable, "-m", "patlm.cli.main"]
    return [*program, "bench", "personalization", *options, *chosen, *model]


def results(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "results.json").read_text())
    for name in ("seconds", "started", "calls"):  # how it was run, not what came of it
        del found["settings"][name]
    return found


def test_a_killed_run_equals_an_unbroken_one(tmp_path: Path) -> None:
    data = write_planted(tmp_path / "planted.jsonl", people=12)
    whole, killed, cache = tmp_path / "whole", tmp_path / "killed", tmp_path / "cache"
    subprocess.run(command(data, whole, cache), env=environment(), check=True, capture_output=True)
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            command(data, killed, cache), env=environment(), stdout=log, stderr=log
        )
        items, until = killed / "items.jsonl", time.monotonic() + HANG_SECONDS
        while not items.exists() or items.read_bytes().count(b"\n") < 8:
            assert process.poll() is None and time.monotonic() < until, (
                tmp_path / "log"
            ).read_text()
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = items.read_bytes().count(b"\n")
    assert 8 <= done < 36 and not (killed / "results.json").exists()
    again = subprocess.run(
        command(data, killed, cache), env=environment(), check=True, capture_output=True, text=True
    )
    assert f"36 items, {done} already done" in again.stderr
    assert results(killed) == results(whole)
