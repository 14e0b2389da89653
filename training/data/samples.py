"""Select the samples of episodes that may train a role.

Every skipped sample is counted by its reason; reasons that apply to a whole group or episode are
counted once.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from ...nodes.errors import RequestError
from ...nodes.state import Request, RunContext
from ...stores.episodes.schema import EXTRACTIVE, Episode, Group, Sample
from ...stores.episodes.shards import read_episodes
from ...stores.errors import InvalidField
from ...stores.files import DamagedLine
from ...stores.values import FIVE_STARS, RatingScale
from ..errors import EpisodesUnfit

logger = logging.getLogger(__name__)

COPIED = "summary_copying"
"""Reward component with the copied share of a summary."""

NO_VARIANCE = 1e-9
"""Rewards whose difference is below this are equal."""

Skipped = Counter[str]
"""Number of skipped samples by reason."""

_NAMED = 10


def pass_over(skipped: Skipped, reason: str, what: object) -> None:
    """Count a record that is at fault, and name the first ten for each reason as warnings.

    Args:
        skipped: Counts skipped samples.
        reason: Why it is left out.
        what: Where it stands, and what is wrong with it.
    """
    skipped[reason] += 1
    if skipped[reason] <= _NAMED:
        logger.warning("left out (%s): %s", reason, what)


@dataclass(frozen=True)
class Needs:
    """Requirements for a training sample.

    Attributes:
        role: Its role.
        base: Fingerprint of the base model to train.
        adapter: Adapter that it must have been sampled with (`base` or role@step); None: any.
        copy_limit: Maximum share of copied words.
        max_tokens: Maximum number of tokens of prompt and answer together.
        encode: Adds token ids of the model's tokenizer to a sample without ids; None: such samples
            are skipped.
    """

    role: str
    base: str
    adapter: str | None = None
    copy_limit: float = 0.5
    max_tokens: int = 1024
    encode: Callable[[Sample], Sample] | None = None


@dataclass(frozen=True)
class UsableGroup:
    """The usable candidates of one fixed context.

    Attributes:
        episode: Source episode.
        group: Their context.
        samples: At least two, exact, with different rewards, best first.
    """

    episode: Episode
    group: Group
    samples: tuple[Sample, ...]

    @property
    def prompt_ids(self) -> list[int]:
        """The common prompt."""
        return list(self.samples[0].prompt_token_ids or ())


def load_episodes(path: Path, skipped: Skipped) -> list[Episode]:
    """Return the usable episodes of a shard or folder, all of one split.

    Raises:
        EpisodesUnfit: The path does not exist, or the episodes are of several splits.
    """

    def damaged(line: DamagedLine) -> None:
        pass_over(skipped, "damaged", line)

    try:
        found = list(read_episodes(path, report=damaged))
    except FileNotFoundError as error:
        raise EpisodesUnfit(
            f"{error}: collect some with `patlm collect`", code="no_episodes"
        ) from None
    kept = [episode for episode in found if episode.redacted is None]
    skipped["redacted"] += len(found) - len(kept)
    splits = {episode.split for episode in kept if episode.split is not None}
    if len(splits) > 1:
        raise EpisodesUnfit(
            f"expected episodes of one split, got {', '.join(sorted(splits))} in {path}: train on "
            "the shards of one collection",
            code="several_splits",
        )
    return kept


def usable_groups(
    episodes: Iterable[Episode], needs: Needs, skipped: Skipped
) -> Iterator[UsableGroup]:
    """Yield the usable groups of a role.

    Args:
        episodes: All episodes.
        needs: Requirements for a sample.
        skipped: Counts skipped samples.
    """
    for episode in episodes:
        grouped: dict[str, list[Sample]] = {}
        for sample in episode.samples:
            if sample.group is not None:
                grouped.setdefault(sample.group, []).append(sample)
        for group in groups_of(episode, needs.role, skipped):
            samples = usable_samples(grouped.get(group.id, ()), needs, skipped)
            if len(samples) < 2:
                skipped["group_of_one"] += 1
            elif _reward(samples[0]) - _reward(samples[-1]) <= NO_VARIANCE:
                skipped["no_variance"] += 1
            else:
                yield UsableGroup(episode, group, samples)


def groups_of(episode: Episode, role: str, skipped: Skipped) -> list[Group]:
    """Return an episode's groups of a role; one without any is counted."""
    groups = [group for group in episode.groups if group.role == role]
    if not groups:  # served, of an older schema, or this side abstained
        skipped["no_group"] += 1
    return groups


def request_of(episode: Episode, scale: RatingScale) -> tuple[Request, RunContext]:
    """Return an episode's request and settings, to be drafted once more.

    Args:
        episode: The record.
        scale: The scale of its ratings.

    Raises:
        EpisodesUnfit: A field is missing or wrong, in a record that was made by hand.
    """
    try:
        request = Request.model_validate(episode.request).on_scale(scale)
        return request, RunContext.model_validate(episode.context)
    except ValidationError as error:
        raise EpisodesUnfit(f"run {episode.run_id}: {InvalidField.of(error)}") from None
    except RequestError as error:
        raise EpisodesUnfit(f"run {episode.run_id}: {error}") from None


def rating_scale_of(episode: Episode) -> RatingScale:
    """Return the scale of the ratings that an episode was collected on.

    Raises:
        EpisodesUnfit: It is none, in a record that was made by hand.
    """
    said = episode.settings.get("rating_scale")
    try:
        return FIVE_STARS if said is None else RatingScale.parse(str(said))
    except ValueError as error:
        raise EpisodesUnfit(f"run {episode.run_id}: settings.rating_scale: {error}") from None


def usable_samples(samples: Sequence[Sample], needs: Needs, skipped: Skipped) -> tuple[Sample, ...]:
    """Return the usable samples of one group, best first; all answer one prompt.

    Args:
        samples: Candidates of the group.
        needs: Requirements for a sample.
        skipped: Counts skipped samples.
    """
    kept: list[Sample] = []
    for sample in samples:
        if sample.model == EXTRACTIVE:
            continue
        sample = as_needed(sample, needs)
        reason = why_not(sample, needs)
        if reason is None and kept and sample.prompt_token_ids != kept[0].prompt_token_ids:
            reason = "other_prompt"
        if reason is None:
            kept.append(sample)
        else:
            skipped[reason] += 1
    return tuple(sorted(kept, key=_reward, reverse=True))


def as_needed(sample: Sample, needs: Needs) -> Sample:
    """Return a sample, with token ids added if allowed."""
    return sample if needs.encode is None else needs.encode(sample)


def why_not(sample: Sample, needs: Needs) -> str | None:
    """Return why a sample is unusable, or None if it is usable."""
    copied = sample.rewards.get(COPIED)
    checks = (
        ("failed", sample.error is not None or sample.text is None),
        ("inexact", not sample.exact or not sample.token_ids),
        ("other_base", sample.base != needs.base),
        ("not_drawn", not sample.trainable),
        ("unmeasured", sample.reward is None),
        ("stale", needs.adapter is not None and (sample.adapter or "base") != needs.adapter),
        ("copied", copied is not None and abs(copied) > needs.copy_limit),
        ("too_long", token_count(sample) > needs.max_tokens),
    )
    return next((reason for reason, holds in checks if holds), None)


def token_count(sample: Sample) -> int:
    """Return the number of tokens of prompt and answer together."""
    return len(sample.prompt_token_ids or ()) + len(sample.token_ids or ())


def _reward(sample: Sample) -> float:
    return 0.0 if sample.reward is None else sample.reward
