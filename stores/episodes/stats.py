"""Count episodes by how useful they are for training, and check records for contradictions.

print(count_episodes(read_episodes(folder)).as_dict())
for fault in check_episodes(folder): print(fault)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..files import DamagedLine
from .feedback import scan_feedback
from .schema import EXTRACTIVE, Episode, Sample
from .shards import scan_episodes

EQUAL_REWARDS = 1e-9
"""Rewards that differ by less than this are equal."""


@dataclass
class RunningMean:
    """The mean of the values added so far."""

    total: float = 0.0
    n: int = 0

    def add(self, value: float | None) -> None:
        """Add a value; None is ignored."""
        if value is not None:
            self.total, self.n = self.total + value, self.n + 1

    @property
    def value(self) -> float | None:
        """The mean, rounded to six digits; None without values."""
        return round(self.total / self.n, 6) if self.n else None


@dataclass
class Rewarded:
    """Rewards of the candidates of one role and iteration.

    Attributes:
        candidates: Number of candidates sampled from the model.
        reward: Mean of their rewards.
        differential: Mean of their differential rewards.
        extractive: Mean reward of the candidates written without a model.
    """

    candidates: int = 0
    reward: RunningMean = field(default_factory=RunningMean)
    differential: RunningMean = field(default_factory=RunningMean)
    extractive: RunningMean = field(default_factory=RunningMean)

    def add(self, sample: Sample) -> None:
        """Add a candidate."""
        if sample.model == EXTRACTIVE:
            self.extractive.add(sample.reward)
            return
        self.candidates += 1
        self.reward.add(sample.reward)
        self.differential.add(sample.differential)

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        means = {name: vars(self)[name].value for name in ("reward", "differential", "extractive")}
        return {"candidates": self.candidates, **means}


@dataclass
class RoleCounts:
    """Counts of one role.

    Attributes:
        samples: All samples of the role.
        trainable: Samples drawn from the policy itself.
        failed: Failed calls.
        inexact: Completions of a language model without token ids.
        groups: Groups of candidates.
        zero_variance: Groups whose candidates of the model all have the same reward, and so give no
            training signal.
        rewards: Rewards of candidates, by iteration.
    """

    samples: int = 0
    trainable: int = 0
    failed: int = 0
    inexact: int = 0
    groups: int = 0
    zero_variance: int = 0
    rewards: dict[int, Rewarded] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        rewards = {str(at): self.rewards[at].as_dict() for at in sorted(self.rewards)}
        return {**vars(self), "rewards": rewards}


@dataclass
class EpisodeCounts:
    """Counts of all episodes.

    Attributes:
        episodes: Records, including emptied ones.
        redacted: Records emptied because a person was forgotten.
        failed_runs: Runs without a result.
        accepted: Runs whose draft was accepted unchanged.
        rejected: Runs whose draft was rejected.
        edited: Runs whose draft was edited.
        rating: Mean of people's ratings.
        by_role: Counts by role.
    """

    episodes: int = 0
    redacted: int = 0
    failed_runs: int = 0
    accepted: int = 0
    rejected: int = 0
    edited: int = 0
    rating: RunningMean = field(default_factory=RunningMean)
    by_role: dict[str, RoleCounts] = field(default_factory=dict)

    def total(self, name: str) -> int:
        """Return the sum of a count over all roles."""
        return sum(int(vars(role)[name]) for role in self.by_role.values())

    def as_dict(self) -> dict[str, Any]:
        """Return the output of `patlm episodes stats --json`."""
        summed = ("samples", "groups", "failed", "inexact", "trainable", "zero_variance")
        return {
            "episodes": self.episodes,
            **{name: self.total(name) for name in summed},
            "by_role": {role: found.as_dict() for role, found in sorted(self.by_role.items())},
            "redacted": self.redacted,
            "failed_runs": self.failed_runs,
            "feedback": {
                "accepted": self.accepted,
                "rejected": self.rejected,
                "edited": self.edited,
                "rating": self.rating.value,
            },
        }


def count_episodes(episodes: Iterable[Episode]) -> EpisodeCounts:
    """Count episodes, reading them one by one."""
    found = EpisodeCounts()
    for episode in episodes:
        found.episodes += 1
        found.redacted += episode.redacted is not None
        found.failed_runs += episode.error is not None
        _add_samples(found, episode)
        _add_groups(found, episode)
        _add_feedback(found, episode)
    return found


def no_variance(candidates: Sequence[Sample]) -> bool:
    """Return whether all candidates of a model have the same reward (also if there is only one)."""
    rewards = [
        sample.reward
        for sample in candidates
        if sample.reward is not None and sample.model != EXTRACTIVE
    ]
    return not rewards or max(rewards) - min(rewards) < EQUAL_REWARDS


def is_inexact(sample: Sample) -> bool:
    """Return whether a language model answered but its token ids are unknown."""
    return sample.error is None and sample.model != EXTRACTIVE and not sample.exact


def _add_samples(found: EpisodeCounts, episode: Episode) -> None:
    for sample in episode.samples:
        role = found.by_role.setdefault(sample.role, RoleCounts())
        role.samples += 1
        role.trainable += sample.trainable
        role.failed += sample.error is not None
        role.inexact += is_inexact(sample)
        if sample.group is not None:
            role.rewards.setdefault(sample.iteration, Rewarded()).add(sample)


def _add_groups(found: EpisodeCounts, episode: Episode) -> None:
    for group in episode.groups:
        role = found.by_role.setdefault(group.role, RoleCounts())
        role.groups += 1
        role.zero_variance += no_variance(episode.candidates(group.id))


def _add_feedback(found: EpisodeCounts, episode: Episode) -> None:
    """Count the latest verdict and rating of a run: people change their minds."""
    verdicts = [given.accepted for given in episode.feedback if given.accepted is not None]
    if verdicts:
        found.accepted += verdicts[-1]
        found.rejected += not verdicts[-1]
    found.edited += any(given.edited is not None for given in episode.feedback)
    ratings = [given.rating for given in episode.feedback if given.rating is not None]
    found.rating.add(ratings[-1] if ratings else None)


WITHOUT = "without:"
"""Prefix of `replays` for a draft that leaves out a side."""


def check_episodes(
    path: Path, *, on_episode: Callable[[Episode], None] | None = None
) -> Iterator[DamagedLine]:
    """Yield the faults of a shard, or of a folder's shards and feedback files.

    Args:
        path: A shard or a folder.
        on_episode: Called with each valid record.

    Raises:
        FileNotFoundError: The path does not exist.
    """
    seen: dict[str, str] = {}
    for read in scan_episodes(path):
        if read.episode is None:
            yield DamagedLine(read.path, read.line, read.reason)
            continue
        if on_episode is not None:
            on_episode(read.episode)
        faults = list(faults_of(read.episode))
        place = f"{read.path.name}:{read.line}"
        first = seen.setdefault(read.episode.run_id, place)
        if first != place:
            faults.append(f"run {read.episode.run_id} is a duplicate of {first}")
        for fault in faults:
            yield DamagedLine(read.path, read.line, fault)
    if path.is_dir():
        yield from (line for line in scan_feedback(path) if isinstance(line, DamagedLine))


def faults_of(episode: Episode) -> Iterator[str]:
    """Yield the contradictions in a record."""
    ids = Counter(sample.id for sample in episode.samples if sample.id)
    groups = Counter(group.id for group in episode.groups)
    for kind, found in (("sample", ids), ("group", groups)):
        for name, times in found.items():
            if times > 1:
                yield f"{kind} {name}: the id occurs {times} times"
    for sample in episode.samples:
        name = sample.id or f"{sample.node}@{sample.iteration}"
        yield from (f"sample {name}: {fault}" for fault in _faults_of_sample(sample))
        if sample.group is not None and sample.group not in groups:
            yield f"sample {name}: its group {sample.group} is missing"
        replayed = sample.replays
        if replayed is not None and not replayed.startswith(WITHOUT) and replayed not in ids:
            yield f"sample {name}: it replays {replayed}, which is missing"
    for group in episode.groups:
        if not episode.candidates(group.id):
            yield f"group {group.id}: it has no candidates"


def _faults_of_sample(sample: Sample) -> Iterator[str]:
    for name, values in (("logprobs", sample.logprobs), ("mask", sample.mask)):
        if values is None:
            continue
        tokens = None if sample.token_ids is None else len(sample.token_ids)
        if tokens is not None and len(values) != tokens:
            yield f"{len(values)} {name} for {tokens} tokens"
    if sample.error is not None and sample.reward is not None:
        yield "it failed and has a reward: failed samples must have none"
    how = sample.sampling
    changed = how is not None and (
        how.top_p < 1 or how.no_repeat_ngram_size or how.repetition_penalty != 1
    )
    if sample.trainable and changed:
        yield "it is marked trainable but was not sampled from the policy itself"
