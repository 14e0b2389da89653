"""GRPO of one role's adapter by TRL's `GRPOTrainer`: from the policy, or from logged groups.

On-policy, TRL draws the answers itself and asks a reward function with its signature,
`f(completions, **columns)`; the columns are those of `Context`. From logged groups, a
`rollout_func` answers in place of the model (`logged_groups`), and each group is used once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trl import GRPOConfig, GRPOTrainer

from ...stores.episodes.schema import EXTRACTIVE, Episode
from ..data.groups import LoggedGroup, LoggedRollouts, logged_reward
from ..data.samples import Skipped
from ..data.token_ids import harmless
from ..errors import ConfigRefused
from ..trainer.config import TrainConfig, process_count
from .arguments import common_arguments, kept_rows

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedTokenizerBase, TrainerCallback

Reward = Any
"""TRL's reward function: `f(completions, **columns) -> list[float | None]`."""


@dataclass(frozen=True)
class Context:
    """A prompt to draw answers to, and what its reward goes by.

    Attributes:
        messages: The prompt.
        run_id: Names the episode.
        group: Names the context within it.
        episode: Where it comes from.
    """

    messages: tuple[tuple[str, str], ...]
    run_id: str
    group: str
    episode: Episode


def make_contexts(episodes: Iterable[Episode], role: str, skipped: Skipped) -> list[Context]:
    """Return the contexts of a role's groups, for which the policy draws anew.

    Args:
        episodes: All of them.
        role: style or preference.
        skipped: Counts groups without a prompt.
    """
    found = []
    for episode in episodes:
        for group in episode.groups:
            if group.role != role:
                continue
            candidates = episode.candidates(group.id)
            asked = next((s for s in candidates if s.messages and s.model != EXTRACTIVE), None)
            if asked is None:
                skipped["no_prompt"] += 1
                continue
            messages = tuple((turn.role, turn.content) for turn in asked.messages)
            found.append(Context(messages, episode.run_id, group.id, episode))
    return found


def grpo_arguments(config: TrainConfig, device: str, generations: int) -> GRPOConfig:
    """Return TRL's configuration of a run.

    Args:
        config: Settled.
        device: "cpu" or "cuda".
        generations: Samples of a group.

    Raises:
        ConfigRefused: A batch of all processes does not hold whole groups.
    """
    at_once = (config.batch or 1) * (config.accumulation or 1) * process_count()
    if at_once % generations:
        raise ConfigRefused(
            f"expected --batch x --accumulation x processes to be whole groups of {generations} "
            f"samples, got {config.batch} x {config.accumulation} x {process_count()}"
        )
    return GRPOConfig(
        **common_arguments(config, device),
        beta=config.beta or 0.0,
        num_generations=generations,
        num_iterations=1,
        temperature=config.temperature,
        max_completion_length=config.answer_tokens,
        remove_unused_columns=False,
    )


def fitted_batches(
    config: TrainConfig, groups: int, generations: int, *, chosen: bool
) -> TrainConfig:
    """Return settings whose batches hold whole groups, and no more than there are.

    TRL leaves out the groups that don't fill a last batch; with fewer groups than one batch holds
    nothing at all would be learnt.

    Args:
        config: Settled.
        groups: How many there are.
        generations: Samples of a group.
        chosen: Whether somebody asked for this batch, so that it stays.
    """
    batch = config.batch or 1
    if not chosen and batch % generations:
        batch = generations * max(1, batch // generations)
    whole = max(1, groups * generations // (batch * process_count()))
    return replace(config, batch=batch, accumulation=min(config.accumulation or 1, whole))


def build_policy_trainer(
    model: PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    contexts: Sequence[Context],
    reward: Reward,
    arguments: GRPOConfig,
    *,
    folder: Path,
    callbacks: Sequence[TrainerCallback] = (),
) -> GRPOTrainer:
    """Return TRL's trainer that draws from the policy.

    Args:
        model: With the adapter as `default`.
        tokenizer: The model's.
        contexts: Prompts.
        reward: Called with completions and the columns `run_id` and `group`.
        arguments: TRL's configuration.
        folder: Where the rows are kept while it runs; all processes read them there.
        callbacks: Of the trainer.
    """
    rows = [
        {"prompt": harmless(tokenizer, each.messages), "run_id": each.run_id, "group": each.group}
        for each in contexts
    ]
    return GRPOTrainer(
        model=model,
        reward_funcs=reward,
        args=arguments,
        train_dataset=kept_rows(rows, arguments, folder),
        processing_class=tokenizer,
        callbacks=list(callbacks),
    )


def build_logged_trainer(
    model: PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    groups: Sequence[LoggedGroup],
    arguments: GRPOConfig,
    *,
    folder: Path,
    callbacks: Sequence[TrainerCallback] = (),
) -> GRPOTrainer:
    """Return TRL's trainer over logged groups; arguments as `build_policy_trainer`."""
    return GRPOTrainer(
        model=model,
        reward_funcs=logged_reward,
        args=arguments,
        train_dataset=kept_rows([{"prompt": group.id} for group in groups], arguments, folder),
        processing_class=tokenizer,
        callbacks=list(callbacks),
        rollout_func=LoggedRollouts(groups),
    )
