"""`patlm bench retrieval`: both retrievals over the number of texts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .bench_options import PlotOption, say
from .options import JsonOption

LEAST_TEXTS = 200
"""Of the smallest store: a corpus with fewer has too few people and topics to search in."""


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("retrieval")(retrieval)


def retrieval(
    texts: Annotated[
        str, typer.Option(help="Sizes of the stores, in texts, with commas.")
    ] = "10000,100000,1000000",
    queries: Annotated[
        int, typer.Option(min=20, help="Measured searches of each trajectory and size.")
    ] = 1_000,
    store_folder: Annotated[
        Path | None,
        typer.Option(help="Where the stores are made, and kept; none: they are removed."),
    ] = None,
    plot: PlotOption = None,
    json: JsonOption = False,
) -> None:
    """Time both retrievals over the number of texts, beside exact search and LangGraph's store."""
    from ..bench.latency_plot import plot_latency
    from .output import emit_json, errors_as_lines, stdout

    with errors_as_lines():
        found = _measure_retrieval(_sizes(texts), queries, store_folder)
        if plot is not None:
            plot_latency(found["rows"], found["baselines"], plot)
    if json:
        emit_json(found)
        return
    for row in found["rows"]:
        name = row["trajectory"] + (", large topic" if row["part"] == "large_topic" else "")
        stdout.print(
            f"{row['texts']:>9,} texts  {name:>23}  p50 {row['p50_ms']:.1f} "
            f"p95 {row['p95_ms']:.1f} p99 {row['p99_ms']:.1f} ms, exact p50 "
            f"{row['exact_p50_ms']:.1f} ms, recall@10 {row['recall_at_10']:.3f}"
        )
    for row in found["baselines"]:
        stdout.print(
            f"{row['texts']:>9,} texts  {row['system']:>23}  p50 {row['p50_ms']:.1f} "
            f"p95 {row['p95_ms']:.1f} ms"
        )
    for row in found["stopped"]:
        stdout.print(f"{row['texts']:>9,} texts  {row['system']:>23}  stopped: {row['why']}")
    for row in found["builds"]:
        stdout.print(
            f"{row['texts']:>9,} texts  built in {row['build_s']:.1f} s with "
            f"{row['peak_mb']:.0f} MB at most; ingest {row['ingest_ratio']:.2f} of the encoders"
        )


def _measure_retrieval(sizes: list[int], queries: int, folder: Path | None) -> dict[str, Any]:
    import asyncio
    import os
    from tempfile import TemporaryDirectory

    from ..bench.corpus import DATA_VARIABLE, read_source
    from ..bench.retrieval import measure_retrieval, open_bench_encoders

    source = read_source(os.environ.get(DATA_VARIABLE))
    style, topic = open_bench_encoders(source)
    with TemporaryDirectory() as made:
        return asyncio.run(
            measure_retrieval(
                sizes, source, style, topic, folder or Path(made), queries=queries, say=say
            )
        )


def _sizes(texts: str) -> list[int]:
    """Return sizes, smallest first."""
    try:
        sizes = sorted({int(size) for size in texts.split(",")})
    except ValueError:
        sizes = []
    if not sizes or sizes[0] < LEAST_TEXTS:
        raise typer.BadParameter(
            f"expected numbers from {LEAST_TEXTS} on with commas, got {texts!r}"
        )
    return sizes
