"""What a heap of episodes holds, in figures: how much can be learnt from, and how much cannot.

What a record may not say though its fields are of the right kinds: figures that do not fit.

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

LEAST_DIFFERENCE = 1e-9
"""Rewards that are closer than this are one."""


@dataclass
class Mean:
    """A mean over what came so far; None over nothing."""

    total: float = 0.0
    n: int = 0

    def add(self, value: float | None) -> None:
        """Take in a value; None is none."""
        if value is not None:
            self.total, self.n = self.total + value, self.n + 1

    @property
    def value(self) -> float | None:
        """The mean, to six digits."""
        return round(self.total / self.n, 6) if self.n else None


@dataclass
class Rewarded:
    """Candidates of one role and iteration, those without a model apart.

    Attributes:
        candidates: How many were drawn from the model.
        reward: Mean of their rewards.
        differential: Mean of their differential rewards.
        extractive: Mean reward of those that were made without a model.
    """

    candidates: int = 0
    reward: Mean = field(default_factory=Mean)
    differential: Mean = field(default_factory=Mean)
    extractive: Mean = field(default_factory=Mean)

    def add(self, sample: Sample) -> None:
        """Take in a candidate."""
        if sample.model == EXTRACTIVE:
            self.extractive.add(sample.reward)
            return
        self.candidates += 1
        self.reward.add(sample.reward)
        self.differential.add(sample.differential)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        means = {name: vars(self)[name].value for name in ("reward", "differential", "extractive")}
        return {"candidates": self.candidates, **means}


@dataclass
class RoleCounts:
    """What is there of one role.

    Attributes:
        samples: All its samples.
        trainable: Those drawn from the policy itself.
        failed: Calls that failed.
        inexact: Answers of a language model whose tokens are not known.
        groups: Contexts in which candidates were drawn.
        zero_variance: Groups in which no two candidates of the model differ in reward: they teach
            nothing.
        rewards: Of its candidates, by iteration.
    """

    samples: int = 0
    trainable: int = 0
    failed: int = 0
    inexact: int = 0
    groups: int = 0
    zero_variance: int = 0
    rewards: dict[int, Rewarded] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        rewards = {str(at): self.rewards[at].as_dict() for at in sorted(self.rewards)}
        return {**vars(self), "rewards": rewards}


@dataclass
class EpisodeCounts:
    """What is there in all.

    Attributes:
        episodes: Records, emptied ones included.
        redacted: Those emptied because a person was forgotten.
        failed_runs: Runs without a result.
        accepted: Runs of which a person said that the draft was taken as it is.
        rejected: Runs of which a person said that it was not.
        edited: Runs whose draft a person corrected.
        rating: Mean of the ratings that people gave.
        by_role: By the role's name.
    """

    episodes: int = 0
    redacted: int = 0
    failed_runs: int = 0
    accepted: int = 0
    rejected: int = 0
    edited: int = 0
    rating: Mean = field(default_factory=Mean)
    by_role: dict[str, RoleCounts] = field(default_factory=dict)

    def total(self, name: str) -> int:
        """Return a figure of all roles together."""
        return sum(int(vars(role)[name]) for role in self.by_role.values())

    def as_dict(self) -> dict[str, Any]:
        """Return it as `patlm episodes stats --json` has it."""
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
    """Return what episodes hold, read one by one."""
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
    """Say whether no two candidates of a model differ in reward, as where there is but one."""
    rewards = [
        sample.reward
        for sample in candidates
        if sample.reward is not None and sample.model != EXTRACTIVE
    ]
    return not rewards or max(rewards) - min(rewards) < LEAST_DIFFERENCE


def is_inexact(sample: Sample) -> bool:
    """Say whether a language model answered and its tokens are not known."""
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
    """Count what was said last of a run: people change their minds."""
    verdicts = [said.accepted for said in episode.feedback if said.accepted is not None]
    if verdicts:
        found.accepted += verdicts[-1]
        found.rejected += not verdicts[-1]
    found.edited += any(said.edited is not None for said in episode.feedback)
    ratings = [said.rating for said in episode.feedback if said.rating is not None]
    found.rating.add(ratings[-1] if ratings else None)


WITHOUT = "without:"
"""What `replays` begins with where a draft was written without a side."""


def check_episodes(
    path: Path, *, told: Callable[[Episode], None] | None = None
) -> Iterator[DamagedLine]:
    """Yield what is wrong with a shard, or with a folder's shards and its files of feedback.

    Args:
        path: A shard or a folder.
        told: Called with each record that was read.

    Raises:
        FileNotFoundError: There is nothing of that name.
    """
    seen: dict[str, str] = {}
    for read in scan_episodes(path):
        if read.episode is None:
            yield DamagedLine(read.path, read.line, read.reason)
            continue
        if told is not None:
            told(read.episode)
        faults = list(faults_of(read.episode))
        place = f"{read.path.name}:{read.line}"
        first = seen.setdefault(read.episode.run_id, place)
        if first != place:
            faults.append(f"run {read.episode.run_id} stands in {first} already")
        for fault in faults:
            yield DamagedLine(read.path, read.line, fault)
    if path.is_dir():
        yield from (line for line in scan_feedback(path) if isinstance(line, DamagedLine))


def faults_of(episode: Episode) -> Iterator[str]:
    """Yield what in a record contradicts something else in it."""
    ids = Counter(sample.id for sample in episode.samples if sample.id)
    groups = Counter(group.id for group in episode.groups)
    for kind, found in (("sample", ids), ("group", groups)):
        for name, times in found.items():
            if times > 1:
                yield f"{kind} {name}: {times} of that id"
    for sample in episode.samples:
        name = sample.id or f"{sample.node}@{sample.iteration}"
        yield from (f"sample {name}: {fault}" for fault in _faults_of_sample(sample))
        if sample.group is not None and sample.group not in groups:
            yield f"sample {name}: its group {sample.group} is not there"
        replayed = sample.replays
        if replayed is not None and not replayed.startswith(WITHOUT) and replayed not in ids:
            yield f"sample {name}: it replays {replayed}, which is not there"
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
        yield "it failed and has a reward: what failed is no measure of anything"
    how = sample.sampling
    if sample.trainable and how is not None and (how.top_p < 1 or how.no_repeat_ngram_size):
        yield "it is called trainable, and was not drawn from the policy itself"
