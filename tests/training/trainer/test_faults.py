"""Bad input is told or counted; a run that breaks loses nothing and registers nothing half."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from patlm.cli.main import app
from patlm.stores.adapters.registry import AdapterRegistry
from patlm.stores.episodes.schema import Episode
from patlm.training.errors import ConfigRefused, EpisodesUnfit, OtherRun
from patlm.training.trainer.train import train
from planted_episodes import (
    KilledAt,
    curve,
    planted_episodes,
    run_config,
    run_training,
    write_episodes,
)
from processes import HANG_SECONDS, environment
from raising import raises
from typer.testing import CliRunner

EPISODES = 30


def names(folder: Path) -> list[str]:
    """Return the adapters that a registry has, and whatever else lies in it."""
    return sorted(each.name for each in folder.glob("*") if not each.name.endswith(".lock"))


def command(folder: Path, episodes: list[Episode], **settings: Any) -> list[str]:
    config = run_config(folder, episodes)
    given = {
        "episodes": config.episodes,
        "out": config.out,
        "adapters": config.adapters,
        "model": config.model,
        "dtype": "fp32",
        "learning-rate": 0.01,
        **settings,
    }
    return ["train", *(part for name, value in given.items() for part in (f"--{name}", str(value)))]


def test_the_command_prints_one_object_and_adds_the_adapter(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, [*command(tmp_path, planted_episodes(12)), "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    keys = "role method adapter steps samples skipped loss_first loss_last stopped seconds"
    assert set(keys.split()) <= set(found)
    assert (found["adapter"], found["stopped"]) == ("style@1", None)
    assert "dpo of style on cpu: weights in fp32, batch 4 x 2" in result.stderr
    run = tmp_path / "run"
    assert {path.name for path in run.iterdir()} == {
        "adapter", "curves.json", "curves.png", "report.json", "run.json"
    }  # fmt: skip


def test_the_manifest_says_what_it_was_trained_on_and_no_run_is_done_twice(tmp_path: Path) -> None:
    from patlm.stores.adapters.lineage import person_key

    episodes = planted_episodes(12)
    report = run_training(tmp_path, episodes)
    registry = AdapterRegistry(tmp_path / "adapters")
    manifest = registry.get("style@1").manifest
    shard = next((tmp_path / "episodes").glob("*.jsonl")).name
    assert manifest.episode_shards == (shard,)
    assert (manifest.split, manifest.parent) == ("0123456789ab", None)
    assert (manifest.data, manifest.task, manifest.method) == ("planted", "long", "dpo")
    assert manifest.base == report.base == episodes[0].samples[0].base
    assert manifest.metrics["loss_first"] == report.loss_first
    assert registry.promoted() == {}
    for person in ("user3", "lender3"):
        assert list(registry.trained_on(person_key("default", person))) == ["style@1"]
    assert not list(registry.trained_on(person_key("default", "user99")))

    assert run_training(tmp_path, episodes) == report
    (tmp_path / "run" / "report.json").unlink()  # killed after the adapter was added
    again = run_training(tmp_path, episodes)
    assert again.adapter == "style@1"
    assert names(tmp_path / "adapters") == ["style@1"]


def test_damaged_and_redacted_episodes_are_passed_over(tmp_path: Path) -> None:
    episodes = planted_episodes(13)
    episodes[0] = episodes[0].model_copy(update={"redacted": episodes[0].created})
    folder = write_episodes(tmp_path / "episodes", episodes)
    shard = next(folder.glob("*.jsonl"))
    lines = shard.read_bytes().splitlines(keepends=True)
    shard.write_bytes(b"".join([*lines[:8], b"\xff\x00 torn\n", *lines[8:12], lines[12][:100]]))
    report = run_training(tmp_path, folder)
    assert report.adapter == "style@1"
    assert (report.skipped_by["damaged"], report.skipped_by["redacted"]) == (2, 1)


def of_a_server(episodes: list[Episode]) -> list[Episode]:
    """Return episodes as a model on a server leaves them: texts, and no token ids."""
    lost = {"base": None, "prompt_token_ids": None, "token_ids": None, "logprobs": None}
    return [
        episode.model_copy(
            update={"samples": tuple(each.model_copy(update=lost) for each in episode.samples)}
        )
        for episode in episodes
    ]


def test_samples_without_tokens_train_where_that_is_asked_for(tmp_path: Path) -> None:
    report = run_training(tmp_path, of_a_server(planted_episodes(4)), inexact=True)
    assert report.samples > 0 and "inexact" not in report.skipped_by
    with raises(ConfigRefused, "inexact_samples", "--inexact"):
        run_training(
            tmp_path / "grpo", of_a_server(planted_episodes(4)), method="grpo", inexact=True
        )


def test_episodes_of_two_splits_are_refused(tmp_path: Path) -> None:
    episodes = planted_episodes(4)
    episodes[0] = episodes[0].model_copy(update={"split": "ba9876543210"})
    with raises(EpisodesUnfit, "several_splits", "0123456789ab", "ba9876543210"):
        run_training(tmp_path, episodes)


def test_checkpoints_of_another_run_are_not_gone_on_from(tmp_path: Path) -> None:
    episodes = planted_episodes(EPISODES)
    config = run_config(tmp_path, episodes, save_every=1)
    with pytest.raises(KeyboardInterrupt):
        train(config, watch=KilledAt(2, KeyboardInterrupt()))
    with raises(OtherRun, "other_run", "--no-resume"):
        run_training(tmp_path, episodes, save_every=1, learning_rate=0.02)
    report = run_training(tmp_path, episodes, learning_rate=0.02, resume=False)
    assert (report.adapter, report.resumed_from) == ("style@1", 0)


def test_a_killed_run_goes_on_from_its_latest_whole_checkpoint(tmp_path: Path) -> None:
    episodes = planted_episodes(20)
    arguments = command(tmp_path, episodes, **{"save-every": 2, "batch": 1, "accumulation": 1})
    checkpoints = tmp_path / "run" / "checkpoints"
    process = subprocess.Popen(
        [sys.executable, "-m", "patlm.cli.main", *arguments],
        env=environment(OMP_NUM_THREADS="1"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + HANG_SECONDS
    # Once the next one is begun, the second is whole.
    while not (checkpoints / "checkpoint-4").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert names(tmp_path / "adapters") == []
    # A checkpoint that was torn by the kill: its state is written last, and is not there.
    kept = {int(place.name.rpartition("-")[2]) for place in checkpoints.glob("checkpoint-*")}
    torn = checkpoints / "checkpoint-99"
    torn.mkdir()
    (torn / "adapter_model.safetensors").write_bytes(b"half")
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    # The kill may have torn the latest, never the one before.
    assert found["resumed_from"] >= 2 and found["resumed_from"] in sorted(kept)[-2:]
    assert names(tmp_path / "adapters") == ["style@1"]
    assert not (tmp_path / "run" / ".rows").exists()  # what people wrote is not left behind
    steps = curve(tmp_path / "run", "step")
    assert steps == list(range(1, found["steps"] + 1))


def test_a_full_disc_is_told_and_nothing_is_half_registered(
    tmp_path: Path, file_limit: Callable[[int], None]
) -> None:
    arguments = command(tmp_path, planted_episodes(EPISODES), **{"save-every": 2})
    file_limit(60_000)  # a checkpoint needs more
    done = CliRunner().invoke(app, arguments)
    file_limit(resource.RLIM_INFINITY)
    assert done.exit_code == 1
    assert "can't be written" in done.stderr and "make room" in done.stderr
    assert "Traceback" not in done.stderr
    assert names(tmp_path / "adapters") == []
    again = CliRunner().invoke(app, [*arguments, "--json"])
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout)["adapter"] == "style@1"
