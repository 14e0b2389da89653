"""Run commands of the project as a user would: in this process, or in one of their own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from click.testing import Result
from typer.testing import CliRunner

TESTS = Path(__file__).parent
ROOT = TESTS.parents[1]

FAKE_MODEL = "python:fakes:word_by_word"

LOG = "server.log"
HANG_SECONDS = 600.0
"""How long a test waits for a process, a server or a thread before it counts as hanging.

It measures nothing: a machine that runs other tests beside is slower by any factor.
"""

SECONDS_TO_STOP = 10.0  # then it is killed

_FOREIGN = ("PATLM_", "LANGSMITH_", "LANGCHAIN_", "LANGGRAPH_")


def environment(**env: str) -> dict[str, str]:
    """Return the variables of a process that knows none of this one's settings but the cache.

    It needs no account and no hub, and finds the fakes beside this file.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name in ("PATLM_CACHE", "PATLM_COPIES") or not name.startswith(_FOREIGN)
    }
    ours = {
        "PYTHONPATH": str(TESTS),
        "PATLM_MODEL": "smollm2-135m",
        "LANGSMITH_TRACING": "false",
        "HF_HUB_OFFLINE": "1",
        "NO_COLOR": "1",
    }
    return {**inherited, **ours, **env}


def free_port() -> int:
    """Return a port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def served(
    command: Sequence[str], folder: Path, answers: Callable[[], bool], **env: str
) -> Iterator[None]:
    """Run a server while the block runs, from when it answers.

    Args:
        command: Starts it.
        folder: Where it runs and keeps its log, `LOG`.
        answers: Says whether it does; a refused connection means not yet.
        env: Further variables.

    Raises:
        RuntimeError: It ended, or hangs; holds its log.
    """
    log = folder / LOG
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment(**env),
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait(process, answers, log)
            yield
        finally:
            _stop(process)


def _wait(process: subprocess.Popen[bytes], answers: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + HANG_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"it ended with {process.returncode}:\n{log.read_text()}")
        try:
            if answers():
                return
        except httpx.TransportError:  # not up yet
            pass
        time.sleep(0.2)
    raise RuntimeError(f"no answer within {HANG_SECONDS:g} s:\n{log.read_text()}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the server and whatever it started: the process group that is its own."""
    for kind in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, kind)
        except ProcessLookupError:
            break
        try:
            process.wait(SECONDS_TO_STOP)
            break
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def run_python(*arguments: str | Path, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run this Python to its end.

    Args:
        arguments: A file, or `-m` and a module, and what it is given.
        cwd: Where it runs.
        env: Further variables.
    """
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env=environment(**env),
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=False,
    )


def call(*words: object, **more: Any) -> Result:
    """Run `patlm ...` in this process."""
    from patlm.cli.main import app

    return CliRunner().invoke(app, [str(word) for word in words], **more)


def output(*words: object) -> Any:
    """Return the one JSON object on stdout of a command that works."""
    result = call(*words, "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout)


def assert_one_line(result: Result, *says: str, code: int = 1) -> None:
    """Check that a command failed with one line on stderr, what it says, and the exit code."""
    assert result.exit_code == code
    assert isinstance(result.exception, SystemExit), "an error that was not told on purpose"
    assert result.stdout == ""
    (line,) = result.stderr.strip().splitlines()
    for part in says:
        assert part in line
