"""From items to the table and the verdicts, by figures that can be worked out by hand."""

from collections.abc import Sequence
from typing import Any

import pytest
from patlm.evaluation.items import Item, ItemKey
from patlm.evaluation.scores.metrics import Draft, measure
from patlm.evaluation.scores.tables import Cell, difference, table
from patlm.evaluation.scores.verdicts import say, verdicts


def items(arm: str, values: Sequence[float], *, seed: int = 0, **given: Any) -> list[Item]:
    return [
        Item(
            key=ItemKey(f"t{at}", arm, "made", "all", seed),
            **{
                "data": "d",
                "task": "long",
                "user": f"u{at}",
                "topic": "big" if at else "small",
                "own": at,
                "metrics": {"quality": value, "length": 10.0 * at, "copy_rate": 0.5, "exact": 0.0},
                "calls": 3,
                **given,
            },
        )
        for at, value in enumerate(values)
    ]


def cell(*groups: Sequence[Item], task: str = "long") -> Cell:
    return Cell("d", task, "all", [item for group in groups for item in group], {"both": 2})


def test_a_row_has_means_over_targets_and_gains_over_the_baseline() -> None:
    of = cell(items("no_context", [0.1, 0.2, 0.3]), items("both", [0.2, 0.3, 0.7]))
    base, both = table(of, ["no_context", "both"], "no_context")
    assert base["gain"] is None
    assert both["metrics"]["quality"]["mean"] == 0.4
    assert both["gain"]["mean"] == 0.2 and both["gain"]["n"] == 3
    assert both["gain"]["ci95"] == both["gain"]["holm"]  # one comparison needs no correction
    # Two topics: t0 alone (.1), t1 and t2 (.1 and .4); a resample has one of them or both.
    assert both["gain"]["ci95_by_topic"] == [0.1, 0.25]
    assert (both["n"], both["topics"], both["largest_topic"]) == (3, 2, 0.6667)
    assert (both["length"], both["failed"], both["calls"]) == (10.0, 2, 3)


def test_seeds_are_averaged_for_each_target_first() -> None:
    of = cell(items("both", [0.2, 0.4]), items("both", [0.4, 0.8], seed=1))
    (row,) = table(of, ["both"], "no_context")
    assert (row["n"], row["seeds"], row["metrics"]["quality"]["mean"]) == (2, 2, 0.45)


def test_overlap_is_the_share_of_evidence_that_the_aligned_arm_has_too() -> None:
    aligned = items("both", [0.1], evidence={"style": [("a", 1.0), ("b", 1.0)]})
    random = items("random_style", [0.1], evidence={"style": [("b", 1.0), ("c", 1.0)]})
    rows = table(cell(aligned, random), ["both", "random_style"], "no_context")
    assert [row["overlap_with_aligned"] for row in rows] == [{"style": 1.0}, {"style": 0.5}]


def test_leaks_are_added_up_over_the_targets_that_were_looked_at() -> None:
    looked = items("both", [0.1, 0.1], leaks=(1, 2))
    short = items("both", [0.1] * 3)[2:]
    (row,) = table(cell(looked, short), ["both"], "no_context")
    assert row["leaks"] == {"targets": 2, "runs": 2, "shared_runs": 4}


def test_only_targets_that_both_arms_have_are_compared() -> None:
    of = cell(items("no_context", [0.1, 0.1, 0.9]), items("both", [0.2, 0.3]))
    found = difference(of, "both", "no_context")
    assert found is not None
    assert list(found.targets) == ["t0", "t1"] and list(found.values) == pytest.approx([0.1, 0.2])
    assert difference(of, "both", "constant") is None


def test_ratings_have_errors_and_a_share_of_answers_without_a_number() -> None:
    def rated(*errors: float | None) -> list[Item]:
        return [
            Item(
                key=ItemKey(f"t{at}", "both", "made", "all", 0),
                data="d",
                task="rating",
                user=f"u{at}",
                topic="t",
                own=0,
                metrics=measure("rating", Draft("5", "" if error is None else f"{5 - error}")),
            )
            for at, error in enumerate(errors)
        ]

    (row,) = table(cell(rated(1, 3, None, None), task="rating"), ["both"], "no_context")
    means = {name: figure["mean"] for name, figure in row["metrics"].items()}
    assert means == {"mae": 2.0, "rmse": 2.2361, "agreement": 0.25, "unparsable": 0.5}


@pytest.mark.parametrize(
    ("intervals", "verdict"),
    [
        ([[0.001, 0.2]] * 4, "holds"),
        ([[0.001, 0.009]] * 4, "holds"),  # small, and surely above zero
        ([[0.001, 0.2]] * 3 + [[-0.2, -0.001]], "does not hold"),
        ([[0.001, 0.2]] * 3 + [[-0.009, 0.009]], "does not hold"),
        ([[0.001, 0.2]] * 3 + [[-0.02, 0.2]], "inconclusive"),
    ],
)
def test_verdicts_follow_from_the_four_intervals(
    intervals: list[list[float]], verdict: str
) -> None:
    assert say(intervals) == verdict


def test_a_verdict_without_all_its_arms_cannot_tell_and_says_which_are_missing() -> None:
    of = cell(items("no_context", [0.1, 0.2]), items("both", [0.5, 0.7]))
    both, style, preference = verdicts(of)
    assert both["verdict"] == style["verdict"] == preference["verdict"] == "inconclusive"
    assert both["missing"] == ["anti_users", "constant", "random_users"]
    assert [test["what"] for test in both["tests"]] == ["aligned - no_context"]
    assert both["below_no_context"] == {"random": None, "anti": None}


def test_controls_below_no_context_are_told_of() -> None:
    harm = items("random_users", [0.0, 0.1, 0.2])
    of = cell(items("no_context", [0.1, 0.2, 0.3]), items("both", [0.5, 0.6, 0.7]), harm)
    (both, *_) = verdicts(of)
    assert both["below_no_context"]["random"] == {"mean": -0.1, "ci95": [-0.1, -0.1], "below": True}
