"""The curves of a run: what the trainer logged at each step, as JSON and as a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SHOWN = (
    "loss",
    "rewards/accuracies",
    "rewards/margins",
    "reward",
    "kl",
    "frac_reward_zero_std",
    "completions/mean_length",
    "components/summary_copying",
    "mean_token_accuracy",
    "grad_norm",
)
"""What is drawn, where it was logged, in this order."""


def curves_of(history: Sequence[Mapping[str, Any]]) -> dict[str, list[float | None]]:
    """Return the values of each figure by step; `step` names the steps.

    Args:
        history: What transformers' trainer logged; entries without a loss are summaries.
    """
    steps = [entry for entry in history if "loss" in entry]
    names = sorted({name for entry in steps for name in entry} - {"step", "epoch"})
    return {
        "step": [entry["step"] for entry in steps],
        **{name: [entry.get(name) for entry in steps] for name in names},
    }


def write_curves(history: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Write `curves.json` and `curves.png` into a folder.

    Raises:
        OSError: They cannot be written.
    """
    curves = curves_of(history)
    (folder / "curves.json").write_text(json.dumps(curves) + "\n", encoding="utf-8")
    shown = [name for name in SHOWN if any(value is not None for value in curves.get(name, []))]
    if shown:
        _draw(curves, shown, folder / "curves.png")


def _draw(curves: Mapping[str, Sequence[float | None]], shown: Sequence[str], path: Path) -> None:
    # Not `pyplot`: it keeps figures of a whole process and looks for a screen.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(4.2 * columns, 2.6 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    for place, name in enumerate(shown, start=1):
        axes = figure.add_subplot(rows, columns, place)
        points = [
            (step, value)
            for step, value in zip(curves["step"], curves[name], strict=True)
            if step is not None and value is not None
        ]
        axes.plot([step for step, _ in points], [value for _, value in points], linewidth=1.2)
        axes.set_title(name, fontsize=9)
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
