"""`patlm collect` in processes of its own: killed and gone on with, and spread over Ray."""

import asyncio
import importlib.util
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from collecting import episodes, timeless
from patlm.stores.texts.store import TextStore
from planted import write_planted
from processes import HANG_SECONDS, environment

pytestmark = pytest.mark.bundled

TARGETS = 12


def command(data: Path, out: Path, *options: str) -> list[str]:
    given = ["--data", str(data), "--out", str(out), "--store", str(data.parent / "stores")]
    chosen = ["--limit", str(TARGETS), "--candidates", "2", "--adapters", "none", "--json"]
    model = ["--model", "python:planted:slow_model"]
    return [sys.executable, "-m", "patlm.cli.main", "collect", *given, *chosen, *model, *options]


def run(data: Path, out: Path, *options: str) -> dict[str, Any]:
    done = subprocess.run(
        command(data, out, *options),
        env=environment(),
        check=False,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def kept(out: Path) -> list[dict[str, Any]]:
    return [timeless(episode) for episode in episodes(out)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_planted(tmp_path_factory.mktemp("planted") / "planted.jsonl", people=24)


@pytest.fixture(scope="module")
def whole(data: Path) -> list[dict[str, Any]]:
    out = data.parent / "whole"
    assert run(data, out)["episodes"] == TARGETS
    return kept(out)


@pytest.mark.slow
def test_a_killed_collection_goes_on_and_equals_an_unbroken_one(
    data: Path, whole: list[dict[str, Any]], tmp_path: Path
) -> None:
    out, log = tmp_path / "killed", tmp_path / "log"
    with log.open("w") as told:
        process = subprocess.Popen(command(data, out), env=environment(), stdout=told, stderr=told)
        until = time.monotonic() + HANG_SECONDS
        while not any(out.glob("*.jsonl")) or not kept(out):
            assert process.poll() is None and time.monotonic() < until, log.read_text()
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = len(kept(out))
    report = run(data, out)
    assert 1 <= done <= report["resumed"] + 1 and report["episodes"] == TARGETS
    assert kept(out) == whole


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
@pytest.mark.slow
def test_an_episode_of_somebody_forgotten_meanwhile_is_kept_empty(
    data: Path, whole: list[dict[str, Any]], tmp_path: Path
) -> None:
    stores = shutil.copytree(data.parent / "stores", tmp_path / "stores")
    out, log = tmp_path / "out", tmp_path / "log"
    with log.open("w") as told:
        slowly = ("--model", "python:planted:slowest_model")  # forgetting takes a second
        given = command(data, out, "--ray", "1", "--store", str(stores), *slowly)
        process = subprocess.Popen(given, env=environment(), stdout=told, stderr=told)
        until = time.monotonic() + HANG_SECONDS
        while not any(out.glob("*.jsonl")) or not kept(out):
            assert process.poll() is None and time.monotonic() < until, log.read_text()
            time.sleep(0.02)
        asyncio.run(forget(next(stores.iterdir()), whole[-1]["request"]["user_id"]))
        assert process.wait(HANG_SECONDS) == 0, log.read_text()
    gone = [episode for episode in episodes(out) if episode.redacted is not None]
    assert gone and len(episodes(out)) == TARGETS
    # Those that were written before stay as they are: the store alone forgets here.
    user = whole[-1]["request"]["user_id"]
    assert not any(user in episode.model_dump_json() for episode in gone)


async def forget(store: Path, user: str) -> None:
    async with TextStore.open_existing(str(store)) as opened:
        assert (await opened.forget("default", user)).removed["texts"]


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_workers_make_the_same_shards_whatever_their_number(
    data: Path, whole: list[dict[str, Any]], tmp_path: Path, workers: str
) -> None:
    report = run(data, tmp_path, "--ray", workers)
    assert (report["episodes"], report["failed"]) == (TARGETS, 0)
    assert kept(tmp_path) == whole


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
@pytest.mark.slow
def test_a_worker_that_cannot_work_is_told_of_in_a_line(data: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        command(data, tmp_path, "--ray", "1", "--model", "python:planted:nobody"),
        env=environment(),
        check=False,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "patlm: a worker failed:" in done.stderr.strip().splitlines()[-1]
