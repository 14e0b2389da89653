"""`patlm bench encoder`, `bench evidence` and `bench graph`: quality of retrieval parts."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import typer

from ..options import JsonOption
from ..output import DataOption, PlotOption, say


def encoder(
    data: DataOption,
    plot: PlotOption = None,
    json: JsonOption = False,
) -> None:
    """Compare the style encoder with rivals on authorship, with the topic held fixed."""
    from ...bench.encoder import measure_encoder
    from ...bench.plots import plot_intervals
    from ...models.encoders.sentence import open_topic_encoder
    from ..output import emit_json, errors_as_lines, stdout

    with errors_as_lines():
        jobs = os.cpu_count() or 1
        found = measure_encoder(data, open_topic_encoder(), jobs=jobs, say=say)
        if plot is not None:
            plot_intervals(
                found["rows"],
                plot,
                series="encoder",
                value="accuracy",
                axis="triplets right, mean over authors (95% interval by author)",
                chance=0.5,
            )
    if json:
        emit_json(found)
        return
    for row in found["rows"]:
        low, high = row["ci95"]
        stdout.print(
            f"{row['data']:>22}  {row['encoder']:>16}  {row['accuracy']:.3f} "
            f"[{low:.3f}, {high:.3f}]  {row['authors']} authors"
        )
    for pair in found["paired"]:
        low, high = pair["ci95"]
        lead = f"{pair['gain']:+.3f} [{low:+.3f}, {high:+.3f}]"
        stdout.print(f"{pair['data']:>22}  patlm - {pair['against']:>16}  {lead}")
    for pair in found["neighbours"]["paired"]:
        low, high = pair["ci95"]
        lead = f"{pair['gain']:+.3f} [{low:+.3f}, {high:+.3f}]"
        known = f"{pair['history']} own texts, {pair['people']} people"
        stdout.print(f"{pair['data']:>22}  {pair['strategy']} - {pair['against']}  {lead}  {known}")
    for each in found["speed"]:
        stdout.print(
            f"{each['data']:>22}  {each['patlm_per_s']:.0f} texts/s, {each['ratio']:.1f} x minilm's"
        )


def evidence(
    data: DataOption,
    plot: PlotOption = None,
    json: JsonOption = False,
) -> None:
    """Measure the selected evidence, and choose its weights and threshold."""
    from ...bench.evidence.run import measure_evidence
    from ...bench.plots import plot_intervals
    from ...models.encoders.sentence import open_topic_encoder
    from ..output import emit_json, errors_as_lines

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
    """Print the results on `report`, and the choices made on `gate`."""
    from ..output import stdout

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
        stdout.print(f"{row['data']:>16}  {known}  length correlation: {', '.join(forms)}")
    for row in of_report(found["unknown"]):
        stdout.print(f"{row['data']:>16}  known: {row['kind']:>30}  {lead(row)}")
    for name, chosen in found["chosen"].items():
        stdout.print(f"chosen on gate: {name} {chosen.get('weight', chosen.get('confidence'))}")


_LENGTH_LABELS = ("data", "split", "history")


def graph(
    data: DataOption,
    plot: PlotOption = None,
    json: JsonOption = False,
) -> None:
    """Measure link prediction of the user-topic graph, trained and training-free."""
    from ...bench.graph import measure_graph
    from ...bench.plots import plot_intervals
    from ...models.encoders.sentence import open_topic_encoder
    from ..output import emit_json, errors_as_lines, stdout

    with errors_as_lines():
        found = measure_graph(data, open_topic_encoder(), say=say)
        if plot is not None:
            axis = "hidden topics among the first 10 (mean over people, 95% interval)"
            plot_intervals(found["rows"], plot, series="method", value="recall_at_10", axis=axis)
    if json:
        emit_json(found)
        return
    for row in found["rows"]:
        low, high = row["ci95"]
        stdout.print(
            f"{row['data']:>14}  {row['method']:>23}  recall@10 {row['recall_at_10']:.3f} "
            f"[{low:.3f}, {high:.3f}]  MRR {row['mrr']:.3f}  {row['n']} people, "
            f"{row['links']} links, {row['topics']} topics"
        )
    for pair in found["paired"]:
        low, high = pair["ci95"]
        lead = f"{pair['gain']:+.3f} [{low:+.3f}, {high:+.3f}]"
        stdout.print(
            f"{pair['data']:>14}  {pair['figure']:>16}  trained - {pair['against']:>10}  {lead}"
        )
    for row in found["aligned"]:
        low, high = row["rating_over_random_ci95"]
        lead = f"{row['rating_over_random']:+.3f} [{low:+.3f}, {high:+.3f}] over random"
        stdout.print(
            f"{row['data']:>14}  {row['by']:>19}  ratings agree {row['rating_agreement']:.3f}, "
            f"{lead}, {row['people']} people"
        )


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command("encoder")(encoder)
    app.command("evidence")(evidence)
    app.command("graph")(graph)
