"""A server of embeddings on loopback, by OpenAI's API and by Ollama's, as strict as they are.

OpenAI's (openai/resources/embeddings.py of its SDK): only the parameters below, a key, at most
2,048 inputs, none of them empty; vectors as numbers or as base64 of fp32. Ollama's
(ollama/_types.py: EmbedRequest): `model` and `input` and some options.
"""

import base64
import json
import threading
import zlib
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

MODEL, DIMENSION = "tiny-embedding", 16
_OPENAI = {"input", "model", "encoding_format", "dimensions", "user"}
_OLLAMA = {"model", "input", "truncate", "options", "keep_alive", "dimensions"}


@dataclass
class EmbeddingServer:
    """A running server.

    Attributes:
        host: Address without a path, as Ollama's client takes it.
        plan: HTTP statuses that the next requests meet; well answered once it is empty.
        asked: The bodies of all requests, in order.
        dimension: Length of the vectors.
    """

    host: str = ""
    plan: deque[int] = field(default_factory=deque)
    asked: list[dict[str, Any]] = field(default_factory=list)
    dimension: int = DIMENSION

    @property
    def url(self) -> str:
        """What a client of OpenAI's API takes as its base URL."""
        return f"{self.host}/v1"

    def answer(self, path: str, body: dict[str, Any], key: str | None) -> tuple[int, Any]:
        """Return the status and content of an answer."""
        self.asked.append(body)
        if self.plan:
            status = self.plan.popleft()
            return status, {"error": {"message": f"told to say {status}"}}
        known = f'model "{body.get("model")}" not found, try pulling it first'
        if path == "/api/embed":
            if unknown := set(body) - _OLLAMA:
                return 400, {"error": f"unknown: {sorted(unknown)}"}
            if body["model"] != MODEL:
                return 404, {"error": known}
            return 200, {
                "model": MODEL,
                "embeddings": [self.vector(text) for text in body["input"]],
            }
        if path != "/v1/embeddings":
            return 404, {"error": {"message": f"no such path: {path}"}}
        refusal = self._refuses(body, key)
        if refusal is not None:
            return refusal[0], {"error": {"message": refusal[1], "type": "invalid_request_error"}}
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        vectors = [self.vector(text) for text in texts]
        if body.get("encoding_format") == "base64":
            packed = [np.array(each, "<f4").tobytes() for each in vectors]
            shown: list[Any] = [base64.b64encode(each).decode() for each in packed]
        else:
            shown = list(vectors)
        data = [
            {"object": "embedding", "index": at, "embedding": each} for at, each in enumerate(shown)
        ]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        return 200, {"object": "list", "data": data, "model": MODEL, "usage": usage}

    def _refuses(self, body: dict[str, Any], key: str | None) -> tuple[int, str] | None:
        if not key or not key.startswith("Bearer "):
            return 401, "You didn't provide an API key."
        if unknown := set(body) - _OPENAI:
            return 400, f"Unrecognized request argument supplied: {sorted(unknown)[0]}"
        if body["model"] != MODEL:
            return 404, f"The model `{body['model']}` does not exist"
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        if not texts or len(texts) > 2048 or not all(isinstance(text, str) for text in texts):
            return 400, "'$.input' is invalid: expected 1 to 2048 strings"
        if not all(texts):
            return 400, "'$.input' is invalid: an empty string"
        return None

    def vector(self, text: str) -> list[float]:
        """Return the same vector for the same words, and never one of length one."""
        found = np.full(self.dimension, 0.1)
        for word in text.lower().split():
            found[zlib.crc32(word.encode()) % self.dimension] += 1
        return [float(each) for each in found]


@contextmanager
def embedding_server() -> Iterator[EmbeddingServer]:
    """Serve embeddings until the block ends."""
    server = EmbeddingServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, found = server.answer(self.path, body, self.headers["Authorization"])
            content = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server.host = f"http://127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()
