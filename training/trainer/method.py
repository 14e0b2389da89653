"""The interface of training methods, and what all methods share.

TRL's defaults suit a large accelerator: bf16 autocast (on a CPU far slower than bf16 weights
without it) and gradient checkpointing. The common arguments override them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ...stores.files import make_folder
from ..errors import NothingToTrainOn

if TYPE_CHECKING:
    from datasets import Dataset
    from peft import PeftModel
    from transformers import PreTrainedTokenizerBase, TrainerCallback, TrainingArguments

    from ...stores.episodes.schema import Episode
    from ..data.samples import Needs, Skipped
    from .config import TrainConfig

CHECKPOINTS = "checkpoints"

Reward = Any
"""TRL's reward function: `f(completions, **columns) -> list[float | None]`."""

ROLES = ("style", "preference", "integrate")


@dataclass(frozen=True)
class Inputs:
    """Inputs of a method's data preparation.

    Attributes:
        config: The settings, all chosen.
        asked: The settings as given.
        tokenizer: Tokenizer of the base model.
        device: "cpu" or "cuda".
        parent: Name of the adapter that training continues from.
        reward: Reward function of answers that are sampled during training.
        episodes: All collected episodes.
        needs: Requirements for a training sample.
        skipped: Counts skipped samples by reason.
    """

    config: TrainConfig
    asked: TrainConfig
    tokenizer: PreTrainedTokenizerBase
    device: str
    parent: str | None
    reward: Reward | None
    episodes: list[Episode]
    needs: Needs
    skipped: Skipped

    def require(self, found: Sequence[Any], what: str) -> None:
        """Check that there is something to train on.

        Raises:
            NothingToTrainOn: There is nothing; the message counts the reasons.
        """
        if found:
            return
        passed = sorted(self.skipped.items())
        why = ", ".join(f"{reason} {n}" for reason, n in passed if n) or "none there"
        config = self.config
        raise NothingToTrainOn(
            f"expected at least one {what} of {config.role} for {config.method} in "
            f"{config.episodes}, found none in {len(self.episodes)} episodes; left out: {why}"
        )


@dataclass(frozen=True)
class TrainData:
    """Data and trainer of a run.

    Attributes:
        config: The settings, with batches fitted to the data.
        episodes: Episodes with training data, each once.
        samples: Number of pairs, samples of groups, or examples.
        token_ids: All token ids, for the run's key.
        rows: Rows of the trainer's data set.
        arguments: Builds TRL's configuration, which connects the processes.
        trainer: TRL's trainer class, or a function that builds the trainer.
        skipped: Number of skipped samples by reason.
        details: Further entries of the report.
    """

    config: TrainConfig
    episodes: tuple[Episode, ...]
    samples: int
    token_ids: list[list[int]]
    rows: list[dict[str, Any]]
    arguments: Callable[[], TrainingArguments]
    trainer: Callable[..., Any]
    skipped: Skipped
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Method:
    """A training method and its only definition.

    Attributes:
        name: Value of `--method`.
        says: What it learns from, for help texts.
        learns_from: `rewards` of candidates, which only reasoners have, or `examples`.
        prepare: Prepares the data of a run.
        defaults: Default settings: learning rate, beta, answer tokens.
        batches: Batch and accumulation by device: on a CPU what two cores can hold; smaller ones
            leave an accelerator idle.
        check: Raises `ConfigRefused` for contradictory settings.
        draws: Whether answers are sampled during training, which requires a reward.
    """

    name: str
    says: str
    learns_from: Literal["rewards", "examples"]
    prepare: Callable[[Inputs], TrainData]
    defaults: Mapping[str, Any]
    batches: Mapping[str, tuple[int, int]]
    check: Callable[[TrainConfig], None] = lambda config: None
    draws: Callable[[TrainConfig], bool] = lambda config: False

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that it can train: integrate has no groups of candidates."""
        return ROLES if self.learns_from == "examples" else ROLES[:2]


def each_once(episodes: Iterable[Episode]) -> tuple[Episode, ...]:
    """Return each episode once, in order."""
    return tuple({id(episode): episode for episode in episodes}.values())


def common_arguments(config: TrainConfig, device: str) -> dict[str, Any]:
    """Return the common fields of `TrainingArguments`.

    Args:
        config: The settings, all chosen.
        device: "cpu" or "cuda".
    """
    on_cpu = device == "cpu"
    return {
        "output_dir": str(Path(config.out) / CHECKPOINTS),
        "per_device_train_batch_size": config.batch,
        "gradient_accumulation_steps": config.accumulation,
        "num_train_epochs": config.epochs,
        "max_steps": -1 if config.steps is None else config.steps,
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": config.schedule
        if config.schedule != "constant"
        else "constant_with_warmup",
        "warmup_steps": config.warmup,
        "use_cpu": on_cpu,
        "bf16": not on_cpu and config.dtype == "bf16",
        "gradient_checkpointing": config.gradient_checkpointing,
        "dataloader_pin_memory": not on_cpu,
        "seed": config.seed,
        "data_seed": config.seed,
        "logging_steps": 1,
        # A guard checks for losses that are not finite; transformers would replace them by the
        # mean.
        "logging_nan_inf_filter": False,
        "save_strategy": "steps",
        "save_steps": config.save_every,
        "save_total_limit": 2,
        "report_to": config.report_to,
        "disable_tqdm": True,
        "ddp_find_unused_parameters": False,
    }


def build_trainer(
    trainer: Callable[..., Any],
    model: PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: list[dict[str, Any]],
    arguments: TrainingArguments,
    *,
    folder: Path,
    callbacks: Sequence[TrainerCallback] = (),
) -> Any:
    """Build TRL's trainer over rows.

    Args:
        trainer: The trainer class, or a function that builds one.
        model: Model with the adapter as `default`.
        tokenizer: The model's tokenizer; its padding token fills batches.
        rows: Training rows.
        arguments: TRL's configuration.
        folder: Folder of the rows during the run, shared by all processes.
        callbacks: Callbacks of the trainer.
    """
    return trainer(
        model=model,
        args=arguments,
        train_dataset=_kept_rows(rows, arguments, folder),
        processing_class=tokenizer,
        callbacks=list(callbacks),
    )


def _kept_rows(rows: list[dict[str, Any]], arguments: TrainingArguments, folder: Path) -> Dataset:
    """Write rows in the first process and return them in all.

    TRL keeps the reference's log-probabilities in a file next to the rows, which all processes must
    share. The rows are user texts: the run's folder deletes them at the end.
    """
    from datasets import Dataset, load_from_disk

    with arguments.main_process_first(local=False):
        if arguments.process_index == 0:
            Dataset.from_list(rows).save_to_disk(str(make_folder(folder)))
    return load_from_disk(str(folder))


def fitted_warmup(config: TrainConfig, samples: int) -> TrainConfig:
    """Return the settings, without a warm-up if it is shorter than a step.

    Transformers rounds up, and the learning rate of a warm-up's first step is 0: a run of one step
    would learn nothing.

    Args:
        config: The settings, all chosen.
        samples: Number of pairs or examples per epoch.
    """
    at_once = (config.batch or 1) * (config.accumulation or 1) * process_count()
    steps = config.steps or config.epochs * -(-samples // at_once)
    return config if config.warmup * steps >= 1 else replace(config, warmup=0.0)


def process_count() -> int:
    """Return the number of processes set by a launcher (torchrun, accelerate)."""
    return int(os.environ.get("WORLD_SIZE", "1"))
