"""What each arm shows its reasoners and its writer, by the prompts that a model saw."""

from collections.abc import Mapping
from typing import Any

import pytest
from fakes import ScriptedChat
from loop_parts import LONG, GivenRetrieval, found, parts_of
from patlm.evaluation.arms.configuration import SILENT, Configuration, Reasoner, Side
from patlm.evaluation.arms.reasoners import CONSTANT
from patlm.evaluation.evaluator import Evaluator, Outcome
from patlm.evaluation.targets import Target, targets_of
from patlm.stores import Text
from patlm.stores.datasets.splits import Splits

STYLE_TEXT, PREFERENCE_TEXT, OWN_TEXT = "I slept. I ate. I left.", "The view over the bay", "Mine."


def target_of(request: Mapping[str, Any] = LONG) -> Target:
    text = Text("ana", "The real one.", title=request["title"], target=True)
    return targets_of("data", [text], "long", splits=Splits())[0]


async def run(
    configuration: Configuration, model: ScriptedChat | None = None, **given: Any
) -> tuple[Outcome, ScriptedChat]:
    chat = model or ScriptedChat()
    store = GivenRetrieval(own=[Text("ana", OWN_TEXT, topic_id="other")])
    outcome = await Evaluator(parts_of(chat, store)).run(configuration, target_of(), **given)
    return outcome, chat


async def test_without_context_there_is_one_call_and_nothing_is_read() -> None:
    outcome, model = await run(Configuration(SILENT, SILENT))
    assert [asked.role for asked in model.asked] == ["integrate"]
    assert outcome.evidence == {} and outcome.own == []
    assert outcome.summaries == {"style": None, "preference": None}


async def test_quoted_evidence_reaches_the_writer_word_for_word_under_its_name() -> None:
    outcome, model = await run(Configuration(SILENT, Side("aligned", "quoted")))
    (asked,) = model.asked
    assert PREFERENCE_TEXT in asked.user and STYLE_TEXT not in asked.user
    assert "Texts of others about it:" in asked.user
    assert "with the texts of others about it above" in asked.user
    assert list(outcome.evidence) == ["preference"]


async def test_long_quotes_are_cut_to_equal_shares_of_the_prompt() -> None:
    bodies = [f"{name} " * 400 for name in ("alpha", "beta", "gamma", "delta")]
    store = GivenRetrieval(preference=found([Text(f"u{n}", b) for n, b in enumerate(bodies)]))
    parts = parts_of(ScriptedChat(), store)
    chat = parts.chat["integrate"].model
    outcome = await Evaluator(parts).run(
        Configuration(SILENT, Side("aligned", "quoted")), target_of()
    )
    assert isinstance(chat, ScriptedChat)
    words = chat.asked[0].user.split()
    counts = [words.count(name) for name in ("alpha", "beta", "gamma", "delta")]
    # Words that a delimiter stands at are not counted.
    assert min(counts) > 50 and max(counts) - min(counts) <= 2
    assert len(words) <= parts.budget.first
    assert outcome.cut_share is not None and 0.8 < outcome.cut_share < 0.9


async def test_constant_and_given_summaries_ask_no_reasoner() -> None:
    constant, model = await run(Configuration(Side(reasoner="constant"), Side(reasoner="constant")))
    assert [asked.role for asked in model.asked] == ["integrate"]
    assert constant.summaries == CONSTANT["en"]
    given = {"ana": {"style": "Borrowed style.", "preference": None}}
    lent, model = await run(
        Configuration(Side(reasoner="given"), Side(reasoner="given")), given=given
    )
    assert lent.summaries == given["ana"]
    assert "Borrowed style." in model.asked[0].user and "Opinions" not in model.asked[0].user


async def test_swapped_reasoners_read_each_others_evidence() -> None:
    _, model = await run(Configuration(Side(reasoner="swapped"), Side(reasoner="swapped")))
    (style,), (preference,) = model.asked_of("style"), model.asked_of("preference")
    assert PREFERENCE_TEXT in style.user and STYLE_TEXT not in style.user
    assert STYLE_TEXT in preference.user and PREFERENCE_TEXT not in preference.user
    assert OWN_TEXT in preference.user and OWN_TEXT not in style.user


async def test_the_merged_reasoner_reads_all_of_it_and_writes_twice_as_much() -> None:
    _, model = await run(Configuration(SILENT, Side(reasoner="merged")))
    merged, draft = model.asked
    assert merged.role == "merged"
    assert all(text in merged.user for text in (PREFERENCE_TEXT, STYLE_TEXT, OWN_TEXT))
    assert merged.options["max_tokens"] == 96
    assert "Style and opinions:" in draft.user


async def test_of_several_drafts_the_most_typical_is_kept_and_all_are_drawn_apart() -> None:
    drafts = ["a grand view of the bay", "nothing of it", "a grand view of the town"]
    model = ScriptedChat(says={"integrate": drafts})
    outcome, _ = await run(Configuration(SILENT, SILENT, drafts=3), model, seed=2)
    assert outcome.draft == drafts[0] and len(outcome.calls) == 3
    assert [asked.options["seed"] for asked in model.asked] == [2000, 2001, 2002]
    assert {asked.options["temperature"] for asked in model.asked} == {0.5}


def test_a_fingerprint_changes_with_everything_that_matters() -> None:
    every = [
        Configuration(),
        Configuration(style=Side("random")),
        Configuration(preference=Side("random")),
        Configuration(iterations=2),
        Configuration(adapters={"style": "style@1"}),
        Configuration(k=2),
    ]
    assert len({each.fingerprint for each in every}) == len(every)
    assert Configuration().fingerprint == Configuration().fingerprint


@pytest.mark.parametrize("reasoner", ["model", "quoted", "extractive", "merged"])
async def test_a_preference_needs_as_many_authors_as_in_serving(reasoner: Reasoner) -> None:
    alone = found([Text("dee", f"{PREFERENCE_TEXT}."), Text("dee", "Cold.")])
    sides = (SILENT, Side("aligned", reasoner))
    if reasoner == "merged":
        sides = (Side("aligned", reasoner), SILENT)
    for least in (1, 2):
        chat = ScriptedChat()
        parts = parts_of(chat, GivenRetrieval(preference=alone), min_authors=least)
        outcome = await Evaluator(parts).run(Configuration(*sides), target_of())
        read = " ".join(asked.user for asked in chat.asked) + str(outcome.summaries)
        if reasoner == "extractive":
            assert (outcome.summaries["preference"] is None) == (least == 2)
        else:
            assert (PREFERENCE_TEXT in read) == (least == 1)
