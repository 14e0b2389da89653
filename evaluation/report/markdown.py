"""Render the tables of `results.json` as Markdown, for docs/results; texts of others on such pages.

A page of Markdown must not fetch a picture, link to a place or gain a heading because of what is
written in a text, an id or a file: `plain`, `quotation` and `code` show marks as characters.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from typing import Any

from markupsafe import Markup

from ...models.sanitise import visible
from ..scores.metrics import Metric, metrics_of
from . import text as words
from .html import figure, interval, number, render, share, signed
from .records import ArmRow, Figure, Results, Verdict, VerdictTest

# Marks anywhere, marks at the start of a line, and what is taken for a link without any mark.
_MARKS = re.compile(
    r"[\\`*{}\[\]#|~$]|(?<![^\W_])_|_(?![^\W_])|^\s*(?:[-+=]|\d+[.)])|:(?=//)|(?<=www)\.",
    re.MULTILINE | re.IGNORECASE,
)


def plain(text: str) -> Markup:
    r"""Return a text for one line of Markdown, its marks as characters.

    >>> print(plain("# Not ![a picture](http://a.example/x.png)"))
    \# Not !\[a picture\](http\://a.example/x.png)
    """
    return _unmarked(" ".join(text.split()))


def quotation(text: str) -> Markup:
    """Return a text as a quotation in Markdown, its marks as characters."""
    lines = _unmarked(text.strip() or "(empty)").splitlines()
    return Markup("\n".join(f"> {line.strip()}".rstrip() for line in lines))


def code(name: str) -> Markup:
    """Return a name for a span of code in a table, which it can't end."""
    return Markup(re.sub(r"[`|\s]+", " ", visible(name)).strip() or "?")


def _unmarked(text: str) -> Markup:
    escaped = html.escape(visible(text), quote=False)
    return Markup(_MARKS.sub(lambda mark: f"{mark.group()[:-1]}\\{mark.group()[-1]}", escaped))


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
    known = "" if alone else f", {plain(history)} own text{'' if history == '1' else 's'} known"
    adapters = ", ".join(results.settings.get("adapters", {}).values())
    trained = f", with {plain(adapters)}" if adapters else ""
    topics = f" of {first.topics} topics (the largest {share(first.largest_topic)})"
    return {
        "title": Markup(f"{plain(data)}, {plain(task)}{trained}{known}: {first.n} targets{topics}"),
        "before": before,
        "after": after,
        "against": code(str(results.settings.get("against", "no_context"))),
        "rows": [_row(arm, before, after) for arm in (*arms, *floors)],
        "said": [each for each in said if each],
    }


def _row(arm: ArmRow, before: Sequence[Metric], after: Sequence[Metric]) -> dict[str, Any]:
    return {
        "arm": code(arm.arm),
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
    verdict = _unmarked_names(verdict)
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


def _unmarked_names(verdict: Verdict) -> Verdict:
    """Return a verdict of a file whose words are those of whoever wrote the file."""
    tests = [test.model_copy(update={"what": plain(test.what)}) for test in verdict.tests]
    return verdict.model_copy(
        update={
            "side": plain(verdict.side),
            "verdict": plain(verdict.verdict),
            "missing": [plain(name) for name in verdict.missing],
            "tests": tests,
            "below_no_context": {
                plain(name): found for name, found in verdict.below_no_context.items()
            },
        }
    )


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
            yield f"{arm.failed} of {plain(arm.arm)}"
