"""From the items of stages to what `rounds-{data}-{task}.json` says of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from .bootstrap import Mean, ends, holm_levels, least_difference, mean_of, resampled
from .rounds_plan import FINAL, FINAL_TWICE, FLOORS, NO_CONTEXT, UNTRAINED, WARM_UP
from .stage_items import Differences, StageItems

COMPARED = (
    (FINAL, NO_CONTEXT),
    (FINAL, UNTRAINED),
    (FINAL, WARM_UP),
    (WARM_UP, UNTRAINED),
    (WARM_UP, NO_CONTEXT),
    (FINAL_TWICE, FINAL),
    *((FINAL, floor) for floor in FLOORS),
)
"""Pairs of stages, in the order in which they are to be read: a gain over `untrained` may be genre,
what is more than `no_context` is the person."""


def stage_rows(
    items: StageItems, stages: Sequence[str], histories: Sequence[str], metric: str
) -> list[dict[str, Any]]:
    """Return means with intervals of each stage and history that was measured."""
    return [
        _stage(items, stage, history, metric)
        for history in histories
        for stage in stages
        if items.has(stage, history)
    ]


def comparisons(
    items: StageItems, histories: Sequence[str], rounds: Sequence[tuple[str, str]]
) -> list[dict[str, Any]]:
    """Return the paired differences of stages, corrected together (Holm) for each history.

    Args:
        items: Of all stages.
        histories: Own texts that were known.
        rounds: Each reasoner's round and the stage that it went on from.
    """
    found = []
    for history in histories:
        pairs = [
            (one, two, items.differences(one, two, history))
            for one, two in dict.fromkeys((*COMPARED, *rounds))  # the warm-up is in both
        ]
        pairs = [pair for pair in pairs if pair[2].values]
        found += _corrected(items, history, pairs)
    return found


def final_figures(items: StageItems, history: str, metric: str) -> dict[str, Any] | None:
    """Return what `final` came to on `report`; None before it was measured."""
    gain = items.differences(FINAL, UNTRAINED, history)
    if not gain.values:
        return None
    shares = Counter(gain.topics)
    said = _mean(mean_of(gain.values, gain.users))
    stages = (UNTRAINED, NO_CONTEXT, WARM_UP, *FLOORS)
    return {
        "n": len(gain.values),
        "topics": len(shares),
        "largest_topic": round(max(shares.values()) / len(gain.values), 4),
        "gain": said["mean"],
        "ci95": said["ci95"],
        "ci95_by_topic": _mean(mean_of(gain.values, gain.topics))["ci95"],
        "over_no_context": _difference(items.differences(FINAL, NO_CONTEXT, history)),
        metric: _plain_mean(items, FINAL, history, metric),
        **{stage: _plain_mean(items, stage, history, metric) for stage in stages},
    }


def decided(gain: Differences) -> dict[str, Any]:
    """Return a round's gain on `gate`, and whether its interval lies above zero."""
    found = mean_of(gain.values, gain.users)
    return {**_mean(found), "n": found.n, "promoted": found.low > 0 and found.p < 1}


def _stage(items: StageItems, stage: str, history: str, metric: str) -> dict[str, Any]:
    means, users = items.means(stage, history), items.users(stage, history)
    row: dict[str, Any] = {"stage": stage, "history": history, "n": len(means[metric])}
    for name, values in means.items():
        if name in (metric, "rouge1") and values:
            row[name] = _mean(mean_of(values, users if len(values) == len(users) else None))
        elif values:
            row[name] = round(fmean(values), 4)
    return row


def _corrected(
    items: StageItems, history: str, pairs: Sequence[tuple[str, str, Differences]]
) -> list[dict[str, Any]]:
    means = [mean_of(each.values, each.users) for *_, each in pairs]
    levels = holm_levels([mean.p for mean in means])
    rows = []
    for (one, two, each), mean, level in zip(pairs, means, levels, strict=True):
        low, high = ends(resampled(each.values, each.users), level)
        row: dict[str, Any] = {"what": f"{one} - {two}", "history": history, "n": mean.n}
        row |= {**_mean(mean), "holm": [round(low, 4), round(high, 4)]}
        row["ci95_by_topic"] = _mean(mean_of(each.values, each.topics))["ci95"]
        row["least_difference"] = round(least_difference(each.values, each.users), 4)
        row["rouge1"] = _difference(items.differences(one, two, history, "rouge1"))
        rows.append(row)
    return rows


def _difference(found: Differences) -> dict[str, Any] | None:
    return _mean(mean_of(found.values, found.users)) if found.values else None


def _mean(found: Mean) -> dict[str, Any]:
    return {"mean": round(found.mean, 4), "ci95": [round(found.low, 4), round(found.high, 4)]}


def _plain_mean(items: StageItems, stage: str, history: str, metric: str) -> float | None:
    values: Mapping[str, Sequence[float]] = items.means(stage, history)
    return round(fmean(values[metric]), 4) if values[metric] else None
