"""What LangSmith is sent, by a server that keeps every byte: no text, unless tracing is `on`."""

import asyncio
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypedDict

import langsmith
import pytest
from fakes import ScriptedChat
from langgraph.graph import START, StateGraph
from langsmith.utils import get_env_var
from patlm.cli.doctor import _tracing
from patlm.graph import Personalizer, Settings
from patlm.graph import open as opening
from patlm.graph.retrieve import open_retrieval, retrieve
from patlm.models import tracing as sending
from patlm.nodes.state import Request, RunContext
from planted import write_planted
from processes import HANG_SECONDS, ROOT, run_python
from servers import dev_server
from store_fixtures import cheap_encoders
from trace_receiver import TraceReceiver, trace_receiver

SECRET = "Marzipan under the loose floorboard."
ASKED: dict[str, Any] = {"title": "Two nights", "topic_id": "sea", "max_iterations": 1}
MODES = ("off", "redacted", "on")


@pytest.fixture
def receiver() -> Iterator[TraceReceiver]:
    with trace_receiver() as receiver:
        yield receiver


@pytest.fixture
def client(receiver: TraceReceiver, monkeypatch: pytest.MonkeyPatch) -> Iterator[langsmith.Client]:
    """Tracing is switched on by the environment, and sent by a client of this test's own."""
    monkeypatch.setattr(opening, "open_encoders", cheap_encoders)
    for name, value in receiver.variables.items():
        monkeypatch.setenv(name, value)
    get_env_var.cache_clear()
    client = langsmith.Client()
    with langsmith.tracing_context(client=client):
        yield client
    client.cleanup(timeout=0)
    monkeypatch.undo()
    get_env_var.cache_clear()


async def filled(personalizer: Personalizer) -> None:
    await personalizer.add("u-bo", SECRET, topic_id="sea", shared=True)
    await personalizer.add("u-cy", "Cold water, kind people.", topic_id="sea", shared=True)


def iterations(run: dict[str, Any]) -> int | None:
    counted: dict[str, Any] = run.get("outputs") or {}
    return counted.get("iterations")


class Wish(TypedDict, total=False):
    user: str
    text: str


async def in_an_app(personalizer: Personalizer) -> None:
    """Write in a node of an app's own graph, which is traced: it keeps only the draft."""

    async def write(state: Wish) -> Wish:
        return {"text": (await personalizer.awrite(state["user"], **ASKED)).text}

    app = StateGraph(Wish).add_node("write", write).add_edge(START, "write").compile(name="app")
    await app.ainvoke({"user": "u-ana"})


@pytest.mark.parametrize("mode", MODES)
async def test_no_text_is_sent_unless_tracing_is_on(
    tmp_path: Path, receiver: TraceReceiver, client: langsmith.Client, mode: Any
) -> None:
    async with Personalizer(tmp_path / "s", model=ScriptedChat(), tracing=mode) as personalizer:
        await filled(personalizer)
        result = await personalizer.awrite("u-ana", **ASKED)
        assert SECRET in [piece.body for piece in result.evidence["preference"]]
        await personalizer.abatch([{"user_id": "u-ana", **ASKED}])
        async for _ in personalizer.astream("u-ana", **ASKED):
            pass
        await asyncio.to_thread(personalizer.write, "u-ana", **ASKED)
        request: Any = {"user_id": "u-ana", "task": "long", "title": "Two", "topic_id": "sea"}
        await asyncio.to_thread(personalizer.graph.invoke, request)
        with pytest.raises(ValueError):
            await personalizer.awrite("u-ana", **ASKED, strategies={"style": SECRET})
        await in_an_app(personalizer)
    client.flush(timeout=HANG_SECONDS)
    ours = [run for run in receiver.runs if run["name"] == "patlm"]
    assert (SECRET in receiver.said) == (mode == "on")
    assert any(run["name"] == "app" for run in receiver.runs), "the app's own run is its own"
    if mode == "redacted":
        *_, failed, inside = ours
        assert len(ours) == 7
        assert [iterations(run) for run in ours] == [1, 1, 1, 1, 2, None, 1]
        first = ours[0]
        assert first["outputs"]["run_id"] == result.run_id
        assert first["outputs"]["calls"] == result.calls
        assert first["outputs"]["tokens_in"] == result.tokens_in
        assert first["outputs"]["evidence"]["preference"] == 2
        assert first["inputs"]["task"] == "long" and len(first["inputs"]["user"]) == 32
        assert failed["error"] == "RequestError" and not failed.get("outputs")
        assert inside["parent_run_id"] is not None
        said = json.dumps(ours)
        assert "u-ana" not in said and "Two" not in said and result.text not in said
    elif mode == "off":
        assert ours == []


async def test_a_retrieval_alone_sends_no_text(
    tmp_path: Path, receiver: TraceReceiver, client: langsmith.Client
) -> None:
    async with Personalizer(tmp_path / "s", model=ScriptedChat()) as personalizer:
        await filled(personalizer)
    request = Request(user_id="u-ana", task="long", title="Two nights", topic_id="sea")
    async with open_retrieval(str(tmp_path / "s")) as parts:
        found = await retrieve(parts, request, RunContext())
    assert SECRET in [piece.body for piece in found.evidence["preference"]]
    client.flush(timeout=HANG_SECONDS)
    assert SECRET not in receiver.said and len(receiver.runs) == 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.usefixtures("client")
def test_what_is_sent_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: Any
) -> None:
    sending._say.cache_clear()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            Personalizer(tmp_path / "s", model=ScriptedChat(), tracing=mode)
    said = [record.args for record in caplog.records if record.name == sending.__name__]
    assert said == [(sending.SENT[mode],)]
    found = _tracing(Settings(tracing=mode))
    assert found.ok and sending.SENT[mode] in found.says and "LANGSMITH_TRACING" in found.says


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_commands_send_no_text_unless_tracing_is_on(
    tmp_path: Path, receiver: TraceReceiver, mode: str
) -> None:
    data = write_planted(tmp_path / "planted.jsonl")
    texts = [json.loads(line)["text"] for line in data.read_text().splitlines()]
    common = ("--data", data, "--model", "python:fakes:scripted", "--limit", "2")
    for words in (
        ("collect", *common, "--adapters", "none", "--out", "E", "--store", "stores"),
        ("bench", "personalization", *common, "--arms", "both", "--out", "R", "--cache", "c"),
    ):
        done = run_python(
            *("-m", "patlm.cli.main", *map(str, words)),
            cwd=tmp_path,
            **receiver.variables,
            PATLM_TRACING=mode,
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr.count(sending.SENT[mode]) == 1, done.stderr  # type: ignore[index]
        assert any(text in receiver.said for text in texts) == (mode == "on"), words
        assert bool(receiver.runs) == (mode != "off"), words
        receiver.bodies.clear()


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.parametrize("mode", MODES)
def test_the_server_sends_no_text_unless_tracing_is_on(
    tmp_path: Path, receiver: TraceReceiver, mode: str
) -> None:
    config = json.loads((ROOT / "langgraph.json").read_text())
    (tmp_path / "langgraph.json").write_text(json.dumps({**config, "env": receiver.variables}))
    given = {"user_id": "u-ana", "task": "long", "title": "Warm", "topic_id": "wool-blanket"}
    variables = {"PATLM_MODEL": "python:fakes:word_by_word", "PATLM_TRACING": mode}
    started = dev_server(tmp_path, config=tmp_path / "langgraph.json", **variables)
    with started as server, server.client() as client:
        body = {"assistant_id": "patlm", "input": given}
        result = client.post("/runs/wait", json=body).json()
        assert client.post("/runs/stream", json={**body, "stream_mode": ["values"]}).is_success
        texts = [piece["body"] for side in result["evidence"].values() for piece in side]
        late = time.monotonic() + (0 if mode == "off" else HANG_SECONDS)
        while len(receiver.runs) < 2 and time.monotonic() < late:  # sent by a thread of its own
            time.sleep(0.2)
    assert texts
    assert any(json.dumps(text)[1:-1] in receiver.said for text in texts) == (mode == "on")
    ours = [run for run in receiver.runs if run["name"] == "patlm"]
    if mode != "on":
        assert [iterations(run) for run in ours] == ([2, 2] if mode == "redacted" else [])
