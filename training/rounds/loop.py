"""Run the warm-up and the rounds: collect, train, compare on `gate`, measure on `report`.

    untrained -> warm_up -> style_1 -> preference_1 -> ... -> final

Each stage ends with its metrics and adapters on disk, and the next one needs nothing else:
`rounds-{data}-{task}.json` records promotions, `...-items.jsonl` the metrics of every stage on each
target of `report`, and the registry in the same folder the adapters. Only the split `gate` decides
on promotions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ...evaluation.arms.configuration import SILENT, Configuration
from ...evaluation.items import Item
from ...stores.datasets.splits import Split
from .plan import (
    FINAL,
    FINAL_TWICE,
    FLOORS,
    NO_CONTEXT,
    REASONERS,
    UNTRAINED,
    WARM_UP,
    RoundsPlan,
    numbered,
    role_of,
)
from .results import StageItems, decided
from .state import RoundsState

Adapters = Mapping[str, str]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Trained:
    """An adapter that a stage trained.

    Attributes:
        name: Name in the registry, `role@step`.
        report: The trainer's report.
    """

    name: str
    report: Mapping[str, Any]


class RoundSteps(Protocol):
    """The operations of the rounds; `stages.RealSteps` implements them."""

    async def warm_up(self) -> Sequence[Trained]:
        """Train integrate on real texts, then both reasoners on examples; ordered by role."""

    async def train_reasoner(self, stage: str, role: str, adapters: Adapters) -> Trained:
        """Collect with these adapters, and train a role's adapter on the episodes."""

    async def measure(
        self, arm: str, configuration: Configuration | None, split: Split, history: str
    ) -> Sequence[Item]:
        """Run a configuration, or the floor of that name, on the targets of a split."""

    def promote(self, names: Sequence[str]) -> None:
        """Promote adapters."""


async def run_rounds(
    plan: RoundsPlan, steps: RoundSteps, state: RoundsState, say: Say = lambda said: None
) -> None:
    """Run the unfinished stages.

    Args:
        plan: Stages and sizes.
        steps: Operations of the rounds.
        state: Finished stages; written after each stage.
        say: Receives the next step.

    Raises:
        UnknownStage: A stage does not exist.
        EvaluationError: A stage fails; earlier stages are saved.
    """
    for stage in numbered(plan.stages):
        if state.finished(stage):
            say(f"{stage}: done before")
        elif role_of(stage) in REASONERS and state.paid_nothing():
            say(f"{stage}: left out: the latest round of neither reasoner was promoted")
            state.leave_out(stage)
        else:
            say(f"{stage}: begins")
            await _STAGES.get(stage, _round)(stage, plan, steps, state)
            state.finish(stage)


async def _untrained(stage: str, plan: RoundsPlan, steps: RoundSteps, state: RoundsState) -> None:
    await _report(stage, Configuration(), plan, steps, state.items)
    for floor in FLOORS:
        await _report(floor, None, plan, steps, state.items)


async def _warm_up(stage: str, plan: RoundsPlan, steps: RoundSteps, state: RoundsState) -> None:
    trained = await steps.warm_up()
    made = {role_of_adapter(each.name): each.name for each in trained}
    await _decide(stage, "warm_up", made, trained, plan, steps, state)
    alone = Configuration(SILENT, SILENT, adapters={"integrate": made["integrate"]})
    await _report(NO_CONTEXT, alone, plan, steps, state.items)


async def _round(stage: str, plan: RoundsPlan, steps: RoundSteps, state: RoundsState) -> None:
    role = role_of(stage)
    trained = await steps.train_reasoner(stage, role, state.promoted)
    made = {**state.promoted, role: trained.name}
    await _decide(stage, role, made, [trained], plan, steps, state)


async def _final(stage: str, plan: RoundsPlan, steps: RoundSteps, state: RoundsState) -> None:
    same = state.best_stage
    if all(state.items.has(same, history) for history in plan.history):
        state.items.copy(same, stage)
    else:
        await _report(stage, Configuration(adapters=state.promoted), plan, steps, state.items)
    twice = Configuration(iterations=2, adapters=state.promoted)
    await _report(FINAL_TWICE, twice, plan, steps, state.items)


async def _decide(
    stage: str,
    role: str,
    adapters: Adapters,
    trained: Sequence[Trained],
    plan: RoundsPlan,
    steps: RoundSteps,
    state: RoundsState,
) -> None:
    """Measure a stage on both splits; promote it if the gate's interval lies above zero."""
    history = plan.history[0]
    gate = StageItems(None, plan.task)
    best = state.best_stage  # under its own name, so that its items are found again
    for name, used in ((best, state.promoted), (stage, adapters)):
        gate.add(name, await steps.measure(name, Configuration(adapters=used), "gate", history))
    decision = decided(gate.differences(stage, best, history))
    await _report(stage, Configuration(adapters=adapters), plan, steps, state.items)
    made = [each.name for each in trained]
    state.add_round(stage, role, made, [dict(each.report) for each in trained], decision)
    if decision["promoted"]:
        steps.promote(made)
        state.take(stage, adapters)


async def _report(
    arm: str,
    configuration: Configuration | None,
    plan: RoundsPlan,
    steps: RoundSteps,
    items: StageItems,
) -> None:
    for history in plan.history:
        items.add(arm, await steps.measure(arm, configuration, "report", history))


def role_of_adapter(name: str) -> str:
    """Return the role in an adapter's name."""
    return name.partition("@")[0]


_STAGES = {UNTRAINED: _untrained, WARM_UP: _warm_up, FINAL: _final}
