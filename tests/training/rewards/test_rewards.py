"""Every reward by hand: the arithmetic stands in the comments."""

import doctest
from types import ModuleType
from typing import Any

import pytest
from fakes import TableEncoder, at_angle, words
from patlm.nodes.prompts.build import ABSTENTION
from patlm.nodes.state import Request
from patlm.stores.episodes.schema import Sample
from patlm.stores.values import RatingScale
from patlm.training.rewards import components
from patlm.training.rewards import measure as measure_module
from patlm.training.rewards.components import (
    COMPONENTS,
    PENALTIES,
    VALUE,
    RewardWeights,
    build_style_fidelity,
    build_topic_relevance,
    gate,
    quality,
    total,
    value,
)
from patlm.training.rewards.measure import (
    RewardMeasure,
    Situation,
    build_overlong,
    build_topic_consistency,
    copying,
    sentiment_consistency_proxy,
    sentiment_sign,
    topic_words,
)
from raising import raises

REAL, DRAFT = "the view is grand", "the view is cold"


@pytest.mark.parametrize("module", [components, measure_module])
def test_the_examples_run(module: ModuleType) -> None:
    tried = doctest.testmod(module)
    assert tried.attempted >= 3 and tried.failed == 0


def test_quality_is_the_mean_of_three() -> None:
    # Three of four words, in one run. ROUGE-1 = ROUGE-L = .75. METEOR: P = R = F = .75, one chunk
    # of three matches: .75 (1 - .5 (1/3)^3) = .75 x 53/54 = .736111. Mean: 2.236111 / 3 = .745370.
    assert quality([DRAFT], real=[REAL]) == [0.74537]
    assert quality(["what a lamp", ""], real=[REAL, REAL]) == [0.0, 0.0]


def test_quality_of_a_rating_is_how_near_it_is() -> None:
    # 1 - |4 - 2| / 4 = .5; an answer that is no number is an answer: 0, not None.
    given: dict[str, Any] = {"real": ["2"] * 3, "task": ["rating"] * 3}
    assert quality(["4", "very good", None], **given) == [0.5, 0.0, None]
    # 1 - |9 - 2| / 10 = .3; 9 is no rating on 1 to 5, and 0 none on 1 to 10.
    scales = [RatingScale(0, 10), RatingScale(1, 5), RatingScale(1, 10)]
    found = quality(["9", "9", "0"], **given, scale=scales)
    assert found == [pytest.approx(0.3), 0.0, 0.0]


def test_cosines_to_the_real_text() -> None:
    encoder = TableEncoder({REAL: (1, 0), DRAFT: at_angle(0.6), "": (0, 1), "no": (-1, 0)})
    for build in (build_style_fidelity, build_topic_relevance):
        reward = build(encoder)
        given = [DRAFT, "", "no", None]
        assert reward(given, real=[REAL] * 4) == [0.6, 0.0, -1.0, None]
        assert reward([DRAFT], real=["4"], task=["rating"]) == [None]
    assert build_style_fidelity(encoder).__name__ == "style_fidelity"  # as TRL logs it


def test_topic_consistency_looks_at_the_preference_summary() -> None:
    reward = build_topic_consistency(TableEncoder({DRAFT: (1, 0), "They like it.": at_angle(0.8)}))
    assert reward([DRAFT, DRAFT, None], preference=["They like it.", None, "They like it."]) == [
        0.8,
        None,
        None,
    ]


def test_sentiments_agree_or_not() -> None:
    assert [sentiment_sign(text) for text in ("I love it", "I hate it", "a table")] == [1, -1, 0]

    def of(draft: str, style: str | None, preference: str | None, spoken: str = "en") -> Any:
        (found,) = sentiment_consistency_proxy(
            [draft], style=[style], preference=[preference], language=[spoken]
        )
        return found

    assert of("I love it", "Short.", "They love it") == 1.0
    assert of("I hate it", "Short.", "They love it") == 0.0
    assert of("I love it", "They hate and complain.", "They love it") == 0.0
    assert of("I love it", "Short.", None) is None  # only one text has a sign
    assert of("I love it", "Short.", "They love it", "pt") is None
    assert of("I love it", "Short.", "They love it", "en-GB") == 1.0


def test_a_run_of_five_words_is_a_copy() -> None:
    read = ["so the view is grand and warm", "unlike this"]
    # "the view is grand and": 5 of 6 words. "the view is grand": 4, which is no copy.
    assert copying(["the view is grand and cold"], evidence=[read]) == [0.833333]
    assert copying(["the view is grand"], evidence=[read]) == [0.0]
    assert copying([None, "", "the view is grand and"], evidence=[read, read, []]) == [
        None,
        0.0,
        0.0,
    ]


def test_topic_words_of_a_style_summary() -> None:
    # "kettle" (once) and "steel" of five words; "very" is a stop word, "for" and "two" are short.
    asked = "A very good steel kettle for two"
    assert topic_words(["Likes the Kettle's steel very"], words=[asked]) == [0.333333]  # 2 of 6: 's
    assert topic_words(["Short and plain.", None, ""], words=[asked] * 3) == [0.0, None, 0.0]


def test_a_summary_may_take_three_quarters_of_its_budget() -> None:
    overlong = build_overlong(words, 48)
    # Free: 36. 42 tokens: (42 - 36) / (48 - 36) = .5.
    given = [" ".join(["w"] * count) for count in (36, 42, 48, 60)]
    assert overlong([*given, None]) == [0.0, 0.5, 1.0, 1.0, None]


WEIGHTS = RewardWeights(
    quality=2.0,
    style_fidelity=0.5,
    topic_relevance=0.25,
    topic_consistency_proxy=0.1,
    sentiment_consistency_proxy=0.1,
    draft_copying=1.0,
    summary_copying=0.5,
    topic_words=0.5,
    overlong=0.2,
)
FOUND = {
    "quality": 0.3,
    "style_fidelity": 0.4,
    "topic_relevance": 0.8,
    "topic_consistency_proxy": 0.5,
    "sentiment_consistency_proxy": None,
    "draft_copying": 0.2,
    "summary_copying": 0.4,
    "topic_words": None,
    "overlong": 0.5,
}


def test_value_counts_what_needs_no_summary() -> None:
    # 2 x .3 + .5 x .4 + .25 x .8 = .6 + .2 + .2
    assert value(FOUND, WEIGHTS) == 1.0
    assert value({**FOUND, "quality": None}, WEIGHTS) is None
    assert value({"quality": 0.3}, WEIGHTS) == 0.6


def test_the_reward_takes_penalties_away() -> None:
    # 1 + .1 x .5 - 1 x .2 - .5 x .4 - .2 x .5 = 1 + .05 - .2 - .2 - .1
    assert total(FOUND, WEIGHTS) == 0.55
    assert total({**FOUND, "quality": None}, WEIGHTS) is None


def test_every_component_has_a_weight_and_none_is_negative() -> None:
    assert set(VALUE) | set(PENALTIES) < set(COMPONENTS)
    assert {name for name, weight in WEIGHTS.signed().items() if weight < 0} == set(PENALTIES)
    with raises(ValueError, None, "overlong", -1):
        RewardWeights(overlong=-1)


def candidate(gain: float | None, text: str | None = "A summary.") -> Sample:
    return Sample(
        node="style-reason",
        iteration=1,
        role="style",
        model="m",
        text=text,
        differential=gain,
        error=None if text else "it failed",
    )


def test_where_no_candidate_helps_silence_is_better_than_the_worst() -> None:
    group = [candidate(0.01), candidate(-0.2, "Worst."), candidate(None, None), candidate(-0.1)]
    found = gate(group, margin=0.02)
    assert found is not None
    assert (found.chosen, found.rejected.text) == (ABSTENTION, "Worst.")


def test_one_candidate_that_helps_opens_the_gate() -> None:
    assert gate([candidate(0.03), candidate(-0.2)], margin=0.02) is None
    assert gate([candidate(0.02), candidate(-0.2)], margin=0.02) is not None  # not above it


REQUEST = Request(user_id="ana", task="long", title="Kettle days")
TABLE = {"a kettle": (1, 0), "my kettle": at_angle(0.5), "They like kettle days": at_angle(0.8)}


def measure() -> RewardMeasure:
    return RewardMeasure(TableEncoder(TABLE), TableEncoder(TABLE), words, 4)


def test_all_components_of_a_style_summary() -> None:
    at = Situation(REQUEST, "a kettle", "style", {"preference": "They like kettle days"}, [])
    (found,) = measure().components(["my kettle"], ["They like kettle days"], [at])
    assert found.keys() == set(COMPONENTS)
    # "my kettle" / "a kettle": ROUGE-1 = ROUGE-L = .5; METEOR .5 (1 - .5) = .25; mean .416667.
    assert found["quality"] == 0.416667
    assert found["style_fidelity"] == found["topic_relevance"] == 0.5
    # cos 60° and cos 36.87° from one axis: .5 x .8 + .866025 x .6 = .919615
    assert found["topic_consistency_proxy"] == 0.9196
    assert found["topic_words"] == 0.5  # kettle and days, of four words
    assert found["overlong"] == 1.0  # four words of four
    assert found["draft_copying"] == found["summary_copying"] == 0.0


def test_a_preference_summary_may_name_the_topic_and_a_lost_draft_has_no_rewards() -> None:
    at = Situation(REQUEST, "a kettle", "preference", {"style": None}, [])
    said, lost = measure().components(
        ["my kettle", None], ["They like kettle days", "They like kettle days"], [at, at]
    )
    assert said["topic_words"] is None and said["topic_consistency_proxy"] == 0.9196
    assert lost == dict.fromkeys(COMPONENTS)
