"""The reasoners: what they read, when they abstain, what they warn of."""

from typing import Any

import pytest
from fakes import ScriptedChat
from loop_parts import PREFERENCE_FOUND, STYLE_FOUND, GivenRetrieval, found, parts_of, run, turn_of
from patlm.nodes.prompts.build import REASONERS
from patlm.nodes.reason import TRAJECTORIES, read_summary, summarise
from patlm.nodes.state import Request
from patlm.nodes.trace import evidence_of_hits
from patlm.stores import Text

REQUEST = Request(user_id="ana", task="long", title="Two nights by the sea")
OWN = evidence_of_hits(STYLE_FOUND, "own_history", REQUEST)[:1]


def state_of(**given: Any) -> dict[str, Any]:
    state = {
        "evidence": {
            "style": evidence_of_hits(STYLE_FOUND, "aligned", REQUEST),
            "preference": evidence_of_hits(PREFERENCE_FOUND, "aligned", REQUEST),
        },
        "confidence": {"style": 0.5, "preference": 0.5},
        "own": [],
        "draft": "A draft.",
        "summaries": {"style": "Was curt.", "preference": "Was cold."},
    }
    return {**state, **given}


async def summary_of(
    model: ScriptedChat, name: str = "style", iteration: int = 1, **state: Any
) -> tuple[str | None, dict[str, Any]]:
    parts = parts_of(model, least_confidence={"style": 0.1, "preference": 0.1})
    turn = turn_of(parts, iteration=iteration, state=state_of(**state))
    (trajectory,) = (each for each in TRAJECTORIES if each.name == name)
    return await summarise(turn, trajectory, REASONERS)


@pytest.mark.parametrize(
    ("answer", "summary"),
    [
        ("Curt. \n Plain.", "Curt. Plain."),
        ("No usable signal.", None),
        ("no usable signal", None),
        ("Sorry: NO USABLE SIGNAL here.", None),
        ("", None),
        (" \n", None),
    ],
)
def test_an_answer_is_a_summary_or_an_abstention(answer: str, summary: str | None) -> None:
    assert read_summary(answer) == summary


async def test_each_side_reads_its_own_evidence(model: ScriptedChat) -> None:
    assert (await summary_of(model, "style"))[0] == "Short and plain."
    assert (await summary_of(model, "preference"))[0] == "They like the view."
    style, preference = model.asked
    assert "I slept. I ate." in style.user and "Breakfast" not in style.user
    assert "Breakfast was cold" in preference.user and "I slept" not in preference.user


async def test_no_evidence_is_an_abstention_without_a_call(model: ScriptedChat) -> None:
    summary, entry = await summary_of(model, "preference", evidence={"preference": []})
    assert (summary, model.asked) == (None, [])
    assert entry["warnings"] == ["preference: no evidence was found, so this side abstains"]


async def test_too_little_confidence_is_an_abstention_without_a_call(model: ScriptedChat) -> None:
    doubtful = {"style": 0.09, "preference": 0.1}
    summary, entry = await summary_of(model, "style", confidence=doubtful)
    assert (summary, model.asked) == (None, [])
    assert "confidence 0.09 is below 0.1" in entry["warnings"][0]
    assert (await summary_of(model, "preference", confidence=doubtful))[0] is not None


async def test_own_texts_need_no_confidence_in_others(model: ScriptedChat) -> None:
    summary, entry = await summary_of(model, confidence={"style": 0.0}, own=OWN)
    assert summary == "Short and plain."
    (asked,) = model.asked
    assert OWN[0]["body"] in asked.user and "Well! Well!" not in asked.user
    assert "only the user's own texts are read" in entry["warnings"][0]


async def test_only_style_reads_own_texts(model: ScriptedChat) -> None:
    own = [{**OWN[0], "body": "Written by myself."}]
    await summary_of(model, "style", own=own)
    await summary_of(model, "preference", own=own)
    assert ["Written by myself." in asked.user for asked in model.asked] == [True, False]


async def test_draft_and_partner_join_in_the_second_iteration(model: ScriptedChat) -> None:
    await summary_of(model, "style", 1)
    await summary_of(model, "style", 2)
    await summary_of(model, "preference", 2)
    first, style, preference = (asked.user for asked in model.asked)
    assert not any(part in first for part in ("A draft.", "Was cold.", "Was curt."))
    assert "A draft." in style and "Was cold." in style and "Was curt." not in style
    assert "A draft." in preference and "Was curt." in preference and "Was cold" not in preference


async def test_how_much_was_cut_is_warned_of(model: ScriptedChat) -> None:
    pieces = [{**OWN[0], "body": "word " * 1000}]
    _, entry = await summary_of(model, evidence={"style": pieces})
    share = int(entry["warnings"][0].removeprefix("style: ").split("%")[0])
    read = model.asked[0].user.count("word ") + 1
    assert share == pytest.approx(100 * (1 - read / 1000), abs=1.5)
    assert (await summary_of(model))[1]["warnings"] == []


ALONE = found([Text("dee", "Grand view.", topic_id="sea"), Text("dee", "Cold.", topic_id="sea")])


@pytest.mark.parametrize("mode", ["summaries", "quoted"])
async def test_a_preference_of_one_author_abstains_and_says_what_to_set(
    model: ScriptedChat, mode: str
) -> None:
    parts = parts_of(model, GivenRetrieval(preference=ALONE))
    result = await run(parts, mode=mode, sides="both", max_iterations=1)
    assert result["summaries"]["preference"] is None
    assert "Grand view." not in " ".join(asked.user for asked in model.asked)
    assert len(result["evidence"]["preference"]) == 2
    (said,) = [each for each in result["warnings"] if "min_authors" in each]
    assert "PATLM_MIN_AUTHORS" in said and "1 author" in said
    for few in (parts_of(model, GivenRetrieval(preference=ALONE), min_authors=1), parts):
        context = {} if few is not parts else {"min_authors": 1}
        result = await run(few, mode=mode, sides="both", max_iterations=1, **context)
        assert result["summaries"]["preference"]
        assert not any("min_authors" in each for each in result["warnings"])


async def test_one_piece_is_by_one_author_and_own_texts_need_no_other(model: ScriptedChat) -> None:
    one = GivenRetrieval(preference=found([Text("dee", "Grand view.", topic_id="sea")]))
    result = await run(parts_of(model, one), k=1, max_iterations=1)
    assert result["summaries"]["preference"]
    own = GivenRetrieval(own=[Text("ana", "My own words.", topic_id="bay")], preference=ALONE)
    strategies = {"preference": "own_history"}
    result = await run(parts_of(model, own), strategies=strategies, max_iterations=1)
    assert result["summaries"]["preference"]
