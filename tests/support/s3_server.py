"""A local server that speaks S3, in a process of its own, and a bucket on it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from processes import free_port, served

SECONDS_TO_START = 60.0
BUCKET = "patlm-test"


@contextmanager
def s3_bucket(folder: Path) -> Iterator[dict[str, str]]:
    """Serve S3 on loopback; yields the variables by which LanceDB finds it.

    Args:
        folder: Where the server keeps its log.

    Raises:
        RuntimeError: It ended, or did not answer in time; holds its log.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]

    def answers() -> bool:
        return httpx.put(f"{url}/{BUCKET}", timeout=5).is_success

    with served(command, folder, answers, seconds=SECONDS_TO_START):
        yield {
            "AWS_ENDPOINT": url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
        }
