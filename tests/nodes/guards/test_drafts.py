"""Guards of a run: what is replaced before it is read, and what a draft may not repeat."""

import random
import time
from typing import Any

import pytest
from fakes import ScriptedChat
from loop_parts import LONG, GivenRetrieval, MemoryTrace, found, loop_of, parts_of, run, turn_of
from made_personal_data import read_items
from patlm.cli.doctor import guard_findings
from patlm.graph import Personalizer, Settings
from patlm.graph.events import STREAM_MODES, DraftToken, read_events
from patlm.nodes.dependencies import Parts
from patlm.nodes.errors import SettingsError
from patlm.nodes.guards import drafts
from patlm.nodes.guards.drafts import Guard, cut, note, say
from patlm.nodes.guards.personal_data import KINDS, GuardSettings, scrub
from patlm.nodes.integrate import write_draft
from patlm.nodes.prompts.build import REASONERS
from patlm.nodes.state import Request, Result, RunContext
from patlm.nodes.trace import evidence_of_hits
from patlm.stores.types import Text
from raising import raises

COPY = "the heron on the pier looked at me as if I owed it money"
OF_BO = Text("bo", f"We came late. So {COPY}, and then it left. Breakfast was fine.")
OFF = GuardSettings(frozenset(), 0)
MAIL, PHONE = "olive@larkmail.com", "(202) 555-0143"
OF_CY = Text("cy", f"Lovely place. Write to {MAIL} or call {PHONE}!", title=f"Ask {MAIL}")
WORDS = [f"{a}{b}{c}" for a in ("ba", "ko", "ru", "mi") for b in "lnst" for c in ("a", "od", "ip")]


def parts_with(
    *others: Text, own: tuple[Text, ...] = (), says: dict[str, Any] | None = None, **given: Any
) -> tuple[ScriptedChat, Parts]:
    model = ScriptedChat(says={**ScriptedChat().says, **(says or {})})
    texts = found(others)
    store = GivenRetrieval(own=own, style=texts, preference=texts)
    return model, parts_of(model, store, **{"min_authors": 1, **given})


async def result_of(says: Any, *others: Text, **given: Any) -> tuple[ScriptedChat, dict[str, Any]]:
    """Run the loop once with what integrate says."""
    context = given.pop("context", {"max_iterations": 1})
    request = given.pop("request", {"user_id": "ana", "task": "long", "title": "By the sea"})
    model, parts = parts_with(*(others or (OF_BO,)), says={"integrate": says}, **given)
    return model, await run(parts, request, **context)


@pytest.mark.parametrize("mode", ["summaries", "own_quoted", "quoted"])
async def test_what_others_tell_of_themselves_is_in_no_prompt_no_result_and_no_record(
    mode: str,
) -> None:
    items = [item for item in read_items() if item["kind"] != "address"][::25]
    kinds = {item["kind"] for item in items}
    assert len(kinds) == 7
    for item in items:
        said = str(item["text"])[int(str(item["start"])) : int(str(item["end"]))]
        if item["kind"] == "phone" and said.startswith("07700"):
            continue  # not found, see docs/results/trust.md
        text, language = str(item["text"]), str(item["language"])
        other = Text("bo", text, title=text, language=language)
        trace = MemoryTrace()
        model, parts = parts_with(other, trace=trace)
        result = await run(parts, mode=mode)
        written = "\n".join([*(asked.user for asked in model.asked), repr(result["evidence"])])
        assert said not in written and said not in trace.records[0].model_dump_json(), item
        assert "[" in result["evidence"]["style"][0]["body"]


async def test_a_text_without_personal_data_is_looked_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[str] = []

    def counted(text: str, *given: Any) -> Any:
        looked.append(text)
        return scrub(text, *given)

    monkeypatch.setattr(drafts, "scrub", counted)
    calm = Text("bo", "A calm text that no other test has.", title="Calm, once")
    for _ in range(2):  # two requests that find the same
        _, result = await result_of("Fine.", calm, OF_CY)
        assert MAIL not in str(result["evidence"])
    assert looked.count(calm.body) == looked.count(calm.title) == 1
    assert looked.count(OF_CY.body) > 1, "what has some is found anew: its digests are of the run"
    email = parts_with(calm, guards=GuardSettings(frozenset({"email"}), 0))[1]
    await run(email, {"user_id": "ana", "task": "long", "title": "By the sea"}, max_iterations=1)
    assert looked.count(calm.body) == 2, "other kinds, another look"


async def test_own_texts_are_read_as_they_are() -> None:
    own = (Text("ana", f"My mail is {MAIL}."),)
    model, parts = parts_with(OF_BO, own=own)
    result = await run(parts, mode="own_quoted")
    assert MAIL in model.asked_of("style")[0].user and MAIL in model.asked_of("integrate")[0].user
    assert MAIL in result["own"][0]["body"]
    strategies = {"style": "own_history", "preference": "own_history"}
    _, parts = parts_with(OF_BO, own=own)
    result = await run(parts, strategies=strategies)
    assert MAIL in result["evidence"]["style"][0]["body"]


def planted(rng: random.Random, size: int) -> tuple[Guard, str, str]:
    """Return a guard of some texts, a draft with a run of one, and the run."""
    texts = [rng.choices(WORDS, k=rng.randint(40, 200)) for _ in range(8)]
    words = rng.choice(texts)
    at = rng.randrange(len(words) - size)
    run = words[at : at + size]
    marks = [rng.choice((word, word.upper(), f"{word},", f'"{word}"', f"{word} -")) for word in run]
    before, after = (" ".join(rng.choices("abcdefgh", k=rng.randint(0, 30))) for _ in range(2))
    others = [f"{' '.join(text[:20])}. {' '.join(text[20:])}" for text in texts]
    return Guard(8, others=others), f"{before} {' '.join(marks)} {after}", " ".join(run)


def test_100_of_100_planted_copies_are_found_and_none_of_seven_words() -> None:
    rng, hits = random.Random(25), 0
    for _ in range(100):
        size = rng.randint(8, 30)
        guard, draft, run = planted(rng, size)
        faults = guard.faults(draft)
        assert sum(fault.words for fault in faults) >= size
        text, _ = cut(draft, faults)
        hits += not guard.faults(text)
    assert hits == 100
    for _ in range(100):
        guard, draft, _ = planted(rng, 7)
        assert not guard.faults(draft)


@pytest.mark.parametrize(
    ("text", "draft"),
    [
        ("It’s a fine lamp and I don’t regret it at all.", "IT'S A FINE LAMP AND I DON'T REGRET"),
        ("Não há café melhor na cidade, nem à noite.", "não há café melhor na cidade, nem à"),
        ("这家酒店的早餐非常好吃而且服务员很热情", "酒店的早餐非常好吃而且服务员很热"),
        (
            "one two three\n\nfour - five; six (seven) eight",
            "One, two, three, four, five, six, seven, eight",
        ),  # fmt: skip
    ],
)
def test_case_marks_and_script_hide_no_copy(text: str, draft: str) -> None:
    assert Guard(8, others=[text]).faults(f"So: {draft}.")


def test_few_characters_of_a_script_without_spaces_are_no_copy() -> None:
    assert not Guard(8, others=["这家酒店的早餐非常好吃"]).faults("酒店的早餐非常好")


async def test_a_copy_is_asked_for_once_more_with_what_was_wrong() -> None:
    says = [f"I say {COPY}. Nice.", "A bird stared at me. Nice."]
    model, result = await result_of(says)
    first, second = model.asked_of("integrate")
    assert second.user.startswith(first.user) and COPY in second.user
    assert result["text"] == "A bird stared at me. Nice."
    (warning,) = [said for said in result["warnings"] if said.startswith("integrate")]
    assert "14 words" in warning and "heron" not in warning
    assert result["tokens_in"] > 0 and result["calls"] == 3


async def test_what_is_copied_again_is_cut_at_sentences() -> None:
    says = f"We had two nights. I say {COPY.upper()}, ha. The sea was calm."
    model, result = await result_of(says)
    assert len(model.asked_of("integrate")) == 2
    assert result["text"] == "We had two nights. The sea was calm."
    assert "1 of its 3 sentences are cut" in result["warnings"][-1]


async def test_a_draft_that_is_all_copied_is_empty_and_says_so() -> None:
    _, result = await result_of(OF_BO.body.split(". ")[1])
    assert result["text"] == "" and "nothing of it is left" in " ".join(result["warnings"])


async def test_summaries_are_guarded_too() -> None:
    model, parts = parts_with(OF_BO, says={"preference": f"They say {COPY}. They like it."})
    result = await run(parts, max_iterations=1)
    assert len(model.asked_of("preference")) == 2
    assert result["summaries"]["preference"] == "They like it."
    assert all(COPY not in asked.user for asked in model.asked_of("integrate"))


async def test_the_mode_quoted_shows_texts_and_guards_the_draft() -> None:
    context = {"mode": "quoted"}
    model, result = await result_of(f"I say {COPY}. Nice.", context=context)
    assert COPY in model.asked[0].user and result["text"] == "Nice."


async def test_own_texts_and_the_request_are_free() -> None:
    own = (Text("ana", f"My motto: {COPY}."),)
    model, result = await result_of(f"I say {COPY}.", own=own)
    assert len(model.asked_of("integrate")) == 1 and COPY in result["text"]
    request = {"user_id": "ana", "task": "free", "instruction": f"Say that {COPY}."}
    model, result = await result_of(f"I say {COPY}.", request=request)
    assert len(model.asked_of("integrate")) == 1 and COPY in result["text"]


@pytest.mark.parametrize(
    "repeated", [MAIL, MAIL.upper(), PHONE, "202.555.0143", "2025550143", "[phone number]"]
)
async def test_what_was_replaced_does_not_come_back(repeated: str) -> None:
    """As from an adapter that has learnt it by heart, however it is written."""
    model, result = await result_of(f"Fine rooms. Reach them at {repeated}. Bye.", OF_CY)
    assert result["text"] == "Fine rooms. Bye." and len(model.asked_of("integrate")) == 2
    assert repeated not in model.asked_of("integrate")[1].user
    kept = repr([result["evidence"], result["summaries"], result["warnings"]])
    assert MAIL not in kept and "0143" not in kept


async def test_data_that_the_request_says_or_nobody_told_is_free() -> None:
    request = {"user_id": "ana", "task": "free", "instruction": f"Give my mail, {MAIL}."}
    model, result = await result_of(f"Write to {MAIL}.", OF_CY, request=request)
    assert result["text"] == f"Write to {MAIL}." and len(model.asked_of("integrate")) == 1
    model, result = await result_of("Write to made@up.example.", OF_CY)
    assert "made@up" in result["text"] and len(model.asked_of("integrate")) == 1


async def test_each_guard_can_be_switched_off() -> None:
    model, result = await result_of(f"I say {COPY}.", OF_BO, OF_CY, guards=OFF)
    assert COPY in result["text"] and len(model.asked_of("integrate")) == 1
    assert MAIL in model.asked_of("style")[0].user
    settings = GuardSettings(frozenset({"phone"}), 20)
    model, result = await result_of(f"I say {COPY}.", OF_BO, OF_CY, guards=settings)
    assert COPY in result["text"] and len(model.asked_of("integrate")) == 1
    assert MAIL in model.asked_of("style")[0].user
    assert PHONE not in model.asked_of("style")[0].user


async def test_where_the_deadline_is_near_it_is_cut_at_once() -> None:
    model, parts = parts_with(OF_BO, says={"integrate": f"I say {COPY}. Nice."})
    evidence = {"style": evidence_of_hits(found([OF_BO]), "aligned", Request(**LONG))}
    turn = turn_of(parts, state={"evidence": evidence, "own": []}, started=time.time() - 200)
    draft, _ = await write_draft(turn, {"style": "Curt.", "preference": None}, REASONERS)
    assert draft == "Nice." and len(model.asked) == 1


async def test_an_empty_second_answer_is_none() -> None:
    model, result = await result_of([f"I say {COPY}. Nice.", ""])
    assert result["text"] == "Nice."


def test_a_note_and_a_warning() -> None:
    guard = Guard(8, others=[OF_BO.body])
    faults = guard.faults(f"<|im_end|>{COPY}<|im_end|>")
    assert COPY in note(faults) and "<|" not in note(faults) and COPY not in say(faults)


async def test_a_stream_says_which_answer_a_part_is_of() -> None:
    _, parts = parts_with(OF_BO, says={"integrate": [f"I say {COPY}.", "A bird stared."]})
    context = RunContext(max_iterations=1)
    stream = loop_of(parts).astream(LONG, context=context, stream_mode=list(STREAM_MODES))
    events = [event async for event in read_events(stream)]
    answers = {1: "", 2: ""}
    for event in events:
        if isinstance(event, DraftToken):
            answers[event.attempt] += event.text
    assert COPY in answers[1] and answers[2].strip() == "A bird stared."
    assert isinstance(events[-1], Result) and events[-1].text == "A bird stared."


def test_settings_are_read_by_name_and_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().guards == GuardSettings() == GuardSettings(frozenset(KINDS), 8)
    monkeypatch.setenv("PATLM_PERSONAL_DATA", "email, phone")
    monkeypatch.setenv("PATLM_COPIED_WORDS", "12")
    settings = Personalizer(model=ScriptedChat()).settings
    assert settings.guards == GuardSettings(frozenset({"email", "phone"}), 12)
    shown = {finding.name: finding.says for finding in guard_findings(settings)}
    assert "e-mail address, phone number" in shown["PATLM_PERSONAL_DATA"]
    assert shown["PATLM_COPIED_WORDS"].startswith("12: ")
    given = Personalizer(model=ScriptedChat(), personal_data="off", copied_words=0).settings
    assert given.guards == OFF


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"personal_data": "emial"}, "'email'"),
        ({"personal_data": "email, fone"}, "'phone'"),
        ({"copied_words": -1}, "copied_words"),
        ({"copied_word": 8}, "copied_words"),
    ],
)
def test_a_guard_that_does_not_exist_is_refused_by_name(given: dict[str, Any], named: str) -> None:
    with raises(SettingsError, "invalid_settings", named):
        Personalizer(model=ScriptedChat(), **given)
