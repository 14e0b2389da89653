"""The folder of one training run: checkpoints, rows while it runs, report and curves.

The key of a run is a hash of its settings, base model, parent and data. Checkpoints of another key
are refused, and a run that is done is not done again. Curves are what the trainer logged at each
step, as JSON and as a picture.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...stores.files import write_json
from ..errors import OtherRun
from .config import TrainConfig
from .method import CHECKPOINTS

_KEY, _ROWS, REPORT = "run.json", ".rows", "report.json"
_NOT_IN_KEY = (
    "episodes",
    "also",
    "examples",
    "out",
    "adapters",
    "store",
    "save_every",
    "resume",
    "processes",
    "report_to",
)
_NEEDED = ("adapter_model.safetensors", "scheduler.pt")
_OPTIMISERS = ("optimizer.pt", "optimizer.bin")
"""The second is what the trainer calls it where the weights were sharded (FSDP)."""


def run_key(
    config: TrainConfig, *, base: str, parent: str | None, rows: Iterable[Sequence[int]]
) -> str:
    """Return 16 hex digits for a run.

    Args:
        config: Settled.
        base: Fingerprint of the base model.
        parent: Name of the adapter it continues from.
        rows: Token ids of everything that is learnt, in order.
    """
    digest = hashlib.sha256()
    settings = {k: v for k, v in config.__dict__.items() if k not in _NOT_IN_KEY and k[0] != "_"}
    digest.update(json.dumps([settings, base, parent], default=str, sort_keys=True).encode())
    for row in rows:
        digest.update(json.dumps(list(row)).encode())
    return digest.hexdigest()[:16]


class RunFolder:
    """One run's folder; its methods block.

    Attributes:
        path: The folder.
        key: Of the run that is to be done in it.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path = path
        self.key = key

    @property
    def rows(self) -> Path:
        """Where rows of the data lie while the run is under way."""
        return self.path / _ROWS

    def finished(self) -> dict[str, Any] | None:
        """Return the report of this run where it is done, and None where it is not."""
        report = _read_json(self.path / REPORT)
        return report if report is not None and report.get("run") == self.key else None

    def begin(self, *, resume: bool) -> Path | None:
        """Prepare the folder, and return the latest whole checkpoint of this run.

        A checkpoint that was being written when the run was killed is removed.

        Raises:
            OtherRun: There are checkpoints of another run.
            OSError: It cannot be written.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        kept = self.path / CHECKPOINTS
        if not resume:
            shutil.rmtree(kept, ignore_errors=True)
        known = _read_json(self.path / _KEY)
        if any(kept.glob("checkpoint-*")) and (known or {}).get("run") != self.key:
            raise OtherRun(
                f"{kept} holds checkpoints of another run (other settings, model, parent or "
                "episodes): name another --out, or start over with --no-resume"
            )
        (self.path / _KEY).write_text(json.dumps({"run": self.key}) + "\n", encoding="utf-8")
        self.clear_rows()
        return latest_checkpoint(kept)

    def clear_rows(self) -> None:
        """Remove what people wrote from the folder."""
        shutil.rmtree(self.rows, ignore_errors=True)

    def end(self, report: Mapping[str, Any]) -> None:
        """Keep the report, and remove the checkpoints.

        Raises:
            OSError: It cannot be written.
        """
        write_json(self.path / REPORT, {**report, "run": self.key})
        shutil.rmtree(self.path / CHECKPOINTS, ignore_errors=True)


def latest_checkpoint(folder: Path) -> Path | None:
    """Return the latest whole checkpoint of a folder; torn ones are removed.

    The trainer writes its own state last, so a checkpoint that has it has everything.
    """
    whole: dict[int, Path] = {}
    for place in folder.glob("checkpoint-*"):
        state = _read_json(place / "trainer_state.json")
        there = all((place / name).is_file() for name in _NEEDED)
        if state is None or not there or not any((place / name).is_file() for name in _OPTIMISERS):
            shutil.rmtree(place, ignore_errors=True)
        else:
            whole[int(state["global_step"])] = place
    return whole[max(whole)] if whole else None


def _read_json(path: Path) -> dict[str, Any] | None:
    """Return the JSON object of a file; None where there is none or it is torn."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) else None


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
"""Figures in the picture, in this order."""


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
