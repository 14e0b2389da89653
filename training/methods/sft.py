"""A warm start of one role's adapter by TRL's `SFTTrainer`, on rows of token ids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trl import SFTConfig, SFTTrainer

from ..data.sft_examples import Example
from ..trainer.config import TrainConfig
from .arguments import common_arguments, kept_rows

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedTokenizerBase, TrainerCallback


def sft_arguments(config: TrainConfig, device: str) -> SFTConfig:
    """Return TRL's configuration of a run: only the answers count."""
    return SFTConfig(
        **common_arguments(config, device),
        completion_only_loss=True,
        max_length=None,
        packing=False,
    )


def build_sft_trainer(
    model: PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
    arguments: SFTConfig,
    *,
    folder: Path,
    callbacks: Sequence[TrainerCallback] = (),
) -> SFTTrainer:
    """Return TRL's trainer over examples.

    Args:
        model: With the adapter as `default`.
        tokenizer: The model's; its padding token fills batches.
        examples: What is learnt.
        arguments: TRL's configuration.
        folder: Where the rows are kept while it runs; all processes read them there.
        callbacks: Of the trainer.
    """
    return SFTTrainer(
        model=model,
        args=arguments,
        train_dataset=kept_rows([_row(example) for example in examples], arguments, folder),
        processing_class=tokenizer,
        callbacks=list(callbacks),
    )


def _row(example: Example) -> dict[str, Any]:
    mask = [0] * len(example.prompt_ids) + [1] * len(example.answer_ids)
    return {"input_ids": example.prompt_ids + example.answer_ids, "completion_mask": mask}
