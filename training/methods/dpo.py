"""DPO of one role's adapter by TRL's `DPOTrainer`, on token ids as they were generated.

TRL tokenises text columns and knows no rows of token ids, and text that is decoded and encoded
again is not always the same tokens. So the rows carry the ids in columns of their own, and the
collator (an argument of the trainer) puts them in the place of what TRL made of the empty texts.

The reference's log-probabilities are computed once, before the first step; then TRL's copy of the
parent is dropped, so that it is neither held nor saved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trl import DPOConfig, DPOTrainer
from trl.trainer.dpo_trainer import DataCollatorForPreference

from ..data.pairs import Pair
from ..trainer.config import TrainConfig
from ..trainer.model import REFERENCE
from .arguments import common_arguments, kept_rows

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedTokenizerBase, TrainerCallback

_COLUMNS = ("prompt_ids", "chosen_ids", "rejected_ids")
_EXACT = "exact_"


@dataclass
class ExactPairs(DataCollatorForPreference):
    """Makes batches of the ids that were generated."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """Return a batch as TRL's collator makes it."""
        exact = [
            {**example, **{name: example[_EXACT + name] for name in _COLUMNS}}
            for example in examples
        ]
        batch: dict[str, Any] = super().torch_call(exact)
        return batch


def dpo_arguments(config: TrainConfig, device: str) -> DPOConfig:
    """Return TRL's configuration of a run."""
    return DPOConfig(
        **common_arguments(config, device),
        beta=config.beta or 0.0,
        precompute_ref_log_probs=True,
        max_length=None,
        remove_unused_columns=False,
    )


def build_dpo_trainer(
    model: PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: Sequence[Pair],
    arguments: DPOConfig,
    *,
    folder: Path,
    callbacks: Sequence[TrainerCallback] = (),
) -> DPOTrainer:
    """Return TRL's trainer over pairs, the reference's log-probabilities computed.

    Args:
        model: With the adapter as `default`.
        tokenizer: The model's; its padding token fills batches.
        pairs: What is learnt.
        arguments: TRL's configuration.
        folder: Where the rows are kept while it runs; all processes read them there.
        callbacks: Of the trainer.
    """
    trainer = DPOTrainer(
        model=model,
        args=arguments,
        train_dataset=kept_rows([_row(pair) for pair in pairs], arguments, folder),
        processing_class=tokenizer,
        data_collator=ExactPairs(pad_token_id=_pad_id(tokenizer)),
        callbacks=list(callbacks),
    )
    model.delete_adapter(REFERENCE)
    return trainer


def _row(pair: Pair) -> dict[str, Any]:
    ids = (pair.prompt_ids, pair.chosen_ids, pair.rejected_ids)
    exact = {_EXACT + name: list(found) for name, found in zip(_COLUMNS, ids, strict=True)}
    return {"prompt": "", "chosen": "", "rejected": "", **exact}


def _pad_id(tokenizer: PreTrainedTokenizerBase) -> int:
    found = tokenizer.pad_token_id
    return int(tokenizer.eos_token_id if found is None else found)
