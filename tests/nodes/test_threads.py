"""One thread, several runs, as `langgraph dev` makes them; interrupts and resuming."""

from contextlib import suppress
from typing import Any

import pytest
from fakes import ScriptedChat, fails
from langgraph.checkpoint.memory import InMemorySaver
from loop_parts import LONG, GivenRetrieval, MemoryTrace, loop_of, parts_of
from patlm.nodes.errors import ModelCallError, RequestError
from patlm.nodes.state import RunContext
from patlm.stores.types import Text
from raising import raises

THREAD: Any = {"configurable": {"thread_id": "one"}}
CHANGING = {
    "style": ["curt", "warm", "stiff", "loud"],
    "preference": ["bright view", "cold breakfast", "noisy lift", "soft bed"],
    "integrate": ["first draft", "another text", "third piece", "fourth attempt"],
}
SHORT = {"user_id": "bea", "task": "short", "text": "It rained all week."}


def threaded(model: ScriptedChat, store: Any = None, **options: Any) -> tuple[Any, MemoryTrace]:
    trace = MemoryTrace()
    parts = parts_of(model, store, trace=trace)
    return loop_of(parts, checkpointer=InMemorySaver(), **options), trace


async def test_a_second_run_sees_nothing_of_the_first() -> None:
    model = ScriptedChat(says=CHANGING)
    store = GivenRetrieval(own=[Text("ana", "Mine, all mine.")])
    graph, trace = threaded(model, store)
    first = await graph.ainvoke(LONG, THREAD, context=RunContext(max_iterations=2))
    store.own = ()
    asked_before = len(model.asked)
    second = await graph.ainvoke(SHORT, THREAD, context=RunContext(max_iterations=1))
    assert (first["iterations"], second["iterations"]) == (2, 1)
    assert (first["cold_start"], second["cold_start"], second["own"]) == ("few", "zero", [])
    assert second["text"] == "third piece"
    for asked in model.asked[asked_before:]:
        assert not any(
            part in asked.user for part in ("first draft", "Two nights", "Mine, all mine.")
        )
    assert "Two nights" not in store.asked_of("preference")[-1]["words"]
    old, new = trace.records
    assert (len(old.samples), len(new.samples)) == (6, 3)
    assert (len(old.iterations), len(new.iterations)) == (2, 1)
    assert new.request["user_id"] == "bea" and new.own == ()
    assert [call.iteration for call in new.samples] == [1, 1, 1]
    assert second["timings"]["style-reason"] < second["timings"]["total"]


@pytest.mark.parametrize("ends", ["well", "by an error", "at a stop"])
async def test_a_second_run_streams_nothing_of_the_first(ends: str) -> None:
    """Whatever is asked for: not even the state before its first step."""
    fault = fails(ValueError("down"), role="integrate", calls=[1])
    model = ScriptedChat(says=CHANGING, fault=fault if ends == "by an error" else None)
    store = GivenRetrieval(own=[Text("ana", "Mine, all mine.")])
    graph, _ = threaded(model, store)
    stops: Any = {"interrupt_before": ["integrate"]} if ends == "at a stop" else {}
    with suppress(ModelCallError):
        await graph.ainvoke(LONG, THREAD, **stops)
    assert "Mine, all mine." in repr(await graph.aget_state(THREAD))
    store.own = ()
    modes = ["values", "updates", "messages", "tasks", "custom"]
    chunks = [chunk async for chunk in graph.astream(SHORT, THREAD, stream_mode=modes)]
    assert {mode for mode, _ in chunks} >= {"values", "updates", "messages", "tasks"}
    drafted = ("first draft",) if ends == "well" else ()  # else the second run's is the first
    for part in ("Mine, all mine.", "curt", "bright view", "Two nights", "'ana'", *drafted):
        assert part not in repr(chunks), part
    state = await graph.aget_state(THREAD)
    assert "Mine, all mine." not in repr(state) and "Two nights" not in repr(state)


@pytest.mark.parametrize(
    "later", [{"title": "Another title"}, {"text": "Another"}, {"language": "pt"}]
)
async def test_a_later_run_does_not_borrow_the_firsts_user(later: dict[str, Any]) -> None:
    model = ScriptedChat()
    graph, _ = threaded(model)
    await graph.ainvoke(LONG, THREAD)
    asked = len(model.asked)
    for given, field in ((later, "user_id"), ({"user_id": "bea", "task": "long"}, "title")):
        with raises(RequestError, "invalid_request") as raised:
            await graph.ainvoke(given, THREAD)
        assert raised.value.field == field
    assert len(model.asked) == asked


async def test_a_run_after_a_failed_one_starts_afresh() -> None:
    model = ScriptedChat(fault=fails(ValueError("down"), role="integrate", calls=[1]))
    graph, trace = threaded(model)
    with pytest.raises(ModelCallError):
        await graph.ainvoke(LONG, THREAD)
    result = await graph.ainvoke(SHORT, THREAD, context=RunContext(max_iterations=1))
    assert result["stop_reason"] == "max_iterations"
    failed, record = trace.records
    assert failed.request["user_id"] == "ana"
    assert [sample.text is None for sample in failed.samples] == [False, False, True]
    assert record.request["user_id"] == "bea" and len(record.samples) == 3


async def test_a_run_stepped_through_gives_what_an_unbroken_one_gives() -> None:
    stops = ["style-retrieve", "preference-reason", "integrate", "check-stop"]
    whole, _ = threaded(ScriptedChat(says=CHANGING))
    expected = await whole.ainvoke(LONG, THREAD)
    graph, trace = threaded(ScriptedChat(says=CHANGING), interrupt_before=stops)
    result, steps = await graph.ainvoke(LONG, THREAD), 0
    while (await graph.aget_state(THREAD)).next:
        result, steps = await graph.ainvoke(None, THREAD), steps + 1
    assert steps == 8  # four stops in each of two iterations
    for run in (expected, result):
        del run["timings"], run["run_id"]
    assert result == expected
    assert len(trace.records) == 1 and len(trace.records[0].samples) == 6


async def test_a_summary_can_be_edited_at_an_interrupt() -> None:
    model = ScriptedChat(says=CHANGING)
    graph, _ = threaded(model, interrupt_before=["integrate"])
    await graph.ainvoke(LONG, THREAD)
    edited = {"summaries": {"style": "Edited by hand."}}
    await graph.aupdate_state(THREAD, edited, as_node="style-reason")
    while (await graph.aget_state(THREAD)).next:
        await graph.ainvoke(None, THREAD)
    assert "Edited by hand." in model.asked_of("integrate")[0].user


async def test_a_state_that_is_kept_is_plain_json() -> None:
    import json

    graph, _ = threaded(ScriptedChat(says=CHANGING), interrupt_before=["check-stop"])
    await graph.ainvoke(LONG, THREAD)
    values = (await graph.aget_state(THREAD)).values
    assert json.loads(json.dumps(values)) == values
