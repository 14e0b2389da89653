"""The plan of a run of the rounds: stages and sizes.

The defaults are meant to fit one data set and task into two hours on two cores with the bundled
model; how long they take there has not been measured yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...nodes.state import Task
from ..errors import TrainingError

UNTRAINED, WARM_UP, FINAL = "untrained", "warm_up", "final"
REASONERS = ("style", "preference")
STAGES = (UNTRAINED, WARM_UP, *REASONERS, FINAL)
"""Every stage there is, in the order of the default."""

NO_CONTEXT = "no_context"
FINAL_TWICE = "final_two_iterations"
FLOORS = ("copy_best", "copy_typical")
"""Also measured: the warm-up integrator with both sides left out; the final adapters
with up to two iterations; copies of neighbours."""


class UnknownStage(TrainingError):
    """A stage that there is not."""


@dataclass(frozen=True)
class RoundsPlan:
    """One run of the rounds.

    Attributes:
        data: The file.
        task: What is to be written.
        stages: In order; a reasoner's may stand several times.
        history: Own texts that are known when it is measured: `all` or numbers; gates use the
            first.
        warm_up_targets: Of `train`, for the warm-up of integrate.
        reasoner_examples: Summaries at most that a reasoner learns from in the warm-up: those that
            were measured first, then those made without a model for targets of integrate's warm-up.
        targets: Of `train`, whose summaries are drawn in the warm-up of the reasoners and in each
            round.
        candidates: Summaries that are drawn for each of them and each side.
        gate_targets: Of `gate` at most.
        report_targets: Of `report` at most.
        method: How reasoners learn in a round: dpo or grpo (from the logged groups).
        seed: Random seed.
    """

    data: Path
    task: Task = "long"
    stages: Sequence[str] = STAGES
    history: Sequence[str] = ("all",)
    warm_up_targets: int = 800
    reasoner_examples: int = 400
    targets: int = 160
    candidates: int = 4
    gate_targets: int = 240
    report_targets: int = 240
    method: str = "dpo"
    seed: int = 0


def numbered(stages: Sequence[str]) -> list[str]:
    """Return stages under names of their own: a reasoner's by its number, as `style_2`.

    Raises:
        UnknownStage: One is none, or one that can stand once stands twice.
    """
    names: list[str] = []
    for stage in stages:
        kind, _, number = stage.rpartition("_") if stage[-1:].isdecimal() else (stage, "", "")
        if kind not in STAGES or (number and kind not in REASONERS):
            raise UnknownStage(
                f"no stage {stage!r}: expected some of {', '.join(STAGES)}, a reasoner's as often "
                "as it is to be trained, or by its number, as style_2"
            )
        if kind in REASONERS and not number:
            number = str(1 + sum(name.startswith(f"{kind}_") for name in names))
        name = f"{kind}_{number}" if number else kind
        if name in names:
            raise UnknownStage(f"stage {name} stands twice: name it once")
        names.append(name)
    return names


def role_of(stage: str) -> str:
    """Return whose round a stage is: `style` of `style_2`; the stage itself where it is none's."""
    kind, _, number = stage.rpartition("_")
    return kind if number.isdecimal() else stage
