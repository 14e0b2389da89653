"""Our run and the bare trainer learn the same from the same pairs."""

import json
from pathlib import Path

from patlm.bench.training import TrainingSize, bench_pairs, measure_training
from patlm.cli.main import app
from patlm.training.errors import TrainingError
from patlm.training.trainer.model import open_base
from planted_episodes import planted_episodes, save_base, write_episodes
from raising import raises
from typer.testing import CliRunner

SMALL = TrainingSize(pairs=8, batch=2, repeats=1)


def test_the_losses_are_those_of_the_bare_trainer(tmp_path: Path) -> None:
    said: list[str] = []
    path = str(save_base(tmp_path / "base"))
    found = measure_training(path, dtype="fp32", size=SMALL, say=said.append)
    assert found["loss_max_abs_diff"] <= 1e-5
    assert len(found["losses"]["ours"]) == 4
    assert len(set(found["losses"]["ours"])) > 1  # it learns, or all would be ln 2
    assert found["ratio_vs_bare"] > 0.3  # a figure for the bench; here only that it is none of 0
    assert [line.split()[0] for line in said] == ["bare", "ours"]


def test_pairs_of_episodes_have_to_end_and_to_come_back(tmp_path: Path) -> None:
    base = open_base(str(save_base(tmp_path / "base")), dtype="fp32", device="cpu")
    episodes = write_episodes(tmp_path / "episodes", planted_episodes(10))
    with raises(TrainingError, "too_few_pairs", 8):  # drawn answers hardly ever end
        bench_pairs(base, episodes, 8)


def test_the_command_reports_how_full_a_collection_kept_the_batches(tmp_path: Path) -> None:
    path = str(save_base(tmp_path / "base"))
    report = tmp_path / "collect.json"
    report.write_text(json.dumps({"batch_fill": 0.75, "episodes": 3}))
    given = ["bench", "training", "--model", path, "--dtype", "fp32", "--pairs", "4"]
    given += ["--repeats", "1", "--json"]
    result = CliRunner().invoke(app, [*given, "--collected", str(report)])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert {"ratio_vs_bare", "loss_max_abs_diff", "batch_fill"} <= set(found)
    assert found["batch_fill"] == 0.75
    report.write_text("{}")
    result = CliRunner().invoke(app, [*given, "--collected", str(report)])
    assert result.exit_code == 1 and "patlm collect --json" in result.stderr
