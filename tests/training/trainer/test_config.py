"""One dataclass for flags and YAML; what is left open is chosen by method and device."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
import typer.main
from patlm.cli.main import app
from patlm.training.errors import ConfigRefused, WrongWorldSize
from patlm.training.trainer.config import NAMES, TrainConfig, described, read_config, settled
from planted_episodes import planted_episodes, run_training
from raising import raises
from typer.core import TyperGroup

PAGE = (Path(__file__).parents[3] / "docs" / "training.md").read_text(encoding="utf-8")


def test_flags_are_the_fields() -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    found = {parameter.name for parameter in group.commands["train"].params}
    assert found == set(NAMES) | {"config", "json"}


def test_the_pages_table_holds_every_setting_with_its_default() -> None:
    table = PAGE.partition("## Settings")[2].partition("## Guards")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|", table, flags=re.MULTILINE))
    expected = {
        field.name: "chosen" if (value := field.default.default) is None else f"`{value}`"
        for field in fields(TrainConfig)
    }
    # What is None and not chosen by device says what it is then.
    free = {"also", "examples", "adapters", "store", "steps", "processes"}
    assert set(rows) == set(expected)
    assert {name: value.strip() for name, value in rows.items() if name not in free} == {
        name: value for name, value in expected.items() if name not in free
    }


def test_flags_win_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "train.yaml"
    path.write_text("role: preference\nlearning_rate: 1e-4\nepisodes: here\n")
    config = read_config(path, {"role": "integrate", "method": "sft", "beta": None})
    assert (config.role, config.method, config.learning_rate) == ("integrate", "sft", 1e-4)
    assert config.episodes == Path("here")


@pytest.mark.parametrize(
    ("text", "code", "named"),
    [
        ("rolle: style", "unknown_setting", "rolle"),
        ("role: writer", "invalid_config", "'writer'"),
        ("role: [", "unreadable_config", "train.yaml"),
    ],
)
def test_a_file_that_is_wrong_says_what(text: str, code: str, named: str, tmp_path: Path) -> None:
    path = tmp_path / "train.yaml"
    path.write_text(text)
    with raises(ConfigRefused, code, named):
        read_config(path, {})


def test_a_cpu_gets_small_batches_and_bf16_only_where_it_is_fast() -> None:
    slow = settled(TrainConfig(), device="cpu", bf16=False)
    fast = settled(TrainConfig(), device="cpu", bf16=True)
    assert (slow.dtype, fast.dtype) == ("fp32", "bf16")
    assert (slow.batch, slow.accumulation, slow.gradient_checkpointing) == (4, 2, False)
    assert "weights in fp32, batch 4 x 2" in described(slow, "cpu")


def test_settings_that_do_not_go_together_are_refused() -> None:
    with raises(ConfigRefused, "several_passes", "epochs 2"):
        settled(TrainConfig(method="grpo", rollouts="logged", epochs=2), device="cpu", bf16=False)
    with raises(ConfigRefused, "role_without_groups", "--method sft"):
        settled(TrainConfig(role="integrate"), device="cpu", bf16=False)


def test_batches_that_break_groups_are_refused(tmp_path: Path) -> None:
    with raises(ConfigRefused, "broken_groups", 6, "4 x 1"):
        run_training(
            tmp_path, planted_episodes(9), method="grpo", rollouts="logged", batch=4, accumulation=1
        )


def test_grpo_from_the_policy_wants_a_reward(tmp_path: Path) -> None:
    with raises(ConfigRefused, "store_missing", "--store"):
        run_training(tmp_path, planted_episodes(9), method="grpo")


def test_another_number_of_processes_than_asked_for_is_refused(tmp_path: Path) -> None:
    with raises(WrongWorldSize, "wrong_world_size", "--nproc_per_node 2"):
        run_training(tmp_path, planted_episodes(2), processes=2)
