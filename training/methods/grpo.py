"""GRPO of one role's adapter with TRL's `GRPOTrainer`: from the policy, or from logged groups.

On-policy, TRL samples the answers and calls a reward function with its signature, `f(completions,
**columns)`; the columns `run_id` and `group` identify a context. From logged groups, a
`rollout_func` returns the logged answers, in one pass with `num_iterations=1`: TRL then uses the
current policy's log-probabilities as the old ones (they are recomputed in the same forward pass),
so the first step is exactly on-policy if the parent sampled the answers; samples of another adapter
version are skipped (`stale`). TRL requires groups of equal size: smaller ones are padded with
repeats without a reward, whose advantage is 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import ConfigRefused
from ..trainer.method import (
    Inputs,
    Method,
    TrainData,
    common_arguments,
    each_once,
    process_count,
)

if TYPE_CHECKING:
    from trl import GRPOConfig, GRPOTrainer

    from ...stores.episodes.schema import Episode, Group, Sample
    from ..data.samples import Needs, Skipped
    from ..trainer.config import TrainConfig


def grpo_arguments(config: TrainConfig, device: str, generations: int) -> GRPOConfig:
    """Return TRL's configuration of a run.

    Args:
        config: The settings, all chosen.
        device: "cpu" or "cuda".
        generations: Samples per group.

    Raises:
        ConfigRefused: A batch of all processes does not hold whole groups.
    """
    from trl import GRPOConfig

    if _at_once(config) % generations:
        raise ConfigRefused(
            f"expected --batch x --accumulation x processes to be whole groups of {generations} "
            f"samples, got {config.batch} x {config.accumulation} x {process_count()}",
            code="broken_groups",
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


def prepare(inputs: Inputs) -> TrainData:
    """Return the prompts to sample answers for, or the logged groups.

    Raises:
        NothingToTrainOn: There are none.
        ConfigRefused: Answers are sampled, and there is no reward.
    """
    return _contexts(inputs) if draws(inputs.config) else _logged(inputs)


def check(config: TrainConfig) -> None:
    """Check the settings of GRPO.

    Raises:
        ConfigRefused: They don't fit GRPO.
    """
    if not draws(config) and config.epochs > 1:
        raise ConfigRefused(
            f"logged groups are used in one pass, got epochs {config.epochs}: from the second on "
            "they are not samples of this policy; collect again instead",
            code="several_passes",
        )
    if config.inexact:
        raise ConfigRefused(
            "grpo weights each token by its likelihood, so it needs the tokens that were "
            "generated: leave out --inexact, or use --method dpo",
            code="inexact_samples",
        )


def draws(config: TrainConfig) -> bool:
    """Whether answers are sampled from the policy during training."""
    return config.rollouts == "policy"


def _logged(inputs: Inputs) -> TrainData:
    from trl import GRPOTrainer

    needs = replace(inputs.needs, adapter=inputs.parent or "base")
    groups = make_logged_groups(inputs.episodes, needs, inputs.skipped)
    inputs.require(groups, "group")
    size = max(len(group.answers) for group in groups)
    fitted = _fitted_batches(inputs, len(groups), size)
    at_once = _at_once(fitted) // size
    once = max(1, len(groups) // max(at_once, 1))
    inputs.skipped["last_batch"] += len(groups) - once * at_once if at_once else 0
    steps = min(fitted.steps or once, once)
    config = replace(fitted, steps=steps, temperature=groups[0].temperature)
    return TrainData(
        config=config,
        episodes=each_once(group.episode for group in groups),
        samples=sum(len(group.answers) for group in groups),
        token_ids=[[*group.prompt_ids, -1, *ids] for group in groups for ids in group.answers],
        rows=[{"prompt": group.id} for group in groups],
        arguments=lambda: grpo_arguments(config, inputs.device, size),
        trainer=partial(
            GRPOTrainer, reward_funcs=logged_reward, rollout_func=LoggedRollouts(groups)
        ),
        skipped=inputs.skipped,
        details={"groups": len(groups), "group_size": size},
    )


def _contexts(inputs: Inputs) -> TrainData:
    from trl import GRPOTrainer

    from ..data.token_ids import harmless, prompt_ids

    if inputs.reward is None:
        raise ConfigRefused(
            "grpo from the policy replays integrate for its samples: name the store that the "
            "episodes were collected from (--store), or take the logged groups (--rollouts logged)",
            code="store_missing",
        )
    found = list(_prompts(inputs.episodes, inputs.config.role, inputs.skipped))
    inputs.require(found, "context")
    size = inputs.config.candidates
    config = _fitted_batches(inputs, len(found), size)
    prompts = [[(turn.role, turn.content) for turn in asked.messages] for *_, asked in found]
    return TrainData(
        config=config,
        episodes=each_once(episode for episode, *_ in found),
        samples=len(found) * size,
        token_ids=[prompt_ids(inputs.tokenizer, prompt) for prompt in prompts],
        rows=[
            {
                "prompt": harmless(inputs.tokenizer, prompt),
                "run_id": episode.run_id,
                "group": group.id,
            }
            for (episode, group, _), prompt in zip(found, prompts, strict=True)
        ],
        arguments=lambda: grpo_arguments(config, inputs.device, size),
        trainer=partial(GRPOTrainer, reward_funcs=inputs.reward),
        skipped=inputs.skipped,
        details={"groups": len(found), "group_size": size},
    )


def _prompts(
    episodes: Iterable[Episode], role: str, skipped: Skipped
) -> Iterator[tuple[Episode, Group, Sample]]:
    """Yield a role's groups with a sample that has the prompt; the policy samples new answers."""
    from ...stores.episodes.schema import EXTRACTIVE
    from ..data.samples import groups_of

    for episode in episodes:
        for group in groups_of(episode, role, skipped):
            candidates = episode.candidates(group.id)
            asked = next((s for s in candidates if s.messages and s.model != EXTRACTIVE), None)
            if asked is None:
                skipped["no_prompt"] += 1
            else:
                yield episode, group, asked


def _fitted_batches(inputs: Inputs, groups: int, generations: int) -> TrainConfig:
    """Return settings whose batches hold whole groups, and at most as many as there are.

    TRL drops the groups that don't fill the last batch; with fewer groups than a batch nothing
    would be learnt. A batch size that the user set is not changed.
    """
    config = inputs.config
    batch = config.batch or 1
    if inputs.asked.batch is None and batch % generations:
        batch = generations * max(1, batch // generations)
    whole = max(1, groups * generations // (batch * process_count()))
    return replace(config, batch=batch, accumulation=min(config.accumulation or 1, whole))


def _at_once(config: TrainConfig) -> int:
    return (config.batch or 1) * (config.accumulation or 1) * process_count()


@dataclass(frozen=True)
class LoggedGroup:
    """The logged samples of one context.

    Attributes:
        id: Identifier of the context.
        prompt_ids: Token ids of the common prompt.
        answers: Token ids of each answer.
        rewards: Reward of each answer.
        temperature: Sampling temperature.
        episode: Source episode.
    """

    id: str
    prompt_ids: list[int]
    answers: list[list[int]]
    rewards: list[float]
    temperature: float
    episode: Episode


def make_logged_groups(
    episodes: Iterable[Episode], needs: Needs, skipped: Skipped
) -> list[LoggedGroup]:
    """Return the groups of a role in the order of the episodes, all of one temperature.

    A policy at another temperature is another policy; the temperature of most groups is used.

    Args:
        episodes: All episodes.
        needs: Requirements for a sample; its `adapter` is the policy that training continues from.
        skipped: Counts skipped samples.
    """
    from ..data.samples import usable_groups

    groups = [
        LoggedGroup(
            id=found.group.id,
            prompt_ids=found.prompt_ids,
            answers=[list(sample.token_ids or ()) for sample in found.samples],
            rewards=[sample.reward for sample in found.samples if sample.reward is not None],
            temperature=_temperature(found.samples[0]),
            episode=found.episode,
        )
        for found in usable_groups(episodes, needs, skipped)
    ]
    often = Counter(group.temperature for group in groups).most_common(1)
    kept = [group for group in groups if group.temperature == often[0][0]]
    skipped["other_temperature"] += len(groups) - len(kept)
    return kept


def _temperature(sample: Sample) -> float:
    """Return the temperature of a sample; 1 for greedy and unknown."""
    return 1.0 if sample.sampling is None else sample.sampling.temperature or 1.0


class LoggedRollouts:
    """Answers TRL's prompts (ids of groups) with logged samples."""

    def __init__(self, groups: Sequence[LoggedGroup]) -> None:
        """Index the groups by their ids, which are TRL's prompts."""
        self._groups = {group.id: group for group in groups}

    def __call__(self, prompts: list[str], trainer: GRPOTrainer) -> dict[str, Any]:
        """Return one sample for each prompt of this process, with its reward.

        TRL repeats each prompt `num_generations` times in a row, over the processes in order; a
        prompt's position in that row selects the sample of the group.
        """
        first = trainer.accelerator.process_index * len(prompts)
        places = [(first + at) % trainer.num_generations for at in range(len(prompts))]
        found = [self._groups[prompt] for prompt in prompts]
        return {
            "prompt_ids": [group.prompt_ids for group in found],
            "completion_ids": [
                group.answers[place % len(group.answers)]
                for group, place in zip(found, places, strict=True)
            ],
            "logprobs": None,  # TRL uses them only to correct for the rounding of a server
            "logged_reward": [
                group.rewards[place] if place < len(group.rewards) else None
                for group, place in zip(found, places, strict=True)
            ],
        }


def logged_reward(
    completions: Sequence[Any], logged_reward: Sequence[float | None], **columns: Any
) -> list[float | None]:
    """Return the logged rewards of the samples; None for a repeat."""
    return list(logged_reward)


METHOD = Method(
    name="grpo",
    says="groups",
    learns_from="rewards",
    prepare=prepare,
    defaults={"learning_rate": 2e-5, "beta": 0.04, "answer_tokens": 48},
    batches={"cpu": (8, 4), "cuda": (64, 1)},
    check=check,
    draws=draws,
)
