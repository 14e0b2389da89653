"""Equal settings give equal curves: resumed or not, batch by batch or at once, one process or two.

fp32, no dropout. Curves are compared, and weights where nothing but the process differs: Adam turns
rounding where gradients are almost zero into steps of a whole learning rate.
"""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from patlm.training.trainer.train import train
from planted_episodes import KilledAt, curve, planted_episodes, run_config, run_training, weights
from processes import run_python

METHODS: dict[str, dict[str, Any]] = {
    "dpo": {"method": "dpo", "learning_rate": 2e-3},
    "sft": {"method": "sft", "role": "integrate", "learning_rate": 2e-3},
}
STEPS = 12


class Killed(BaseException):
    """Ends a run from inside, as a signal would."""


@pytest.mark.slow  # a killed run is in test_faults
@pytest.mark.parametrize("name", ["dpo", "sft"])
def test_resumed_equals_unbroken(name: str, tmp_path: Path) -> None:
    episodes = planted_episodes(40)
    settings = {**METHODS[name], "batch": 4, "accumulation": 1, "save_every": 5, "epochs": 2.0}
    settings["steps"] = STEPS
    whole = run_training(tmp_path / "whole", episodes, **settings)

    config = run_config(tmp_path / "broken", episodes, **settings)
    with pytest.raises(Killed):
        train(config, watch=KilledAt(8, Killed()))
    assert not (config.out / ".rows").exists()
    assert not list((tmp_path / "broken" / "adapters").glob("*@*"))
    report = train(config)
    assert (report.resumed_from, report.steps) == (5, STEPS)
    role = report.role
    kept = [tmp_path / each / "adapters" / f"{role}@1" for each in ("whole", "broken")]
    assert curve(config.out) == pytest.approx(curve(tmp_path / "whole" / "run"), abs=1e-5)
    assert len(curve(config.out)) == STEPS
    first, second = map(weights, kept)
    for tensor, values in first.items():
        torch.testing.assert_close(second[tensor], values, atol=1e-5, rtol=0)
    assert (whole.loss_first, whole.loss_last) == pytest.approx(
        (report.loss_first, report.loss_last), abs=1e-5
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_batches_added_up_equal_one_batch(name: str, tmp_path: Path) -> None:
    episodes = planted_episodes(40)
    curves = []
    for batch, accumulation in ((1, 8), (2, 4), (8, 1)):
        out = tmp_path / f"{batch}x{accumulation}"
        settings = {**METHODS[name], "batch": batch, "accumulation": accumulation}
        run_training(tmp_path, episodes, **settings, out=out, steps=8, epochs=3.0)
        curves.append(curve(out))
    assert len(curves[0]) == 8
    assert len({round(loss, 3) for loss in curves[0]}) > 4  # it learns, or all would be equal
    assert curves[0] == pytest.approx(curves[2], abs=1e-5)
    assert curves[1] == pytest.approx(curves[2], abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_two_processes_equal_one(name: str, tmp_path: Path) -> None:
    episodes = planted_episodes(40)
    settings = {**METHODS[name], "accumulation": 2, "steps": 6}
    run_training(tmp_path, episodes, **settings, batch=4, out=tmp_path / "one")
    config = run_config(tmp_path, episodes)
    flags = {
        **settings,
        "role": settings.get("role", "style"),
        "batch": 2,
        "processes": 2,
        "episodes": config.episodes,
        "out": tmp_path / "two",
        "adapters": tmp_path / "others",
        "model": config.model,
        "dtype": "fp32",
        "warmup": 0.0,
    }
    given = [part for flag, value in flags.items() for part in (_flag(flag), str(value))]
    launcher = ["-m", "torch.distributed.run", "--nproc_per_node", "2"]
    launcher += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"]
    command = ["-m", "patlm.cli.main", "train", *given, "--json"]
    done = run_python(*launcher, *command, cwd=tmp_path, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('"adapter"') == 1, "only the first process prints"
    assert '"processes": 2' in done.stdout
    assert os.listdir(tmp_path / "others").count(f"{flags['role']}@1") == 1
    assert curve(tmp_path / "two") == pytest.approx(curve(tmp_path / "one"), abs=1e-4)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
