"""The plan of a collection, the provenance of its episodes, and its report."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from ...evaluation.arms.configuration import SIDES
from ...evaluation.targets import Target
from ...models.local.batcher import BatchLimits
from ...models.telemetry import BatchReport
from ...stores.episodes.schema import Episode
from ...stores.files import DamagedLine
from ..errors import TrainingError
from ..rewards.components import RewardWeights

VERSION = 2
"""Increase it when the same plan, data and models give other episodes."""

_SEEDS = 2**31
"""Upper bound of seeds: servers accept no larger ones."""


class UnfitPlan(TrainingError, ValueError):
    """The plan of a collection is contradictory."""

    code = "unfit_plan"


@dataclass(frozen=True)
class CollectPlan:
    """How episodes are collected.

    Attributes:
        candidates: Number of summaries that each reasoner draws in its context.
        temperature: Sampling temperature.
        sides: Sides whose reasoners draw candidates.
        reasoner: `model`, or `extractive`: both summaries are made without a language model,
            nothing is drawn, and no model is called (examples for integrate).
        second_share: Share of the targets whose candidates are drawn in the second iteration, in
            the context of the first.
        k: Texts of evidence per side.
        weights: Weights of the rewards.
        adapters: LoRA adapter of each role; a role without one runs on the base model.
        seed: Random seed.
    """

    candidates: int = 4
    temperature: float = 0.8
    sides: Sequence[str] = SIDES
    reasoner: Literal["model", "extractive"] = "model"
    second_share: float = 0.5
    k: int = 4
    weights: RewardWeights = field(default_factory=RewardWeights)
    adapters: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        """Check that the fields fit together.

        Raises:
            UnfitPlan: They don't; names what was expected.
        """
        if self.reasoner == "extractive" and self.candidates:
            raise UnfitPlan(
                f"{self.candidates} candidates can't be drawn where no model is asked: leave the "
                "reasoner at model, or set candidates to 0"
            )
        if self.reasoner == "model" and self.candidates < 1:
            raise UnfitPlan(
                f"expected at least 1 candidate, got {self.candidates}: 2 or more make a group "
                "that can be learnt from"
            )
        if unknown := sorted(set(self.sides) - set(SIDES)):
            raise UnfitPlan(f"no side {', '.join(unknown)}: one or both of {', '.join(SIDES)}")
        if not self.sides:
            raise UnfitPlan(f"no side draws: name one or both of {', '.join(SIDES)}")
        if not 0 < self.temperature < math.inf:  # NaN is not
            raise UnfitPlan(
                f"candidates are drawn at a temperature above 0, got {self.temperature:g}: at 0 "
                "all would be the same"
            )
        if not 0 <= self.second_share <= 1:
            raise UnfitPlan(
                f"the share of the second iteration is 0 to 1, got {self.second_share:g}"
            )

    def iteration(self, target: Target) -> int:
        """Return the iteration of a target's candidates, by its hash: 1 or 2."""
        part = self._number(target, "iteration") / _SEEDS
        return 2 if part < self.second_share else 1

    def seed_of(self, target: Target, side: str, number: int) -> int:
        """Return the seed of a candidate."""
        return self._number(target, side, str(number))

    @property
    def recorded(self) -> dict[str, Any]:
        """The plan as episodes record it, without the weights of the rewards."""
        fields = {**asdict(self), "sides": sorted(self.sides), "adapters": dict(self.adapters)}
        del fields["weights"]
        return fields

    def _number(self, target: Target, *what: str) -> int:
        said = "\x1f".join((str(self.seed), target.id, *what))
        return int(hashlib.sha1(said.encode()).hexdigest(), 16) % _SEEDS


@dataclass(frozen=True)
class CollectSource:
    """The provenance that episodes record.

    Attributes:
        split: Fingerprint of the splits.
        store: Hash of the store's content.
        made_of: Everything else that determines the episodes: data, encoders, model, adapters.
    """

    split: str
    store: str
    made_of: str

    def fingerprint(self, plan: CollectPlan) -> str:
        """Return twelve hex digits that identify the episodes of a collection."""
        plan_of_it = json.dumps([plan.recorded, asdict(plan.weights)], sort_keys=True)
        parts = (str(VERSION), plan_of_it, self.split, self.store, self.made_of)
        return hashlib.sha1("\x1f".join(parts).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class CollectReport:
    """The report of a collection, including episodes of earlier runs.

    Attributes:
        targets: Number of requested targets.
        episodes: Number of targets with an episode whose run succeeded.
        resumed: Number of episodes that existed before.
        samples: Number of calls, and of summaries made without a call.
        failed: Number of failed calls and failed runs.
        seconds: Duration of this run.
        batch_fill: How full the model's batches were in this run; None if it ran none here.
        shards: File names of the episodes.
        why: Reason of the first failed run, or None.
        damaged: Number of lines of the folder that are no records; their targets, if they have any,
            are collected again.
        first_damaged: The first of these, with file, line and reason, or None.
        by_iteration: Number of groups, and the means of their candidates' rewards and
            differentials, by iteration.
    """

    targets: int
    episodes: int
    resumed: int
    samples: int
    failed: int
    seconds: float
    batch_fill: float | None
    shards: Sequence[str]
    why: str | None = None
    damaged: int = 0
    first_damaged: str | None = None
    by_iteration: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass
class CollectTally:
    """Counts episodes while they are collected."""

    episodes: int = 0
    samples: int = 0
    failed: int = 0
    why: str | None = None
    damaged: list[DamagedLine] = field(default_factory=list)
    groups: Counter[int] = field(default_factory=Counter)
    rewards: dict[int, list[float]] = field(default_factory=dict)
    differentials: dict[int, list[float]] = field(default_factory=dict)

    def add(self, episode: Episode) -> None:
        """Count an episode."""
        lost = sum(sample.error is not None for sample in episode.samples)
        if episode.error is not None:
            self.why = self.why or episode.error
            self.failed += max(1, lost)
            return
        self.episodes += 1
        self.samples += len(episode.samples)
        self.failed += lost
        for group in episode.groups:
            self.groups[group.iteration] += 1
        for sample in episode.samples:
            if sample.reward is not None:
                self.rewards.setdefault(sample.iteration, []).append(sample.reward)
            if sample.differential is not None:
                self.differentials.setdefault(sample.iteration, []).append(sample.differential)

    def report(
        self,
        *,
        targets: int,
        resumed: int,
        seconds: float,
        batch_fill: float | None,
        shards: Sequence[str],
    ) -> CollectReport:
        """Return the report."""
        return CollectReport(
            targets=targets,
            episodes=self.episodes,
            resumed=resumed,
            samples=self.samples,
            failed=self.failed,
            seconds=round(seconds, 2),
            batch_fill=None if batch_fill is None else round(batch_fill, 4),
            shards=shards,
            why=self.why,
            damaged=len(self.damaged),
            first_damaged=str(self.damaged[0]) if self.damaged else None,
            by_iteration={
                str(iteration): {
                    "groups": float(self.groups[iteration]),
                    "reward": _mean(self.rewards.get(iteration, [])),
                    "differential": _mean(self.differentials.get(iteration, [])),
                }
                for iteration in sorted(self.groups)
            },
        )


def _mean(numbers: Sequence[float]) -> float:
    return round(sum(numbers) / len(numbers), 4) if numbers else 0.0


@dataclass
class BatchFill:
    """A `Watch` of the model that counts the rows of each batch.

    Attributes:
        rows: Number of rows of each finished batch, in order.
    """

    rows: list[int] = field(default_factory=list)

    def __call__(self, report: BatchReport) -> None:
        """Record a batch."""
        self.rows.append(sum(work.rows for work in report.work))

    def share(self, limit: int = BatchLimits().rows) -> float | None:
        """Return rows / (batches x limit), 0 to 1; None with fewer than two batches.

        The last batch is left out: there is nothing left to fill it.

        Args:
            limit: Maximum rows of a batch.
        """
        whole = self.rows[:-1]
        return sum(whole) / (len(whole) * limit) if whole else None
