"""`accelerate launch` with the FSDP configuration that ships: shards over two processes equal one.

On processes without a GPU; `fsdp_on_cpu` says what stands in for one.
"""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from planted_episodes import curve, planted_episodes, run_config, run_training, weights
from processes import HANG_SECONDS, ROOT, environment, free_port

pytestmark = pytest.mark.slow

CONFIG = ROOT / "examples" / "fsdp" / "accelerate.yaml"
COMMON = {"accumulation": 1, "learning_rate": 2e-3, "epochs": 4.0}


def sharded(folder: Path, **settings: Any) -> subprocess.Popen[str]:
    """Start a run of two processes that has half of each batch in each, beside one in `folder`."""
    config = run_config(folder, folder / "episodes", out=folder / "two", **settings)
    given = {name: getattr(config, name) for name in (*settings, "role", "episodes", "out")}
    given |= {"model": config.model, "dtype": "fp32", "warmup": 0.0, "processes": 2}
    given |= {"batch": config.batch // 2, "adapters": folder / "others"}  # type: ignore[operator]
    flags = [part for name, value in given.items() for part in (_flag(name), str(value))]
    launch = ["-m", "accelerate.commands.launch", "--config_file", str(CONFIG)]
    launch += ["--num_processes", "2", "--main_process_port", str(free_port())]
    command = [
        sys.executable,
        *launch,
        str(Path(__file__).with_name("fsdp_on_cpu.py")),
        "train",
        *flags,
        "--json",
    ]
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment(OMP_NUM_THREADS="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(run: subprocess.Popen[str]) -> str:
    said, told = run.communicate(timeout=HANG_SECONDS)
    assert run.returncode == 0, told
    assert said.count('"adapter"') == 1, "only the first process prints"
    return said


def assert_equal_runs(folder: Path) -> None:
    assert curve(folder / "two") == pytest.approx(curve(folder / "one"), abs=1e-4)
    whole = weights(folder / "adapters" / "style@1")
    parts = weights(folder / "others" / "style@1")
    assert parts.keys() == whole.keys()
    for name, weight in whole.items():
        assert parts[name].dtype == torch.bfloat16
        torch.testing.assert_close(parts[name], weight, atol=2e-3, rtol=0)


def test_sharded_training_equals_that_of_one_process(tmp_path: Path) -> None:
    settings = {**COMMON, "method": "grpo", "rollouts": "logged", "batch": 6, "steps": 6}
    settings["epochs"] = 1.0
    run_training(tmp_path, planted_episodes(40), **settings, out=tmp_path / "one")
    said = finished(sharded(tmp_path, **settings))
    assert '"processes": 2' in said and '"resumed_from": 0' in said
    assert_equal_runs(tmp_path)


def test_a_sharded_run_that_was_killed_goes_on(tmp_path: Path) -> None:
    settings = {"method": "dpo", **COMMON, "batch": 4, "steps": 16, "save_every": 2}
    run_training(tmp_path, planted_episodes(40), **settings, out=tmp_path / "one")
    run = sharded(tmp_path, **settings)
    kept, patience = tmp_path / "two" / "checkpoints", time.monotonic() + HANG_SECONDS
    while not (kept / "checkpoint-4" / "trainer_state.json").exists():
        assert run.poll() is None and time.monotonic() < patience
        time.sleep(0.01)
    assert (kept / "checkpoint-4" / "pytorch_model_fsdp.bin").exists(), "nothing was sharded"
    for process in [*psutil.Process(run.pid).children(recursive=True), run]:
        process.kill()
    run.communicate()
    assert not list((tmp_path / "others").glob("*@*"))
    said = finished(sharded(tmp_path, **settings))
    assert any(f'"resumed_from": {step}' in said for step in (4, 6, 8))
    assert_equal_runs(tmp_path)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
