"""`langgraph dev` on this project, in a process of its own, for tests that speak HTTP to it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from processes import ROOT, environment

SECONDS_TO_START = 90.0
SECONDS_TO_STOP = 10.0


@dataclass(frozen=True)
class DevServer:
    """A running server.

    Attributes:
        url: Where it listens.
        log: All that it said.
        trace: Where it keeps the records of its runs.
    """

    url: str
    log: Path
    trace: Path

    def said(self, since: int = 0) -> str:
        """Return the server's log from a byte on."""
        return self.log.read_bytes()[since:].decode(errors="replace")

    def client(self, seconds: float = 60.0) -> httpx.Client:
        """Return a client that is to be closed by the caller."""
        return httpx.Client(base_url=self.url, timeout=seconds)


@contextmanager
def dev_server(
    folder: Path, *, seconds: float = SECONDS_TO_START, **env: str
) -> Iterator[DevServer]:
    """Run `langgraph dev` with the project's own langgraph.json, without an account.

    It runs in `folder`, where its `.langgraph_api` is thrown away with it, so that neither a
    developer's server nor an earlier test is in its way; the project is found because it is
    installed.

    Args:
        folder: Where it runs and keeps its log and traces.
        seconds: How long it may take to answer.
        env: Further variables; none of this process's own settings reach it but the cache.

    Raises:
        RuntimeError: It ended, or did not answer in time; holds its log.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    server = DevServer(f"http://127.0.0.1:{port}", folder / "server.log", folder / "traces")
    command = [
        *(sys.executable, "-m", "langgraph_cli", "dev", "--no-browser", "--no-reload"),
        *("--host", "127.0.0.1", "--port", str(port), "--config", str(ROOT / "langgraph.json")),
    ]
    variables = {
        "PATLM_TRACE": str(server.trace),
        "PYTHONUNBUFFERED": "1",
        "LANGGRAPH_NO_VERSION_CHECK": "true",
        "LANGGRAPH_CLI_NO_ANALYTICS": "1",
        **env,
    }
    with server.log.open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment(**variables),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait(process, server, seconds)
            yield server
        finally:
            _stop(process)


def _wait(process: subprocess.Popen[bytes], server: DevServer, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"langgraph dev ended with {process.returncode}:\n{server.said()}")
        try:
            if httpx.get(f"{server.url}/ok", timeout=2).is_success:
                return
        except httpx.TransportError:  # not up yet
            pass
        time.sleep(0.2)
    raise RuntimeError(f"langgraph dev did not answer within {seconds:g} s:\n{server.said()}")


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


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
