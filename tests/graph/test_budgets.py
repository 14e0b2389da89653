"""Budgets of large models: nothing that they could read is cut, and every limit can be set."""

import random
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fakes import ScriptedChat
from loop_parts import GivenRetrieval, found, loop_of, parts_of, run
from patlm.evaluation.arms.registry import ARMS
from patlm.evaluation.evaluator import Evaluator
from patlm.evaluation.targets import Target
from patlm.graph import BUDGETS, Budget, ChatRole, Personalizer, RunContext
from patlm.nodes.budget import choose_budget
from patlm.nodes.errors import RequestError
from patlm.stores import Text, TextStore
from raising import raises

WORDS = (
    "the room that we had looked over a yard and was quiet until the bins came at six in the "
    "morning but nobody minded because breakfast was long and warm with pears from their garden"
).split()


def text_of(name: str, words: int) -> str:
    """Return a text of so many words that no other text holds: the first one is its name."""
    draw = random.Random(name)
    return " ".join([name, *draw.choices(WORDS, k=words - 1)])


MAIL = text_of("mail", 160)
OWN = [Text("ana", text_of(f"own{n}", 120), topic_id="other") for n in range(8)]
STYLE = [Text(f"s{n}", text_of(f"style{n}", 120)) for n in range(8)]
PREFERENCE = [Text(f"p{n}", text_of(f"topic{n}", 120), topic_id="sea") for n in range(8)]
ANSWER_THE_MAIL = {"user_id": "ana", "task": "free", "instruction": f"Answer: {MAIL}"}


def eight_texts_a_side() -> GivenRetrieval:
    return GivenRetrieval(own=OWN, style=found(STYLE), preference=found(PREFERENCE))


async def prompts_of(budget: Budget, **context: Any) -> tuple[dict[str, str], dict[str, Any]]:
    """Return what each role was asked in the first iteration, and the result."""
    model = ScriptedChat()
    parts = parts_of(model, eight_texts_a_side(), budget=budget)
    result = await run(parts, ANSWER_THE_MAIL, max_iterations=1, **context)
    return {asked.role: asked.user for asked in model.asked}, result


async def test_a_large_budget_shows_the_whole_mail_and_all_eight_texts_a_side() -> None:
    asked, result = await prompts_of(BUDGETS["large"])
    assert all(MAIL in user for user in asked.values())
    assert all(text.body in asked["style"] for text in (*OWN, *STYLE))
    assert all(text.body in asked["preference"] for text in PREFERENCE)
    assert all(text.body in asked["integrate"] for text in OWN), "own texts are quoted"
    assert not any(text.body[:9] in asked["integrate"] for text in (*STYLE, *PREFERENCE))
    assert result["cut"] == {}
    assert result["shown"] == {"style": 8, "preference": 8}
    assert result["warnings"] == []


async def test_a_small_budget_cuts_them_and_says_how_much_of_what() -> None:
    asked, result = await prompts_of(BUDGETS["small"])
    assert not any(MAIL in user for user in asked.values())
    assert set(result["cut"]) == {"request", "own", "style", "preference"}
    assert 0.3 < result["cut"]["request"] < 0.4  # 110 of 161 words
    assert any("request was cut from 161 tokens to 110" in said for said in result["warnings"])


async def test_a_medium_budget_shows_the_whole_mail() -> None:
    asked, result = await prompts_of(BUDGETS["medium"])
    assert all(MAIL in user for user in asked.values())
    assert "request" not in result["cut"]


async def test_a_request_is_cut_only_beyond_two_thousand_tokens_and_that_is_said() -> None:
    model = ScriptedChat()
    parts = parts_of(model, eight_texts_a_side(), budget=BUDGETS["large"])
    long = {**ANSWER_THE_MAIL, "instruction": text_of("long", 2_500)}
    result = await run(parts, long, max_iterations=1)
    (asked,) = model.asked_of("integrate")
    assert " ".join(long["instruction"].split()[:2_000]) in asked.user
    assert result["cut"]["request"] == pytest.approx(0.2)
    assert any("2,500 tokens to 2,000" in said for said in result["warnings"])


async def test_a_text_is_shown_up_to_its_limit_in_words() -> None:
    model = ScriptedChat()
    long = Text("ana", text_of("own", 900), topic_id="other")
    store = GivenRetrieval(own=[long], preference=found(PREFERENCE))
    await run(parts_of(model, store, budget=BUDGETS["large"]), ANSWER_THE_MAIL, max_iterations=1)
    (asked,) = model.asked_of("integrate")
    words = long.body.split()
    assert " ".join(words[:300]) in asked.user
    assert " ".join(words[:301]) not in asked.user


async def test_the_second_iteration_says_what_is_wrong_with_the_draft() -> None:
    model = ScriptedChat(says={"preference": "They praise pears. Bins woke everybody early."})
    parts = parts_of(model, eight_texts_a_side(), budget=BUDGETS["large"])
    request = {"user_id": "ana", "task": "long", "title": "Two nights by the sea"}
    await run(parts, request, max_iterations=2)
    (first, second) = model.asked_of("integrate")
    assert "What is wrong" not in first.user
    draft = "Nothing special."  # what the model says of what is not scripted
    assert draft in second.user and "2 words, about 120 words are expected" in second.user
    assert 'nothing of """Bins woke everybody early"""' in second.user
    assert draft in model.asked_of("style")[1].user
    assert "Bins woke" in model.asked_of("preference")[1].user


async def test_calls_and_tokens_are_in_the_result() -> None:
    asked, result = await prompts_of(BUDGETS["large"])
    assert result["calls"] == 3
    # Words count as tokens here; system turns are counted too.
    assert result["tokens_in"] > sum(len(user.split()) for user in asked.values())
    assert result["tokens_out"] == len("Short and plain. They like the view. A fine view.".split())


def model_of(parameters: int | None, device: str | None = "cpu", window: int | None = None) -> Any:
    return ChatRole(ScriptedChat(), "m", parameters=parameters, device=device, window=window)


@pytest.mark.parametrize(
    ("parameters", "device", "name"),
    [
        (135_000_000, "cpu", "small"),
        (135_000_000, "cuda:0", "small"),
        (399_999_999, "cpu", "small"),
        (400_000_000, "cpu", "medium"),
        (1_540_000_000, "cpu", "medium"),
        (3_000_000_000, "cpu", "medium"),
        (1_540_000_000, "cuda:0", "large"),
        (7_000_000_000, "cpu", "large"),
        (None, None, "large"),
    ],
)
def test_auto_goes_by_parameters_and_device(
    parameters: int | None, device: str | None, name: str
) -> None:
    assert choose_budget("auto", [model_of(parameters, device)]).name == name


def test_roles_with_several_models_share_the_smallest_budget() -> None:
    models = [model_of(None, None), model_of(135_000_000)]
    assert choose_budget("auto", models) == BUDGETS["small"]


def test_prompts_take_at_most_half_of_a_known_window() -> None:
    assert choose_budget("auto", [model_of(None, None, 8_192)]).first == 4_096
    assert choose_budget("large", [model_of(None, None, 128_000)]) == BUDGETS["large"]
    assert choose_budget("small", [model_of(135_000_000, "cpu", 512)]) == BUDGETS["small"]


def test_a_budget_that_does_not_exist_is_refused_by_name() -> None:
    with raises(ValueError, None, "'huge'", "small", "large"):
        choose_budget("huge", [])


async def budget_of(**given: Any) -> Budget:
    async with Personalizer(model=ScriptedChat(), **given) as personalizer:
        parts = await personalizer._runtime.parts()
        return parts.budget


async def test_the_budget_of_a_process_can_be_set(
    monkeypatch: pytest.MonkeyPatch, sample_store_path: Path
) -> None:
    monkeypatch.setattr("patlm.graph.open.open_store_and_encoders", _no_store)
    assert (await budget_of()).name == "large", "what is not loaded here is a server's"
    assert (await budget_of(budget="medium")).name == "medium"
    monkeypatch.setenv("PATLM_BUDGET", "small")
    assert (await budget_of()).name == "small"


def _no_store(*args: Any, **options: Any) -> Any:
    from contextlib import asynccontextmanager

    from patlm.graph.encoders import Encoders
    from patlm.stores.values import FIVE_STARS
    from store_fixtures import style_encoder, topic_encoder

    @asynccontextmanager
    async def opened() -> Any:
        yield SimpleNamespace(rating_scale=FIVE_STARS), Encoders(style_encoder(), topic_encoder())

    return opened()


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"mode": "own_qouted"}, "own_qouted"),
        ({"sides": "left"}, "left"),
        ({"max_token": 100}, "max_token"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"topic": "sea"}, "topic"),
        ({"deadline": 1}, "deadline"),
        ({"length": 400}, "length"),
    ],
)
async def test_an_unknown_keyword_of_a_run_is_refused_by_name(
    wrong: dict[str, Any], named: str
) -> None:
    personalizer = Personalizer(model=ScriptedChat())
    with raises(RequestError, "invalid_request", named):
        await personalizer.awrite("ana", title="Grand bay", **wrong)


class TestDraftLength:
    """A draft may be as long as the texts that it is to be like."""

    async def options_of(
        self, request: dict[str, Any], *, local: bool = False, **context: Any
    ) -> dict[str, Any]:
        model = ScriptedChat()
        chat = dict.fromkeys(
            ("style", "preference", "integrate"), ChatRole(model, "m", base="b" if local else None)
        )
        parts = parts_of(model, eight_texts_a_side(), budget=BUDGETS["large"], chat=chat)
        await run(parts, request, max_iterations=1, **context)
        (asked,) = model.asked_of("integrate")
        return {**asked.options, "user": asked.user}

    LONG = {"user_id": "ana", "task": "long", "title": "Two nights by the sea"}

    async def test_it_is_told_and_three_times_as_much_is_allowed(self) -> None:
        options = await self.options_of(self.LONG)
        assert "about 120 words" in options["user"]
        assert options["max_tokens"] == 360  # words count as tokens here
        assert "min_tokens" not in options, "only local models keep a least length"

    async def test_a_local_model_keeps_a_least_length(self) -> None:
        options = await self.options_of(self.LONG, local=True)
        assert options["min_tokens"] == 96  # .8 x 120

    async def test_an_instruction_has_no_least_length_and_all_the_room(self) -> None:
        options = await self.options_of(ANSWER_THE_MAIL, local=True)
        assert "min_tokens" not in options and options["max_tokens"] == 2_000
        assert "unless something else is asked for" in options["user"]

    async def test_an_instruction_may_name_the_length(self) -> None:
        request = {**ANSWER_THE_MAIL, "instruction": "Write a letter of 300 words."}
        options = await self.options_of(request, local=True)
        assert "Length: about 300 words." in options["user"]
        assert options["min_tokens"] == 240 and options["max_tokens"] == 2_000

    @pytest.mark.parametrize(("task", "limit"), [("short", 40), ("rating", 16)])
    async def test_titles_and_ratings_have_limits_of_their_own(self, task: str, limit: int) -> None:
        request = {"user_id": "ana", "task": task, "text": "We stayed."}
        options = await self.options_of(request, local=True)
        assert options["max_tokens"] == limit and "min_tokens" not in options

    async def test_a_run_may_set_it(self) -> None:
        options = await self.options_of(self.LONG, local=True, max_tokens=50)
        assert options["max_tokens"] == 50 and options["min_tokens"] == 50


class TestModes:
    """How much of the loop is run, and that the arms of a benchmark run the same."""

    async def test_own_texts_are_quoted_by_default_from_medium_up(self) -> None:
        for name in ("medium", "large"):
            asked, _ = await prompts_of(BUDGETS[name])
            assert OWN[0].body in asked["integrate"]
        assert "own0" not in (await prompts_of(BUDGETS["small"]))[0]["integrate"]

    async def test_summaries_alone_quote_nobody(self) -> None:
        asked, _ = await prompts_of(BUDGETS["large"], mode="summaries")
        assert "own0" not in asked["integrate"] and "Short and plain." in asked["integrate"]

    async def test_quoted_shows_what_others_wrote_on_the_topic_in_one_call(self) -> None:
        asked, result = await prompts_of(BUDGETS["large"], mode="quoted")
        assert list(asked) == ["integrate"] and result["calls"] == 1
        assert all(text.body in asked["integrate"] for text in PREFERENCE)
        assert "own0" not in asked["integrate"] and "style0" not in asked["integrate"]

    async def test_quoted_makes_one_call_whatever_the_iterations(self) -> None:
        model = ScriptedChat()
        parts = parts_of(model, eight_texts_a_side(), budget=BUDGETS["large"])
        result = await run(parts, ANSWER_THE_MAIL, max_iterations=3, mode="quoted")
        assert result["iterations"] == 1 and len(model.asked) == 1

    @pytest.mark.parametrize(("sides", "roles"), [("both", 2), ("style", 1), ("preference", 1)])
    async def test_a_side_can_be_left_out(self, sides: str, roles: int) -> None:
        asked, result = await prompts_of(BUDGETS["large"], sides=sides)
        assert len(asked) == roles + 1
        for side in ("style", "preference"):
            used = sides in ("both", side)
            assert (side in asked) == used
            assert (result["summaries"][side] is not None) == used
        # Own texts are the style side's.
        assert ("own0" in asked["integrate"]) == (sides != "preference")

    async def test_quoted_sides_share_the_room(self) -> None:
        asked, _ = await prompts_of(BUDGETS["small"], mode="quoted", sides="both")
        assert "own0" in asked["integrate"] and "topic0" in asked["integrate"]


def target_of(text: Text, task: str) -> Target:
    request: dict[str, Any] = {
        "user_id": text.user_id, "task": task, "topic_id": text.topic_id, "title": text.title,
        "text": text.body, "instruction": f"Write about: {text.title}",
    }  # fmt: skip
    return Target("sample", task, text, request, text.body, 0)  # type: ignore[arg-type]


async def texts_of(store: TextStore, number: int) -> Sequence[Text]:
    """Return texts of the sample corpus, from everywhere in it."""
    from patlm.stores import read_texts, sample_corpus

    texts = [row for row in read_texts(sample_corpus()) if isinstance(row, Text)]
    return texts[:: len(texts) // number][:number]


@pytest.mark.parametrize(
    ("mode", "arm"),
    [("quoted", "neighbours_raw"), ("summaries", "both"), ("own_quoted", "own_quoted")],
)
@pytest.mark.parametrize("budget", ["small", "medium", "large"])
@pytest.mark.parametrize("targets", [4, pytest.param(50, marks=pytest.mark.slow)])
async def test_a_mode_and_its_arm_ask_the_same_to_the_letter(
    sample_store: TextStore, targets: int, budget: Any, mode: str, arm: str
) -> None:
    tasks = ("long", "short", "rating", "free")
    texts = await texts_of(sample_store, targets)
    assert len(texts) == targets
    served, measured = ScriptedChat(), ScriptedChat()
    loop = loop_of(parts_of(served, sample_store, budget=BUDGETS[budget]))
    evaluator = Evaluator(parts_of(measured, sample_store, budget=BUDGETS[budget]))
    configuration = ARMS[arm].configuration
    assert configuration is not None
    for place, text in enumerate(texts):
        target = target_of(text, tasks[place % 4])
        context = RunContext(mode=mode, max_iterations=1, deadline_s=600)
        await loop.ainvoke(dict(target.request), context=context)
        await evaluator.run(configuration, target)
    asked = [sorted((a.role, a.system, a.user) for a in each.asked) for each in (served, measured)]
    assert asked[0] == asked[1]
    assert len(asked[0]) == targets * (1 if mode == "quoted" else 3)
