"""The report of `patlm bench personalization`, a self-contained page.

`report.html` is built from `results.json` (figures) and `examples.json` (texts) and can be built
again from them at any time; without the examples it can be published.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...stores.copies.ledger import note_copy
from ...stores.files import below, make_folder, write_atomic
from ..arms.registry import ARMS
from ..scores.metrics import METRICS, Metric
from . import text as words
from .html import render
from .plots import KINDS, plot_buckets, plot_curves, plot_gains, plot_histories
from .records import (
    EXAMPLES,
    ArmRow,
    BrokenResults,
    ReportExample,
    Results,
    Verdict,
    read_examples,
    read_results,
)
from .svg import standalone

if TYPE_CHECKING:
    from markupsafe import Markup

REPORT = "report.html"


@dataclass(frozen=True)
class Section:
    """The part of the page on one data set, task and history.

    Attributes:
        anchor: Id of the section in the page.
        data: Name of the data set.
        task: The task.
        history: Maximum number of own texts.
        groups: Arms, controls and floors by heading, without empty groups.
        metrics: Metric columns of the table of arms.
        reading: Metric columns of the table of texts read and written.
        verdicts: Verdicts on both sides, style and preference.
        gains: The forest plot.
        buckets: Gains by size of the history.
        examples: Targets with the drafts of each arm.
    """

    anchor: str
    data: str
    task: str
    history: str
    groups: Mapping[str, Sequence[ArmRow]]
    metrics: Sequence[Metric]
    reading: Sequence[Metric]
    verdicts: Sequence[Verdict]
    gains: Markup | None
    buckets: Markup | None
    examples: Sequence[ReportExample]

    @property
    def name(self) -> str:
        """Heading of the section."""
        known = "all own texts known" if self.history == "all" else f"history {self.history}"
        return f"{self.data}, {self.task}, {known}"

    @property
    def rows(self) -> Sequence[ArmRow]:
        """All arms, controls and floors."""
        return [row for group in self.groups.values() for row in group]

    @property
    def arms(self) -> Sequence[ArmRow]:
        """Arms and controls."""
        return [row for row in self.rows if row.kind != "floor"]

    @property
    def floors(self) -> Sequence[ArmRow]:
        """The floors."""
        return [row for row in self.rows if row.kind == "floor"]

    def verdict_on(self, side: str) -> Verdict | None:
        """Return the verdict on both sides, style or preference; None if there is none."""
        return next((each for each in self.verdicts if each.side == side), None)


def write_report(folder: Path) -> Path:
    """Write the page of a results folder.

    Args:
        folder: Folder with `results.json` and, to show texts, `examples.json`.

    Returns:
        The page's path. An existing page is replaced once the new one is complete.

    Raises:
        BrokenResults: A file is missing, or was not written by the bench.
    """
    page = report_page(read_results(folder), read_examples(folder))
    note_copy("page", folder / REPORT, of=folder / EXAMPLES)
    write_atomic(folder / REPORT, page)
    return folder / REPORT


def write_plots(results: Results, folder: Path) -> list[Path]:
    """Write each plot of the results as an SVG file: gains, and gains by history.

    Raises:
        BrokenResults: A data set's or a task's name can't be part of a file's.
    """
    rows = (*results.arms, *results.floors)
    plots: dict[str, Markup | None] = {}
    for case in results.cases:
        name = f"gains-{'-'.join(case)}"
        of = f"{case[0]}, {case[1]}, history {case[2]}"
        own = [row for row in rows if row.case == case]
        plots[name] = plot_gains(own, name, f"Gain of each arm with its interval: {of}")
    plots |= {f"histories-{data}-{task}": plot for (data, task), plot in _histories(results)}
    make_folder(folder)
    written = []
    for name, plot in plots.items():
        if plot is not None:
            written.append(below(folder, f"{name}.svg", error=BrokenResults))
            write_atomic(written[-1], standalone(plot) + "\n")
    return written


def report_page(results: Results, examples: Sequence[ReportExample]) -> str:
    """Return the page as HTML."""
    sections = [
        _section(number, case, results, examples)
        for number, case in enumerate(results.cases, start=1)
    ]
    there = set(results.cases)
    shown = {row.arm for section in sections for row in section.rows}
    return render(
        "report.html.j2",
        words=words,
        targets=_targets(sections),
        settings=results.settings,
        sections=sections,
        histories=[(", ".join(of), plot) for of, plot in _histories(results)],
        curves=_curves(results),
        strays=[example for example in examples if example.case not in there],
        meanings={name: arm.says for name, arm in ARMS.items() if name in shown},
    )


def _targets(sections: Sequence[Section]) -> str:
    """Return the number of targets, once if it is the same in all sections."""
    sizes = {section.name: max((row.n for row in section.rows), default=0) for section in sections}
    if len(set(sizes.values())) == 1:
        return f"{min(sizes.values())}{' each' if len(sizes) > 1 else ''}"
    return ", ".join(f"{size} ({name})" for name, size in sizes.items())


def _section(
    number: int, case: tuple[str, str, str], results: Results, examples: Sequence[ReportExample]
) -> Section:
    rows = [row for row in (*results.arms, *results.floors) if row.case == case]
    groups = {title: [row for row in rows if _kind(row) == kind] for kind, title in KINDS.items()}
    of = f"{case[0]}, {case[1]}, history {case[2]}"
    return Section(
        anchor=f"case-{number}",
        data=case[0],
        task=case[1],
        history=case[2],
        groups={title: group for title, group in groups.items() if group},
        metrics=[each for each in METRICS.values() if any(each.name in r.metrics for r in rows)],
        reading=[each for each in METRICS.values() if each.in_row],
        verdicts=[each for each in results.verdicts if each.case == case],
        gains=plot_gains(rows, f"gains{number}", f"Gain of each arm with its interval: {of}"),
        buckets=plot_buckets(rows, f"buckets{number}", f"Gain by number of own texts: {of}"),
        examples=[example for example in examples if example.case == case],
    )


def _kind(row: ArmRow) -> str:
    return row.kind if row.kind in KINDS else "main"


def _histories(results: Results) -> list[tuple[tuple[str, str], Markup]]:
    """Return a plot over histories for each data set and task with several of them."""
    found = []
    for number, (data, task) in enumerate(dict.fromkeys(case[:2] for case in results.cases)):
        rows = [arm for arm in results.arms if arm.case[:2] == (data, task)]
        label = f"Gain of each arm by number of known own texts: {data}, {task}"
        plot = plot_histories(rows, f"histories{number}", label)
        if plot is not None:
            found.append(((data, task), plot))
    return found


def _curves(results: Results) -> list[tuple[str, Markup]]:
    found = []
    for number, (adapter, curve) in enumerate(results.curves.items()):
        plot = plot_curves(curve, f"curves{number}", f"Training of {adapter} by step")
        if plot is not None:
            found.append((adapter, plot))
    return found
