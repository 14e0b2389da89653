"""Groups for GRPO from samples that were logged, in place of drawing new ones.

TRL asks a `rollout_func` for the completions of its prompts; this one answers with those of the
log. One pass only, and `num_iterations=1`: TRL then takes the log-probabilities under the policy of
the moment for the old ones (they are recomputed in the same forward pass), so the first step is
exactly on-policy where the samples were drawn by the parent; a sample of another adapter version
is left out before (`stale`). TRL wants groups of one size: a smaller one is filled with repeats
without a reward, whose advantage is 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...stores.episodes.schema import Episode, Sample
from .samples import Needs, Skipped, usable_groups

if TYPE_CHECKING:
    from trl import GRPOTrainer


@dataclass(frozen=True)
class LoggedGroup:
    """The samples of one context.

    Attributes:
        id: Names the context.
        prompt_ids: What all of them answer.
        answers: Token ids of each.
        rewards: Of each.
        temperature: They were drawn at.
        episode: Where they come from.
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
    """Return the groups of a role, in the order of the episodes, all drawn at one temperature.

    A policy at another temperature is another policy; the one with the most groups stays.

    Args:
        episodes: All of them.
        needs: What a sample needs; its `adapter` is the policy's that training goes on from.
        skipped: Counts what is passed over.
    """
    groups = _groups(episodes, needs, skipped)
    often = Counter(group.temperature for group in groups).most_common(1)
    kept = [group for group in groups if group.temperature == often[0][0]]
    skipped["other_temperature"] += len(groups) - len(kept)
    return kept


def _groups(episodes: Iterable[Episode], needs: Needs, skipped: Skipped) -> list[LoggedGroup]:
    return [
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


def _temperature(sample: Sample) -> float:
    """Return what a sample was drawn at; greedy and unknown count as 1, as log-probabilities do."""
    return 1.0 if sample.sampling is None else sample.sampling.temperature or 1.0


class LoggedRollouts:
    """Answers TRL's prompts (ids of groups) with what was logged."""

    def __init__(self, groups: Sequence[LoggedGroup]) -> None:
        """Take the groups, by whose ids prompts are called."""
        self._groups = {group.id: group for group in groups}

    def __call__(self, prompts: list[str], trainer: GRPOTrainer) -> dict[str, Any]:
        """Return one sample for each prompt of this process, with its reward.

        TRL repeats each prompt `num_generations` times in a row, over the processes in their
        order; a prompt's place in that row says which sample of the group is wanted.
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
            "logprobs": None,  # only a server's would be used, to correct for its rounding
            "logged_reward": [
                group.rewards[place] if place < len(group.rewards) else None
                for group, place in zip(found, places, strict=True)
            ],
        }


def logged_reward(
    completions: Sequence[Any], logged_reward: Sequence[float | None], **columns: Any
) -> list[float | None]:
    """Return the rewards that were logged with the samples; None for a repeat."""
    return list(logged_reward)
