"""Measure an install without torch: its size, and the time and memory of a first text.

    python light.py    # with the Python of an environment that has patlm[remote] and nothing else

The text comes from a fake server of OpenAI's API in this process, so that what is measured is
patlm. Fails where too much is installed or held in memory. Seconds are only printed, since the
machine may have other work.
"""

import json
import os
import subprocess
import sys
import sysconfig
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

MEGABYTES = 700
RESIDENT_MEGABYTES = 400
"""Held so that it does not grow. The aim is 250; half of what is used now is code and weights that
are mapped from files."""

TRIES = 3
"""The fastest counts."""

ABSENT = ("torch", "transformers", "peft", "sentence_transformers", "scipy")
REQUEST = ["--user", "tilly-types", "--topic", "wool-blanket", "--title", "Warm at last", "--json"]
# The modules are read at the end of the command itself.
PROGRAM = """
import atexit, sys
from patlm.cli.main import app
atexit.register(lambda: print("torch" in sys.modules, file=sys.stderr))
app()
"""


class Handler(BaseHTTPRequestHandler):
    """Answers chat completions with one sentence."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        choice = {"index": 0, "finish_reason": "stop"}
        said = {"role": "assistant", "content": "Warm from the first night on, and no itch at all."}
        body = {"id": "1", "created": 0, "model": asked["model"]}
        if asked.get("stream"):
            body["object"] = "chat.completion.chunk"
            parts = [{**body, "choices": [{**choice, "delta": said}]}]
            lines = [f"data: {json.dumps(part)}\n\n" for part in parts]
            self._send("text/event-stream", "".join([*lines, "data: [DONE]\n\n"]))
        else:
            body["object"] = "chat.completion"
            body["choices"] = [{**choice, "message": said}]
            body["usage"] = {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}
            self._send("application/json", json.dumps(body))

    def _send(self, kind: str, text: str) -> None:
        content = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


def installed_megabytes() -> float:
    """Return the size of all packages of this environment, pip included."""
    files = (path for path in Path(sysconfig.get_path("purelib")).rglob("*") if path.is_file())
    return sum(path.stat().st_size for path in files) / 1e6


def write(url: str) -> tuple[float, float, bool]:
    """Run `patlm write`; return its seconds, resident megabytes, and whether it loaded torch."""
    settings = {
        "PATLM_MODEL": "openai:any",
        "PATLM_BASE_URL": url,
        "LANGSMITH_TRACING": "false",
    }
    began = time.perf_counter()
    command = [sys.executable, "-c", PROGRAM, "write", *REQUEST]
    process = subprocess.Popen(
        command, env={**os.environ, **settings}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout and process.stderr
    out, err = process.stdout.read(), process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    assert status == 0, err.decode()
    assert json.loads(out)["text"].startswith("Warm from"), out
    return seconds, used.ru_maxrss / 1e3, err.decode().split()[-1] == "True"


def main() -> None:
    present = [name for name in ABSENT if find_spec(name) is not None]
    assert not present, f"installed without being asked for: {present}"
    size = installed_megabytes()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/v1"
    first, *runs = [write(url) for _ in range(TRIES + 1)]  # the first fills the sample store
    seconds, resident = min(run[0] for run in runs), max(run[1] for run in runs)
    print(
        f"a light install: {size:.0f} MB; `patlm write` {seconds:.1f} s and {resident:.0f} MB "
        f"resident (the first time, with the sample store to fill, {first[0]:.1f} s)"
    )
    assert not any(run[2] for run in (first, *runs)), "torch was loaded"
    assert size <= MEGABYTES, f"{size:.0f} MB installed, at most {MEGABYTES} are wanted"
    assert resident <= RESIDENT_MEGABYTES, f"{resident:.0f} MB of {RESIDENT_MEGABYTES} held"


if __name__ == "__main__":
    main()
