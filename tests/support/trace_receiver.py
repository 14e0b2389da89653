"""A server on loopback in LangSmith's place, which keeps every byte that it is sent."""

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import zstandard

BATCHES = {
    "use_multipart_endpoint": False,
    "size_limit": 100,
    "size_limit_bytes": 20_000_000,
    "scale_up_nthreads_limit": 4,
    "scale_up_qsize_trigger": 1000,
    "scale_down_nempty_trigger": 4,
}


class TraceReceiver:
    """What was sent, and how to send it.

    Attributes:
        url: Where it listens.
        bodies: The bodies of all requests, unpacked.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.bodies: list[bytes] = []

    @property
    def variables(self) -> dict[str, str]:
        """What switches tracing on, and has it sent here."""
        return {
            "LANGSMITH_TRACING": "true",
            "LANGSMITH_ENDPOINT": self.url,
            "LANGSMITH_API_KEY": "no-secret",
        }

    @property
    def said(self) -> str:
        """All that was sent."""
        return b"\n".join(self.bodies).decode(errors="replace")

    @property
    def runs(self) -> list[dict[str, Any]]:
        """The runs that were sent whole."""
        bodies = [json.loads(body) for body in self.bodies if body.startswith(b"{")]
        return [run for body in bodies for run in body.get("post", [])]


@contextmanager
def trace_receiver() -> Iterator[TraceReceiver]:
    """Listen until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            packing = self.headers.get("Content-Encoding")
            if packing == "zstd":
                body = zstandard.ZstdDecompressor().decompressobj().decompress(body)
            elif packing == "gzip":
                body = gzip.decompress(body)
            receiver.bodies.append(body + self.path.encode() * (not body))
            # It knows batches of JSON only: these are the easiest to read.
            answer = json.dumps({"batch_ingest_config": BATCHES}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_PATCH = _answer  # noqa: N815 - the names are the standard library's

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver = TraceReceiver(f"http://127.0.0.1:{server.server_port}")
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
