"""`patlm show` on what `langgraph dev` left behind: the local view of a run, without Studio."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from fakes import BROKEN, DRAFT, DRAFT_LATER, PREFERENCE_SAYS, STYLE_FIRST, STYLE_LATER
from processes import run_python
from servers import DevServer


def request_by(user: str, **fields: str) -> dict[str, str]:
    """Return a request of a user of its own, so that its record is told from others."""
    return {
        "user_id": user,
        "task": "long",
        "topic_id": "wool-blanket",
        "title": "A blanket for the long winter",
        **fields,
    }


def run_of(server: DevServer, request: dict[str, str]) -> dict[str, Any]:
    """Make a run in the server, and return its record as it lies in the folder of traces."""
    with server.client() as client:
        client.post("/runs/wait", json={"assistant_id": "patlm", "input": request})
    lines = [line for file in server.trace.glob("*.jsonl") for line in file.open()]
    mine = [
        record
        for record in map(json.loads, lines)
        if record["request"] == {**dict.fromkeys(record["request"]), "language": "en", **request}
    ]
    assert len(mine) == 1
    record: dict[str, Any] = mine[0]
    return record


def show(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ("-m", "patlm.cli.main", "show", str(folder), *arguments)
    return run_python(*command, cwd=folder, COLUMNS="200")


@pytest.fixture(scope="module")
def good(fake_server: DevServer) -> dict[str, Any]:
    # Of the sample corpus: for a stranger with a title alone the style side would abstain.
    return run_of(fake_server, request_by("gran-mcleish"))


@pytest.fixture(scope="module")
def failed(fake_server: DevServer) -> dict[str, Any]:
    return run_of(fake_server, request_by("show-failed", title=BROKEN))


def test_show_renders_a_run_of_the_server(fake_server: DevServer, good: dict[str, Any]) -> None:
    done = show(fake_server.trace, "--run", good["run_id"][:12])
    assert done.returncode == 0, done.stderr
    head, first, second = re.split(r"iteration \d", done.stdout)
    assert "gran-mcleish" in head and "A blanket for the long winter" in head
    assert "known" in head
    for part, style, draft in ((first, STYLE_FIRST, DRAFT), (second, STYLE_LATER, DRAFT_LATER)):
        assert f"style-reason: {style}" in part
        assert f"preference-reason: {PREFERENCE_SAYS}" in part
        assert draft in part
        assert "check-stop: score" in part
    for number, iteration in enumerate(good["iterations"], start=1):
        part = (first, second)[number - 1]
        assert set(iteration["evidence"]) == {"style", "preference"}
        for pieces in iteration["evidence"].values():
            assert pieces
            for piece in pieces:
                assert piece["user_id"] in part
                assert piece["reason"] in part
    assert done.stdout.count("(kept)") == 1
    assert "stopped: max_iterations" in second
    assert f"result: {good['text']}" in second


def test_show_tells_why_a_run_failed(fake_server: DevServer, failed: dict[str, Any]) -> None:
    done = show(fake_server.trace, "--run", failed["run_id"])
    assert done.returncode == 0, done.stderr
    assert "show-failed" in done.stdout
    # The evidence was found before a model refused; there is no draft, and nothing is made up.
    assert failed["iterations"][0]["evidence"]["style"][0]["user_id"] in done.stdout
    assert "integrate" not in done.stdout.split("end")[0]
    assert "failed: ModelCallError" in done.stdout
    assert f"no answer to {BROKEN}" in done.stdout
    assert failed["text"] is None and failed["stop_reason"] is None
