"""The folder of a training run: checkpoints, rows during the run, report and curves.

The key of a run is a hash of its settings, base model, parent and data. Checkpoints of another key
are refused, and a finished run is not repeated. Curves are the metrics that the trainer logged at
each step, as JSON and as a picture.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...stores.files import make_folder, new_file, write_json
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
"""The second is the trainer's name for sharded weights (FSDP)."""


def run_key(
    config: TrainConfig, *, base: str, parent: str | None, rows: Iterable[Sequence[int]]
) -> str:
    """Return the key of a run, 16 hex digits.

    Args:
        config: The settings, all chosen.
        base: Fingerprint of the base model.
        parent: Name of the adapter that it continues from.
        rows: All training token ids, in order.
    """
    digest = hashlib.sha256()
    settings = {k: v for k, v in config.__dict__.items() if k not in _NOT_IN_KEY and k[0] != "_"}
    digest.update(json.dumps([settings, base, parent], default=str, sort_keys=True).encode())
    for row in rows:
        digest.update(json.dumps(list(row)).encode())
    return digest.hexdigest()[:16]


class RunFolder:
    """The folder of one run; its methods block.

    Attributes:
        path: The folder.
        key: Key of the run.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path = path
        self.key = key

    @property
    def rows(self) -> Path:
        """Folder of the data rows during the run."""
        return self.path / _ROWS

    def finished(self) -> dict[str, Any] | None:
        """Return the report of this run if it is finished, else None."""
        report = _read_json(self.path / REPORT)
        return report if report is not None and report.get("run") == self.key else None

    def begin(self, *, resume: bool) -> Path | None:
        """Prepare the folder and return the latest complete checkpoint of this run.

        An incomplete checkpoint of a killed run is deleted.

        Raises:
            OtherRun: The folder holds checkpoints of another run.
            OSError: It can't be written.
        """
        make_folder(self.path)
        kept = self.path / CHECKPOINTS
        if not resume:
            shutil.rmtree(kept, ignore_errors=True)
        known = _read_json(self.path / _KEY)
        if any(kept.glob("checkpoint-*")) and (known or {}).get("run") != self.key:
            raise OtherRun(
                f"{kept} holds checkpoints of another run (other settings, model, parent or "
                "episodes): name another --out, or start over with --no-resume"
            )
        new_file(self.path / _KEY).write_text(
            json.dumps({"run": self.key}) + "\n", encoding="utf-8"
        )
        self.clear_rows()
        return latest_checkpoint(kept)

    def clear_rows(self) -> None:
        """Delete user texts from the folder."""
        shutil.rmtree(self.rows, ignore_errors=True)

    def end(self, report: Mapping[str, Any]) -> None:
        """Write the report and delete the checkpoints.

        Raises:
            OSError: It can't be written.
        """
        write_json(self.path / REPORT, {**report, "run": self.key})
        shutil.rmtree(self.path / CHECKPOINTS, ignore_errors=True)


def latest_checkpoint(folder: Path) -> Path | None:
    """Return the latest complete checkpoint of a folder; incomplete ones are deleted.

    The trainer writes its state last, so a checkpoint with a state is complete.
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
    """Return the JSON object of a file; None if it is missing or incomplete."""
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
"""Metrics in the picture, in order."""


def curves_of(history: Sequence[Mapping[str, Any]]) -> dict[str, list[float | None]]:
    """Return the values of each metric by step; `step` holds the steps.

    Args:
        history: Log of transformers' trainer; entries without a loss are summaries.
    """
    steps = [entry for entry in history if "loss" in entry]
    names = sorted({name for entry in steps for name in entry} - {"step", "epoch"})
    return {
        "step": [entry["step"] for entry in steps],
        **{name: [entry.get(name) for entry in steps] for name in names},
    }


def write_curves(history: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Write `curves.json` and `curves.png` to a folder.

    Raises:
        OSError: They can't be written.
    """
    curves = curves_of(history)
    new_file(folder / "curves.json").write_text(json.dumps(curves) + "\n", encoding="utf-8")
    shown = [name for name in SHOWN if any(value is not None for value in curves.get(name, []))]
    if shown:
        _draw(curves, shown, new_file(folder / "curves.png"))


def _draw(curves: Mapping[str, Sequence[float | None]], shown: Sequence[str], path: Path) -> None:
    # Not `pyplot`: it keeps figures for the whole process and needs a display.
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
