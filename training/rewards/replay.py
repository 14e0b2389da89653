"""The reward of a summary that has just been drawn: integrate is replayed, its draft is measured.

    with open_replay_reward(episodes, settings) as reward:
        GRPOTrainer(reward_funcs=reward, train_dataset=..., ...)  # with a column `group`

TRL hands over the completions of a step with the columns of their rows; the column `group` names
the context of each, which the collected episodes hold: request, held summaries, real text and
evidence. The drafts are written by a second copy of the model that is never trained, all of a step
in one batch, greedily as in serving.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from anyio.from_thread import start_blocking_portal

from ...graph.open import open_parts
from ...graph.settings import Settings
from ...nodes.dependencies import Parts
from ...nodes.errors import ModelCallError
from ...nodes.reason import read_summary
from ...nodes.state import RunContext
from ...stores.episodes.schema import Episode, Group, IterationRecord
from ...stores.values import RatingScale
from ..collect.sampler import Replay
from ..data.samples import request_of
from ..errors import EpisodesUnfit, TrainingError
from .components import COMPONENTS, Completion, RewardWeights, text_of, total
from .measure import RewardMeasure, Situation


class UnknownContext(TrainingError):
    """A completion whose context none of the episodes holds."""

    code = "unknown_context"


@dataclass(frozen=True)
class _Context:
    """What the drafts of one group are written and measured in."""

    situation: Situation
    iteration: int
    run: RunContext
    read: Mapping[str, Any]
    weights: RewardWeights


class ReplayReward:
    """A reward function with TRL's signature, over the groups of collected episodes.

    Args:
        episodes: With the groups that completions are drawn for.
        parts: With the frozen model of integrate, encoders and the token counter.
        weights: Of the components; None: those that the episodes were rewarded with.
    """

    __name__ = "replay_reward"  # what TRL logs it as

    def __init__(
        self, episodes: Iterable[Episode], parts: Parts, weights: RewardWeights | None = None
    ) -> None:
        self._parts = parts
        self._contexts = {
            group.id: _context(episode, group, weights, parts.rating_scale)
            for episode in episodes
            if episode.target is not None and episode.redacted is None
            for group in episode.groups
        }
        self._measure = RewardMeasure(
            parts.style_encoder, parts.topic_encoder, parts.count, parts.budget.summary
        )

    def __call__(
        self,
        completions: Sequence[Completion],
        *,
        group: Sequence[str],
        log_metric: Callable[[str, float], None] | None = None,
        **_: Any,
    ) -> list[float | None]:
        """Return the reward of each summary; None where its draft could not be had. Blocks.

        Args:
            completions: Summaries, as the policy wrote them.
            group: Id of each one's group.
            log_metric: TRL's; told the mean of each component.

        Raises:
            UnknownContext: A group is in none of the episodes.
        """
        found = asyncio.run(self.components(completions, group))
        if log_metric is not None:
            _log(found, log_metric)
        return [
            total(components, self._contexts[name].weights)
            for components, name in zip(found, group, strict=True)
        ]

    async def components(
        self, completions: Sequence[Completion], group: Sequence[str]
    ) -> list[dict[str, float | None]]:
        """Return the components of each summary's reward by name; arguments as above.

        Raises:
            UnknownContext: A group is in none of the episodes.
        """
        if unknown := sorted(set(group) - self._contexts.keys()):
            raise UnknownContext(
                f"no episode holds the group {unknown[0]} ({len(unknown)} are not known): give the "
                "episodes that the prompts were taken from"
            )
        contexts = [self._contexts[name] for name in group]
        replays = {
            name: Replay(self._parts, self._contexts[name].run, self._contexts[name].read)
            for name in group
        }
        summaries = [read_summary(text_of(completion)) for completion in completions]
        drafts = await asyncio.gather(
            *(
                _draft(replays[name], context, summary)
                for name, context, summary in zip(group, contexts, summaries, strict=True)
            )
        )
        situations = [context.situation for context in contexts]
        return await asyncio.to_thread(self._measure.components, drafts, summaries, situations)


@contextmanager
def open_replay_reward(
    episodes: Sequence[Episode], settings: Settings, weights: RewardWeights | None = None
) -> Iterator[ReplayReward]:
    """Open a second, frozen copy of the language model and the encoders; yield the reward. Blocks.

    Args:
        episodes: See `ReplayReward`.
        settings: The model, its number format, the folder of adapters, and the store that the
            episodes were collected from, whose encoders measure.
        weights: See `ReplayReward`.

    Raises:
        StoreError: The store can't be opened.
        ModelError: The model can't be loaded.
    """
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(open_parts(settings)) as parts,
    ):
        yield ReplayReward(episodes, parts, weights)


def _context(
    episode: Episode, group: Group, weights: RewardWeights | None, scale: RatingScale
) -> _Context:
    assert episode.target is not None
    rounds = {each.iteration: each for each in episode.iterations}
    if weights is None and "weights" in episode.settings:
        weights = RewardWeights(**episode.settings["weights"])
    if weights is None or group.iteration not in rounds:
        lacks = "settings.weights" if weights is None else f"iteration {group.iteration}"
        raise EpisodesUnfit(f"run {episode.run_id} can't be replayed: it has no {lacks}")
    request, run = request_of(episode, scale)
    round_of = rounds[group.iteration]
    pieces = [*episode.own, *(piece for found in round_of.evidence.values() for piece in found)]
    return _Context(
        Situation(
            request,
            episode.target.real,
            group.role,
            group.held,
            [piece.body for piece in pieces],
        ),
        group.iteration,
        run,
        _read(episode, round_of),
        weights,
    )


def _read(episode: Episode, round_of: IterationRecord) -> dict[str, Any]:
    """Return what integrate read in an iteration beside the summaries."""
    drafts = {each.iteration: each.draft for each in episode.iterations}
    return {
        "own": [piece.model_dump() for piece in episode.own],
        "evidence": {
            side: [piece.model_dump() for piece in found]
            for side, found in round_of.evidence.items()
        },
        "draft": drafts.get(round_of.iteration - 1) or "",
    }


async def _draft(replay: Replay, context: _Context, summary: str | None) -> str | None:
    at = context.situation
    try:
        draft, _ = await replay.draft(at.request, {**at.held, at.side: summary}, context.iteration)
    except ModelCallError:  # unknown, never 0
        return None
    return draft


def _log(
    found: Sequence[dict[str, float | None]], log_metric: Callable[[str, float], None]
) -> None:
    for name in COMPONENTS:
        known = [amount for each in found if (amount := each[name]) is not None]
        if known:
            log_metric(f"components/{name}", fmean(known))
