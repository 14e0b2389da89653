"""`patlm bench encoder`: who wrote what, with the topic held fixed."""

from __future__ import annotations

import os

import typer

from .bench_options import DataOption, PlotOption, say
from .options import JsonOption


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("encoder")(encoder)


def encoder(
    data: DataOption,
    plot: PlotOption = None,
    json: JsonOption = False,
) -> None:
    """Ask the style encoder and its rivals who wrote what, with the topic held fixed."""
    from ..bench.encoder import measure_encoder
    from ..bench.interval_plot import plot_intervals
    from ..models.topic_encoder import open_topic_encoder
    from .output import emit_json, errors_as_lines, stdout

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
