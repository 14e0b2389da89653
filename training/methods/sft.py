"""SFT of one role's adapter as a warm start, with TRL's `SFTTrainer` on rows of token ids."""

from __future__ import annotations

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
    from trl import SFTConfig

    from ..data.sft_examples import Example
    from ..trainer.config import TrainConfig


def sft_arguments(config: TrainConfig, device: str) -> SFTConfig:
    """Return TRL's configuration of a run; only answers count towards the loss."""
    from trl import SFTConfig

    return SFTConfig(
        **common_arguments(config, device),
        completion_only_loss=True,
        max_length=None,
        packing=False,
    )


def prepare(inputs: Inputs) -> TrainData:
    """Return the examples of a role: real texts for integrate, its teacher's for a reasoner.

    Raises:
        NothingToTrainOn: There are none.
    """
    from trl import SFTTrainer

    found, details = _examples(inputs)
    most = inputs.config.max_tokens
    short = [each for each in found if len(each.prompt_ids) + len(each.answer_ids) <= most]
    inputs.skipped["too_long"] += len(found) - len(short)
    examples = short[: inputs.config.examples]
    inputs.require(examples, "example")
    config = fitted_warmup(inputs.config, len(examples))
    return TrainData(
        config=config,
        episodes=each_once(example.episode for example in examples),
        samples=len(examples),
        token_ids=[[*example.prompt_ids, -1, *example.answer_ids] for example in examples],
        rows=[_row(example) for example in examples],
        arguments=lambda: sft_arguments(config, inputs.device),
        trainer=SFTTrainer,
        skipped=inputs.skipped,
        details=details,
    )


def _examples(inputs: Inputs) -> tuple[list[Example], dict[str, Any]]:
    from ..data.samples import load_episodes
    from ..data.sft_examples import integrate_examples, reasoner_examples

    config, skipped = inputs.config, inputs.skipped
    most = config.answer_tokens or 1
    if config.role == "integrate":
        return integrate_examples(inputs.episodes, inputs.tokenizer, most=most, skipped=skipped), {}
    found, teacher = reasoner_examples(
        inputs.episodes,
        inputs.needs,
        inputs.tokenizer,
        most=most,
        gate_margin=config.gate_margin,
        skipped=skipped,
        also=load_episodes(config.also, skipped) if config.also else (),
    )
    return found, {"teacher": {**teacher.__dict__}}


def _row(example: Example) -> dict[str, Any]:
    mask = [0] * len(example.prompt_ids) + [1] * len(example.answer_ids)
    return {"input_ids": example.prompt_ids + example.answer_ids, "completion_mask": mask}


METHOD = Method(
    name="sft",
    says="warm start",
    learns_from="examples",
    prepare=prepare,
    defaults={"learning_rate": 1e-3, "beta": 0.0, "answer_tokens": 128},
    batches={"cpu": (8, 1), "cuda": (32, 1)},
)
