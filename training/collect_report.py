"""What a collection has brought, counted as the episodes come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..stores.episode_schema import Episode


@dataclass(frozen=True)
class CollectReport:
    """What a collection has brought; its episodes of earlier runs counted in.

    Attributes:
        targets: How many were asked for.
        episodes: How many of them have an episode without a fault in the run.
        resumed: How many of these were there before.
        samples: Calls that they hold, and summaries made without a call.
        failed: Calls of them that failed, and runs that came to nothing.
        seconds: How long it took this time.
        batch_fill: How full the model's batches were this time; None: it wrote none here.
        shards: Files of the episodes, by name.
        why: Why the first of the runs that came to nothing did, or None.
        by_iteration: Groups and the means of their candidates' rewards and differentials, by the
            iteration that they were drawn in.
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
    by_iteration: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass
class Tally:
    """Counts episodes as they come."""

    episodes: int = 0
    samples: int = 0
    failed: int = 0
    why: str | None = None
    groups: Counter[int] = field(default_factory=Counter)
    rewards: dict[int, list[float]] = field(default_factory=dict)
    differentials: dict[int, list[float]] = field(default_factory=dict)

    def add(self, episode: Episode) -> None:
        """Count one more."""
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
        """Return what has come of it."""
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
