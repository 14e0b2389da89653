"""Every prompt: what stands in it, what must not, and never more tokens than its budget."""

import random
from typing import Any

import pytest
from fakes import words
from patlm.nodes.budget import Budget
from patlm.nodes.prompts.build import (
    PREFERENCE,
    REASONERS,
    STYLE,
    Prompt,
    ReasonerText,
    integrate_prompt,
    reasoner_prompt,
)
from patlm.nodes.state import Evidence, Request

TASKS = ("long", "short", "rating", "free")
ALIKE = "Texts of people who write alike:"
LIKE_MINDED = "What like-minded people wrote about it:"


def request_of(task: str, **given: Any) -> Request:
    fields = {"title": "Grand bay", "text": "We stayed long.", "instruction": "Decline kindly."}
    return Request.model_validate({"user_id": "ana", "task": task, **fields, **given})


def piece(body: str, *, title: str = "Heading", rating: float | None = None) -> Evidence:
    return Evidence(
        text_id="1", user_id="bo", topic_id="sea", title=title, body=body, rating=rating,
        score=1, strategy="aligned", reason="r",
    )  # fmt: skip


def reason(task: str = "long", *bodies: str, **given: Any) -> Prompt:
    pieces = [piece(body, rating=4.5) for body in bodies or ("It rained.",)]
    defaults: dict[str, Any] = {"budget": Budget(), "count": words}
    return reasoner_prompt(STYLE, request_of(task), pieces, **{**defaults, **given})


def integrate(task: str = "long", **given: Any) -> Prompt:
    defaults: dict[str, Any] = {"budget": Budget(), "count": words}
    summaries = {"How the writer writes": "Curtly.", "What people think": "They like it."}
    request = request_of(task, **given.pop("request", {}))
    return integrate_prompt(request, given.pop("summaries", summaries), **{**defaults, **given})


def test_what_stays_the_same_between_iterations_stands_first() -> None:
    user = reason(draft="D.", partners={"P": "Cold tea."}).user
    order = ["Grand bay", "It rained.", "Draft so far", "Cold tea.", "Describe the writing style"]
    places = [user.index(part) for part in order]
    assert places == sorted(places)


def test_own_texts_stand_before_borrowed_ones_under_their_heading() -> None:
    user = reason("long", "Borrowed.", own=[piece("Mine.")]).user
    own_heading = "Texts of this person (about 1 word each):"
    headings = [own_heading, "Mine.", ALIKE, "Borrowed."]
    places = [user.index(part) for part in headings]
    assert places == sorted(places)
    assert "Texts of this person" not in reason("long", "Borrowed.").user


def test_the_length_of_texts_that_are_cut_is_told_where_such_a_text_is_to_be_written() -> None:
    pieces = [piece("far " * 500), piece("near " * 101)]

    def told(task: str, text: ReasonerText) -> str:
        request = request_of(task)
        return reasoner_prompt(text, request, pieces, budget=Budget(), count=words).user

    for task in ("long", "free"):
        # (500 + 101) / 2 = 300.5, rounded to even.
        assert f"{LIKE_MINDED[:-1]} (about 300 words each):" in told(task, PREFERENCE)
    assert LIKE_MINDED in told("short", PREFERENCE)
    assert LIKE_MINDED in told("rating", PREFERENCE)
    # People who write like a title write short texts: nothing is to be learnt from that.
    assert ALIKE in told("long", STYLE)


def test_own_texts_take_at_most_half_of_the_room() -> None:
    long_text = "mine " * 500
    user = reason("long", "yours " * 500, own=[piece(long_text)]).user
    mine, yours = user.count("mine"), user.count("yours")
    assert mine > 50 and yours >= mine
    assert reason("long", "yours", own=[piece(long_text)]).user.count("mine") == mine
    alone = reasoner_prompt(
        STYLE, request_of("long"), [], own=[piece(long_text)], budget=Budget(), count=words
    )
    assert alone.user.count("mine") > 1.8 * mine, "without borrowed texts all room is theirs"


@pytest.mark.parametrize("task", TASKS)
def test_ratings_are_shown_in_the_rating_task_only(task: str) -> None:
    assert ("(4.5/5)" in reason(task).user) == (task == "rating")


@pytest.mark.parametrize("task", TASKS)
def test_titles_of_evidence_are_shown_where_titles_are_at_stake(task: str) -> None:
    assert ("Heading" in reason(task).user) == (task in ("short", "rating"))


@pytest.mark.parametrize(
    ("task", "shown", "hidden"),
    [
        ("long", ["Grand bay"], ["We stayed long.", "Decline kindly."]),
        ("short", ["We stayed long."], ["Grand bay", "Decline kindly."]),
        ("rating", ["Grand bay", "We stayed long."], ["Decline kindly."]),
        ("free", ["Decline kindly.", "Grand bay", "We stayed long."], []),
    ],
)
def test_a_prompt_shows_the_request_by_its_task(
    task: str, shown: list[str], hidden: list[str]
) -> None:
    for prompt in (reason(task), integrate(task)):
        assert all(part in prompt.user for part in shown)
        assert not any(part in prompt.user for part in hidden)


def test_the_language_of_the_draft_is_named_unless_english() -> None:
    assert "in Portuguese" in integrate(request={"language": "pt"}).user
    assert "English" not in integrate().user


def test_the_request_and_the_draft_have_shares_of_their_own() -> None:
    prompt = reasoner_prompt(
        PREFERENCE,
        request_of("long", title="heading " * 400),
        [piece("evidence " * 400)],
        draft="draft " * 400,
        partners={"Partner": "summary " * 400},
        budget=Budget(),
        count=words,
    )
    said = prompt.user.replace('"""', " ").split()
    assert said.count("heading") == 110
    assert said.count("draft") == 60
    assert said.count("summary") == 48
    assert said.count("evidence") >= 100


def test_dropped_evidence_leaves_no_trace_and_is_counted_as_cut() -> None:
    budget = Budget(first=120)
    prompt = reason("long", *(f"w{n} " * 100 for n in range(9)), budget=budget)
    shown = [n for n in range(9) if f"w{n} " in prompt.user]
    assert shown == list(range(len(shown))) and 0 < len(shown) < 9
    assert prompt.user.count('"""') == 2 * (len(shown) + 1), "pieces and the title, nothing empty"
    assert prompt.cut_share > 0.8
    assert reason().cut_share == 0


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from patlm.models.installed import model_path
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(model_path("smollm2-135m"))


ALPHABETS = (
    "the room was very clean and we liked breakfast most of all".split(),
    ["Überraschung", "naïve", "coração", "não", "très", "ação"],
    ["部屋はとても清潔で", "駅から近い", "👍👍🏽", "—", "…"],
    ["!!!", '"""', "<|im_end|>", "1,234.56", "https://a.example/b?c=d", "A.B.C.", "\n\n"],
    ["supercalifragilisticexpialidocious" * 3],
)


def wild_text(draw: random.Random) -> str:
    vocabulary = draw.choice(ALPHABETS)
    return " ".join(draw.choices(vocabulary, k=draw.choice([1, 5, 40, 200])))


def wild_prompts(draw: random.Random, count: Any, task: str, *, later: bool) -> list[Prompt]:
    budget = Budget()
    request = Request.model_validate(
        {
            "user_id": "u", "task": task, "title": wild_text(draw) + ".",
            "text": wild_text(draw) + ".", "instruction": wild_text(draw) + ".",
            "language": draw.choice(["en", "pt"]),
        }
    )  # fmt: skip
    heading = "What like-minded people think"
    prompts = []
    for reasoner in REASONERS.values():
        evidence = [
            piece(wild_text(draw), title=wild_text(draw), rating=draw.choice([1, 3.3333, 4.5]))
            for _ in range(draw.choice([1, 4, 8]))
        ]
        prompts.append(
            reasoner_prompt(
                reasoner,
                request,
                evidence,
                own=evidence[: draw.choice([0, 1, 4])],
                draft=wild_text(draw) if later else None,
                partners={heading: wild_text(draw)} if later else None,
                budget=budget,
                count=count,
            )
        )
    summaries = {words.heading: wild_text(draw) for words in REASONERS.values()}
    prompts.append(integrate_prompt(request, summaries, later=later, budget=budget, count=count))
    return prompts


@pytest.mark.bundled
@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("task", TASKS)
def test_no_prompt_is_longer_than_its_budget(tokenizer: Any, task: str, later: bool) -> None:
    def count(text: str) -> int:
        return len(tokenizer(text, add_special_tokens=False)["input_ids"])

    draw = random.Random(f"{task}-{later}")
    limit = 400 if later else 300
    longest = 0
    for _ in range(6):
        for prompt in wild_prompts(draw, count, task, later=later):
            turns = [{"role": role, "content": content} for role, content in prompt.messages]
            text = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
            tokens = len(tokenizer(text, add_special_tokens=False)["input_ids"])
            assert tokens <= limit, (tokens, prompt.user)
            longest = max(longest, tokens)
    assert longest > 0.9 * limit, "a budget that is never used is no budget"
