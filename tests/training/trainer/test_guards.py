"""What stops a run, and what does not."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from patlm.models.local.adapters import lora_config
from patlm.training.errors import AdapterNotTrained
from patlm.training.trainer.guards import Guards, Limits, check_active, check_resumed
from patlm.training.trainer.model import POLICY
from peft import get_peft_model
from planted_episodes import planted_episodes, run_training, word_llama
from raising import raises


def new_model() -> Any:
    model = word_llama()
    return get_peft_model(model, lora_config(model.config), adapter_name=POLICY)


def stopped_by(*steps: dict[str, float], limits: Limits | None = None) -> Guards:
    """Return the guards after steps with these figures."""
    guards = Guards(new_model(), limits=limits)
    control = SimpleNamespace(should_training_stop=False)
    for number, logs in enumerate(steps, start=1):
        state = SimpleNamespace(global_step=number)
        guards.on_log(SimpleNamespace(), state, control, logs={"loss": 0.5, **logs})
        assert control.should_training_stop == (guards.stopped is not None)
    return guards


def test_ordinary_steps_stop_nothing() -> None:
    step = {"grad_norm": 1.0, "frac_reward_zero_std": 0.5, "completions/mean_length": 20.0}
    guards = stopped_by(*[step] * 30)
    assert guards.stopped is None
    assert guards.groups_without_variance == 15.0


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["loss", "grad_norm"])
def test_a_loss_that_is_no_number_stops_at_once(name: str, value: float) -> None:
    guards = stopped_by({}, {name: value})
    assert guards.stopped is not None and guards.stopped.startswith(f"{name} is {value}")
    assert "step 2" in guards.stopped and guards.spoilt


def test_no_gradient_is_silent_learning() -> None:
    zero = {"grad_norm": 0.0}
    assert stopped_by(zero, zero, {"grad_norm": 0.1}, zero, zero).stopped is None
    guards = stopped_by(zero, zero, zero)
    assert guards.stopped is not None and "no gradient" in guards.stopped and guards.spoilt


def test_groups_without_variance_stop_it_and_spoil_it_only_where_there_never_was_any() -> None:
    level, varied = {"frac_reward_zero_std": 1.0}, {"frac_reward_zero_std": 0.5}
    limits = Limits(level=4)
    assert stopped_by(*[level] * 3, varied, *[level] * 3, limits=limits).stopped is None
    never = stopped_by(*[level] * 4, limits=limits)
    assert never.stopped is not None and "one reward each" in never.stopped and never.spoilt
    solved = stopped_by(varied, *[level] * 4, limits=limits)
    assert solved.stopped is not None and not solved.spoilt


def test_answers_that_shrink_or_copy_are_degenerate() -> None:
    long, short = {"completions/mean_length": 20.0}, {"completions/mean_length": 4.0}
    assert stopped_by(*[long] * 5, short, short, long, short, short).stopped is None
    shrunk = stopped_by(*[long] * 5, *[short] * 3)
    assert shrunk.stopped is not None and "from 20.0 to 4.0" in shrunk.stopped and shrunk.spoilt
    copies = stopped_by(*[{"components/summary_copying": 0.6}] * 3)
    assert copies.stopped is not None and "60%" in copies.stopped


def test_a_disabled_or_frozen_adapter_is_refused() -> None:
    model = new_model()
    check_active(model)
    model.base_model.disable_adapter_layers()
    with raises(AdapterNotTrained, "adapter_inactive", 7):
        check_active(model)
    model.base_model.enable_adapter_layers()
    for weight in model.parameters():
        weight.requires_grad = False
    with raises(AdapterNotTrained, "other_weights_trained", 0):
        check_active(model)
    model.get_base_model().lm_head.weight.requires_grad = True
    with raises(AdapterNotTrained, "other_weights_trained", 1):
        check_active(model)


def test_a_resume_that_starts_new_weights_is_refused(tmp_path: Path) -> None:
    model = new_model()
    model.save_pretrained(tmp_path / "checkpoint-3")
    check_resumed(model, tmp_path / "checkpoint-3")
    with torch.no_grad():
        next(weight for weight in model.parameters() if weight.requires_grad).add_(1e-3)
    with raises(AdapterNotTrained, "other_weights", "checkpoint-3"):
        check_resumed(model, tmp_path / "checkpoint-3")


def test_a_run_that_changes_no_weight_registers_nothing(tmp_path: Path) -> None:
    report = run_training(tmp_path, planted_episodes(12), steps=2, learning_rate=1e-30)
    assert report.adapter is None
    assert report.stopped is not None and "no weight of the adapter changed" in report.stopped
    assert not list((tmp_path / "adapters").glob("style@*"))


def test_a_loss_that_explodes_registers_nothing(tmp_path: Path) -> None:
    report = run_training(tmp_path, planted_episodes(40), learning_rate=1e30, steps=8)
    assert report.adapter is None and report.stopped is not None
    assert "is nan" in report.stopped or "is inf" in report.stopped
    assert report.steps < 8
