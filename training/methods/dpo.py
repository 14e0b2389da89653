"""DPO of one role's adapter with TRL's `DPOTrainer`, on the generated token ids.

TRL tokenises text columns and does not accept token ids, and decoding and encoding a text again may
give other tokens. So the rows carry the ids in extra columns, and the collator (an argument of the
trainer) replaces TRL's tokens of the empty texts by them.

The reference's log-probabilities are computed once, before the first step; then TRL's copy of the
parent is deleted, so that it is neither held in memory nor saved.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from ..trainer.method import (
    Inputs,
    Method,
    TrainData,
    common_arguments,
    each_once,
    fitted_warmup,
)

if TYPE_CHECKING:
    from trl import DPOConfig, DPOTrainer

    from ..data.pairs import PreferencePair
    from ..trainer.config import TrainConfig

_COLUMNS = ("prompt_ids", "chosen_ids", "rejected_ids")
_EXACT = "exact_"

Collate = Callable[[list[dict[str, Any]]], dict[str, Any]]


def dpo_arguments(config: TrainConfig, device: str) -> DPOConfig:
    """Return TRL's configuration of a run."""
    from trl import DPOConfig

    return DPOConfig(
        **common_arguments(config, device),
        beta=config.beta or 0.0,
        precompute_ref_log_probs=True,
        max_length=None,
        remove_unused_columns=False,
    )


def dpo_trainer(**given: Any) -> DPOTrainer:
    """Return TRL's trainer over `pair_rows` with precomputed log-probabilities of the reference."""
    from trl import DPOTrainer
    from trl.trainer.dpo_trainer import DataCollatorForPreference

    from ..trainer.model import REFERENCE

    tokenizer = given["processing_class"]
    padding = tokenizer.pad_token_id
    collator = DataCollatorForPreference(
        pad_token_id=int(tokenizer.eos_token_id if padding is None else padding)
    )
    trainer = DPOTrainer(data_collator=_with_exact_ids(collator), **given)
    given["model"].delete_adapter(REFERENCE)
    return trainer


def pair_rows(pairs: Sequence[PreferencePair]) -> list[dict[str, Any]]:
    """Return the rows of pairs: empty texts for TRL, and the generated ids."""
    return [
        {
            **{"prompt": "", "chosen": "", "rejected": ""},
            **{_EXACT + name: list(vars(pair)[name]) for name in _COLUMNS},
        }
        for pair in pairs
    ]


def prepare(inputs: Inputs) -> TrainData:
    """Return the pairs of a reasoner.

    Raises:
        NothingToTrainOn: There are none.
    """
    from ...nodes.prompts.build import ABSTENTION
    from ..data.pairs import PairSettings, make_pairs
    from ..data.token_ids import answer_ids

    config = inputs.config
    settings = PairSettings(
        margin=config.margin,
        per_group=config.pairs_per_group,
        length_ratio=config.length_ratio,
        gate_margin=config.gate_margin,
        abstain_share=config.abstain_share,
    )
    abstention = answer_ids(inputs.tokenizer, ABSTENTION)
    pairs = make_pairs(inputs.episodes, inputs.needs, settings, abstention, inputs.skipped)
    inputs.require(pairs, "pair")
    config = fitted_warmup(config, len(pairs))
    return TrainData(
        config=config,
        episodes=each_once(pair.episode for pair in pairs),
        samples=len(pairs),
        token_ids=[[*pair.prompt_ids, *pair.chosen_ids, -1, *pair.rejected_ids] for pair in pairs],
        rows=pair_rows(pairs),
        arguments=lambda: dpo_arguments(config, inputs.device),
        trainer=dpo_trainer,
        skipped=inputs.skipped,
        details={
            "abstentions": sum(pair.abstains for pair in pairs),
            "mean_gap": round(fmean(pair.gap for pair in pairs), 4),
            "chosen_tokens": round(fmean(len(pair.chosen_ids) for pair in pairs), 4),
            "rejected_tokens": round(fmean(len(pair.rejected_ids) for pair in pairs), 4),
        },
    )


def _with_exact_ids(collate: Collate) -> Collate:
    def collate_exact(examples: list[dict[str, Any]]) -> dict[str, Any]:
        return collate(
            [
                {**example, **{name: example[_EXACT + name] for name in _COLUMNS}}
                for example in examples
            ]
        )

    return collate_exact


METHOD = Method(
    name="dpo",
    says="pairs of one context",
    learns_from="rewards",
    prepare=prepare,
    defaults={"learning_rate": 5e-4, "beta": 0.1, "answer_tokens": 128},
    batches={"cpu": (4, 2), "cuda": (16, 2)},
)
