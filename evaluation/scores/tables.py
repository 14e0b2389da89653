"""Tables of items: means with intervals, gains over a baseline, by history bucket.

Values are first averaged over seeds for each target. Intervals are those of the paired bootstrap
with users as clusters. Holm's correction covers all gains of one data set, task and history.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from ..arms.floors import STRONGEST_FLOOR
from ..arms.registry import ALIGNED, ARMS
from ..items import Item
from ..targets import bucket_of
from .metrics import METRICS, Metric, main_metric, metrics_of
from .statistics import ends, holm_levels, interval, least_difference, mean_of, resampled

BUCKETS = ("0", "1", "2+")
LEAST_FOR_INTERVAL = 2


@dataclass(frozen=True)
class Cell:
    """All items of one data set, task and history.

    Attributes:
        data: Name of the data set.
        task: The task.
        history: Maximum number of own texts: `all` or a number.
        items: Items of every arm, without failed ones.
        failed: Number of failed items by arm.
    """

    data: str
    task: str
    history: str
    items: Sequence[Item]
    failed: Mapping[str, int]

    @property
    def metric(self) -> Metric:
        """The metric that gains are measured in."""
        return main_metric(self.task)

    def of_arm(self, arm: str) -> list[Item]:
        """Return the items of one arm."""
        return [item for item in self.items if item.key.arm == arm]

    def by_target(self, arm: str, metric: Metric) -> dict[str, float]:
        """Return a metric of an arm by target, averaged over seeds."""
        found: dict[str, list[float]] = defaultdict(list)
        for item in self.of_arm(arm):
            value = item.metrics.get(metric.name)
            if value is not None:
                found[item.key.target].append(value)
        return {target: metric.average(values) for target, values in found.items()}

    @property
    def user_of(self) -> dict[str, str]:
        """Hashed user of each target."""
        return {item.key.target: item.user for item in self.items}

    @property
    def topic_of(self) -> dict[str, str]:
        """Hashed topic of each target."""
        return {item.key.target: item.topic for item in self.items}


@dataclass(frozen=True)
class Difference:
    """Paired differences of two arms.

    Attributes:
        targets: Targets on which both arms have a value.
        values: First less second, one per target.
        users: User of each target.
        topics: Topic of each target.
    """

    targets: Sequence[str]
    values: Sequence[float]
    users: Sequence[str]
    topics: Sequence[str]


def difference(cell: Cell, arm: str, other: str) -> Difference | None:
    """Return arm less other on their common targets; None if these are of a single user.

    A single user has no interval: all resamples are equal.
    """
    one, two = cell.by_target(arm, cell.metric), cell.by_target(other, cell.metric)
    targets = sorted(one.keys() & two.keys())
    users, topics = cell.user_of, cell.topic_of
    if len({users[target] for target in targets}) < LEAST_FOR_INTERVAL:
        return None
    return Difference(
        targets,
        [one[target] - two[target] for target in targets],
        [users[target] for target in targets],
        [topics[target] for target in targets],
    )


def table(cell: Cell, arms: Iterable[str], against: str) -> list[dict[str, Any]]:
    """Return one row per arm, as in `results.json`.

    Args:
        cell: The items.
        arms: Arms that were run, in order.
        against: The baseline of the gains.
    """
    rows = [_row(cell, arm) for arm in arms if cell.of_arm(arm)]
    gains = {
        row["arm"]: found
        for row in rows
        if row["arm"] != against and (found := difference(cell, row["arm"], against)) is not None
    }
    corrected = holm_intervals(list(gains.values()))
    for row in rows:
        arm = row["arm"]
        row["gain"] = None
        row["by_history"] = _by_history(cell, arm, against)
        if row["kind"] != "floor":
            over = difference(cell, arm, STRONGEST_FLOOR)
            row["over_copy_typical"] = None if over is None else mean_and_interval(over)
        if arm in gains:
            holm = corrected[list(gains).index(arm)]
            row["gain"] = {
                "metric": cell.metric.name,
                "against": against,
                **paired_figures(gains[arm]),
                "holm": holm,
            }
    return rows


def holm_intervals(differences: Sequence[Difference]) -> list[list[float]]:
    """Return each difference's interval with a familywise error of 5% (Holm 1979)."""
    means = [mean_of(each.values, each.users) for each in differences]
    levels = holm_levels([mean.p for mean in means])
    return [
        _rounded(ends(resampled(each.values, each.users), level))
        for each, level in zip(differences, levels, strict=True)
    ]


def paired_figures(found: Difference) -> dict[str, Any]:
    """Return n, mean, intervals by user and by topic, and the minimum detectable difference."""
    return {
        "n": len(found.values),
        **mean_and_interval(found),
        "ci95_by_topic": _by_topic(found),
        "least_difference": round(least_difference(found.values, found.users), 4),
    }


def _by_topic(found: Difference) -> list[float] | None:
    if len(set(found.topics)) < LEAST_FOR_INTERVAL:
        return None
    return _rounded(interval(found.values, found.topics))


def mean_and_interval(found: Difference) -> dict[str, Any]:
    """Return the mean difference and its 95% interval, with users as clusters."""
    ci95 = _rounded(interval(found.values, found.users))
    return {"mean": round(fmean(found.values), 4), "ci95": ci95}


def _by_history(cell: Cell, arm: str, against: str) -> list[dict[str, Any]]:
    """Return the gain by number of own texts; for the baseline itself only n."""
    own = {item.key.target: item.own for item in cell.items}
    rows = []
    for bucket in BUCKETS:
        targets = [t for t in cell.by_target(arm, cell.metric) if bucket_of(own[t]) == bucket]
        if not targets:
            continue
        row: dict[str, Any] = {"bucket": bucket, "n": len(targets), "gain": None}
        found = None if arm == against else difference(cell, arm, against)
        if found is not None:
            inside = [at for at, target in enumerate(found.targets) if target in set(targets)]
            if len(inside) >= LEAST_FOR_INTERVAL:
                values = [found.values[at] for at in inside]
                users = [found.users[at] for at in inside]
                ci95 = _rounded(interval(values, users))
                row["gain"] = {"mean": round(fmean(values), 4), "ci95": ci95}
        rows.append(row)
    return rows


def _row(cell: Cell, arm: str) -> dict[str, Any]:
    items = cell.of_arm(arm)
    targets = {item.key.target: item.topic for item in items}
    topics = Counter(targets.values())
    row: dict[str, Any] = {
        "data": cell.data,
        "task": cell.task,
        "history": cell.history,
        "arm": arm,
        "kind": ARMS[arm].kind,
        "n": len(targets),
        "seeds": len({item.key.seed for item in items}),
        "topics": len(topics),
        "largest_topic": round(max(topics.values()) / len(targets), 4),
        "failed": cell.failed.get(arm, 0),
        "metrics": _metrics(cell, arm),
    }
    for metric in METRICS.values():
        if metric.in_row:
            values = cell.by_target(arm, metric)
            row[metric.name] = _average(metric, values) if values else None
    if row["kind"] != "floor":
        row |= _of_runs(cell, items)
    return row


def _of_runs(cell: Cell, items: Sequence[Item]) -> dict[str, Any]:
    """Return the columns that only arms that run the loop have."""
    looked = [item.leaks for item in items if item.leaks is not None]
    cut = [item.cut_share for item in items if item.cut_share is not None]
    return {
        "calls": round(fmean(item.calls for item in items), 2),
        "cut_share": round(fmean(cut), 4) if cut else None,
        "pool_size": _by_side(items, lambda item, side: item.pool_size.get(side)),
        "overlap_with_aligned": _overlaps(cell, items),
        "leaks": {
            "targets": len(looked),
            "runs": sum(leak[0] for leak in looked),
            "shared_runs": sum(leak[1] for leak in looked),
        },
    }


def _overlaps(cell: Cell, items: Sequence[Item]) -> dict[str, float]:
    """Return by side the share of the evidence that the aligned arm read as well."""
    aligned = {
        (item.key.target, item.key.seed, side): {text_id for text_id, _ in found}
        for item in cell.of_arm(ALIGNED)
        for side, found in item.evidence.items()
    }

    def overlap(item: Item, side: str) -> float | None:
        found = {text_id for text_id, _ in item.evidence.get(side, [])}
        other = aligned.get((item.key.target, item.key.seed, side))
        return len(found & other) / len(found) if found and other is not None else None

    return _by_side(items, overlap)


def _by_side(items: Sequence[Item], of: Any) -> dict[str, float]:
    means = {}
    for side in ("style", "preference"):
        values = [value for item in items if (value := of(item, side)) is not None]
        if values:
            means[side] = round(fmean(values), 4)
    return means


def _metrics(cell: Cell, arm: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for metric in metrics_of(cell.task):
        values = cell.by_target(arm, metric)
        if not values or metric.in_row:
            continue
        # Only means have a bootstrap interval.
        known = len(values) > 1 and metric.average is fmean
        users = [cell.user_of[target] for target in values]
        ci95 = _rounded(interval(list(values.values()), users)) if known else None
        found[metric.name] = {"mean": _average(metric, values), "ci95": ci95}
    return found


def _average(metric: Metric, values: Mapping[str, float]) -> float:
    return round(metric.average(values.values()), 4)


def _rounded(pair: Sequence[float]) -> list[float]:
    return [round(end, 4) for end in pair]
