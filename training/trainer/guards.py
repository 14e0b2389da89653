"""Stop a run that learns nothing or degenerates, and report why.

A trainer callback. It checks the adapter when training begins (active, trainable, and after a
resume equal to the checkpoint's), the metrics of each step, and at the end that weights changed.
`stopped` holds the reason, `spoilt` whether the adapter is unusable.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from ...evaluation.progress import Counting, Unwatched
from ..data.samples import COPIED
from ..errors import AdapterNotTrained
from .model import POLICY, REFERENCE, trainable_weights, whole

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import TrainerControl, TrainerState, TrainingArguments

LEAST_CHANGE = 1e-9
"""Minimum change of a weight; smaller ones change no output in bf16 or fp32."""


@dataclass(frozen=True)
class Limits:
    """Limits beyond which a run is stopped.

    Attributes:
        still: Maximum number of consecutive steps without a gradient.
        level: Maximum number of consecutive steps in which no group of a batch has reward variance.
        shrunk: Minimum length of answers as a share of their initial length.
        copied: Maximum share of words that answers copy from the evidence.
        patience: Number of consecutive steps beyond `shrunk` or `copied` before a stop.
        first: Number of steps whose mean length is the initial length.
    """

    still: int = 3
    level: int = 20
    shrunk: float = 0.25
    copied: float = 0.5
    patience: int = 3
    first: int = 5


class Guards(TrainerCallback):
    """Guards of one run.

    Attributes:
        stopped: Why the run was stopped early or learnt nothing; None if no guard fired.
        spoilt: Whether the adapter of a stopped run is unusable.
        groups_without_variance: Share of groups without reward variance, summed over steps; None if
            no groups are sampled.
    """

    def __init__(
        self,
        model: PeftModel,
        *,
        checkpoint: Path | None = None,
        limits: Limits | None = None,
        watch: Counting | None = None,
    ) -> None:
        """Record the model before the first step and before a checkpoint is loaded.

        Args:
            model: Model with the adapter as `default`.
            checkpoint: Checkpoint of a resumed run.
            limits: Limits; None: the defaults.
            watch: Receives each optimiser step.
        """
        self.stopped: str | None = None
        self.spoilt = True
        self._varied = False
        self.groups_without_variance: float | None = None
        self._before = trainable_weights(model)
        self._checkpoint = checkpoint
        self._limits = limits or Limits()
        self._watch = watch or Unwatched()
        self._rows: dict[str, int] = {}
        self._lengths: list[float] = []

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Check that the adapter is trained, and after a resume that it is the checkpoint's.

        Raises:
            AdapterNotTrained: A check failed.
        """
        model = kwargs["model"]
        check_active(model)
        if self._checkpoint is not None:
            check_resumed(model, self._checkpoint)
        self._watch.begin(state.max_steps, state.global_step, "steps")

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Report progress."""
        self._watch.advance(state.global_step)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, float | None] | None = None,
        **kwargs: Any,
    ) -> None:
        """Check the metrics of a step and stop the run if they are degenerate."""
        if self.stopped is None and logs is not None and "loss" in logs:
            found = self._look(logs)
            if found is not None:
                self.stopped = f"{found} (step {state.global_step})"
        if self.stopped is not None:
            control.should_training_stop = True

    def on_save(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Delete TRL's copy of the parent from a checkpoint: a resume creates it again."""
        if args.should_save:
            place = Path(args.output_dir or ".") / f"checkpoint-{state.global_step}" / REFERENCE
            shutil.rmtree(place, ignore_errors=True)

    def on_train_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Check that weights changed."""
        if not changed(kwargs["model"], self._before):
            self.spoilt = True
            self.stopped = self.stopped or (
                f"no weight of the adapter changed in {state.global_step} steps: raise "
                "--learning-rate, or check that pairs or groups differ"
            )

    def _look(self, logs: Mapping[str, float | None]) -> str | None:
        for name in ("loss", "grad_norm"):
            value = logs.get(name)
            if value is not None and not math.isfinite(value):
                return f"{name} is {value}: lower --learning-rate"
        still = logs.get("grad_norm") == 0.0 and logs.get("frac_reward_zero_std") != 1.0
        if self._in_a_row("still", still) >= self._limits.still:
            return f"no gradient reached the adapter for {self._limits.still} steps"
        return self._look_at_groups(logs) or self._look_at_answers(logs)

    def _look_at_groups(self, logs: Mapping[str, float | None]) -> str | None:
        level = logs.get("frac_reward_zero_std")
        if level is not None:
            self.groups_without_variance = (self.groups_without_variance or 0.0) + level
        self._varied = self._varied or (level is not None and level < 1.0)
        if self._in_a_row("level", level == 1.0) >= self._limits.level:
            # After steps with variance this is success: all groups do what is rewarded.
            self.spoilt = not self._varied
            return f"all groups of {self._limits.level} steps in a row have one reward each"
        return None

    def _look_at_answers(self, logs: Mapping[str, float | None]) -> str | None:
        copied = logs.get(f"components/{COPIED}")
        length = logs.get("completions/mean_length")
        far = copied is not None and copied > self._limits.copied
        if self._in_a_row("copied", far) >= self._limits.patience:
            return f"answers copy {copied:.0%} of their words from the evidence in one run"
        if length is None:
            return None
        if len(self._lengths) < self._limits.first:
            self._lengths.append(length)
            return None
        first = sum(self._lengths) / len(self._lengths)
        if self._in_a_row("short", length < self._limits.shrunk * first) >= self._limits.patience:
            return f"answers shrank from {first:.1f} to {length:.1f} tokens"
        return None

    def _in_a_row(self, name: str, holds: bool) -> int:
        self._rows[name] = self._rows.get(name, 0) + 1 if holds else 0
        return self._rows[name]


def check_active(model: PeftModel) -> None:
    """Check that the adapter is active and that only its weights are trainable.

    Raises:
        AdapterNotTrained: It is inactive, or other weights are trainable.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [layer for layer in model.modules() if isinstance(layer, BaseTunerLayer)]
    disabled = [layer for layer in layers if layer.disable_adapters or layer.merged]
    active = {name for layer in layers for name in layer.active_adapters}
    if active != {POLICY} or disabled:
        raise AdapterNotTrained(
            f"expected the adapter {POLICY} to be active in all {len(layers)} layers, got "
            f"{', '.join(sorted(active)) or 'none'}, disabled in {len(disabled)}",
            code="adapter_inactive",
        )
    learning = [name for name, weight in model.named_parameters() if weight.requires_grad]
    others = [name for name in learning if f".{POLICY}." not in name]
    if others or not learning:
        raise AdapterNotTrained(
            f"expected only the weights of {POLICY} to be trainable, got {len(learning)}, "
            f"{len(others)} of them others",
            code="other_weights_trained",
        )


def check_resumed(model: PeftModel, checkpoint: Path) -> None:
    """Check that the weights are the checkpoint's: a resume must not start new ones.

    Raises:
        AdapterNotTrained: They differ.
    """
    import torch
    from peft import get_peft_model_state_dict
    from safetensors.torch import load_file

    kept = load_file(checkpoint / "adapter_model.safetensors")
    state = get_peft_model_state_dict(model, adapter_name=POLICY)
    now = {name: whole(weight.detach()) for name, weight in state.items()}
    wrong = [
        name
        for name in kept.keys() | now.keys()
        if name not in kept
        or name not in now
        or not torch.equal(kept[name].cpu(), now[name].to("cpu", kept[name].dtype))
    ]
    if wrong:
        raise AdapterNotTrained(
            f"expected the weights of {checkpoint.name}, got others in {len(wrong)} of "
            f"{len(kept)} tensors, such as {sorted(wrong)[0]}",
            code="other_weights",
        )


def changed(model: PeftModel, before: Mapping[str, torch.Tensor]) -> bool:
    """Whether any trainable weight differs from its value before by `LEAST_CHANGE` or more."""
    now = trainable_weights(model)
    return any(
        bool((now[name] - weight).abs().max() >= LEAST_CHANGE) for name, weight in before.items()
    )
