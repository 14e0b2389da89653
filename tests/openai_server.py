"""transformers' own OpenAI-compatible server, in a process of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from processes import environment

SECONDS_TO_START = 90.0
SECONDS_TO_STOP = 10.0


@contextmanager
def transformers_serve(model: Path, folder: Path) -> Iterator[str]:
    """Serve one model by `transformers serve` on loopback, and yield the base URL.

    Args:
        model: Folder of the model; the server knows it by this path.
        folder: Where the server keeps its log.

    Raises:
        RuntimeError: It ended, or did not answer in time; holds its log.
    """
    port = _free_port()
    log = folder / "serve.log"
    command = [
        *(str(Path(sys.executable).with_name("transformers")), "serve", str(model)),
        *("--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--dtype", "float32"),
    ]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=folder, env=environment(), stdout=out, stderr=subprocess.STDOUT
        )
        try:
            _wait(process, f"http://127.0.0.1:{port}/health", log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            try:
                process.wait(SECONDS_TO_STOP)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"it ended with {process.returncode}:\n{log.read_text()}")
        try:
            if httpx.get(url, timeout=2).is_success:
                return
        except httpx.TransportError:  # not up yet
            pass
        time.sleep(0.2)
    raise RuntimeError(f"no answer within {SECONDS_TO_START:g} s:\n{log.read_text()}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
