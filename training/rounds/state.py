"""State of the rounds on disk: written atomically after each stage, read on resume."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...stores.files import write_json
from ..errors import TrainingError
from .plan import (
    FINAL,
    FINAL_TWICE,
    FLOORS,
    NO_CONTEXT,
    REASONERS,
    UNTRAINED,
    WARM_UP,
    RoundsPlan,
    role_of,
)
from .results import StageItems, comparisons, final_figures, stage_rows

VERSION = 1


class BrokenState(TrainingError):
    """A file of rounds was not written by `patlm rounds`, or belongs to other data."""

    code = "broken_state"


class RoundsState:
    """The finished stages.

    Args:
        folder: Folder of `rounds-{data}-{task}.json` and its items.
        name: Name of the data set.
        plan: Plan of the rounds.
        split: Fingerprint of the splits.

    Attributes:
        items: Items of every stage on `report`.

    Raises:
        BrokenState: The files can't be read, or were written under other splits.
    """

    def __init__(self, folder: Path, name: str, plan: RoundsPlan, split: str) -> None:
        self.file = folder / f"rounds-{name}-{plan.task}.json"
        self._plan = plan
        self._kept: dict[str, Any] = {
            "version": VERSION,
            "data": name,
            "task": plan.task,
            "split": split,
            "finished": [],
            "left_out": [],
            "best": UNTRAINED,
            "promoted": {},
            "rounds": [],
        }
        if self.file.exists():
            self._kept |= _read(self.file, split)
        self.items = StageItems(folder / f"rounds-{name}-{plan.task}-items.jsonl", plan.task)

    @property
    def promoted(self) -> Mapping[str, str]:
        """The best adapter of each role so far."""
        return dict(self._kept["promoted"])

    @property
    def best_stage(self) -> str:
        """The stage of the best adapters."""
        return str(self._kept["best"])

    @property
    def results(self) -> Mapping[str, Any]:
        """Content of the file."""
        return self._kept

    def finished(self, stage: str) -> bool:
        """Whether a stage is finished."""
        return stage in self._kept["finished"]

    def paid_nothing(self) -> bool:
        """Whether the latest round of every reasoner was rejected."""
        latest = {
            role: [each for each in self._kept["rounds"] if each["role"] == role][-1:]
            for role in REASONERS
        }
        return all(rounds and not rounds[0]["promoted"] for rounds in latest.values())

    def add_round(
        self,
        stage: str,
        role: str,
        adapters: Sequence[str],
        reports: Sequence[Mapping[str, Any]],
        decision: Mapping[str, Any],
    ) -> None:
        """Record the result of a stage's training on `gate`."""
        methods = list(dict.fromkeys(str(report["method"]) for report in reports))
        self._kept["rounds"].append(
            {
                "stage": stage,
                "role": role,
                "method": ",".join(methods),
                "adapters": list(adapters),
                "against": self.best_stage,
                "gain": decision["mean"],
                "ci95": decision["ci95"],
                "n": decision["n"],
                "promoted": decision["promoted"],
                "training": [dict(report) for report in reports],
            }
        )

    def take(self, stage: str, adapters: Mapping[str, str]) -> None:
        """Set a stage's adapters as the best so far."""
        self._kept |= {"best": stage, "promoted": dict(adapters)}

    def leave_out(self, stage: str) -> None:
        """Record that a stage was skipped because the previous rounds brought no gain."""
        if stage not in self._kept["left_out"]:
            self._kept["left_out"].append(stage)
            self._save()

    def finish(self, stage: str) -> None:
        """Record a stage as finished, and write all metrics so far."""
        self._kept["finished"].append(stage)
        self._save()

    def _save(self) -> None:
        plan, kept = self._plan, self._kept
        rounds = [each["stage"] for each in kept["rounds"] if role_of(each["stage"]) in REASONERS]
        stages = (*FLOORS, UNTRAINED, NO_CONTEXT, WARM_UP, *rounds, FINAL, FINAL_TWICE)
        pairs = [(each["stage"], each["against"]) for each in kept["rounds"]]
        kept["stages"] = stage_rows(self.items, stages, plan.history)
        kept["comparisons"] = comparisons(self.items, plan.history, pairs)
        kept["final"] = final_figures(self.items, plan.history[0])
        self.items.save()
        write_json(self.file, kept)


def _read(file: Path, split: str) -> dict[str, Any]:
    try:
        kept: dict[str, Any] = json.loads(file.read_bytes())
        found = kept["version"], kept["split"]
    except (ValueError, KeyError, TypeError) as error:
        raise BrokenState(
            f"{file} was not written by `patlm rounds` ({error}): restore it, or move it away to "
            "start again"
        ) from error
    if found != (VERSION, split):
        raise BrokenState(
            f"{file} has version {found[0]} and the splits {found[1]}; expected version "
            f"{VERSION} and the splits {split} of this data: name another --out, or move it away",
            code="other_state",
        )
    return kept
