"""`patlm bench ...`: is it true, is it fast?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
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


@app.command("evidence")
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
        found = measure_evidence(data, open_topic_encoder(), say=_say)
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


@app.command("graph")
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
        found = measure_graph(data, open_topic_encoder(), say=_say)
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


def _say(part: str) -> None:
    from .output import stderr

    stderr.print(f"{time.strftime('%H:%M:%S')}  {part}", highlight=False)
