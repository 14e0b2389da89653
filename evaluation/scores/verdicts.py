"""The three verdicts: whether both sides, style and preference help as claimed.

*Holds*: the paired 95% intervals (Holm-corrected over the four) of aligned - random, random - anti,
aligned - constant and aligned - no_context all lie above zero. *Does not hold*: one of them lies
below zero, or inside +-.01. Otherwise, and whenever one of the four was not run, *inconclusive*:
the correction covers all four. Also reported is the paper's decisive test: whether random and
anti-aligned people fall below no context.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..arms.registry import ALIGNED, BASELINE
from .statistics import least_difference
from .tables import Cell, difference, holm_intervals, mean_and_interval

NOTHING = 0.01
"""A difference whose interval lies within +- this value counts as none."""

_OTHERS: Mapping[str, tuple[str, str]] = {
    "both": ("random_users", "anti_users"),
    "style": ("random_style", "anti_style"),
    "preference": ("random_preference", "anti_preference"),
}


def verdicts(cell: Cell) -> list[dict[str, Any]]:
    """Return the verdicts of a cell, as in `results.json`."""
    return [_verdict(cell, side) for side in _OTHERS]


def say(intervals: list[list[float]]) -> str:
    """Return the verdict of four corrected intervals."""
    if all(low > 0 for low, _ in intervals):
        return "holds"
    if any(high < 0 or (low > -NOTHING and high < NOTHING) for low, high in intervals):
        return "does not hold"
    return "inconclusive"


def _verdict(cell: Cell, side: str) -> dict[str, Any]:
    random, anti = _OTHERS[side]
    pairs = {
        "aligned - random": ("both", random),
        "random - anti": (random, anti),
        "aligned - constant": ("both", "constant"),
        "aligned - no_context": ("both", "no_context"),
    }
    found = {what: difference(cell, *arms) for what, arms in pairs.items()}
    there = {what: each for what, each in found.items() if each is not None}
    intervals = holm_intervals(list(there.values()))
    missing = sorted({arm for arms in pairs.values() for arm in arms if not cell.of_arm(arm)})
    tests = [
        {
            "what": what,
            "arms": list(pairs[what]),
            "n": len(each.values),
            "mean": round(sum(each.values) / len(each.values), 4),
            "holm": ends,
            "least_difference": round(least_difference(each.values, each.users), 4),
        }
        for (what, each), ends in zip(there.items(), intervals, strict=True)
    ]
    return {
        "data": cell.data,
        "task": cell.task,
        "history": cell.history,
        "side": side,
        "metric": cell.metric.name,
        "verdict": say(intervals) if len(there) == len(pairs) else "inconclusive",
        "tests": tests,
        "below_no_context": {
            "random": _below(cell, random),
            "anti": _below(cell, anti),
        },
        "adds_to_the_other": _adds(cell, side),
        "missing": missing,
    }


def _below(cell: Cell, arm: str) -> dict[str, Any] | None:
    """Return whether a control falls below no context; None if either was not run."""
    found = difference(cell, arm, BASELINE)
    if found is None:
        return None
    shown = mean_and_interval(found)
    low, high = shown["ci95"]
    return {**shown, "below": True if high < 0 else False if low > 0 else None}


def _adds(cell: Cell, side: str) -> dict[str, Any] | None:
    """Return what a side adds to the other one; None for both sides, or if an arm was not run."""
    alone = {"style": "preference_only", "preference": "style_only"}.get(side)
    found = None if alone is None else difference(cell, ALIGNED, alone)
    return None if found is None else {"over": alone, **mean_and_interval(found)}
