"""`patlm bench ...`: is it true, is it fast?"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from .options import JsonOption

DataOption = Annotated[
    list[Path], typer.Option("--data", help="File of texts; may be given several times.")
]
PlotOption = Annotated[
    Path | None, typer.Option("--plot", help="File of a picture (png, svg, pdf).")
]

LEAST_TEXTS = 200
"""Of a store that `bench retrieval` can draw from."""

app = typer.Typer(help="Measure how good and how fast it is.", no_args_is_help=True)


@app.callback()
def bench() -> None:
    """Measure how good and how fast it is."""


@app.command("loop")
def loop(
    runs: Annotated[int, typer.Option(min=10, help="Measured runs of each graph.")] = 200,
    json: JsonOption = False,
) -> None:
    """Time the framework's own share of an iteration, beside six empty nodes."""
    from ..bench.loop import measure_loop
    from .output import emit_json, stdout

    times = measure_loop(runs)
    if json:
        emit_json(
            {
                "framework_ms": times.framework_ms,
                "empty_graph_ms": times.empty_graph_ms,
                "model_calls_ms": times.model_calls_ms,
                "ratio": round(times.ratio, 3),
                "runs": times.runs,
            }
        )
        return
    rows = {
        "loop": times.framework_ms,
        "empty": times.empty_graph_ms,
        "3 calls": times.model_calls_ms,
    }
    for name, spread in rows.items():
        p50, p95 = spread["p50"], spread["p95"]
        stdout.print(f"{name:>7}  p50 {p50:.2f} ms  p95 {p95:.2f} ms an iteration")
    stdout.print(f"  ratio  {times.ratio:.2f} (medians, {times.runs} runs each, taken in turn)")


@app.command("serving")
def serving(
    model: Annotated[str, typer.Option(help="bundled, or a model's folder or hub id.")] = "bundled",
    dtype: Annotated[str, typer.Option(help="auto, fp32 or bf16, for all systems alike.")] = "auto",
    data: Annotated[
        Path | None, typer.Option(help="File whose texts make the requests; none: the sample.")
    ] = None,
    quick: Annotated[bool, typer.Option(help="A smaller form of all of it.")] = False,
    json: JsonOption = False,
) -> None:
    """Time one model with many callers, beside raw `generate` and a sequential model."""
    from ..bench.serving import QUICK, Size, measure_serving
    from ..models.bundled import chat_model_path
    from .output import emit_json, errors_as_lines, stdout

    with errors_as_lines():
        path = str(chat_model_path()) if model == "bundled" else model
        size = QUICK if quick else Size()
        found = asyncio.run(measure_serving(path, dtype=dtype, data=data, size=size, say=_say))
    if json:
        emit_json(found)
        return
    for name, ratio in found["ratios"].items():
        stdout.print(f"{name:>28}  {ratio:.3f}")
    stdout.print(f"{'memory_ratio':>28}  {found['memory_ratio']:.3f}")
    for row in found["rows"]:
        first, whole = row["ttft_ms"], row["total_ms"]
        stdout.print(
            f"{row['callers']:>4} callers  {row['tokens_per_s']:.1f} tokens/s, first token "
            f"p50 {first['p50']:.0f} p95 {first['p95']:.0f} ms, whole p50 {whole['p50']:.0f} "
            f"p95 {whole['p95']:.0f} ms"
        )
    stdout.print(f"{found['calls']} marked calls: {found['lost']} lost, {found['crossed']} crossed")


@app.command("encoder")
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
        found = measure_encoder(data, open_topic_encoder(), say=_say)
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


@app.command("retrieval")
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
    import os
    from tempfile import TemporaryDirectory

    from ..bench.corpus import DATA_VARIABLE, read_source
    from ..bench.retrieval import measure_retrieval, open_bench_encoders

    source = read_source(os.environ.get(DATA_VARIABLE))
    style, topic = open_bench_encoders(source)
    with TemporaryDirectory() as made:
        return asyncio.run(
            measure_retrieval(
                sizes, source, style, topic, folder or Path(made), queries=queries, say=_say
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


def _say(part: str) -> None:
    from .output import stderr

    stderr.print(f"{time.strftime('%H:%M:%S')}  {part}", highlight=False)
