"""From the items of stages to what `rounds-{data}-{task}.json` says of them.

What each stage of the rounds came to on each target: hashed ids and figures, no texts.

One line of JSON a target and history: `{"id", "history", "user", "topic", "untrained": .12,
"warm_up": .15, ..., "figures": {"untrained": {"rouge1": ..., "copy_rate": ..., "length": ...}}}`.
The file may be published, and a later stage goes on from it alone.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from ...evaluation.items import Item
from ...evaluation.scores.statistics import (
    Mean,
    ends,
    holm_levels,
    least_difference,
    mean_of,
    resampled,
)
from ...stores.files import write_atomic
from ..errors import TrainingError
from .plan import FINAL, FINAL_TWICE, FLOORS, NO_CONTEXT, UNTRAINED, WARM_UP

FIGURES = ("rouge1", "copy_rate", "length")
"""Kept beside the metric that stages are compared in."""

Row = dict[str, Any]


class BrokenStageItems(TrainingError):
    """A file of stage items is not what `patlm rounds` writes."""


@dataclass(frozen=True)
class Differences:
    """Two stages on the same targets.

    Attributes:
        values: First less second, one a target.
        users: Whose target each is, hashed.
        topics: What each is about, hashed.
    """

    values: Sequence[float]
    users: Sequence[str]
    topics: Sequence[str]


class StageItems:
    """Figures by target, history and stage.

    Args:
        file: Read where it is there; written by `save`, which those for a moment are without.
        metric: What stages are compared in: `quality`, or `agreement` of ratings.

    Raises:
        BrokenStageItems: The file is there and can't be read.
    """

    def __init__(self, file: Path | None, metric: str = "quality") -> None:
        self._file, self._metric = file, metric
        self._rows: dict[tuple[str, str], Row] = {}
        if file is not None and file.exists():
            self._read(file)

    def add(self, stage: str, items: Sequence[Item]) -> None:
        """Take the items of one stage; those without a figure, as a failed one, are left out."""
        for item in items:
            value = item.metrics.get(self._metric)
            if value is None:
                continue
            key = (item.key.target, item.key.history)
            about = {"user": item.user, "topic": item.topic, "own": item.own}
            row = self._rows.setdefault(key, {"id": key[0], "history": key[1], **about})
            row[stage] = value
            known = {name: item.metrics[name] for name in FIGURES if name in item.metrics}
            row.setdefault("figures", {})[stage] = known

    def copy(self, stage: str, to: str) -> None:
        """Let a stage have the items of another that it is the same as."""
        for row in self._rows.values():
            if stage in row:
                row[to] = row[stage]
                row["figures"][to] = row["figures"][stage]

    def has(self, stage: str, history: str) -> bool:
        """Say whether there is an item of a stage."""
        return any(stage in row for row in self._of(history))

    def means(self, stage: str, history: str) -> Mapping[str, Sequence[float]]:
        """Return every figure of a stage by name, one a target."""
        rows = [row for row in self._of(history) if stage in row]
        found = {self._metric: [row[stage] for row in rows]}
        for name in FIGURES:
            values = [row["figures"][stage].get(name) for row in rows]
            found[name] = [value for value in values if value is not None]
        return found

    def users(self, stage: str, history: str) -> Sequence[str]:
        """Return whose targets the items of a stage are, in the order of `means`."""
        return [row["user"] for row in self._of(history) if stage in row]

    def differences(
        self, stage: str, other: str, history: str, figure: str | None = None
    ) -> Differences:
        """Return one stage less another on the targets that both have.

        Args:
            stage: The first.
            other: The second.
            history: Own texts that were known.
            figure: One of `FIGURES`; None: what stages are compared in.
        """
        rows = [row for row in self._of(history) if stage in row and other in row]
        pairs = [(_figure(row, stage, figure), _figure(row, other, figure), row) for row in rows]
        both = [(one, two, row) for one, two, row in pairs if one is not None and two is not None]
        return Differences(
            [one - two for one, two, _ in both],
            [row["user"] for *_, row in both],
            [row["topic"] for *_, row in both],
        )

    def save(self) -> None:
        """Write the file whole, or leave the one before."""
        assert self._file is not None, "made for a moment only"
        rows = (row for _, row in sorted(self._rows.items()))
        write_atomic(self._file, (json.dumps(row).encode() + b"\n" for row in rows))

    def _of(self, history: str) -> list[Row]:
        return [row for (_, known), row in sorted(self._rows.items()) if known == history]

    def _read(self, file: Path) -> None:
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            try:
                row = json.loads(line)
                self._rows[row["id"], row["history"]] = row
            except (ValueError, KeyError, TypeError) as error:
                raise BrokenStageItems(
                    f"{file}:{number} is no item of a stage: expected JSON with id and "
                    f"history, got {line[:40]!r}: restore the file, or move it away and measure "
                    "all stages again"
                ) from error


def _figure(row: Row, stage: str, figure: str | None) -> float | None:
    value: float | None = row[stage] if figure is None else row["figures"][stage].get(figure)
    return value


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
