"""Make the episode of a target: a run of the loop as in serving, candidates, replays, rewards.

    collector = Collector(parts, plan, source)
    episode = await collector.episode(target)

The same target, plan and source give the same episode (a model in fp32), apart from times.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from ...evaluation.evaluator import ENDLESS_S
from ...evaluation.targets import Target
from ...graph.builder import build_graph
from ...nodes.dependencies import Parts
from ...nodes.errors import LoopError
from ...nodes.node import Turn
from ...nodes.reason import SIDES, Trajectory
from ...nodes.state import Request, RunContext
from ...nodes.trace import record_of
from ...stores.episodes.schema import Episode, EvidenceRecord, IterationRecord, Sample, TargetRecord
from ...stores.forgotten import Notes
from ...stores.values import FIVE_STARS
from ..rewards.measure import RewardMeasure
from .groups import Rewarding, drawn_in
from .plan import CollectPlan, CollectSource
from .sampler import Drawing, Replay, drawing_trajectories, extractive_trajectories

_NODES = ("style-reason", "preference-reason", "integrate")
_DIGITS = 4
"""Decimals of scores: the last digits of a vector depend on its batch."""

_LEFT = ["log", "own", "stop_reason"]
_LEFT_BEFORE_INTEGRATE = [
    *("log", "own", "evidence", "confidence", "cold_start", "summaries", "run", "started"),
]


class Collector:
    """Makes episodes.

    Args:
        parts: Dependencies of the loop, as in serving.
        plan: What is drawn, and how it is rewarded.
        source: Provenance of the episodes.
        notes: Returns what was forgotten in the store.
    """

    def __init__(
        self,
        parts: Parts,
        plan: CollectPlan,
        source: CollectSource,
        notes: Callable[[], Awaitable[Notes]] | None = None,
    ) -> None:
        self.notes = notes
        self._parts = replace(parts, capture=True, trace=None)
        self._plan = plan
        self._source = source
        self.fingerprint = source.fingerprint(plan)
        self._measure = RewardMeasure(
            parts.style_encoder, parts.topic_encoder, parts.count, parts.budget.summary
        )

    async def episode(self, target: Target) -> Episode:
        """Run the loop for one target; a failed run gives an episode that records the reason."""
        run_id = hashlib.sha1(f"{self.fingerprint}\x1f{target.id}".encode()).hexdigest()[:32]
        if self._plan.reasoner == "extractive":
            return self._dressed(await self._without_model(target), target, run_id)
        return await self._drawn(target, run_id)

    async def _drawn(self, target: Target, run_id: str) -> Episode:
        plan, iteration = self._plan, self._plan.iteration(target)
        drawing = Drawing(
            iteration,
            plan.sides,
            plan.candidates,
            plan.temperature,
            lambda side, number: plan.seed_of(target, side, number),
        )
        context = self._context(iteration)
        kept = _Records()
        graph = self._compile(drawing_trajectories(drawing), replace(self._parts, trace=kept))
        try:
            left = await graph.ainvoke(dict(target.request), context=context, output_keys=_LEFT)
        except LoopError as error:
            return self._failed(kept, target, run_id, context, error)
        episode = self._dressed(kept.records[0], target, run_id)
        if left["stop_reason"] == "error":
            return episode.model_copy(update={"error": episode.warnings[-1]})
        own = [piece["body"] for piece in left["own"]]
        drawn = drawn_in(left["log"], own, run_id, iteration, plan.sides)
        rewarding = Rewarding(
            measure=self._measure,
            weights=plan.weights,
            replay=Replay(self._parts, context, _read(left["log"], left["own"], iteration)),
            request=Request.model_validate(dict(target.request)).on_scale(self._parts.rating_scale),
            real=target.real,
        )
        groups, samples = await rewarding.grouped(drawn)
        update = {"groups": tuple(groups), "samples": (*episode.samples, *samples)}
        return episode.model_copy(update=update)

    async def _without_model(self, target: Target) -> Episode:
        """Run the loop up to integrate with extractive summaries, without a model."""
        context = self._context(1)
        graph = self._compile(
            extractive_trajectories(), self._parts, interrupt_before=["integrate"]
        )
        left = await graph.ainvoke(
            dict(target.request), context=context, output_keys=_LEFT_BEFORE_INTEGRATE
        )
        request = Request.model_validate(dict(target.request)).on_scale(self._parts.rating_scale)
        turn = Turn(left, request, context, self._parts, left["run"], 1, left["started"])
        return record_of(turn, left["log"], {}, None)

    def _failed(
        self,
        kept: _Records,
        target: Target,
        run_id: str,
        context: RunContext,
        error: LoopError,
    ) -> Episode:
        """Return the episode of a run without a draft."""
        said = f"{type(error).__name__}: {error}"
        record = kept.records[0] if kept.records else None
        if record is None:  # it failed before the first node
            record = Episode(
                run_id=run_id,
                namespace=context.namespace,
                request=dict(target.request),
                context=context.model_dump(),
            )
        return self._dressed(record, target, run_id).model_copy(update={"error": said})

    def _dressed(self, record: Episode, target: Target, run_id: str) -> Episode:
        """Return the record of a run as an episode of this collection, in a fixed order."""
        settings = {
            "plan": self._plan.recorded,
            "weights": asdict(self._plan.weights),
            "fingerprint": self.fingerprint,
        }
        if self._parts.rating_scale != FIVE_STARS:
            settings["rating_scale"] = str(self._parts.rating_scale)
        return record.model_copy(
            update={
                "run_id": run_id,
                "target": TargetRecord(id=target.id, data=target.data, real=target.real),
                "split": self._source.split,
                "store": self._source.store,
                "settings": settings,
                "samples": tuple(sorted(record.samples, key=_place)),
                "iterations": tuple(map(_rounded, record.iterations)),
                "own": tuple(map(_rounded_piece, record.own)),
                "confidence": {
                    side: round(sure, _DIGITS) for side, sure in sorted(record.confidence.items())
                },
            }
        )

    def _context(self, iterations: int) -> RunContext:
        return RunContext(
            namespace=self._parts.namespace,
            k=self._plan.k,
            max_iterations=iterations,
            deadline_s=ENDLESS_S,
            adapters=dict(self._plan.adapters),
            seed=self._plan.seed,
        )

    def _compile(self, trajectories: tuple[Trajectory, ...], parts: Parts, **options: Any) -> Any:
        async def provide() -> Parts:
            return parts

        return build_graph(provide, trajectories).compile(**options)


def _read(log: Mapping[str, Any], own: Sequence[Any], iteration: int) -> dict[str, Any]:
    """Return what integrate read in an iteration beside the summaries."""
    found = {side: log[f"{side}-retrieve@{iteration}"]["evidence"] for side in SIDES}
    before = log.get(f"integrate@{iteration - 1}", {})
    return {"own": own, "evidence": found, "draft": before.get("draft", "")}


class _Records:
    """A `Trace` that keeps the records in memory."""

    def __init__(self) -> None:
        self.records: list[Episode] = []

    def append(self, record: Episode) -> None:
        self.records.append(record)


def _place(sample: Sample) -> tuple[int, int]:
    """Return a sort key of a call: both sides are called concurrently, in no fixed order."""
    return sample.iteration, _NODES.index(sample.node)


def _rounded(iteration: IterationRecord) -> IterationRecord:
    def digits(number: float | None) -> float | None:
        return None if number is None else round(number, _DIGITS)

    found: Mapping[str, tuple[EvidenceRecord, ...]] = iteration.evidence
    return iteration.model_copy(
        update={
            "score": digits(iteration.score),
            "similarity": digits(iteration.similarity),
            "evidence": {
                side: tuple(map(_rounded_piece, pieces)) for side, pieces in sorted(found.items())
            },
            "summaries": dict(sorted(iteration.summaries.items())),
        }
    )


def _rounded_piece(piece: EvidenceRecord) -> EvidenceRecord:
    return piece.model_copy(update={"score": round(piece.score, _DIGITS)})
