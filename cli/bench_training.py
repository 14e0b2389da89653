"""`patlm bench training`: what our wiring costs, and how full collection keeps the batches."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import Annotated, Any

import typer

from .bench_options import say
from .options import JsonOption


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("training")(training)


def training(
    model: Annotated[str, typer.Option(help="bundled, or a model's folder or hub id.")] = "bundled",
    dtype: Annotated[str, typer.Option(help="Of the timed runs: auto, fp32 or bf16.")] = "auto",
    episodes: Annotated[
        Path | None, typer.Option(help="Episodes that pairs are made of; none: the sample corpus.")
    ] = None,
    collected: Annotated[
        Path | None,
        typer.Option(help="What `patlm collect --json` printed: its batch_fill is reported."),
    ] = None,
    pairs: Annotated[int, typer.Option(min=4, help="Pairs that both learn from.")] = 32,
    repeats: Annotated[int, typer.Option(min=1, help="Timed runs of each, in turn.")] = 3,
    json: JsonOption = False,
) -> None:
    """Time our DPO run beside a bare TRL trainer on the same pairs, and compare their losses."""
    from ..bench.training import TrainingSize, measure_training
    from ..models.bundled import chat_model_path
    from .output import emit_json, errors_as_lines, stdout

    with errors_as_lines():
        fill = None if collected is None else _batch_fill(collected)
        path = str(chat_model_path()) if model == "bundled" else model
        size = TrainingSize(pairs=pairs, repeats=repeats)
        found = measure_training(path, dtype=dtype, episodes=episodes, size=size, say=say)
    found = {**found, "batch_fill": fill}
    if json:
        emit_json(found)
        return
    stdout.print(f"steps/s against a bare DPOTrainer: {found['ratio_vs_bare']:.3f}")
    stdout.print(f"largest difference of the losses (fp32): {found['loss_max_abs_diff']:.2g}")
    said = "not measured (--collected)" if fill is None else f"{fill:.0%}"
    stdout.print(f"batches of the collection were full to: {said}")


def _batch_fill(path: Path) -> float | None:
    """Return how full a collection kept the batches.

    Raises:
        TrainingError: The file is no report of a collection.
    """
    from ..training.errors import TrainingError

    try:
        report: Any = json_format.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        report = None
    if not isinstance(report, dict) or "batch_fill" not in report:
        raise TrainingError(
            f"{path}: expected what `patlm collect --json` printed, with batch_fill"
        )
    return None if report["batch_fill"] is None else float(report["batch_fill"])
