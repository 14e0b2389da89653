"""Run arms on targets concurrently and write each item to disk once it is measured.

Items that are on disk are not run again, so a killed run resumes.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..nodes.errors import LoopError
from ..nodes.state import Request
from ..stores.search.words import bare
from .arms.configuration import Arm, Configuration
from .arms.floors import Neighbours, NeighbourTexts, neighbours_of
from .errors import EvaluationError
from .evaluator import Evaluator, Outcome
from .items import Item, ItemFile, ItemKey
from .scores.leakage import LeakCheck, shown
from .scores.metrics import Draft, measure, metrics_version
from .targets import Target

IN_FLIGHT = 48
"""Number of concurrent runs: 1.5 times the largest batch, to fill it while other runs retrieve."""

RUN_VERSION = 4
"""Increase it when the same target, arm and model give another item, except for its metrics."""

OnItem = Callable[[Item], None]


class NothingToLend(LoopError):
    """No other target's summaries can be lent to this one."""

    code = "nothing_to_lend"


@dataclass(frozen=True)
class Unit:
    """One requested item.

    Attributes:
        target: The target.
        arm: The arm.
        seed: Random seed.
        donors: Targets whose summaries a `given` reasoner may use; the first one whose evidence
            does not contain the real text is used.
    """

    target: Target
    arm: Arm
    seed: int = 0
    donors: tuple[Target, ...] = ()


@dataclass(frozen=True)
class RunSetup:
    """What the items of one data set, task and history share.

    Attributes:
        history: Maximum number of own texts: `all` or a number.
        evaluator: Runs the loop.
        neighbours: Finds the texts that floors copy.
        draft: Builds the input of the metrics from real text, draft and evidence.
        leaks: Searches prompts for the real text.
        made_of: Everything else that determines the results: data, encoders, model.
    """

    history: str
    evaluator: Evaluator
    neighbours: NeighbourTexts
    draft: Callable[..., Draft]
    leaks: LeakCheck
    made_of: str

    def key(self, unit: Unit) -> ItemKey:
        """Return the key of an item."""
        donors = [donor.id for donor in unit.donors]
        version = f"{RUN_VERSION} {metrics_version(unit.target.task)}"
        parts = "\x1f".join((version, self.made_of, unit.arm.fingerprint, *donors))
        made_of = hashlib.sha1(parts.encode()).hexdigest()[:12]
        return ItemKey(unit.target.id, unit.arm.name, made_of, self.history, unit.seed)

    def known(self, target: Target) -> int:
        """Return the number of available own texts of a target's user."""
        return target.own if self.history == "all" else min(target.own, int(self.history))


async def run_units(
    setup: RunSetup,
    units: Sequence[Unit],
    kept: ItemFile,
    *,
    in_flight: int = IN_FLIGHT,
    on_item: OnItem | None = None,
) -> None:
    """Run the missing items; a failed run is recorded as failed.

    Args:
        setup: Setup of the runs.
        units: Requested items.
        kept: File that items are read from and appended to.
        in_flight: Number of concurrent runs.
        on_item: Called with each new item.

    Raises:
        EvaluationError: Items or answers can't be written.
    """
    missing = [unit for unit in units if setup.key(unit) not in kept.items]
    waiting = iter(missing)

    async def work() -> None:
        for unit in waiting:  # All workers share one iterator.
            item = await _run(setup, unit)
            kept.append(item)
            if on_item is not None:
                on_item(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(in_flight, len(missing))):
                group.create_task(work())
    except* EvaluationError as errors:
        raise errors.exceptions[0] from None


async def _run(setup: RunSetup, unit: Unit) -> Item:
    target = unit.target
    about: dict[str, Any] = {
        "key": setup.key(unit),
        "data": target.data,
        "task": target.task,
        "user": target.user,
        "topic": target.topic,
        "own": setup.known(target),
    }
    try:
        if unit.arm.write is not None:
            return await _floor(setup, unit, unit.arm.write, about)
        return await _draft(setup, unit, about)
    except LoopError as error:
        if (lost := _training_error(error)) is not None:
            raise lost from error
        return Item(**about, failed=str(error))


async def _draft(setup: RunSetup, unit: Unit, about: Mapping[str, Any]) -> Item:
    target, given = unit.target, None
    configuration = unit.arm.configuration or Configuration()
    if unit.donors:
        given = {target.text.user_id: await _lent(setup, unit)}
    outcome = await setup.evaluator.run(configuration, target, seed=unit.seed, given=given)
    read = [piece["body"] for found in outcome.evidence.values() for piece in found]
    read += [piece["body"] for piece in outcome.own]
    leaks = await asyncio.to_thread(_leaks, setup, target, outcome)
    return Item(
        **about,
        draft=outcome.draft,
        metrics=await _measure(setup, target, outcome.draft, read),
        summaries=outcome.summaries,
        evidence={
            side: [(piece["text_id"], round(piece["score"], 4)) for piece in found]
            for side, found in outcome.evidence.items()
        },
        own_read=tuple(piece["text_id"] for piece in outcome.own),
        cold_start=outcome.cold_start,
        pool_size=outcome.pool_size,
        cut_share=None if outcome.cut_share is None else round(outcome.cut_share, 4),
        iterations=outcome.iterations,
        stop_reason=outcome.stop_reason,
        calls=len(outcome.calls),
        leaks=leaks,
    )


async def _lent(setup: RunSetup, unit: Unit) -> Mapping[str, str | None]:
    """Return the summaries of the first donor whose evidence does not contain the real text.

    Raises:
        NothingToLend: The evidence of all donors contains it.
    """
    hidden = bare(unit.target.text.body)
    for donor in unit.donors:
        lent = await setup.evaluator.run(Configuration(), donor, seed=unit.seed)
        read = [*lent.own, *(piece for found in lent.evidence.values() for piece in found)]
        if all(bare(piece["body"]) != hidden for piece in read):
            return lent.summaries
    raise NothingToLend(f"the real text is evidence of all {len(unit.donors)} lenders")


async def _floor(
    setup: RunSetup, unit: Unit, write: Callable[[Neighbours], str], about: Mapping[str, Any]
) -> Item:
    target = unit.target
    others = await setup.neighbours.of(target)
    request = Request.model_validate(dict(target.request))
    given = neighbours_of(request, others, seed=unit.seed)
    draft = await asyncio.to_thread(write, given)
    metrics = await _measure(setup, target, draft, [text.body for text in others])
    return Item(**about, draft=draft, metrics=metrics)


async def _measure(
    setup: RunSetup, target: Target, draft: str, read: Sequence[str]
) -> Mapping[str, float]:
    return await asyncio.to_thread(measure, target.task, setup.draft(target.real, draft, read))


def _leaks(setup: RunSetup, target: Target, outcome: Outcome) -> tuple[int, int] | None:
    if target.task == "rating":
        return None
    asked = Request.model_validate(dict(target.request)).words
    found = setup.leaks.look(target.real, asked, target.text.user_id, shown(outcome.calls))
    return None if found is None else (found.runs, found.shared_runs)


def _training_error(error: BaseException) -> EvaluationError | None:
    """Return the evaluation error that caused another, such as a failed write of answers."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, EvaluationError):
            return cause
        cause = cause.__cause__ or cause.__context__
    return None
