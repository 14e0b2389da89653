"""The plan of the rounds: stages and sizes.

The defaults are meant to fit one data set and task into two hours on two cores with
smollm2-135m; the actual duration has not been measured yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...nodes.state import Task
from ...stores.errors import shortened
from ...stores.values import RatingScale
from ..errors import TrainingError

UNTRAINED, WARM_UP, FINAL = "untrained", "warm_up", "final"
REASONERS = ("style", "preference")
STAGES = (UNTRAINED, WARM_UP, *REASONERS, FINAL)
"""All stages, in the default order."""

NO_CONTEXT = "no_context"
FINAL_TWICE = "final_two_iterations"
FLOORS = ("copy_best", "copy_typical")
"""Also measured: the warm-up integrator with both sides left out; the final adapters with up to two
iterations; copies of neighbours."""


class UnknownStage(TrainingError, ValueError):
    """No stage has this name."""

    code = "unknown_stage"


@dataclass(frozen=True)
class RoundsPlan:
    """Plan of a run of the rounds.

    Attributes:
        data: File of the data set.
        task: The task.
        stages: Stages in order; a reasoner's stage may occur several times.
        history: Maximum numbers of own texts in measurements: `all` or numbers; gates use the
            first.
        warm_up_targets: Number of `train` targets for the warm-up of integrate.
        reasoner_examples: Maximum number of summaries in a reasoner's warm-up: measured ones first,
            then extractive ones of the targets of integrate's warm-up.
        targets: Number of `train` targets whose summaries are sampled, in the warm-up of the
            reasoners and in each round.
        candidates: Number of sampled summaries per target and side.
        gate_targets: Maximum number of `gate` targets.
        report_targets: Maximum number of `report` targets.
        method: Training method of reasoners in a round: dpo or grpo (from the logged groups).
        seed: Random seed.
        rating_scale: Scale of the ratings; None: that of the file's format, or 1 to 5.
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
    rating_scale: RatingScale | None = None


def numbered(stages: Sequence[str]) -> list[str]:
    """Give stages unique names: a reasoner's stages are numbered, as `style_2`.

    Raises:
        UnknownStage: A stage does not exist, or one that can occur only once is repeated.
    """
    names: list[str] = []
    for stage in stages:
        kind, _, number = stage.rpartition("_") if stage[-1:].isdecimal() else (stage, "", "")
        if kind not in STAGES or (number and kind not in REASONERS):
            raise UnknownStage(
                f"no stage {shortened(stage)}: expected some of {', '.join(STAGES)}, a reasoner's "
                "once per round, or by its number, as style_2"
            )
        if kind in REASONERS and not number:
            number = str(1 + sum(name.startswith(f"{kind}_") for name in names))
        name = f"{kind}_{number}" if number else kind
        if name in names:
            raise UnknownStage(f"stage {name} occurs twice: name it once", code="repeated_stage")
        names.append(name)
    return names


def role_of(stage: str) -> str:
    """Return the role of a stage: `style` of `style_2`; the stage itself if it has no role."""
    kind, _, number = stage.rpartition("_")
    return kind if number.isdecimal() else stage
