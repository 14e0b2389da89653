"""A training method is one entry: commands, defaults and errors are derived from it."""

from dataclasses import replace
from pathlib import Path

import patlm.training.methods
import pytest
from patlm.cli.main import app
from patlm.training.errors import ConfigRefused
from patlm.training.methods import METHODS
from patlm.training.trainer.config import TrainConfig, described, settled
from planted_episodes import planted_episodes, run_training
from raising import raises
from typer.testing import CliRunner


@pytest.fixture
def _added(monkeypatch: pytest.MonkeyPatch) -> None:
    added = replace(
        METHODS["dpo"],
        name="pairs",
        defaults={"learning_rate": 3e-4, "beta": 0.2, "answer_tokens": 7},
        batches={"cpu": (3, 1), "cuda": (9, 1)},
    )
    monkeypatch.setitem(METHODS, "pairs", added)


def test_every_module_of_the_folder_is_a_method() -> None:
    folder = Path(patlm.training.methods.__path__[0])
    assert set(METHODS) == {path.stem for path in folder.glob("[a-z]*.py")}
    assert all(method.name == name for name, method in METHODS.items())


@pytest.mark.usefixtures("_added")
def test_a_method_that_is_added_has_its_defaults_and_limits() -> None:
    found = settled(TrainConfig(method="pairs"), device="cpu", bf16=False)
    assert (found.learning_rate, found.beta, found.answer_tokens) == (3e-4, 0.2, 7)
    assert (found.batch, found.accumulation) == (3, 1)
    assert described(found, "cpu").startswith("pairs of style on cpu")
    with raises(ConfigRefused, "role_without_groups", "--method sft"):
        settled(TrainConfig(method="pairs", role="integrate"), device="cpu", bf16=False)


@pytest.mark.usefixtures("_added")
def test_a_method_that_is_added_trains(tmp_path: Path) -> None:
    report = run_training(tmp_path, planted_episodes(12), method="pairs", steps=1)
    assert (report.method, report.steps, report.adapter) == ("pairs", 1, "style@1")


@pytest.mark.usefixtures("_added")
def test_an_unknown_method_is_told_which_there_are() -> None:
    ran = CliRunner().invoke(app, ["train", "--method", "ppo"])
    assert ran.exit_code == 2
    assert "expected one of dpo, grpo, sft, pairs, got 'ppo'" in ran.output
