"""`patlm bench graph`: which topics people write on, and whom the graph aligns."""

from __future__ import annotations

import typer

from .bench_options import DataOption, PlotOption, say
from .options import JsonOption


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("graph")(graph)


def graph(
    data: DataOption,
    plot: PlotOption = None,
    json: JsonOption = False,
) -> None:
    """Ask the user-topic graph, trained and training-free, which topic a person writes on."""
    from ..bench.graph import measure_graph
    from ..bench.interval_plot import plot_intervals
    from ..models.topic_encoder import open_topic_encoder
    from .output import emit_json, errors_as_lines, stdout

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
