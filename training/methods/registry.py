"""What one run learns from: chosen by method and role from the episodes, as token ids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...nodes.prompts import ABSTENTION
from ...stores.episodes.schema import Episode
from ..data.groups import make_logged_groups
from ..data.pairs import Pair, PairSettings, make_pairs
from ..data.samples import Needs, Skipped, load_episodes
from ..data.sft_examples import Example, integrate_examples, reasoner_examples
from ..data.token_ids import answer_ids, encoded, prompt_ids
from ..errors import ConfigRefused, NothingToTrainOn
from ..trainer.config import TrainConfig, fitted_warmup, process_count
from ..trainer.model import Base

if TYPE_CHECKING:
    from collections.abc import Iterable

    from peft import PeftModel
    from transformers import TrainerCallback

    from .grpo import Reward

BuildTrainer = Callable[["PeftModel", Any, Path, "Sequence[TrainerCallback]"], Any]
"""Builds TRL's trainer for a model and arguments; rows go into the folder."""


@dataclass(frozen=True)
class TrainData:
    """What is learnt, and how.

    Attributes:
        config: The settings, batches fitted to the data.
        episodes: Those that something is learnt from.
        samples: Pairs, samples of groups, or examples.
        rows: Token ids of all of it.
        skipped: What was passed over, by reason.
        details: What the report says besides.
        arguments: Makes TRL's configuration, which is where the processes find each other.
        build: Builds TRL's trainer.
    """

    config: TrainConfig
    episodes: tuple[Episode, ...]
    samples: int
    rows: list[list[int]]
    skipped: Skipped
    arguments: Callable[[], Any]
    build: BuildTrainer
    details: dict[str, Any] = field(default_factory=dict)


def make_data(
    config: TrainConfig,
    base: Base,
    parent: str | None,
    *,
    device: str,
    reward: Reward | None,
    asked: TrainConfig,
) -> TrainData:
    """Return what a run learns from.

    Args:
        config: Settled.
        base: The base model.
        parent: Name of the adapter that it goes on from.
        device: "cpu" or "cuda".
        reward: Of answers that GRPO draws from the policy.
        asked: The settings before anything was chosen.

    Raises:
        NothingToTrainOn: Nothing is left; the message counts why.
        ConfigRefused: GRPO from the policy without a reward.
    """
    skipped = Skipped()
    episodes = load_episodes(config.episodes, skipped)
    needs = Needs(
        role=config.role,
        base=base.fingerprint,
        copy_limit=config.copy_limit,
        max_tokens=config.max_tokens,
        encode=partial(encoded, base.tokenizer, base.fingerprint) if config.inexact else None,
    )
    if config.method == "dpo":
        return _pairs(config, base, episodes, needs, skipped, device)
    if config.method == "sft":
        return _examples(config, base, episodes, needs, skipped, device)
    if config.rollouts == "logged":
        fresh = replace(needs, adapter=parent or "base")
        return _logged(config, base, episodes, fresh, skipped, device, asked)
    return _contexts(config, base, episodes, skipped, device, asked, reward)


def _pairs(
    config: TrainConfig,
    base: Base,
    episodes: list[Episode],
    needs: Needs,
    skipped: Skipped,
    device: str,
) -> TrainData:
    from .dpo import build_dpo_trainer, dpo_arguments

    settings = PairSettings(
        margin=config.margin,
        per_group=config.pairs_per_group,
        length_ratio=config.length_ratio,
        gate_margin=config.gate_margin,
        abstain_share=config.abstain_share,
    )
    pairs = make_pairs(episodes, needs, settings, answer_ids(base.tokenizer, ABSTENTION), skipped)
    _need(pairs, "pair", config, episodes, skipped)
    config = fitted_warmup(config, len(pairs))
    return TrainData(
        config,
        _used(pair.episode for pair in pairs),
        len(pairs),
        [[*pair.prompt_ids, *pair.chosen_ids, -1, *pair.rejected_ids] for pair in pairs],
        skipped,
        lambda: dpo_arguments(config, device),
        lambda model, arguments, folder, callbacks: build_dpo_trainer(
            model,
            base.tokenizer,
            pairs,
            arguments,
            folder=folder,
            callbacks=callbacks,
        ),
        _about_pairs(pairs),
    )


def _examples(
    config: TrainConfig,
    base: Base,
    episodes: list[Episode],
    needs: Needs,
    skipped: Skipped,
    device: str,
) -> TrainData:
    from .sft import build_sft_trainer, sft_arguments

    details: dict[str, Any] = {}
    if config.role == "integrate":
        found = integrate_examples(
            episodes, base.tokenizer, most=config.answer_tokens or 1, skipped=skipped
        )
    else:
        found, teacher = reasoner_examples(
            episodes,
            needs,
            base.tokenizer,
            most=config.answer_tokens or 1,
            gate_margin=config.gate_margin,
            skipped=skipped,
            also=load_episodes(config.also, skipped) if config.also else (),
        )
        details["teacher"] = {**teacher.__dict__}
    examples = _short_enough(found, config.max_tokens, skipped)[: config.examples]
    _need(examples, "example", config, episodes, skipped)
    config = fitted_warmup(config, len(examples))
    return TrainData(
        config,
        _used(example.episode for example in examples),
        len(examples),
        [[*example.prompt_ids, -1, *example.answer_ids] for example in examples],
        skipped,
        lambda: sft_arguments(config, device),
        lambda model, arguments, folder, callbacks: build_sft_trainer(
            model,
            base.tokenizer,
            examples,
            arguments,
            folder=folder,
            callbacks=callbacks,
        ),
        details,
    )


def _logged(
    config: TrainConfig,
    base: Base,
    episodes: list[Episode],
    needs: Needs,
    skipped: Skipped,
    device: str,
    asked: TrainConfig,
) -> TrainData:
    from .grpo import build_logged_trainer, fitted_batches, grpo_arguments

    groups = make_logged_groups(episodes, needs, skipped)
    _need(groups, "group", config, episodes, skipped)
    size = max(len(group.answers) for group in groups)
    fitted = fitted_batches(config, len(groups), size, chosen=asked.batch is not None)
    at_once = (fitted.batch or 1) * (fitted.accumulation or 1) * process_count() // size
    once = max(1, len(groups) // max(at_once, 1))
    skipped["last_batch"] += len(groups) - once * at_once if at_once else 0
    steps = min(fitted.steps or once, once)
    fitted = replace(fitted, steps=steps, temperature=groups[0].temperature)
    return TrainData(
        fitted,
        _used(group.episode for group in groups),
        sum(len(group.answers) for group in groups),
        [[*group.prompt_ids, -1, *ids] for group in groups for ids in group.answers],
        skipped,
        lambda: grpo_arguments(fitted, device, size),
        lambda model, arguments, folder, callbacks: build_logged_trainer(
            model,
            base.tokenizer,
            groups,
            arguments,
            folder=folder,
            callbacks=callbacks,
        ),
        {"groups": len(groups), "group_size": size},
    )


def _contexts(
    config: TrainConfig,
    base: Base,
    episodes: list[Episode],
    skipped: Skipped,
    device: str,
    asked: TrainConfig,
    reward: Reward | None,
) -> TrainData:
    from .grpo import build_policy_trainer, fitted_batches, grpo_arguments, make_contexts

    if reward is None:
        raise ConfigRefused(
            "grpo from the policy replays integrate for what it draws: name the store that the "
            "episodes were collected from (--store), or take the logged groups (--rollouts logged)"
        )
    contexts = make_contexts(episodes, config.role, skipped)
    _need(contexts, "context", config, episodes, skipped)
    size = config.candidates
    fitted = fitted_batches(config, len(contexts), size, chosen=asked.batch is not None)
    return TrainData(
        fitted,
        _used(context.episode for context in contexts),
        len(contexts) * size,
        [prompt_ids(base.tokenizer, context.messages) for context in contexts],
        skipped,
        lambda: grpo_arguments(fitted, device, size),
        lambda model, arguments, folder, callbacks: build_policy_trainer(
            model,
            base.tokenizer,
            contexts,
            reward,
            arguments,
            folder=folder,
            callbacks=callbacks,
        ),
        {"groups": len(contexts), "group_size": size},
    )


def _need(
    found: Sequence[Any],
    what: str,
    config: TrainConfig,
    episodes: Sequence[Episode],
    skipped: Skipped,
) -> None:
    if found:
        return
    why = ", ".join(f"{reason} {n}" for reason, n in sorted(skipped.items()) if n) or "none there"
    raise NothingToTrainOn(
        f"expected at least one {what} of {config.role} for {config.method} in {config.episodes}, "
        f"found none in {len(episodes)} episodes; passed over: {why}"
    )


def _short_enough(found: list[Example], most: int, skipped: Skipped) -> list[Example]:
    kept = [each for each in found if len(each.prompt_ids) + len(each.answer_ids) <= most]
    skipped["too_long"] += len(found) - len(kept)
    return kept


def _used(episodes: Iterable[Episode]) -> tuple[Episode, ...]:
    """Return each episode once, in order."""
    return tuple({id(episode): episode for episode in episodes}.values())


def _about_pairs(pairs: Sequence[Pair]) -> dict[str, Any]:
    def mean(values: Iterable[float]) -> float:
        return round(sum(values) / len(pairs), 4)

    return {
        "abstentions": sum(pair.abstains for pair in pairs),
        "mean_gap": mean(pair.gap for pair in pairs),
        "chosen_tokens": mean(len(pair.chosen_ids) for pair in pairs),
        "rejected_tokens": mean(len(pair.rejected_ids) for pair in pairs),
    }
