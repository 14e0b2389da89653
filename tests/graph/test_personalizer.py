"""The API for apps: remember, write, stream, forget, each tenant for itself."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fakes import Asked, ScriptedChat
from loop_parts import loop_of, parts_of
from patlm.graph import DraftToken, NodeUpdate, Personalizer, Result
from patlm.graph import open as opening
from patlm.nodes.errors import LoopError, RequestError
from patlm.nodes.state import RunContext
from patlm.stores import EmptyFeedback, NoSuchRun
from patlm.stores.episodes.shards import read_episodes
from raising import raises
from store_fixtures import cheap_encoders

CHANGING = {
    "style": ["Short words.", "Long, winding sentences; semicolons!"],
    "preference": ["They like the view.", "Breakfast is cold and late."],
    "integrate": ["A fine view.", "Cold eggs again, and no toast."],
}


@pytest.fixture(autouse=True)
def no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "open_encoders", cheap_encoders)


def personalizer_of(tmp_path: Path, model: Any = None, **given: Any) -> Personalizer:
    return Personalizer(tmp_path / "store", model=model or ScriptedChat(), **given)


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[Personalizer]:
    """A personalizer over a small shared town."""
    async with personalizer_of(tmp_path) as personalizer:
        for user, topic, body in (
            ("bo", "sea", "I slept. I ate. I left."),
            ("bo", "hut", "Cold. Wet. Fine."),
            ("cy", "sea", "Well! What a view! Go!"),
            ("cy", "hut", "Oh my! A stove! Go!"),
        ):
            await personalizer.add(user, body, topic_id=topic, shared=True)
        yield personalizer


async def test_what_is_remembered_is_known_at_once(app: Personalizer) -> None:
    before = await app.awrite("ana", topic_id="sea", title="Two nights")
    added = await app.add("ana", "Lovely!! Slept like a log.", topic_id="hut", rating=5)
    after = await app.awrite("ana", topic_id="sea", title="Two nights")
    assert (before.cold_start, after.cold_start) == ("zero", "few")
    assert [piece.body for piece in after.own] == ["Lovely!! Slept like a log."]
    assert added.added == 1
    again = await app.add("ana", "Lovely!! Slept like a log.", topic_id="hut", rating=5)
    assert (again.added, again.duplicates) == (0, 1)


async def test_an_unshared_text_serves_its_author_alone(app: Personalizer) -> None:
    await app.add("ana", "A secret of mine.", topic_id="sea")
    await app.add("ana", "A secret hut.", topic_id="hut")
    other = await app.awrite("dee", topic_id="sea", title="Two nights", k=32)
    assert "secret" not in other.model_dump_json()
    await app.add("ana", "Told to all.", topic_id="sea", shared=True)
    other = await app.awrite("dee", topic_id="sea", title="Two nights", k=32)
    assert "Told to all." in [piece.body for piece in other.evidence["preference"]]


@pytest.mark.parametrize(
    ("request_", "task"),
    [
        ({"title": "By the sea"}, "long"),
        ({"text": "We stayed."}, "short"),
        ({"text": "We stayed.", "title": "By the sea"}, "short"),
        ({"instruction": "Decline.", "text": "Come!"}, "free"),
        ({"task": "rating", "text": "We stayed."}, "rating"),
    ],
)
async def test_the_task_is_told_by_what_is_given(
    tmp_path: Path, request_: dict[str, str], task: str
) -> None:
    trace = tmp_path / "traces"
    async with personalizer_of(tmp_path, trace=trace) as personalizer:
        await personalizer.awrite("ana", **request_)  # type: ignore[arg-type]
        await personalizer.abatch([{"user_id": "ana", **request_}])
        _ = [event async for event in personalizer.astream("ana", **request_)]
    records = list(read_episodes(trace))
    assert [record.request["task"] for record in records] == [task] * 3
    assert {record.request["user_id"] for record in records} == {"ana"}


@pytest.mark.parametrize(
    ("request_", "field", "named"),
    [
        ({}, "title", "title"),
        ({"title": "t", "task": "poem"}, "task", "'poem'"),
        ({"title": "t", "k": 0}, "k", "namespace, k, "),
        ({"title": "t", "temperature": 1}, "temperature", "namespace, k, "),
    ],
)
async def test_a_wrong_request_is_told_before_anything_runs(
    app: Personalizer, request_: dict[str, Any], field: str, named: str
) -> None:
    with raises(RequestError, "invalid_request", named) as raised:
        await app.awrite("ana", **request_)
    assert raised.value.field == field
    with raises(RequestError, "invalid_request", named):
        _ = [event async for event in app.astream("ana", **request_)]


def test_write_is_awrite_outside_of_any_loop(tmp_path: Path) -> None:
    personalizer = personalizer_of(tmp_path)
    result = personalizer.write("ana", title="Two nights")
    assert isinstance(result, Result) and result.text == "A fine view."
    assert personalizer.write("ana", title="Two nights").text == "A fine view."
    personalizer.close()


async def test_write_inside_a_loop_names_awrite(app: Personalizer) -> None:
    with raises(LoopError, "loop_is_running", "await personalizer.awrite(...)"):
        app.write("ana", title="Two nights")


def by_prompt(asked: Asked) -> str:
    """Answer by nothing but the prompt."""
    return f"{sorted(asked.user.split())[len(asked.user) % 5]} {len(asked.user)}"


async def test_a_batch_gives_what_single_calls_give(tmp_path: Path) -> None:
    model = ScriptedChat(says=dict.fromkeys(("style", "preference", "integrate"), by_prompt))
    async with personalizer_of(tmp_path, model) as personalizer:
        for number in range(5):
            body = f"Text {number}: " + "so it goes. " * number
            await personalizer.add(f"user-{number}", body, topic_id=f"t{number % 2}", shared=True)
        requests = [
            {"user_id": f"user-{n}", "title": f"Title {n}", "topic_id": f"t{n % 3}"}
            for n in range(6)
        ]
        batch = await personalizer.abatch(requests, k=2)
        alone = [await personalizer.awrite(**request, k=2) for request in requests]  # type: ignore[arg-type]
    plain = [result.model_dump(exclude={"timings", "run_id"}) for result in alone]
    assert [result.model_dump(exclude={"timings", "run_id"}) for result in batch] == plain
    assert len({result.text for result in batch}) > 3


async def test_tenants_share_nothing(tmp_path: Path) -> None:
    first = personalizer_of(tmp_path, namespace="first")
    second = personalizer_of(tmp_path, namespace="second")
    async with first, second:
        await first.add("ana", "Mine of the first.", topic_id="sea", shared=True)
        await first.add("bo", "Shared in the first.", topic_id="sea", shared=True)
        result = await second.awrite("ana", topic_id="sea", title="Two nights")
        graph = await second.graph.ainvoke(
            {"user_id": "ana", "task": "long", "title": "Two nights", "topic_id": "sea"}  # type: ignore[arg-type]
        )
        assert (result.evidence, result.own) == ({"style": [], "preference": []}, [])
        assert (graph["evidence"], graph["own"]) == ({"style": [], "preference": []}, [])
        assert (await first.awrite("ana", title="Two nights")).own
        asked: Any = {"user_id": "ana", "task": "long", "title": "Two nights"}
        one: Any = {"user_id": "ana", "title": "Two nights", "namespace": "first"}
        calls = (
            second.awrite(**one),
            second.abatch([one]),
            second.abatch([{"user_id": "ana", "title": "x"}], namespace="first"),
            anext(second.astream(**one)),
            second.graph.ainvoke(asked, context=RunContext(namespace="first")),
        )
        for call in calls:
            with raises(RequestError, "invalid_request", "'second'", "'first'") as raised:
                await call
            assert raised.value.field == "namespace"
        assert (await second.awrite("ana", title="x", namespace="second")).text


async def test_a_bare_graph_serves_the_tenant_that_its_context_names(tmp_path: Path) -> None:
    """As `langgraph dev` runs it: who may call the server chooses the tenant."""
    model = ScriptedChat()
    async with personalizer_of(tmp_path, namespace="first") as first:
        await first.add("bo", "Shared in the first.", topic_id="sea", shared=True)
        graph = loop_of(parts_of(model, await first._store()))
        asked: Any = {"user_id": "ana", "task": "long", "title": "x", "topic_id": "sea"}
        found = await graph.ainvoke(asked, context=RunContext(namespace="first"))
        assert [each["user_id"] for each in found["evidence"]["preference"]] == ["bo"]
        assert (await graph.ainvoke(asked))["evidence"]["preference"] == []


async def test_the_stream_tells_nodes_tokens_and_the_result(tmp_path: Path) -> None:
    async with personalizer_of(tmp_path, ScriptedChat(says=CHANGING)) as personalizer:
        await personalizer.add("bo", "I slept. I ate.", topic_id="sea", shared=True)
        await personalizer.add("cy", "Cold. Wet.", topic_id="sea", shared=True)
        stream = personalizer.astream("ana", topic_id="sea", title="Two nights")
        events = [event async for event in stream]
    *before, result = events
    assert isinstance(result, Result) and not any(isinstance(event, Result) for event in before)
    drafts = {1: "", 2: ""}
    for event in before:
        if isinstance(event, DraftToken):
            drafts[event.iteration] += event.text
    assert [draft.strip() for draft in drafts.values()] == CHANGING["integrate"]
    assert len([event for event in before if isinstance(event, DraftToken)]) > 4
    nodes = [event.node for event in before if isinstance(event, NodeUpdate)]
    assert set(nodes[:2]) == {"style-retrieve", "preference-retrieve"}
    assert nodes[-2:] == ["integrate", "check-stop"] and len(nodes) == 12
    assert result.text in CHANGING["integrate"]


async def test_roles_may_have_models_of_their_own(tmp_path: Path) -> None:
    special, rest = ScriptedChat(), ScriptedChat()
    async with personalizer_of(tmp_path, rest, roles={"integrate": special}) as personalizer:
        await personalizer.awrite("ana", title="Two nights")
    assert {asked.role for asked in special.asked} == {"integrate"}
    assert "integrate" not in {asked.role for asked in rest.asked}


async def test_feedback_is_kept_beside_the_run(tmp_path: Path) -> None:
    trace = tmp_path / "traces"
    async with personalizer_of(tmp_path, trace=trace) as personalizer:
        result = await personalizer.awrite("ana", title="Two nights")
        await personalizer.feedback(result.run_id, accepted=False, edited="Two nights? Lovely.")
        (record,) = read_episodes(trace)
        assert record.run_id == result.run_id and len(record.feedback) == 1
        said = record.feedback[0]
        assert (said.accepted, said.edited, said.rating) == (False, "Two nights? Lovely.", None)
        for wrong, named in (({"rating": 6}, "1 to 5"), ({"stars": 6}, "stars")):
            with raises(RequestError, "invalid_request", named) as raised:
                await personalizer.feedback(result.run_id, **wrong)
            assert [raised.value.field] == list(wrong)
        with raises(EmptyFeedback, "empty_feedback", result.run_id):
            await personalizer.feedback(result.run_id)
        with raises(NoSuchRun, "no_such_run", "nobody"):
            await personalizer.feedback("nobody", accepted=True)
    async with personalizer_of(tmp_path, trace=trace, namespace="other") as other:
        with raises(NoSuchRun, "no_such_run"):  # of another tenant
            await other.feedback(result.run_id, accepted=True)
    async with personalizer_of(tmp_path) as untraced:
        with raises(RequestError, "invalid_request", "trace"):
            await untraced.feedback(result.run_id, accepted=True)
