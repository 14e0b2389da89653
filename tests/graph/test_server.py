"""`langgraph dev` on this project, over HTTP: what a developer and a client of the server get."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from blockbuster import BlockBuster
from fakes import BROKEN, DRAFT, DRAFT_LATER
from patlm.graph import Request, Result, RunContext, Settings, make_graph
from patlm.graph.runtime import get_runtime
from processes import HANG_SECONDS
from servers import DevServer, dev_server

NODES = {
    "style-retrieve",
    "preference-retrieve",
    "style-reason",
    "preference-reason",
    "integrate",
    "check-stop",
}
LONG = {
    "user_id": "tilly-types",
    "task": "long",
    "topic_id": "wool-blanket",
    "title": "A blanket for the long winter",
}
SHORT = {"user_id": "nobody-yet", "task": "short", "text": "It keeps off the frost, and it itches."}


@pytest.fixture
def client(fake_server: DevServer) -> Iterator[httpx.Client]:
    with fake_server.client() as client:
        yield client


@pytest.fixture
def assistant(client: httpx.Client) -> str:
    found = client.post("/assistants/search", json={"graph_id": "patlm"}).json()
    assert len(found) == 1
    return str(found[0]["assistant_id"])


@pytest.fixture
def clean_log(fake_server: DevServer) -> Iterator[None]:
    """Hold the server to saying nothing of blocking calls or errors during a test."""
    before = len(fake_server.log.read_bytes())
    yield
    said = fake_server.said(before)
    assert "BlockingError" not in said, said
    assert "Traceback" not in said, said


def ask(client: httpx.Client, given: dict[str, Any] | None, **options: Any) -> dict[str, Any]:
    """Run the graph to the end, on a thread where one is given, and look inside the answer."""
    thread = options.pop("thread", None)
    path = "/runs/wait" if thread is None else f"/threads/{thread}/runs/wait"
    reply = client.post(path, json={"assistant_id": "patlm", "input": given, **options})
    assert reply.status_code == 200, reply.text
    answer: dict[str, Any] = reply.json()
    return answer


def error_of(answer: dict[str, Any]) -> dict[str, str]:
    """Return the error of a run that failed: such a run is answered with 200."""
    assert set(answer) == {"__error__"}, answer
    error: dict[str, str] = answer["__error__"]
    return error


def new_thread(client: httpx.Client) -> str:
    return str(client.post("/threads", json={}).json()["thread_id"])


def events_of(client: httpx.Client, body: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield name and data of each server-sent event of a streamed run."""
    with client.stream("POST", "/runs/stream", json={"assistant_id": "patlm", **body}) as reply:
        assert reply.status_code == 200
        name = ""
        for line in reply.iter_lines():
            if line.startswith("event:"):
                name = line.removeprefix("event:").strip()
            elif line.startswith("data:"):
                yield name, json.loads(line.removeprefix("data:"))


@pytest.mark.parametrize(
    ("schema", "model", "required"),
    [
        ("input_schema", Request, {"user_id", "task"}),
        ("output_schema", Result, set()),
        ("context_schema", RunContext, set()),
    ],
)
def test_schemas_describe_every_field(
    client: httpx.Client, assistant: str, schema: str, model: Any, required: set[str]
) -> None:
    found = client.get(f"/assistants/{assistant}/schemas").json()[schema]
    assert set(found["properties"]) == set(model.model_fields)
    assert set(found.get("required", ())) == required
    for name, field in found["properties"].items():
        assert field.get("description"), name
        assert ("default" in field) == (name not in required), name


@pytest.mark.usefixtures("clean_log")
def test_run_answers_with_text(client: httpx.Client) -> None:
    result = Result.model_validate(ask(client, LONG))
    assert result.text in (DRAFT, DRAFT_LATER)
    assert result.stop_reason == "max_iterations"
    assert result.iterations == 2
    assert result.cold_start == "known"
    assert {piece.user_id for piece in result.own} == {"tilly-types"}
    assert (len(result.evidence["style"]), len(result.evidence["preference"])) == (8, 6)  # of k = 8
    assert all(piece.topic_id != "wool-blanket" for piece in result.evidence["style"])
    assert all(piece.topic_id == "wool-blanket" for piece in result.evidence["preference"])


@pytest.mark.usefixtures("clean_log")
def test_streamed_run_brings_updates_and_draft_tokens(client: httpx.Client) -> None:
    body = {"input": LONG, "stream_mode": ["updates", "messages-tuple"]}
    seen: list[str] = []
    tokens: list[str] = []
    text = None
    for name, data in events_of(client, body):
        assert name != "error", data
        if name == "updates":
            seen += data
            # The server shows of an update what belongs to the graph's output, and null for none.
            text = (data.get("check-stop") or {}).get("text", text)
        elif name == "messages":
            message, metadata = data
            if metadata["langgraph_node"] == "integrate":
                tokens.append(message["content"])
    assert set(seen) == NODES
    assert seen.count("integrate") == 2
    assert text in (DRAFT, DRAFT_LATER)
    # Word by word, one draft an iteration: what came as tokens is what the drafts hold.
    assert len(tokens) >= len(f"{DRAFT} {DRAFT_LATER}".split())
    assert "".join(tokens).split() == f"{DRAFT} {DRAFT_LATER}".split()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"task": "long", "title": "Warm"}, "user_id is missing: say whom to write for"),
        ({"user_id": "ana", "title": "Warm"}, "task is missing: one of long, short, rating, free"),
        ({"user_id": "ana", "task": "poem", "title": "Warm"}, "'poem'"),
    ],
    ids=["no user", "no task", "unknown task"],
)
def test_bad_request_is_told_clearly(
    fake_server: DevServer, client: httpx.Client, given: dict[str, Any], says: str
) -> None:
    error = error_of(ask(client, given))
    assert says in error["message"], error
    assert "BlockingError" not in fake_server.said()


def test_model_that_refuses_is_named(client: httpx.Client) -> None:
    error = error_of(ask(client, {**LONG, "title": BROKEN}))
    assert error["error"] == "ModelCallError"
    assert "'word-by-word' failed: ValueError" in error["message"]


@pytest.mark.usefixtures("clean_log")
def test_runs_on_one_thread_know_nothing_of_each_other(client: httpx.Client) -> None:
    thread = new_thread(client)
    first = ask(client, LONG, thread=thread)
    assert first["iterations"] == 2 and first["own"]
    second = ask(client, SHORT, thread=thread, context={"max_iterations": 1})
    alone = ask(client, SHORT, context={"max_iterations": 1})
    assert second.pop("timings").keys() == alone.pop("timings").keys()
    assert second.pop("run_id") != alone.pop("run_id")
    assert second == alone


@pytest.mark.usefixtures("clean_log")
def test_developer_can_step_through_every_node(client: httpx.Client) -> None:
    thread = new_thread(client)
    step: dict[str, Any] = {
        "thread": thread,
        "interrupt_before": "*",
        "context": {"max_iterations": 1},
    }
    ask(client, LONG, **step)
    stops = []
    while waiting := client.get(f"/threads/{thread}/state").json()["next"]:
        stops.append(set(waiting))
        assert len(stops) < 10
        answer = ask(client, None, **step)
    assert stops == [
        {"style-retrieve", "preference-retrieve"},
        {"style-reason", "preference-reason"},
        {"integrate"},
        {"check-stop"},
    ]
    assert answer["text"] == DRAFT
    assert answer["stop_reason"] == "max_iterations"


@pytest.fixture
def nothing_blocks() -> Iterator[None]:
    """Raise where an event loop is held by a call that the server forbids its nodes."""
    watch = BlockBuster(excluded_modules=[])
    allowed = {"os.stat", "os.listdir", "os.remove", "threading.Lock.acquire"}
    for name in list(watch.functions):
        if name in allowed or name.startswith(("os.path.", "io.")):
            del watch.functions[name]
    watch.activate()
    yield
    watch.deactivate()


@pytest.mark.bundled
@pytest.mark.usefixtures("nothing_blocks")
async def test_installed_weights_answer_without_a_blocking_call() -> None:
    context = RunContext(mode="quoted", max_iterations=1, max_tokens=16, deadline_s=HANG_SECONDS)
    result = await make_graph().ainvoke(SHORT, context=context)  # type: ignore[arg-type]
    await asyncio.to_thread(get_runtime(Settings()).close)
    assert result["text"].strip()
    assert result["models"]["integrate"] == "smollm2-135m"


@pytest.mark.bundled
@pytest.mark.slow  # a server of its own with a real model; what it needs is in the test above
def test_installed_weights_answer_in_the_server(tmp_path: Path) -> None:
    context = {"max_iterations": 1, "max_tokens": 16, "deadline_s": HANG_SECONDS}
    with dev_server(tmp_path, PATLM_MODEL="smollm2-135m") as server, server.client() as client:
        result = ask(client, SHORT, context=context)
        assert result.get("text", "").strip(), result
        assert result["models"]["integrate"] == "smollm2-135m"
        assert "BlockingError" not in server.said()
        assert "Traceback" not in server.said()
