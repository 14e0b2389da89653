"""transformers' own OpenAI-compatible server, in a process of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from processes import free_port, served

SECONDS_TO_START = 90.0


@contextmanager
def transformers_serve(model: Path, folder: Path) -> Iterator[str]:
    """Serve one model by `transformers serve` on loopback, and yield the base URL.

    Args:
        model: Folder of the model; the server knows it by this path.
        folder: Where the server keeps its log.

    Raises:
        RuntimeError: It ended, or did not answer in time; holds its log.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        *(str(Path(sys.executable).with_name("transformers")), "serve", str(model)),
        *("--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--dtype", "float32"),
    ]

    def answers() -> bool:
        return httpx.get(f"{url}/health", timeout=2).is_success

    with served(command, folder, answers, seconds=SECONDS_TO_START):
        yield f"{url}/v1"
