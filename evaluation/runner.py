"""Run arms on targets, many in flight, and write each item to disk once it is measured.

Items that are on disk are not run again, so a run that was killed resumes.
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
"""Runs at once: 1.5 times the largest batch, so that it is full while other runs retrieve."""

RUN_VERSION = 3
"""Raise it when the same target, arm and model get another item, but for its metrics."""

OnItem = Callable[[Item], None]


class NothingToLend(LoopError):
    """No other target's summaries can stand for those of this one."""


@dataclass(frozen=True)
class Unit:
    """One item that is wanted.

    Attributes:
        target: For whom and what.
        arm: How it is written.
        seed: Random seed.
        donors: Targets whose summaries a `given` reasoner may use; the first is taken whose
            evidence does not hold the text that is to be written.
    """

    target: Target
    arm: Arm
    seed: int = 0
    donors: tuple[Target, ...] = ()


@dataclass(frozen=True)
class RunSetup:
    """What all items of one data set, task and history are run with.

    Attributes:
        history: Own texts that are known: `all` or a number.
        evaluator: Runs the loop.
        neighbours: Finds the texts that floors copy.
        draft: Makes what metrics are computed from: of the real text, a draft and the evidence.
        leaks: Looks for the real text in prompts.
        made_of: What else determines the results: data, encoders, model.
    """

    history: str
    evaluator: Evaluator
    neighbours: NeighbourTexts
    draft: Callable[..., Draft]
    leaks: LeakCheck
    made_of: str

    def key(self, unit: Unit) -> ItemKey:
        """Return what an item is found by."""
        donors = [donor.id for donor in unit.donors]
        version = f"{RUN_VERSION} {metrics_version(unit.target.task)}"
        parts = "\x1f".join((version, self.made_of, unit.arm.fingerprint, *donors))
        made_of = hashlib.sha1(parts.encode()).hexdigest()[:12]
        return ItemKey(unit.target.id, unit.arm.name, made_of, self.history, unit.seed)

    def known(self, target: Target) -> int:
        """Return how many own texts of a target's user are known."""
        return target.own if self.history == "all" else min(target.own, int(self.history))


async def run_units(
    setup: RunSetup,
    units: Sequence[Unit],
    kept: ItemFile,
    *,
    in_flight: int = IN_FLIGHT,
    on_item: OnItem | None = None,
) -> None:
    """Run what is not there yet; a run that fails is kept as failed.

    Args:
        setup: What they are run with.
        units: What is wanted.
        kept: Where items are, and go.
        in_flight: Runs at once.
        on_item: Called with each new item.

    Raises:
        EvaluationError: Items or answers can't be kept.
    """
    missing = [unit for unit in units if setup.key(unit) not in kept.items]
    waiting = iter(missing)

    async def work() -> None:
        for unit in waiting:  # one iterator for all workers: each takes the next
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
    """Return the summaries of the first donor who was not shown what is to be written.

    Raises:
        NothingToLend: All of them were.
    """
    hidden = bare(unit.target.text.body)
    for donor in unit.donors:
        lent = await setup.evaluator.run(Configuration(), donor, seed=unit.seed)
        read = [*lent.own, *(piece for found in lent.evidence.values() for piece in found)]
        if all(bare(piece["body"]) != hidden for piece in read):
            return lent.summaries
    raise NothingToLend(f"what is to be written is evidence of all {len(unit.donors)} lenders")


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
    """Return the evaluation error that caused another, such as answers that can't be kept."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, EvaluationError):
            return cause
        cause = cause.__cause__ or cause.__context__
    return None
