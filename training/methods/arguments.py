"""The fields that the arguments of all three TRL trainers share, from our settings.

TRL's own defaults are those of a large accelerator: bf16 autocast (on a CPU far slower than bf16
weights without it) and gradient checkpointing. Non-finite losses are shown as they are, for a guard
looks at them; transformers would put the mean of the others in their place.

Rows of a data set on disk while a trainer runs, so that all its processes read the same ones.

TRL keeps the reference's log-probabilities in a file beside the rows; rows in memory have no such
place in common. They are what people wrote: whoever has a folder made removes it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets import Dataset, load_from_disk

from ..trainer.config import TrainConfig

if TYPE_CHECKING:
    from transformers import TrainingArguments

CHECKPOINTS = "checkpoints"


def common_arguments(config: TrainConfig, device: str) -> dict[str, Any]:
    """Return fields of `TrainingArguments`.

    Args:
        config: Settled.
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
        "logging_nan_inf_filter": False,
        "save_strategy": "steps",
        "save_steps": config.save_every,
        "save_total_limit": 2,
        "report_to": config.report_to,
        "disable_tqdm": True,
        "ddp_find_unused_parameters": False,
    }


def kept_rows(rows: list[dict[str, Any]], arguments: TrainingArguments, folder: Path) -> Dataset:
    """Write rows in the first process, and return them in all.

    Args:
        rows: The same in all processes.
        arguments: Of the trainer, which know the processes.
        folder: Where they go.
    """
    with arguments.main_process_first(local=False):
        if arguments.process_index == 0:
            Dataset.from_list(rows).save_to_disk(str(folder))
    return load_from_disk(str(folder))
