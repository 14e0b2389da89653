"""Curves hold what was logged at each step, and nothing of the summaries at the end."""

import json
from pathlib import Path

from patlm.training.trainer.run_folder import curves_of, write_curves

HISTORY = [
    {"loss": 0.7, "grad_norm": 1.0, "step": 1, "epoch": 0.5},
    {"loss": 0.6, "reward": None, "step": 2, "epoch": 1.0},
    {"train_runtime": 3.0, "step": 2},
]


def test_each_figure_has_one_value_a_step() -> None:
    assert curves_of(HISTORY) == {
        "step": [1, 2],
        "grad_norm": [1.0, None],
        "loss": [0.7, 0.6],
        "reward": [None, None],
    }


def test_they_are_written_as_json_and_as_a_picture(tmp_path: Path) -> None:
    write_curves(HISTORY, tmp_path)
    assert json.loads((tmp_path / "curves.json").read_text())["loss"] == [0.7, 0.6]
    picture = (tmp_path / "curves.png").read_bytes()
    assert picture.startswith(b"\x89PNG") and len(picture) > 5_000
