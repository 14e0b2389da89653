"""check-stop by hand: settled, the worth of a draft, the best one kept, why a run ends."""

import time
from typing import Any

import pytest
from fakes import ScriptedChat, TableEncoder, at_angle
from loop_parts import parts_of, turn_of
from patlm.nodes.check_stop import (
    check,
    compared_vectors,
    draft_score,
    similarity_to_previous,
    stop_reason,
)
from patlm.nodes.node import Turn

# Cosine of each to (1, 0), which is where "east" lies.
VECTORS = {
    "east": (1.0, 0.0),
    "same": at_angle(0.95),
    "near": at_angle(0.9),
    "far": at_angle(0.2),
    "away": at_angle(-0.5),
    "style piece": at_angle(0.6),
    "own piece": at_angle(0.8),
}
# What the next iteration looks for: the title and a draft.
VECTORS |= {f"t\n{draft}": vector for draft, vector in VECTORS.items()}


def piece(body: str) -> dict[str, Any]:
    return {"body": body}


def turn(
    draft: str = "east",
    style: str | None = "east",
    preference: str | None = "east",
    *,
    previous: tuple[str, str | None, str | None] = ("east", "east", "east"),
    iteration: int = 2,
    state: dict[str, Any] | None = None,
    started: float | None = None,
    request: dict[str, Any] | None = None,
    **context: Any,
) -> Turn:
    whole: dict[str, Any] = {
        "draft": draft,
        "summaries": {"style": style, "preference": preference},
        "previous": {
            "draft": previous[0],
            "summaries": {"style": previous[1], "preference": previous[2]},
        },
        "evidence": {"style": [piece("style piece")], "preference": []},
        "own": [],
        **(state or {}),
    }
    encoder = TableEncoder(VECTORS)
    parts = parts_of(ScriptedChat(), style_encoder=encoder, topic_encoder=encoder)
    given = {"iteration": iteration, "state": whole, "started": started, **context}
    return turn_of(parts, request or {"user_id": "u", "task": "long", "title": "t"}, **given)


def similarity(turn_: Turn) -> float:
    return similarity_to_previous(compared_vectors(turn_), turn_)


@pytest.mark.parametrize(
    ("draft", "style", "preference", "smallest"),
    [
        ("east", "east", "east", 1.0),
        ("same", "east", "east", 0.95),
        ("same", "near", "far", 0.2),
        ("east", "east", "away", -0.5),
    ],
)
def test_the_smallest_of_three_cosines_counts(
    draft: str, style: str, preference: str, smallest: float
) -> None:
    assert similarity(turn(draft, style, preference)) == pytest.approx(smallest, abs=1e-6)


def test_a_side_that_abstains_twice_has_not_changed() -> None:
    assert similarity(turn("near", None, "east", previous=("east", None, "east"))) == (
        pytest.approx(0.9)
    )


@pytest.mark.parametrize(
    ("now", "before"), [((None, "east"), ("east", "east")), (("east", "east"), ("east", None))]
)
def test_a_side_that_abstains_once_has_changed_wholly(
    now: tuple[str | None, str], before: tuple[str, str | None]
) -> None:
    assert similarity(turn("east", *now, previous=("east", *before))) == 0


@pytest.mark.parametrize(
    ("found", "reason"), [(0.95, "settled"), (1.0, "settled"), (0.9499, None), (0.0, None)]
)
def test_settled_from_95_hundredths_on(found: float, reason: str | None) -> None:
    assert stop_reason(turn(max_iterations=9), found) == reason


def test_both_abstaining_ends_the_first_iteration_only() -> None:
    assert stop_reason(turn("east", None, None, iteration=1), None) == "abstained"
    assert stop_reason(turn("east", None, "east", iteration=1), None) is None
    assert stop_reason(turn("east", None, None, iteration=2, max_iterations=9), 0.5) is None


def test_the_last_iteration_ends_the_run() -> None:
    assert stop_reason(turn(iteration=3, max_iterations=3), 0.5) == "max_iterations"
    assert stop_reason(turn(iteration=2, max_iterations=3), 0.5) is None
    assert stop_reason(turn(iteration=3, max_iterations=3), 0.96) == "settled"


def test_an_iteration_that_would_pass_the_deadline_is_not_begun() -> None:
    # Two iterations took 60 s, so the third takes 30: 20 s are left of 80, 40 s of 100.
    began = time.time() - 60
    late = turn(started=began, deadline_s=80, max_iterations=9)
    assert stop_reason(late, 0.5) == "deadline"
    assert stop_reason(turn(started=began, deadline_s=100, max_iterations=9), 0.5) is None


def score(turn_: Turn) -> float:
    return draft_score(compared_vectors(turn_), turn_)


def test_the_worth_of_a_draft_is_the_mean_of_both_sides() -> None:
    # Draft (1, 0): .2 to the preference summary, .6 to the style evidence.
    assert score(turn("east", "near", "far")) == pytest.approx((0.2 + 0.6) / 2)


def test_where_a_side_abstained_the_other_counts_whole() -> None:
    assert score(turn("east", None, "far")) == pytest.approx(0.2)
    assert score(turn("east", "near", None)) == pytest.approx(0.6)
    assert score(turn("east", None, None)) == 0


def kept(score: float) -> dict[str, Any]:
    return {
        "text": "kept before",
        "score": score,
        "iteration": 1,
        "summaries": {"style": "old", "preference": "old"},
        "evidence": {"style": [], "preference": [piece("old")]},
    }


async def test_a_worse_draft_leaves_the_kept_one_with_all_that_led_to_it() -> None:
    update, _ = await check(turn("east", "near", "far", state={"kept": kept(0.41)}))
    assert update["text"] == "kept before"
    assert update["summaries"] == {"style": "old", "preference": "old"}
    assert update["evidence"]["preference"] == [piece("old")]


async def test_the_first_draft_is_kept_whatever_stands_there_from_an_earlier_run() -> None:
    stale = turn("east", "near", "far", iteration=1, state={"kept": kept(0.99)})
    update, entry = await check(stale)
    assert update["kept"]["text"] == "east"
    assert entry["similarity"] is None


async def test_a_draft_that_is_not_what_was_asked_for_never_wins() -> None:
    entry = {"run": "run-1", "began": 0.0, "seconds": 0.0, "flaw": "unparsable"}
    flawed = {"kept": kept(-0.9), "log": {"integrate@2": entry}}
    update, _ = await check(turn("east", "near", "far", state=flawed))
    assert update["text"] == "kept before"


async def test_going_on_hands_over_what_has_to_be_compared() -> None:
    update, _ = await check(turn("near", "far", "same", iteration=1, state={"kept": {}}))
    assert update["iteration"] == 2
    assert update["previous"] == {
        "draft": "near",
        "summaries": {"style": "far", "preference": "same"},
    }
    assert "stop_reason" not in update
