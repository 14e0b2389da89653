"""State of the rounds on disk: written whole after each stage, read when they resume."""

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
    """A file of rounds is not what `patlm rounds` writes, or is of something else."""


class RoundsState:
    """The stages that are finished.

    Args:
        folder: Where `rounds-{data}-{task}.json` and its items are.
        name: Of the data set.
        plan: What is run.
        split: Fingerprint of the splits.

    Attributes:
        items: Of every stage on `report`.

    Raises:
        BrokenState: The files can't be read, or were made under other splits.
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
        """The stage that the best adapters come from."""
        return str(self._kept["best"])

    @property
    def results(self) -> Mapping[str, Any]:
        """What the file says."""
        return self._kept

    def finished(self, stage: str) -> bool:
        """Say whether a stage is done."""
        return stage in self._kept["finished"]

    def paid_nothing(self) -> bool:
        """Say whether the latest round of every reasoner was refused."""
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
        """Add the result of a stage's training on `gate`."""
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
        """Let a stage's adapters be the best so far."""
        self._kept |= {"best": stage, "promoted": dict(adapters)}

    def leave_out(self, stage: str) -> None:
        """Note that a stage was not run because the ones before did not pay."""
        if stage not in self._kept["left_out"]:
            self._kept["left_out"].append(stage)
            self._save()

    def finish(self, stage: str) -> None:
        """Write down that a stage is done, with all figures so far."""
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
            f"{file} is none that `patlm rounds` writes ({error}): restore it, or move it away to "
            "begin anew"
        ) from error
    if found != (VERSION, split):
        raise BrokenState(
            f"{file} is of version {found[0]} and the splits {found[1]}; expected version "
            f"{VERSION} and the splits {split} of this data: name another --out, or move it away"
        )
    return kept
