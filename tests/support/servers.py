"""Servers in processes of their own: `langgraph dev`, S3, and transformers' own of OpenAI's API."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from processes import HANG_SECONDS, LOG, ROOT, free_port, served


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

    def client(self) -> httpx.Client:
        """Return a client that is to be closed by the caller."""
        return httpx.Client(base_url=self.url, timeout=HANG_SECONDS)


@contextmanager
def dev_server(
    folder: Path, *, config: Path = ROOT / "langgraph.json", **env: str
) -> Iterator[DevServer]:
    """Run `langgraph dev`, by default with the project's own langgraph.json, without an account.

    It runs in `folder`, where its `.langgraph_api` is thrown away with it, so that neither a
    developer's server nor an earlier test is in its way; the project is found because it is
    installed.

    Args:
        folder: Where it runs and keeps its log and traces.
        config: Names the graph and variables.
        env: Further variables; none of this process's own settings reach it but the cache.

    Raises:
        RuntimeError: It ended, or hangs; holds its log.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    server = DevServer(f"http://127.0.0.1:{port}", folder / LOG, folder / "traces")
    command = [
        *(sys.executable, "-m", "langgraph_cli", "dev", "--no-browser", "--no-reload"),
        *("--host", "127.0.0.1", "--port", str(port), "--config", str(config)),
    ]
    variables = {
        "PATLM_TRACE": str(server.trace),
        "PYTHONUNBUFFERED": "1",
        "LANGGRAPH_NO_VERSION_CHECK": "true",
        "LANGGRAPH_CLI_NO_ANALYTICS": "1",
        **env,
    }

    def answers() -> bool:
        return httpx.get(f"{server.url}/ok", timeout=2).is_success

    with served(command, folder, answers, **variables):
        yield server


BUCKET = "patlm-test"


@contextmanager
def s3_bucket(folder: Path) -> Iterator[dict[str, str]]:
    """Serve S3 on loopback; yields the variables by which LanceDB finds it.

    Args:
        folder: Where the server keeps its log.

    Raises:
        RuntimeError: It ended, or hangs; holds its log.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]

    def answers() -> bool:
        return httpx.put(f"{url}/{BUCKET}", timeout=5).is_success

    with served(command, folder, answers):
        yield {
            "AWS_ENDPOINT": url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
        }


@contextmanager
def transformers_serve(model: Path, folder: Path) -> Iterator[str]:
    """Serve one model by `transformers serve` on loopback, and yield the base URL.

    Args:
        model: Folder of the model; the server knows it by this path.
        folder: Where the server keeps its log.

    Raises:
        RuntimeError: It ended, or hangs; holds its log.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        *(str(Path(sys.executable).with_name("transformers")), "serve", str(model)),
        *("--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--dtype", "float32"),
    ]

    def answers() -> bool:
        return httpx.get(f"{url}/health", timeout=2).is_success

    with served(command, folder, answers):
        yield f"{url}/v1"
