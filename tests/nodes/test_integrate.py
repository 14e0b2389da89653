"""integrate: what it reads, and how its answer becomes a draft."""

from dataclasses import replace
from typing import Any

import pytest
from fakes import ScriptedChat
from loop_parts import PREFERENCE_FOUND, STYLE_FOUND, parts_of, turn_of
from patlm.nodes.budget import BUDGETS
from patlm.nodes.integrate import read_draft, write_draft
from patlm.nodes.prompts.build import PREFERENCE, REASONERS, STYLE
from patlm.nodes.state import Request
from patlm.nodes.trace import evidence_of_hits

BOTH = {"style": "Curt.", "preference": "They like the view."}


def request_of(task: str) -> Request:
    return Request.model_validate(
        {"user_id": "u", "task": task, "title": "T", "text": "X", "instruction": "I"}
    )


@pytest.mark.parametrize(
    ("answer", "draft"),
    [
        ("4", "4"),
        ("4/5", "4"),
        ("(5 stars)", "5"),
        ("I give it 2 out of 5.", "2"),
        ("**3**", "3"),
        ("3, because it rained", "3"),
        ("Rating (1-5): 4", "4"),
        ("four", "4"),
    ],
)
def test_a_rating_is_one_integer(answer: str, draft: str) -> None:
    assert read_draft(answer, request_of("rating")) == (draft, None)


@pytest.mark.parametrize(
    "answer",
    [
        "great",
        "",
        "10",
        "4.5",
        "0",
        "0/5",
        "0 out of 5",
        "6/5",
        "8/10",
        "-3",
        "1,000",
        "2024",
        "45",
    ],
)
def test_what_is_no_rating_is_unparsable(answer: str) -> None:
    draft, flaw = read_draft(answer, request_of("rating"))
    assert draft == answer
    assert flaw is not None and flaw.startswith("unparsable")


@pytest.mark.parametrize(
    ("answer", "draft"),
    [
        ("Grand bay", "Grand bay"),
        ('"Grand bay"', "Grand bay"),
        ("\n\nTitle: Grand bay\nand more", "Grand bay"),
        ('Title: "Grand bay"', "Grand bay"),
        ("one two three four five six seven eight nine ten eleven", None),
    ],
)
def test_a_title_is_one_line_of_at_most_ten_words(answer: str, draft: str | None) -> None:
    expected = draft or "one two three four five six seven eight nine ten"
    assert read_draft(answer, request_of("short")) == (expected, None)


@pytest.mark.parametrize(
    ("answer", "draft"),
    [
        ('"We loved it."', "We loved it."),
        ('"""We loved it."""', "We loved it."),
        ("“We loved it.”", "We loved it."),
        ('"We loved it and', "We loved it and"),  # broken off by its length
        ('The clerk said "no"', 'The clerk said "no"'),
        ('"Grand" is the word for it.', '"Grand" is the word for it.'),
        ("Line one.\n\nLine two.", "Line one.\n\nLine two."),
    ],
)
@pytest.mark.parametrize("task", ["long", "free"])
def test_a_text_loses_only_the_quotes_around_the_whole(task: str, answer: str, draft: str) -> None:
    assert read_draft(answer, request_of(task)) == (draft, None)


@pytest.mark.parametrize("answer", ["", " \n", '""', '""""""'])
@pytest.mark.parametrize("task", ["long", "short", "free"])
def test_an_empty_answer_is_told(task: str, answer: str) -> None:
    assert read_draft(answer, request_of(task)) == ("", "the model answered nothing")


async def draft_of(
    model: ScriptedChat, summaries: dict[str, str | None], task: str = "long", **given: Any
) -> dict[str, Any]:
    request = {"user_id": "u", "task": task, "title": "T" if task != "free" else "", "text": "X",
               "instruction": "I"}  # fmt: skip
    state = {
        "evidence": {
            "style": evidence_of_hits(STYLE_FOUND, "aligned", request_of(task)),
            "preference": evidence_of_hits(PREFERENCE_FOUND, "aligned", request_of(task)),
        },
        "own": [],
    }
    turn = turn_of(parts_of(model, **given), request, state=state)
    _, entry = await write_draft(turn, summaries, REASONERS)
    return entry


async def test_it_reads_the_summaries_and_nobodys_raw_text(model: ScriptedChat) -> None:
    await draft_of(model, BOTH)
    (asked,) = model.asked
    assert "Curt." in asked.user and "They like the view." in asked.user
    raw = [hit.text.body for hit in (*STYLE_FOUND.hits, *PREFERENCE_FOUND.hits)]
    assert not any(part in asked.user for body in raw for part in (body, body[:12]))


async def test_a_side_that_abstained_is_left_out(model: ScriptedChat) -> None:
    await draft_of(model, {"style": None, "preference": "They like the view."})
    await draft_of(model, {"style": None, "preference": None})
    assert STYLE.heading not in model.asked[0].user and PREFERENCE.heading in model.asked[0].user
    assert PREFERENCE.heading not in model.asked[1].user


@pytest.mark.parametrize(("base", "begun"), [("0" * 16, True), (None, False)])
async def test_a_local_model_continues_a_post_and_a_served_one_is_told(
    model: ScriptedChat, base: str | None, begun: bool
) -> None:
    parts = parts_of(model, budget=BUDGETS["medium"])
    role = replace(parts.chat["integrate"], base=base)
    turn = turn_of(replace(parts, chat={**parts.chat, "integrate": role}))
    draft, entry = await write_draft(turn, BOTH, REASONERS)
    (asked,) = model.asked
    assert (asked.turns[-1] == "ai") is begun
    assert (entry["call"]["messages"][-1]["role"] == "assistant") is begun and draft
