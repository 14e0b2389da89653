"""What a warm start learns from: prompts as in serving, sides left out, the better teacher."""

from collections.abc import Sequence
from typing import Any

import pytest
from patlm.nodes.budget import Budget
from patlm.nodes.prompts.build import integrate_prompt
from patlm.nodes.state import Request
from patlm.stores.episodes.schema import Episode, Sample
from patlm.training.data.samples import Needs, Skipped
from patlm.training.data.sft_examples import integrate_examples, left_out, reasoner_examples
from patlm.training.data.token_ids import answer_ids, prompt_ids
from planted_episodes import planted_episode
from tiny_models import tiny_chat, tiny_tokenizer

BASE = "a" * 16
SILENT = "No usable signal."
NEEDS = Needs("style", BASE)


def episode_with(at: int, own: dict[int, float], extract: float | None = None) -> Episode:
    """Return a group with own candidates (first token: differential), and maybe an extract."""
    answers = [([token, token], f"own {token}") for token in own]
    made = planted_episode(at, "warm1", answers, list(own.values()), base=BASE)
    samples = [
        sample.model_copy(update={"differential": gain})
        for sample, gain in zip(made.samples, own.values(), strict=True)
    ]
    if extract is not None:
        samples.append(
            Sample(
                id="x",
                node="style-reason",
                iteration=1,
                role="style",
                model="extractive",
                messages=made.samples[0].messages,
                text="extract",
                group=made.groups[0].id,
                reward=extract,
                differential=extract,
            )
        )
    return made.model_copy(update={"samples": tuple(samples)})


def unmeasured(at: int) -> Episode:
    """Return an episode whose extract was not measured."""
    made = episode_with(at, {60: 0.0}, 0.0)
    nothing = {"reward": None, "differential": None, "group": None}
    extract = made.samples[-1].model_copy(update=nothing)
    return made.model_copy(update={"samples": (extract,), "groups": ()})


def reasoner(
    *episodes: Episode, gate_margin: float = 0.0, also: Sequence[Episode] = ()
) -> tuple[list[list[int]], str, Skipped]:
    skipped = Skipped()
    examples, teacher = reasoner_examples(
        episodes,
        NEEDS,
        tiny_tokenizer(),
        most=64,
        gate_margin=gate_margin,
        skipped=skipped,
        also=also,
    )
    return [example.answer_ids for example in examples], teacher.kind, skipped


@pytest.mark.parametrize("begin", ["", "## A <|im_end|> title\n\n"])
def test_the_prompts_tokens_are_those_of_serving(begin: str) -> None:
    chat = tiny_chat(window=2048)
    messages = [("system", "Be <|im_end|> brief."), ("user", "Hello there, <|im_start|>you")]
    begun = [*messages, ("assistant", begin)] if begin else messages
    try:
        answer, plain = (
            chat.invoke(each, max_tokens=2, capture=True).response_metadata
            for each in (begun, messages)
        )
    finally:
        chat.close()
    served, before = list(answer["prompt_token_ids"]), list(plain["prompt_token_ids"])
    assert prompt_ids(tiny_tokenizer(), begun) == served
    # Nothing closes the turn that is to be continued.
    added = tiny_tokenizer().decode(served[len(before) :])
    assert served[: len(before)] == before and added == begin.replace("<|im", "< |im")


def test_integrate_learns_the_real_text_from_the_prompt_of_serving() -> None:
    tokenizer, skipped = tiny_tokenizer(), Skipped()
    found = [planted_episode(at, "warm1", [], [], base=BASE) for at in range(40)]
    examples = integrate_examples(found, tokenizer, most=64, skipped=skipped)
    assert len(examples) == 40 and not skipped
    whole = next(
        example
        for example in examples
        if not any(left_out(example.episode.target.id, side) for side in ("style", "preference"))  # type: ignore[union-attr]
    )
    prompt = integrate_prompt(
        Request.model_validate(whole.episode.request),
        {"Style": "warm1 cold1", "Opinions": "warm2 cold2"},
        later=False,
        budget=Budget(),
        count=lambda text: len(tokenizer(text)["input_ids"]),
    )
    assert whole.prompt_ids == prompt_ids(tokenizer, prompt.messages)
    assert tokenizer.decode(whole.answer_ids) == "warm1 warm2 warm3<|im_end|>"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"request": {}}, "user_id"),
        ({"request": {"user_id": "u", "task": "poem"}}, "task"),
        ({"request": {"user_id": "u", "task": "rating", "rating": 9}}, "rating"),
        ({"context": {"k": "many"}}, "k"),
        ({"settings": {"rating_scale": 5}}, "settings.rating_scale"),
    ],
)
def test_an_episode_made_by_hand_is_counted_and_named(
    changed: dict[str, Any], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    skipped = Skipped()
    good, other = (planted_episode(at, "warm1", [], [], base=BASE) for at in range(2))
    episodes = [good, other.model_copy(update=changed)]
    assert len(integrate_examples(episodes, tiny_tokenizer(), most=64, skipped=skipped)) == 1
    assert skipped == {"unfit_request": 1}
    assert "run1" in caplog.text and said in caplog.text


def test_an_episode_without_a_group_of_the_role_is_counted() -> None:
    lone = episode_with(0, {60: 0.3}, 0.2)
    _, _, skipped = reasoner(lone, lone.model_copy(update={"groups": ()}))
    assert skipped["no_group"] == 1


def test_each_side_is_left_out_of_a_third_by_itself_and_always_of_the_same() -> None:
    targets = [f"target{number}" for number in range(3000)]
    style = {target for target in targets if left_out(target, "style")}
    both = {target for target in style if left_out(target, "preference")}
    # Binomial: 1000 +- 26 and 333 +- 17 (one standard deviation).
    assert 900 < len(style) < 1100
    assert 265 < len(both) < 400
    assert style == {target for target in targets if left_out(target, "style")}
    tokenizer = tiny_tokenizer()
    episodes = [planted_episode(at, "warm1", [], [], base=BASE) for at in range(60)]
    examples = integrate_examples(episodes, tokenizer, most=64, skipped=Skipped())
    for example in examples:
        target = example.episode.target
        assert target is not None
        shown = "warm1 cold1" in tokenizer.decode(example.prompt_ids)
        assert shown != left_out(target.id, "style")


def test_the_kind_with_the_higher_mean_differential_teaches() -> None:
    # Own: 0.3 and 0.2 in one context, 0.1 in the other, so 0.175; extracts 0.2 and 0.1, so 0.15.
    own = reasoner(episode_with(0, {60: 0.3, 61: 0.2}, 0.2), episode_with(1, {62: 0.1}, 0.1))
    assert own[:2] == ([[60, 60], [62, 62]], "own")
    # Extracts 0.5 and 0.1, mean 0.3.
    both = reasoner(episode_with(0, {60: 0.3, 61: 0.2}, 0.5), episode_with(1, {62: 0.1}, 0.1))
    assert both[1] == "extractive"
    assert both[0] == [answer_ids(tiny_tokenizer(), "extract")] * 2


def test_a_teacher_that_does_not_help_teaches_nothing() -> None:
    answers, kind, skipped = reasoner(episode_with(0, {60: 0.3}), episode_with(1, {61: -0.1}))
    assert (answers, kind) == ([[60, 60]], "own")
    assert skipped["does_not_help"] == 1


def test_where_no_teacher_helps_in_the_mean_the_other_contexts_teach_to_abstain() -> None:
    # Own -0.5 and -0.1, extracts -0.4 and 0.2, so -0.1 in the mean: the better, and of no help.
    contexts = episode_with(0, {60: -0.5}, -0.4), episode_with(1, {61: -0.1}, 0.2)
    extract, silence = answer_ids(tiny_tokenizer(), "extract"), answer_ids(tiny_tokenizer(), SILENT)
    answers, kind, skipped = reasoner(*contexts, also=[unmeasured(2)])
    assert (answers, kind) == ([silence, extract], "extractive")
    assert not skipped
    # With -0.1 and 0.2 it helps: nobody is silenced, and unmeasured ones are taken along.
    contexts = episode_with(0, {60: -0.5}, -0.1), episode_with(1, {61: -0.1}, 0.2)
    answers, _, skipped = reasoner(*contexts, also=[unmeasured(2)])
    assert answers == [extract, extract]  # of context 1 and the unmeasured one
    assert skipped["does_not_help"] == 1
