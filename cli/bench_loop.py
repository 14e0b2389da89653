"""`patlm bench loop`: the framework's own share of an iteration."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import JsonOption


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("loop")(loop)


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
