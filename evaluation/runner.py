"""From targets to items: many runs in flight, each item measured and on disk before the next.

What is on disk already is not run again, so a run that was killed goes on where it was.

How near a draft came: every metric of one item.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..nodes.errors import LoopError
from ..nodes.state import Request
from ..stores.search.words import bare
from ..stores.types import Encoder
from .arms.configuration import Configuration
from .arms.floors import FLOORS, NeighbourTexts, neighbours_of
from .errors import EvaluationError
from .evaluator import Evaluator, Outcome
from .items import Item, ItemFile, ItemKey
from .scores.leakage import LeakCheck, shown
from .scores.metrics import copy_rate, exact, length, meteor, rating_metrics, text_metrics
from .targets import Target


class Scorer:
    """Measures drafts against what was really written.

    Args:
        style: The style encoder, for `style_cos`.
        topic: The topic encoder, for `topic_cos`.
        wordnet: Folder of WordNet's files, for `meteor`; None: it is left out.
    """

    def __init__(self, style: Encoder, topic: Encoder, wordnet: Path | None = None) -> None:
        self._style = style
        self._topic = topic
        self._wordnet = wordnet

    def score(
        self, target: Target, draft: str, evidence: Sequence[str] = ()
    ) -> Mapping[str, float | None]:
        """Return the metrics of a draft by name. Blocks.

        Texts: `rouge1 rougeL meteor_es quality style_cos topic_cos copy_rate length exact` (and
        `meteor`), shares and cosines but for `length` in words. Ratings: `error squared_error
        agreement unparsable`.

        Args:
            target: What was to be written.
            draft: What was written.
            evidence: All texts that anybody read for it.
        """
        if target.task == "rating":
            return rating_metrics(float(target.real), draft)
        scores: dict[str, float | None] = {**text_metrics(target.real, draft)}
        if self._wordnet is not None:
            scores["meteor"] = meteor(target.real, draft, self._wordnet)
        scores["style_cos"] = _cosine(self._style, target.real, draft)
        scores["topic_cos"] = _cosine(self._topic, target.real, draft)
        scores["copy_rate"] = copy_rate(draft, evidence)
        scores["length"] = float(length(draft))
        scores["exact"] = exact(target.real, draft)
        return scores


def _cosine(encoder: Encoder, real: str, draft: str) -> float:
    """Return the cosine of two texts in four digits; an empty draft is like nothing, so 0."""
    if not draft.strip():
        return 0.0
    a, b = encoder.encode([real, draft])
    return round(float(a @ b), 4)


IN_FLIGHT = 48
"""Runs at once: one and a half of the largest batch, so that it is full while others retrieve."""

RESULTS_VERSION = 2
"""Raised where the same target, arm and model would get another item."""

Told = Callable[[Item], None]


class NothingToLend(LoopError):
    """No other target's summaries can stand for those of this one."""


@dataclass(frozen=True)
class Unit:
    """One item that is wanted.

    Attributes:
        target: For whom and what.
        arm: The arm's name; that of a floor where there is no configuration.
        configuration: How the loop is run.
        seed: Of what is drawn.
        donors: Whose summaries a `given` reasoner gives: of other targets the first whose evidence
            does not hold what this one's user really wrote.
    """

    target: Target
    arm: str
    configuration: Configuration | None
    seed: int = 0
    donors: tuple[Target, ...] = ()


@dataclass(frozen=True)
class Cell:
    """What all items of one data set, task and history are run with.

    Attributes:
        history: Own texts that are known: `all` or a number.
        evaluator: Runs the loop.
        neighbours: Finds the texts that floors copy.
        scorer: Measures drafts.
        leaks: Looks for the real text in prompts.
        made_of: What decides the results beside target, arm and seed: data, encoders, model.
    """

    history: str
    evaluator: Evaluator
    neighbours: NeighbourTexts
    scorer: Scorer
    leaks: LeakCheck
    made_of: str

    def key(self, unit: Unit) -> ItemKey:
        """Return what an item is found by."""
        how = unit.configuration.fingerprint if unit.configuration else unit.arm
        donors = [donor.id for donor in unit.donors]
        parts = "\x1f".join((str(RESULTS_VERSION), self.made_of, how, *donors))
        made_of = hashlib.sha1(parts.encode()).hexdigest()[:12]
        return ItemKey(unit.target.id, unit.arm, made_of, self.history, unit.seed)

    def known(self, target: Target) -> int:
        """Return how many own texts of a target's user are known."""
        return target.own if self.history == "all" else min(target.own, int(self.history))


async def run_units(
    cell: Cell,
    units: Sequence[Unit],
    kept: ItemFile,
    *,
    in_flight: int = IN_FLIGHT,
    told: Told | None = None,
) -> None:
    """Run what is not there yet; a run that fails is kept as failed.

    Args:
        cell: What they are run with.
        units: What is wanted.
        kept: Where items are, and go.
        in_flight: Runs at once.
        told: Called with each new item.

    Raises:
        EvaluationError: Items or answers can't be kept.
    """
    missing = [unit for unit in units if cell.key(unit) not in kept.items]
    waiting = iter(missing)

    async def work() -> None:
        for unit in waiting:  # one iterator for all workers: each takes the next
            item = await _run(cell, unit)
            kept.append(item)
            if told is not None:
                told(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(in_flight, len(missing))):
                group.create_task(work())
    except* EvaluationError as errors:
        raise errors.exceptions[0] from None


async def _run(cell: Cell, unit: Unit) -> Item:
    target = unit.target
    about: dict[str, Any] = {
        "key": cell.key(unit),
        "data": target.data,
        "task": target.task,
        "user": target.user,
        "topic": target.topic,
        "own": cell.known(target),
    }
    try:
        if unit.configuration is None:
            return await _floor(cell, unit, about)
        return await _draft(cell, unit, unit.configuration, about)
    except LoopError as error:
        if (lost := _training_error(error)) is not None:
            raise lost from error
        return Item(**about, failed=str(error))


async def _draft(
    cell: Cell, unit: Unit, configuration: Configuration, about: Mapping[str, Any]
) -> Item:
    target, given = unit.target, None
    if unit.donors:
        given = {target.text.user_id: await _lent(cell, unit)}
    outcome = await cell.evaluator.run(configuration, target, seed=unit.seed, given=given)
    read = [piece["body"] for found in outcome.evidence.values() for piece in found]
    read += [piece["body"] for piece in outcome.own]
    leaks = await asyncio.to_thread(_leaks, cell, target, outcome)
    return Item(
        **about,
        draft=outcome.draft,
        metrics=await _measure(cell, target, outcome.draft, read),
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


async def _lent(cell: Cell, unit: Unit) -> Mapping[str, str | None]:
    """Return the summaries of the first donor who was not shown what is to be written.

    Raises:
        NothingToLend: All of them were.
    """
    hidden = bare(unit.target.text.body)
    for donor in unit.donors:
        lent = await cell.evaluator.run(Configuration(), donor, seed=unit.seed)
        read = [*lent.own, *(piece for found in lent.evidence.values() for piece in found)]
        if all(bare(piece["body"]) != hidden for piece in read):
            return lent.summaries
    raise NothingToLend(f"what is to be written is evidence of all {len(unit.donors)} lenders")


async def _floor(cell: Cell, unit: Unit, about: Mapping[str, Any]) -> Item:
    target = unit.target
    others = await cell.neighbours.of(target)
    request = Request.model_validate(dict(target.request))
    given = neighbours_of(request, others, seed=unit.seed)
    draft = await asyncio.to_thread(FLOORS[unit.arm], given)
    metrics = await _measure(cell, target, draft, [text.body for text in others])
    return Item(**about, draft=draft, metrics=metrics)


async def _measure(
    cell: Cell, target: Target, draft: str, read: Sequence[str]
) -> dict[str, float | None]:
    scores = await asyncio.to_thread(cell.scorer.score, target, draft, read)
    return {name: None if s is None else round(s, 6) for name, s in scores.items()}


def _leaks(cell: Cell, target: Target, outcome: Outcome) -> tuple[int, int] | None:
    if target.task == "rating":
        return None
    asked = Request.model_validate(dict(target.request)).words
    found = cell.leaks.look(target.real, asked, target.text.user_id, shown(outcome.calls))
    return None if found is None else (found.runs, found.shared_runs)


def _training_error(error: BaseException) -> EvaluationError | None:
    """Return the error of ours that a model's call met, such as answers that can't be kept."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, EvaluationError):
            return cause
        cause = cause.__cause__ or cause.__context__
    return None
