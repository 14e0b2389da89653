"""`patlm bench evidence`: which evidence is taken, and its weights and threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import typer

from .bench_options import DataOption, PlotOption, say
from .options import JsonOption


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("evidence")(evidence)


def evidence(
    data: DataOption,
    plot: PlotOption = None,
    json: JsonOption = False,
) -> None:
    """Measure which evidence is taken, and choose its weights and its threshold."""
    from ..bench.evidence import measure_evidence
    from ..bench.interval_plot import plot_intervals
    from ..models.topic_encoder import open_topic_encoder
    from .output import emit_json, errors_as_lines

    with errors_as_lines():
        found = measure_evidence(data, open_topic_encoder(), say=say)
        if plot is not None:
            rows = [row for row in found["preference"] if row["split"] == "report"]
            plot_intervals(
                [{**row, "data": f"{row['data']} {row['history']}"} for row in rows],
                plot,
                series="arm",
                value="objective",
                axis="likeness of the evidence to the real text (95% interval by person)",
            )
    if json:
        emit_json(found)
    else:
        _show_evidence(found)


def _show_evidence(found: Mapping[str, Any]) -> None:
    """Print what `report` says, and what `gate` chose."""
    from .output import stdout

    def lead(row: Mapping[str, Any]) -> str:
        low, high = row["ci95"]
        return f"{row['gain']:+.4f} [{low:+.4f}, {high:+.4f}]  {row['people']} people"

    def of_report(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        return [row for row in rows if row["split"] == "report"]

    for row in of_report(found["preference_paired"]):
        if row["metric"] in ("objective", "coverage"):
            what = f"{row['arm']} - {row['against']}, {row['metric']}"
            stdout.print(f"{row['data']:>16}  history {row['history']:>4}  {what:>38}  {lead(row)}")
    for row in of_report(found["style"]):
        what = f"style {row['form']}, aligned - random"
        stdout.print(f"{row['data']:>16}  history {row['history']:>4}  {what:>38}  {lead(row)}")
    for row in of_report(found["lengths"]):
        forms = [f"{name} {row[name]:.2f}" for name in row if name not in _LENGTH_LABELS]
        known = f"history {row['history']:>4}"
        stdout.print(f"{row['data']:>16}  {known}  lengths go together: {', '.join(forms)}")
    for row in of_report(found["unknown"]):
        stdout.print(f"{row['data']:>16}  known: {row['kind']:>30}  {lead(row)}")
    for name, chosen in found["chosen"].items():
        stdout.print(f"chosen on gate: {name} {chosen.get('weight', chosen.get('confidence'))}")


_LENGTH_LABELS = ("data", "split", "history")
