"""`patlm bench loop`, `bench retrieval`, `bench serving` and `bench training`: speed."""

from __future__ import annotations

import asyncio
import json as json_format
from pathlib import Path
from typing import Annotated, Any

import typer

from ...models.catalogue import CATALOGUE, SMALLEST
from ...stores.errors import shortened
from ..options import DtypeOption, JsonOption, finite
from ..output import PlotOption, say


def loop(
    runs: Annotated[int, typer.Option(min=10, help="Measured runs of each graph.")] = 200,
    json: JsonOption = False,
) -> None:
    """Time the framework's overhead per iteration, against a graph of six empty nodes."""
    from ...bench.loop import measure_loop
    from ..output import emit_json, stdout

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


def crowd(
    callers: Annotated[int, typer.Option(min=1, max=32, help="Ordinary callers at once.")] = 16,
    answer: Annotated[
        float,
        typer.Option(min=0, callback=finite, help="Seconds that an answer of the model takes."),
    ] = 0.5,
    seconds: Annotated[
        float, typer.Option(min=0.5, callback=finite, help="Seconds of each phase.")
    ] = 10.0,
    json: JsonOption = False,
) -> None:
    """Time callers alone and beside one whose inputs are as large as they may be."""
    from ...bench.crowd import measure_crowd
    from ..output import emit_json, run, stdout

    found = run(lambda: measure_crowd(callers=callers, answer_s=answer, phase_s=seconds))
    if json:
        emit_json(found)
        return
    for row in found["rounds"]:
        alone, beside = row["alone"]["p95"], row["beside"]["p95"]
        stdout.print(
            f"p95 alone {alone:.0f} ms, beside {beside:.0f} ms: {row['ratio']:.2f}, "
            f"{row['requests']} requests beside {row['large']} large ones"
        )
    stdout.print(f"ratio {found['ratio']:.2f} (median)")


LEAST_TEXTS = 200
"""Minimum store size: fewer texts have too few people and topics to search."""


def retrieval(
    texts: Annotated[
        str, typer.Option(help="Store sizes in texts, comma-separated.")
    ] = "10000,100000,1000000",
    queries: Annotated[
        int, typer.Option(min=20, help="Measured searches per trajectory and size.")
    ] = 1_000,
    store_folder: Annotated[
        Path | None,
        typer.Option(help="Folder to keep the stores in. Default: temporary."),
    ] = None,
    plot: PlotOption = None,
    json: JsonOption = False,
) -> None:
    """Time both retrievals by store size, against exact search and LangGraph's store."""
    from ...bench.plots import plot_latency
    from ..output import emit_json, errors_as_lines, stdout

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

    from ...bench.retrieval.corpus import DATA_VARIABLE, read_source
    from ...bench.retrieval.run import measure_retrieval, open_bench_encoders
    from ...stores.copies.ledger import note_copy

    data = os.environ.get(DATA_VARIABLE)
    source = read_source(data)
    if folder is not None:
        note_copy("stores", folder, of=data)
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
            f"expected comma-separated numbers of at least {LEAST_TEXTS}, got {shortened(texts)}"
        )
    return sizes


def serving(
    model: Annotated[
        str, typer.Option(help="An installed model, a folder or a hub id.")
    ] = SMALLEST,
    dtype: DtypeOption = "auto",
    data: Annotated[
        Path | None,
        typer.Option(help="File of texts for the requests. Default: the sample corpus."),
    ] = None,
    quick: Annotated[bool, typer.Option(help="Run a smaller version.")] = False,
    json: JsonOption = False,
) -> None:
    """Time one model with many callers, against raw `generate` and sequential calls."""
    from ...bench.serving.run import QUICK, Size, measure_serving
    from ...models.installed import model_path
    from ..output import emit_json, errors_as_lines, stdout

    with errors_as_lines():
        path = str(model_path(model)) if model in CATALOGUE else model
        size = QUICK if quick else Size()
        found = asyncio.run(measure_serving(path, dtype=dtype, data=data, size=size, say=say))
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


def training(
    model: Annotated[
        str, typer.Option(help="An installed model, a folder or a hub id.")
    ] = SMALLEST,
    dtype: DtypeOption = "auto",
    episodes: Annotated[
        Path | None, typer.Option(help="Episodes to build pairs from. Default: the sample corpus.")
    ] = None,
    collected: Annotated[
        Path | None,
        typer.Option(help="Output of `patlm collect --json`, to report its batch_fill."),
    ] = None,
    pairs: Annotated[int, typer.Option(min=4, help="Number of training pairs.")] = 32,
    repeats: Annotated[int, typer.Option(min=1, help="Timed runs of each.")] = 3,
    json: JsonOption = False,
) -> None:
    """Time our DPO run against a bare TRL trainer on the same pairs; compare losses."""
    from ...bench.training import TrainingSize, measure_training
    from ...models.installed import model_path
    from ..output import emit_json, errors_as_lines, stdout

    with errors_as_lines():
        fill = None if collected is None else _batch_fill(collected)
        path = str(model_path(model)) if model in CATALOGUE else model
        size = TrainingSize(pairs=pairs, repeats=repeats)
        found = measure_training(path, dtype=dtype, episodes=episodes, size=size, say=say)
    found = {**found, "batch_fill": fill}
    if json:
        emit_json(found)
        return
    stdout.print(f"steps/s against a bare DPOTrainer: {found['ratio_vs_bare']:.3f}")
    stdout.print(f"largest difference of the losses (fp32): {found['loss_max_abs_diff']:.2g}")
    said = "not measured (--collected)" if fill is None else f"{fill:.0%}"
    stdout.print(f"batch fill of the collection: {said}")


def _batch_fill(path: Path) -> float | None:
    """Return the batch fill of a collection.

    Raises:
        TrainingError: The file is not a report of a collection.
    """
    from ...training.errors import TrainingError

    try:
        report: Any = json_format.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        report = None
    if not isinstance(report, dict) or "batch_fill" not in report:
        raise TrainingError(
            f"{path}: expected the output of `patlm collect --json` with batch_fill",
            code="not_a_report",
        )
    return None if report["batch_fill"] is None else float(report["batch_fill"])


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command("crowd")(crowd)
    app.command("loop")(loop)
    app.command("retrieval")(retrieval)
    app.command("serving")(serving)
    app.command("training")(training)
