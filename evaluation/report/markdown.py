"""Render the tables of `results.json` as Markdown, for docs/results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..scores.metrics import Metric, metrics_of
from . import text as words
from .html import figure, interval, number, render, share, signed
from .records import ArmRow, Figure, Results, Verdict, VerdictTest


def results_tables(results: Results) -> str:
    """Return a table for each data set, task and history, followed by verdicts and leaks."""
    return render("results.md.j2", cases=[_case(results, case) for case in results.cases])


def _case(results: Results, case: tuple[str, str, str]) -> dict[str, Any]:
    data, task, history = case
    arms = [row for row in results.arms if row.case == case]
    floors = [row for row in results.floors if row.case == case]
    verdicts = [verdict for verdict in results.verdicts if verdict.case == case]
    before, after = metrics_of(task, "main", "headline"), metrics_of(task, "short")
    first = (arms or floors)[0]
    said = [words.power(arms, verdicts), *map(_verdict, verdicts), _leaks(arms), _failed(arms)]
    alone = len({other for *place, other in results.cases if place == [data, task]}) == 1
    known = "" if alone else f", {history} own text{'' if history == '1' else 's'} known"
    adapters = ", ".join(results.settings.get("adapters", {}).values())
    trained = f", with {adapters}" if adapters else ""
    topics = f" of {first.topics} topics (the largest {share(first.largest_topic)})"
    return {
        "title": f"{data}, {task}{trained}{known}: {first.n} targets{topics}",
        "before": before,
        "after": after,
        "against": results.settings.get("against", "no_context"),
        "rows": [_row(arm, before, after) for arm in (*arms, *floors)],
        "said": [each for each in said if each],
    }


def _row(arm: ArmRow, before: Sequence[Metric], after: Sequence[Metric]) -> dict[str, Any]:
    return {
        "arm": arm.arm,
        "before": [figure(arm.mean(metric.name), metric) for metric in before],
        "gain": _difference(arm.gain),
        "holm": interval(arm.gain.holm, signs=True) if arm.gain else "",
        "over": _difference(arm.over_copy_typical),
        "after": [figure(arm.mean(metric.name), metric) for metric in after],
    }


def _difference(figure: Figure | None) -> str:
    if figure is None:
        return ""
    return f"{signed(figure.mean)} {interval(figure.ci95, signs=True)}"


def _verdict(verdict: Verdict) -> str:
    said = [f"**{verdict.side}: {verdict.verdict}.**"]
    if verdict.missing:
        said.append(words.why(verdict))
    if verdict.tests:
        said.append("; ".join(map(_test, verdict.tests)) + ".")
    if below := [
        f"{whose} {_difference(found)} ({told})" for whose, told, found in words.below(verdict)
    ]:
        said.append(f"Over no context: {', '.join(below)}.")
    return " ".join(said)


def _test(test: VerdictTest) -> str:
    return f"{words.minus(test.what)} {signed(test.mean)} {interval(test.holm, signs=True)}"


def _leaks(arms: Sequence[ArmRow]) -> str | None:
    looked = [arm.leaks for arm in arms if arm.leaks]
    if not looked:
        return None
    runs = sum(found.get("runs") or 0 for found in looked)
    shared = sum(found.get("shared_runs") or 0 for found in looked)
    targets = max(found.get("targets") or 0 for found in looked)
    return (
        f"Leaks: {number(runs, 0)} runs (and {number(shared, 0)} that others also wrote) in "
        f"{len(looked)} arms, {number(targets, 0)} targets of eight words or more."
    )


def _failed(arms: Sequence[ArmRow]) -> str | None:
    lost = list(_lost(arms))
    return f"Failed: {', '.join(lost)}." if lost else None


def _lost(arms: Sequence[ArmRow]) -> Iterator[str]:
    for arm in arms:
        if arm.failed:
            yield f"{arm.failed} of {arm.arm}"
