"""`patlm bench serving`: one model with many callers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from .bench_options import say
from .options import JsonOption


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("serving")(serving)


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
