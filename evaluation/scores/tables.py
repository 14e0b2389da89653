"""From items to the table: means with intervals, gains over a baseline, by history bucket.

Values are averaged over seeds for each target first. Intervals are of the paired bootstrap and draw
users as wholes. Holm's correction is over all gains of one data set, task and history.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from ..arms.registry import ARMS
from ..items import Item
from ..targets import bucket_of
from .metrics import rmse
from .statistics import ends, holm_levels, interval, least_difference, mean_of, resampled

BUCKETS = ("0", "1", "2+")
ALIGNED = "both"
STRONGEST_FLOOR = "copy_typical"
LEAST_FOR_INTERVAL = 2

_OF_TEXTS = (
    *("rouge1", "rougeL", "meteor_es", "meteor", "quality"),
    *("style_cos", "topic_cos", "judge"),
)
_OF_RATINGS = {"mae": "error", "agreement": "agreement", "unparsable": "unparsable"}
"""What results call a metric, and what items do; `rmse` is made of all squared errors."""


@dataclass(frozen=True)
class Cell:
    """All items of one data set, task and history.

    Attributes:
        data: Name of the data set.
        task: What was to be written.
        history: Own texts that were known: `all` or a number.
        items: Of every arm, without failed ones.
        failed: Failed items by arm.
    """

    data: str
    task: str
    history: str
    items: Sequence[Item]
    failed: Mapping[str, int]

    @property
    def metric(self) -> str:
        """What gains are measured in."""
        return "agreement" if self.task == "rating" else "quality"

    def of_arm(self, arm: str) -> list[Item]:
        """Return the items of one arm."""
        return [item for item in self.items if item.key.arm == arm]

    def by_target(self, arm: str, metric: str) -> dict[str, float]:
        """Return a metric of an arm by target, the mean over seeds."""
        found: dict[str, list[float]] = defaultdict(list)
        for item in self.of_arm(arm):
            value = item.metrics.get(metric)
            if value is not None:
                found[item.key.target].append(value)
        return {target: fmean(values) for target, values in found.items()}

    @property
    def user_of(self) -> dict[str, str]:
        """The user of each target, hashed."""
        return {item.key.target: item.user for item in self.items}

    @property
    def topic_of(self) -> dict[str, str]:
        """The topic of each target, hashed."""
        return {item.key.target: item.topic for item in self.items}


@dataclass(frozen=True)
class Difference:
    """Two arms on the same targets.

    Attributes:
        targets: On which both have a value.
        values: First less second, one a target.
        users: Whose target each is.
        topics: What each is about.
    """

    targets: Sequence[str]
    values: Sequence[float]
    users: Sequence[str]
    topics: Sequence[str]


def difference(cell: Cell, arm: str, other: str, metric: str | None = None) -> Difference | None:
    """Return arm less other on the targets that both have; None where they are of one user.

    One alone has no interval: its resamples are all the same.
    """
    name = metric or cell.metric
    one, two = cell.by_target(arm, name), cell.by_target(other, name)
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
    """Return a row an arm, as `results.json` has them.

    Args:
        cell: The items.
        arms: Those that were run, in their order.
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
            row["over_copy_typical"] = _over(difference(cell, arm, STRONGEST_FLOOR))
        if arm in gains:
            holm = corrected[list(gains).index(arm)]
            row["gain"] = {**_gain(gains[arm], cell.metric), "against": against, "holm": holm}
    return rows


def holm_intervals(differences: Sequence[Difference]) -> list[list[float]]:
    """Return each difference's interval so that all together err in 5% (Holm 1979)."""
    means = [mean_of(each.values, each.users) for each in differences]
    levels = holm_levels([mean.p for mean in means])
    return [
        _rounded(ends(resampled(each.values, each.users), level))
        for each, level in zip(differences, levels, strict=True)
    ]


def _gain(found: Difference, metric: str) -> dict[str, Any]:
    return {
        "metric": metric,
        "n": len(found.values),
        "mean": round(fmean(found.values), 4),
        "ci95": _rounded(interval(found.values, found.users)),
        "ci95_by_topic": _by_topic(found),
        "least_difference": round(least_difference(found.values, found.users), 4),
    }


def _by_topic(found: Difference) -> list[float] | None:
    if len(set(found.topics)) < LEAST_FOR_INTERVAL:
        return None
    return _rounded(interval(found.values, found.topics))


def _over(found: Difference | None) -> dict[str, Any] | None:
    if found is None:
        return None
    ci95 = _rounded(interval(found.values, found.users))
    return {"mean": round(fmean(found.values), 4), "ci95": ci95}


def _by_history(cell: Cell, arm: str, against: str) -> list[dict[str, Any]]:
    """Return the gain by how many own texts are known; of the baseline itself n alone."""
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
    for name in ("copy_rate", "length", "exact"):
        values = cell.by_target(arm, name)
        row[name] = round(fmean(values.values()), 4) if values else None
    if row["kind"] != "floor":
        row |= _of_runs(cell, items)
    return row


def _of_runs(cell: Cell, items: Sequence[Item]) -> dict[str, Any]:
    """Return what only arms that run the loop have."""
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
    """Return by side which share of the evidence the aligned arm has, too."""
    aligned = {
        (item.key.target, item.key.seed, side): {text_id for text_id, _ in found}
        for item in cell.of_arm(ALIGNED)
        for side, found in item.evidence.items()
    }

    def overlap(item: Item, side: str) -> float | None:
        found = {text_id for text_id, _ in item.evidence.get(side, [])}
        beside = aligned.get((item.key.target, item.key.seed, side))
        return len(found & beside) / len(found) if found and beside is not None else None

    return _by_side(items, overlap)


def _by_side(items: Sequence[Item], of: Any) -> dict[str, float]:
    means = {}
    for side in ("style", "preference"):
        values = [value for item in items if (value := of(item, side)) is not None]
        if values:
            means[side] = round(fmean(values), 4)
    return means


def _metrics(cell: Cell, arm: str) -> dict[str, dict[str, Any]]:
    names = _OF_RATINGS if cell.task == "rating" else {name: name for name in _OF_TEXTS}
    found: dict[str, dict[str, Any]] = {}
    for shown, name in names.items():
        values = cell.by_target(arm, name)
        if values:
            users = [cell.user_of[target] for target in values]
            numbers = list(values.values())
            ci95 = _rounded(interval(numbers, users)) if len(numbers) > 1 else None
            found[shown] = {"mean": round(fmean(numbers), 4), "ci95": ci95}
    squares = cell.by_target(arm, "squared_error")
    if squares:
        found["rmse"] = {"mean": round(rmse(list(squares.values())), 4), "ci95": None}
    return found


def _rounded(pair: Sequence[float]) -> list[float]:
    return [round(end, 4) for end in pair]
