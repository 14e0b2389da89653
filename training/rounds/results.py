"""Metrics of every stage on each target, and the tables of `rounds-{data}-{task}.json`.

Metrics are stored with hashed ids and without texts, one JSON line per target and history:

    {"id", "history", "user", "topic", "untrained": .12, "warm_up": .15, ...,
     "figures": {"untrained": {"rouge1": ..., "copy_rate": ..., "length": ...}}}

The file may be published, and later stages need nothing else.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from ...evaluation.items import Item
from ...evaluation.scores.metrics import main_metric, metrics_of
from ...evaluation.scores.statistics import MeanEstimate, mean_of
from ...evaluation.scores.tables import (
    Difference,
    holm_intervals,
    mean_and_interval,
    paired_figures,
)
from ...stores.files import write_atomic
from ..errors import TrainingError
from .plan import FINAL, FINAL_TWICE, FLOORS, NO_CONTEXT, UNTRAINED, WARM_UP

Row = dict[str, Any]


class BrokenStageItems(TrainingError):
    """The file of stage items was not written by `patlm rounds`."""

    code = "broken_items"


class StageItems:
    """Metrics by target, history and stage.

    Args:
        file: Read if it exists; written by `save`.
        task: The task, which determines the metrics.

    Attributes:
        task: The task.
        metric: Name of the metric that compares stages.
        figures: Names of the other stored metrics.

    Raises:
        BrokenStageItems: The file exists and can't be read.
    """

    def __init__(self, file: Path | None, task: str = "long") -> None:
        self._file, self.task = file, task
        self.metric = main_metric(task).name
        self.figures = [each.name for each in metrics_of(task, "headline", "short")]
        self._rows: dict[tuple[str, str], Row] = {}
        if file is not None and file.exists():
            self._read(file)

    def add(self, stage: str, items: Sequence[Item]) -> None:
        """Add the items of one stage; items without a value, such as failed ones, are skipped."""
        for item in items:
            value = item.metrics.get(self.metric)
            if value is None:
                continue
            key = (item.key.target, item.key.history)
            about = {"user": item.user, "topic": item.topic, "own": item.own}
            row = self._rows.setdefault(key, {"id": key[0], "history": key[1], **about})
            row[stage] = value
            known = {name: item.metrics[name] for name in self.figures if name in item.metrics}
            row.setdefault("figures", {})[stage] = known

    def copy(self, stage: str, to: str) -> None:
        """Copy the items of a stage to an identical one."""
        for row in self._rows.values():
            if stage in row:
                row[to] = row[stage]
                row["figures"][to] = row["figures"][stage]

    def has(self, stage: str, history: str) -> bool:
        """Whether there is any item of a stage."""
        return any(stage in row for row in self._of(history))

    def means(self, stage: str, history: str) -> Mapping[str, Sequence[float]]:
        """Return all metrics of a stage by name, one value per target."""
        rows = [row for row in self._of(history) if stage in row]
        found = {self.metric: [row[stage] for row in rows]}
        for name in self.figures:
            values = [row["figures"][stage].get(name) for row in rows]
            found[name] = [value for value in values if value is not None]
        return found

    def users(self, stage: str, history: str) -> Sequence[str]:
        """Return the users of a stage's items, in the order of `means`."""
        return [row["user"] for row in self._of(history) if stage in row]

    def differences(
        self, stage: str, other: str, history: str, figure: str | None = None
    ) -> Difference:
        """Return one stage less another on their common targets.

        Args:
            stage: The first stage.
            other: The second stage.
            history: Maximum number of own texts.
            figure: One of `figures`; None: the metric that compares stages.
        """
        rows = [row for row in self._of(history) if stage in row and other in row]
        pairs = [(_figure(row, stage, figure), _figure(row, other, figure), row) for row in rows]
        both = [(one, two, row) for one, two, row in pairs if one is not None and two is not None]
        return Difference(
            [row["id"] for *_, row in both],
            [one - two for one, two, _ in both],
            [row["user"] for *_, row in both],
            [row["topic"] for *_, row in both],
        )

    def save(self) -> None:
        """Write the file atomically."""
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
                    f"{file}:{number} is not an item of a stage: expected JSON with id and "
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
"""Compared pairs of stages, in reading order: a gain over `untrained` may be genre, a gain over
`no_context` is personal."""


def stage_rows(
    items: StageItems, stages: Sequence[str], histories: Sequence[str]
) -> list[dict[str, Any]]:
    """Return means with intervals of each measured stage and history."""
    return [
        _stage(items, stage, history)
        for history in histories
        for stage in stages
        if items.has(stage, history)
    ]


def comparisons(
    items: StageItems, histories: Sequence[str], rounds: Sequence[tuple[str, str]]
) -> list[dict[str, Any]]:
    """Return the paired differences of stages, with Holm's correction for each history.

    Args:
        items: Items of all stages.
        histories: Maximum numbers of own texts.
        rounds: Each reasoner's round and the stage that it continued from.
    """
    found = []
    for history in histories:
        pairs = [
            (one, two, items.differences(one, two, history))
            for one, two in dict.fromkeys((*COMPARED, *rounds))  # both include the warm-up
        ]
        pairs = [pair for pair in pairs if pair[2].values]
        found += _corrected(items, history, pairs)
    return found


def final_figures(items: StageItems, history: str) -> dict[str, Any] | None:
    """Return the metrics of `final` on `report`; None before it is measured."""
    gain = items.differences(FINAL, UNTRAINED, history)
    if not gain.values:
        return None
    shares = Counter(gain.topics)
    said = paired_figures(gain)
    stages = (UNTRAINED, NO_CONTEXT, WARM_UP, *FLOORS)
    return {
        "n": len(gain.values),
        "topics": len(shares),
        "largest_topic": round(max(shares.values()) / len(gain.values), 4),
        "gain": said["mean"],
        "ci95": said["ci95"],
        "ci95_by_topic": said["ci95_by_topic"],
        "over_no_context": _shown(items.differences(FINAL, NO_CONTEXT, history)),
        items.metric: _plain_mean(items, FINAL, history),
        **{stage: _plain_mean(items, stage, history) for stage in stages},
    }


def decided(gain: Difference) -> dict[str, Any]:
    """Return a round's gain on `gate`, and whether its interval lies above zero."""
    found = mean_of(gain.values, gain.users)
    return {**_mean(found), "n": found.n, "promoted": found.low > 0 and found.p < 1}


def _stage(items: StageItems, stage: str, history: str) -> dict[str, Any]:
    means, users = items.means(stage, history), items.users(stage, history)
    row: dict[str, Any] = {"stage": stage, "history": history, "n": len(means[items.metric])}
    headlines = [metric.name for metric in metrics_of(items.task, "main", "headline")]
    for name, values in means.items():
        if name in headlines and values:
            row[name] = _mean(mean_of(values, users if len(values) == len(users) else None))
        elif values:
            row[name] = round(fmean(values), 4)
    return row


def _corrected(
    items: StageItems, history: str, pairs: Sequence[tuple[str, str, Difference]]
) -> list[dict[str, Any]]:
    corrected = holm_intervals([each for *_, each in pairs])
    rows = []
    for (one, two, each), holm in zip(pairs, corrected, strict=True):
        row: dict[str, Any] = {"what": f"{one} - {two}", "history": history}
        row |= {**paired_figures(each), "holm": holm}
        for metric in metrics_of(items.task, "headline"):
            row[metric.name] = _shown(items.differences(one, two, history, metric.name))
        rows.append(row)
    return rows


def _shown(found: Difference) -> dict[str, Any] | None:
    return mean_and_interval(found) if found.values else None


def _mean(found: MeanEstimate) -> dict[str, Any]:
    return {"mean": round(found.mean, 4), "ci95": [round(found.low, 4), round(found.high, 4)]}


def _plain_mean(items: StageItems, stage: str, history: str) -> float | None:
    values: Mapping[str, Sequence[float]] = items.means(stage, history)
    found = values[items.metric]
    return round(fmean(found), 4) if found else None
