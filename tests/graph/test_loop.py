"""The graph from end to end, with language models that follow a script."""

from collections import Counter
from typing import Any

import pytest
from fakes import ScriptedChat
from loop_parts import LONG, GivenRetrieval, MemoryTrace, loop_of, parts_of, run
from patlm.nodes.errors import RequestError
from patlm.nodes.node import Turn
from patlm.nodes.prompts.build import ReasonerText
from patlm.nodes.reason import TRAJECTORIES, Trajectory
from patlm.nodes.state import Result
from patlm.stores.texts.store import TextStore
from patlm.stores.types import Found
from raising import raises

NODES = {
    "style-retrieve",
    "preference-retrieve",
    "style-reason",
    "preference-reason",
    "integrate",
    "check-stop",
}
CHANGING = {
    "style": ["Short words.", "Long, winding sentences; semicolons!"],
    "preference": ["They like the view.", "Breakfast is cold and late."],
    "integrate": ["A fine view.", "Cold eggs again, and no toast."],
}


def test_the_graph_has_the_six_nodes_and_goes_back_to_both(model: ScriptedChat) -> None:
    graph = loop_of(parts_of(model)).get_graph()
    assert NODES <= set(graph.nodes)
    edges = {(edge.source, edge.target) for edge in graph.edges}
    assert {target for source, target in edges if source == "check-stop"} == {
        "style-retrieve",
        "preference-retrieve",
        "__end__",
    }
    assert {target for source, target in edges if source == "__start__"} == {
        "style-retrieve",
        "preference-retrieve",
    }


async def test_a_run_gives_back_everything_that_the_result_promises(model: ScriptedChat) -> None:
    result = Result.model_validate(await run(parts_of(model)))
    assert result.text == "A fine view."
    assert result.summaries == {"style": "Short and plain.", "preference": "They like the view."}
    assert [piece.user_id for piece in result.evidence["style"]] == ["bo", "cy"]
    assert [piece.user_id for piece in result.evidence["preference"]] == ["dee", "eli"]
    assert set(result.confidence) == {"style", "preference"}
    assert (result.cold_start, result.own) == ("zero", [])
    assert result.models == {
        "style": "style-model",
        "preference": "preference-model",
        "integrate": "integrate-model",
    }
    assert result.adapters == dict.fromkeys(("style", "preference", "integrate"), "base")
    assert set(result.timings) == NODES | {"total"}
    assert result.timings["total"] >= max(result.timings[node] for node in NODES)


async def test_answers_that_do_not_change_settle_in_the_second_iteration(
    model: ScriptedChat,
) -> None:
    result = await run(parts_of(model), max_iterations=9)
    assert (result["stop_reason"], result["iterations"]) == ("settled", 2)
    assert Counter(asked.role for asked in model.asked) == dict.fromkeys(
        ("style", "preference", "integrate"), 2
    )


async def test_the_second_iteration_refines_the_preference_query_only() -> None:
    model, store = ScriptedChat(says=CHANGING), GivenRetrieval()
    await run(parts_of(model, store))
    first, second = store.asked_of("preference")
    assert "A fine view." not in first["words"] and "A fine view." in second["words"]
    assert len(store.asked_of("style")) == 1, "the style query does not change: it costs nothing"
    later = model.asked_of("style")[1].user
    assert "A fine view." in later and "They like the view." in later


async def test_both_sides_abstaining_ends_the_first_iteration() -> None:
    says = dict.fromkeys(("style", "preference"), "No usable signal.") | {"integrate": "Fine."}
    model = ScriptedChat(says=says)
    result = await run(parts_of(model), max_iterations=5)
    assert (result["stop_reason"], result["iterations"]) == ("abstained", 1)
    assert (result["text"], result["summaries"]) == ("Fine.", {"style": None, "preference": None})
    assert result["evidence"]["style"], "the evidence of a side that abstains is still listed"


async def test_without_any_evidence_a_draft_is_written_from_the_request(
    model: ScriptedChat,
) -> None:
    store = GivenRetrieval(style=Found(), preference=Found())
    result = await run(parts_of(model, store))
    assert result["stop_reason"] == "abstained" and result["text"] == "A fine view."
    assert [asked.role for asked in model.asked] == ["integrate"]
    assert len(result["warnings"]) == 2


async def test_the_better_of_two_drafts_is_given_back_with_what_led_to_it() -> None:
    # The first draft repeats the preference summary's words, the second has none of them.
    says = {
        "style": "No usable signal.",
        "preference": ["grand view bay", "cold breakfast eggs"],
        "integrate": ["grand view bay", "quite unlike anything whatsoever"],
    }
    trace = MemoryTrace()
    result = await run(parts_of(ScriptedChat(says=says), trace=trace))
    assert (result["iterations"], result["text"]) == (2, "grand view bay")
    assert result["summaries"]["preference"] == "grand view bay"
    assert [iteration.kept for iteration in trace.records[0].iterations] == [True, False]
    first, second = trace.records[0].iterations
    assert first.score is not None and second.score is not None and first.score > second.score


@pytest.mark.parametrize(
    ("request_", "answer", "text"),
    [
        ({"task": "long", "title": "By the sea"}, "We stayed.", "We stayed."),
        ({"task": "short", "text": "We stayed."}, 'Title: "By the sea"', "By the sea"),
        ({"task": "rating", "text": "We stayed."}, "A solid 4/5", "4"),
        ({"task": "free", "instruction": "Decline."}, "Sorry, no.", "Sorry, no."),
    ],
)
async def test_each_task_answers(request_: dict[str, str], answer: str, text: str) -> None:
    model = ScriptedChat(says={**CHANGING, "integrate": answer})
    result = await run(parts_of(model), {"user_id": "ana", **request_})
    assert (result["text"], result["warnings"]) == (text, [])


@pytest.mark.parametrize("answers", [["lovely place", "4"], ["4", "lovely place"]])
async def test_a_rating_with_a_number_beats_one_without(answers: list[str]) -> None:
    model = ScriptedChat(says={**CHANGING, "integrate": answers})
    result = await run(parts_of(model), {"user_id": "u", "task": "rating", "text": "We stayed."})
    assert (result["text"], result["warnings"]) == ("4", [])


@pytest.mark.parametrize(
    ("request_", "context", "field", "named"),
    [
        ({"task": "long", "title": "t"}, {}, "user_id", "user_id"),
        ({"user_id": "u"}, {}, "task", "task"),
        (LONG, {"strategies": {"style": "psychic"}}, "strategies", "'psychic'"),
        (LONG, {"adapters": {"style": "style@3"}}, "adapters", "style@3"),
        (LONG, {"adapters": {"stile": "style@3"}}, "adapters", "'stile'"),
    ],
)
async def test_a_request_that_cannot_be_answered_is_a_clear_error(
    model: ScriptedChat, request_: dict[str, Any], context: dict[str, Any], field: str, named: str
) -> None:
    trace = MemoryTrace()
    with raises(RequestError, "invalid_request", named) as raised:
        await run(parts_of(model, trace=trace), request_, **context)
    assert raised.value.field == field
    assert (model.asked, trace.records) == ([], [])


async def test_every_run_leaves_one_record() -> None:
    trace, model = MemoryTrace(), ScriptedChat(says=CHANGING)
    await run(parts_of(model, trace=trace), {**LONG, "topic_id": "sea"}, k=3)
    (record,) = trace.records
    assert (record.request["user_id"], record.request["topic_id"]) == ("ana", "sea")
    assert (record.context["k"], record.namespace) == (3, "default")
    assert [call.role for call in record.samples].count("integrate") == 2
    assert {(call.node, call.iteration) for call in record.samples} == {
        (node, iteration)
        for node in ("style-reason", "preference-reason", "integrate")
        for iteration in (1, 2)
    }
    asked = {(asked.system, asked.user, asked.number) for asked in model.asked}
    kept = {
        (call.messages[0].content, call.messages[1].content, call.iteration)
        for call in record.samples
    }
    assert kept == asked, "prompts are kept as they were sent"
    for iteration in record.iterations:
        assert set(iteration.evidence) == {"style", "preference"}
        assert len(iteration.evidence["style"]) == len(iteration.evidence["preference"]) == 2
    assert [iteration.draft for iteration in record.iterations] == CHANGING["integrate"]
    assert [iteration.summaries["style"] for iteration in record.iterations] == CHANGING["style"]
    assert record.iterations[0].similarity is None
    assert record.iterations[1].similarity is not None
    assert [iteration.kept for iteration in record.iterations].count(True) == 1
    assert (record.stop_reason, record.error) == ("max_iterations", None)
    assert set(record.timings) == NODES | {"total"}


async def test_a_trace_that_cannot_be_written_costs_no_draft(model: ScriptedChat) -> None:
    class FullDisk:
        def append(self, record: object) -> None:
            raise OSError(28, "No space left on device")

    result = await run(parts_of(model, trace=FullDisk()))
    assert result["text"] == "A fine view."
    assert "No space left on device" in result["warnings"][-1]


FACTS = ReasonerText(
    system="You list facts.",
    evidence_heading="Facts:",
    question="Which facts matter?",
    heading="What is known",
)


def facts_trajectory() -> Trajectory:
    async def retrieve(turn: Turn) -> tuple[dict[str, Any], dict[str, Any]]:
        pieces = [
            {
                "text_id": "9", "user_id": "zoe", "topic_id": "t", "title": "", "score": 1.0,
                "body": f"Fact {turn.iteration}.", "strategy": "s", "reason": "r",
            }
        ]  # fmt: skip
        update = {"evidence": {"facts": pieces}, "confidence": {"facts": 1.0}}
        return update, {"evidence": pieces}

    return Trajectory("facts", FACTS, retrieve)


async def test_a_third_trajectory_joins_and_the_loop_goes_back_to_all() -> None:
    trace, model = MemoryTrace(), ScriptedChat(says={**CHANGING, "other": "Facts matter."})
    parts = parts_of(model, trace=trace)
    result = await loop_of(parts, [*TRAJECTORIES, facts_trajectory()]).ainvoke(LONG)
    assert result["summaries"]["facts"] == "Facts matter."
    assert result["iterations"] == 2
    assert [asked.user.count("Fact 2.") for asked in model.asked_of("other")] == [0, 1]
    assert 'What is known: """Facts matter."""' in model.asked_of("integrate")[0].user
    assert 'What is known: """Facts matter."""' in model.asked_of("style")[1].user
    assert result["models"]["facts"] == "preference-model"
    assert set(trace.records[0].iterations[1].evidence) == {"style", "preference", "facts"}


async def test_real_evidence_is_by_others_and_style_is_never_on_the_topic(
    sample_store: TextStore, model: ScriptedChat
) -> None:
    request = {**LONG, "user_id": "tilly-types", "topic_id": "airport-hotel"}
    result = await run(parts_of(model, sample_store), request)
    style, preference = result["evidence"]["style"], result["evidence"]["preference"]
    assert len(style) == len(preference) == 4
    assert all(piece["user_id"] != "tilly-types" for piece in (*style, *preference))
    assert all(piece["topic_id"] != "airport-hotel" for piece in style)
    assert {piece["topic_id"] for piece in preference} == {"airport-hotel"}
    assert result["own"] and {piece["user_id"] for piece in result["own"]} == {"tilly-types"}
    assert all(piece["topic_id"] != "airport-hotel" for piece in result["own"])


@pytest.mark.parametrize(("topic", "says"), [(None, "no topic"), ("nowhere", "nowhere")])
async def test_without_a_known_topic_the_reasons_say_so(
    sample_store: TextStore, model: ScriptedChat, topic: str | None, says: str
) -> None:
    request = {"user_id": "new", "task": "free", "instruction": "Praise a warm wool blanket."}
    parts = parts_of(model, sample_store)
    unknown = await run(parts, {**request, "topic_id": topic})
    known = await run(parts, {**request, "topic_id": "wool-blanket"})
    assert unknown["text"]
    assert all(says in piece["reason"] for piece in unknown["evidence"]["preference"])
    assert unknown["confidence"]["preference"] < known["confidence"]["preference"]
