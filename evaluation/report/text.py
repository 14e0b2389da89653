"""Sentences of the report: verdicts and their reasons, statistical power, settings."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..arms.floors import STRONGEST_FLOOR
from ..arms.registry import ARMS
from ..scores.metrics import main_metric
from ..scores.verdicts import NOTHING
from .html import interval, number, share, signed
from .records import ArmRow, Verdict, VerdictTest

SIDES = {
    "both": ("Both sides", "Is it the right people's texts that help, style and preference?"),
    "style": ("Style", "Does it matter whose style is borrowed?"),
    "preference": ("Preference", "Does it matter whose opinions of the topic are borrowed?"),
}
ALMOST_THE_SAME = 0.5
"""Share of common evidence from which a control can hardly differ from the aligned arm."""


def why(verdict: Verdict) -> str:
    """Return the reason of a verdict in one sentence."""
    if verdict.missing:
        return f"Not run: {', '.join(verdict.missing)}."
    if not verdict.tests:
        return "There are no comparisons."
    if verdict.verdict == "holds":
        return f"All {len(verdict.tests)} differences lie above zero."
    refuting = [test for test in verdict.tests if where(test) in ("below zero", _WITHIN)]
    shown = refuting if verdict.verdict == "does not hold" else _open(verdict.tests)
    parts = [f"{minus(test.what)} {_lies(where(test))}" for test in shown]
    return f"{'; '.join(parts)}." if parts else ""


def where(test: VerdictTest) -> str:
    """Return the position of a difference by its corrected interval, as in the verdicts' rule."""
    low, high = test.holm or (None, None)
    if low is None or high is None or not math.isfinite(low + high):
        return "without an interval"
    if low > 0:
        return "above zero"
    if high < 0:
        return "below zero"
    if low > -NOTHING and high < NOTHING:
        return _WITHIN
    return "on both sides of zero"


def minus(what: str) -> str:
    """Return a comparison's name with a minus sign instead of a hyphen."""
    return what.replace(" - ", " \N{MINUS SIGN} ")


def below(verdict: Verdict) -> Iterator[tuple[str, str, Any]]:
    """Yield the controls of the paper's decisive test: name, finding, figures."""
    for name, found in verdict.below_no_context.items():
        if found is not None:
            words = {True: "below no context", False: "above no context"}
            said = None if found.below is None else words[found.below]
            whose = {"random": "random people", "anti": "anti-aligned people"}.get(name, name)
            yield whose, said or "not significantly different from no context", found


def power(arms: Sequence[ArmRow], verdicts: Sequence[Verdict]) -> str | None:
    """Return which differences this many targets can't detect; None if unknown."""
    tests = [test for verdict in verdicts for test in verdict.tests]
    gains = [arm.gain for arm in arms if arm.gain is not None and arm.kind != "floor"]
    known = [each.least_difference for each in (tests or gains)]
    finite = [least for least in known if least is not None and math.isfinite(least)]
    if not finite or not arms:
        return None
    low, high = number(min(finite)), number(max(finite))
    least = low if low == high else f"{low} to {high}, by comparison"
    sizes = sorted({arm.n for arm in arms})
    shown = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    return (
        f"With {shown} targets, a true difference has to be about {least} to be significant in "
        "four of five such runs, before any correction. This run can't detect smaller ones: "
        "an interval that contains zero does not prove that there is no difference."
    )


def against_the_floor(arms: Sequence[ArmRow], floors: Sequence[ArmRow]) -> str | None:
    """Return which main arms are above and below the strongest floor; None if it was not run."""
    floor = next((each for each in floors if each.arm == STRONGEST_FLOOR), None)
    if floor is None:
        return None
    metric = main_metric(floor.task)
    said: dict[str, list[str]] = {"significantly above it": [], "significantly below it": []}
    for arm in arms:
        over = arm.over_copy_typical
        if arm.kind != "main" or over is None or over.ci95 is None:
            continue
        low, high = over.ci95
        shown = f"{arm.arm} ({signed(over.mean)} {interval(over.ci95, signs=True)})"
        if low is not None and low > 0:
            said["significantly above it"].append(shown)
        if high is not None and high < 0:
            said["significantly below it"].append(shown)
    parts = [f"{what}: {', '.join(found) if found else 'no arm'}" for what, found in said.items()]
    mean = number(floor.mean(metric.name))
    return f"Its mean {metric.label} is {mean}; {'; '.join(parts)}."


def hardly_differ(arms: Sequence[ArmRow]) -> list[str]:
    """Return controls that replaced a side's people but read nearly the same texts."""
    found = []
    for arm in arms:
        shared = arm.overlap_with_aligned or {}
        for side in _replaced_sides(arm.arm):
            common = shared.get(side)
            if common is not None and common >= ALMOST_THE_SAME:
                pool = (arm.pool_size or {}).get(side)
                of = "" if pool is None else f", from a pool of {count(pool)}"
                found.append(f"{arm.arm} ({side}: {share(common)} the same{of})")
    return found


def flat(settings: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Yield settings by name; nested ones as `budgets: prompt`."""
    for key, value in settings.items():
        if isinstance(value, Mapping) and value and not before:
            yield from flat(value, f"{key}: ")
        else:
            yield f"{before}{key}".replace("_", " "), _plain(value)


def _plain(value: Any) -> str:
    if value is None or value == {} or value == []:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(each)}" for key, each in value.items())
    if isinstance(value, list):
        return ", ".join(_plain(each) for each in value)
    return str(value)


def _replaced_sides(arm: str) -> list[str]:
    """Return the sides whose people a control replaces."""
    known = ARMS.get(arm)
    if known is None or known.kind != "control" or known.configuration is None:
        return []
    sides = {"style": known.configuration.style, "preference": known.configuration.preference}
    return [name for name, side in sides.items() if side.strategy != "aligned"]


def _open(tests: Sequence[VerdictTest]) -> list[VerdictTest]:
    return [test for test in tests if where(test) != "above zero"]


def _lies(place: str) -> str:
    return f"is {place}" if place == "without an interval" else f"lies {place}"


def count(value: float | None) -> str:
    """Format a count."""
    return number(value, 0)


def percent(value: float | None) -> str:
    """Format a share in percent."""
    return share(value)


def gain_of(arms: Sequence[ArmRow], name: str) -> str:
    """Return an arm's gain for an overview, `–` if it has none."""
    gain = next((arm.gain for arm in arms if arm.arm == name and arm.gain is not None), None)
    return signed(gain.mean if gain else None)


_WITHIN = f"within \N{PLUS-MINUS SIGN}{NOTHING:g} of zero"
