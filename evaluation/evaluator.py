"""Run a configuration of the loop on a target and return the draft with its provenance.

    evaluator = Evaluator(parts)
    outcome = await evaluator.run(Configuration(), target)

It uses the compiled graph of serving. Many concurrent targets keep the model's batches full;
`RememberedChat` caches answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

from ..graph.builder import build_graph
from ..nodes.dependencies import Parts
from ..nodes.reason import TRAJECTORIES
from ..nodes.state import RunContext
from .arms.configuration import SIDES, Configuration
from .arms.extractive import most_central
from .arms.reasoners import Summaries, trajectories_of
from .targets import Target

ENDLESS_S = 7 * 86_400.0
"""Deadline of a run in seconds; a run mostly waits for other targets."""

_OUTPUTS = [
    *("text", "summaries", "evidence", "own", "cold_start", "iterations", "stop_reason", "log"),
    *("confidence", "warnings"),
]


@dataclass(frozen=True)
class Outcome:
    """Result of one configuration on one target.

    Attributes:
        draft: The draft.
        summaries: Summary by side; None if the side abstained or was left out.
        evidence: Evidence by side, best first, only of sides that were read.
        own: The user's own texts that were read.
        cold_start: Size of the user's history: zero, few or known.
        pool_size: Number of candidates of each side's evidence.
        cut_share: Mean share of evidence and request that was cut to fit the reasoners' prompts;
            None if no reasoner read any.
        iterations: Number of iterations.
        stop_reason: Why the loop stopped.
        warnings: What a caller would be told.
        calls: Prompts (messages) and answers of all calls, in order, by role.
    """

    draft: str
    summaries: Mapping[str, str | None]
    evidence: Mapping[str, Sequence[Mapping[str, Any]]]
    own: Sequence[Mapping[str, Any]]
    cold_start: str
    pool_size: Mapping[str, int]
    cut_share: float | None
    iterations: int
    stop_reason: str
    warnings: Sequence[str] = ()
    calls: Sequence[Mapping[str, Any]] = field(default=(), repr=False)


class Evaluator:
    """Runs configurations on targets.

    Args:
        parts: Dependencies of the loop. They should have no confidence threshold: an arm is
            measured on all targets.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._graphs: dict[tuple[str, int], Any] = {}

    async def run(
        self,
        configuration: Configuration,
        target: Target,
        *,
        seed: int = 0,
        given: Summaries | None = None,
    ) -> Outcome:
        """Write a draft for one target.

        Args:
            configuration: Configuration of the loop.
            target: The target.
            seed: Random seed.
            given: Summaries by user and side, for `given` reasoners.

        Raises:
            LoopError: The loop failed.
        """
        drawn = []
        for number in range(configuration.drafts):
            graph = self._graph(configuration, seed, number, given)
            context = RunContext(
                k=configuration.k,
                max_iterations=configuration.iterations,
                deadline_s=ENDLESS_S,
                strategies={side: configuration.side(side).strategy for side in SIDES},
                adapters=dict(configuration.adapters),
                seed=seed,
                mode=configuration.mode,
                sides="both",
            )
            result = await graph.ainvoke(
                dict(target.request), context=context, output_keys=_OUTPUTS
            )
            drawn.append(_outcome(result, configuration))
        if len(drawn) == 1:
            return drawn[0]
        best = drawn[most_central([outcome.draft for outcome in drawn])]
        return replace(best, calls=[call for outcome in drawn for call in outcome.calls])

    def _graph(
        self, configuration: Configuration, seed: int, number: int, given: Summaries | None
    ) -> Any:
        """Return the compiled graph, cached by configuration and draft number."""
        if given is not None:  # of one target
            return self._compile(configuration, self._parts_of(configuration, seed, number), given)
        key = (f"{configuration.fingerprint} {seed}", number)
        if key not in self._graphs:
            parts = self._parts_of(configuration, seed, number)
            self._graphs[key] = self._compile(configuration, parts, None)
        return self._graphs[key]

    def _compile(self, configuration: Configuration, parts: Parts, given: Summaries | None) -> Any:
        async def provide() -> Parts:
            return parts

        return build_graph(provide, trajectories_of(configuration, given)).compile()

    def _parts_of(self, configuration: Configuration, seed: int, number: int) -> Parts:
        parts = self._parts
        if configuration.drafts > 1:
            role = parts.chat["integrate"]
            options = {"temperature": configuration.temperature, "seed": 1_000 * seed + number}
            drawing = replace(role, options={**role.options, **options})
            parts = replace(parts, chat={**parts.chat, "integrate": drawing})
        return parts


def _outcome(result: Mapping[str, Any], configuration: Configuration) -> Outcome:
    log = result["log"]
    order = sorted(log.values(), key=lambda entry: entry["began"])
    read = _sides_read(configuration)
    read_own = any(each.reads_own_texts for each in TRAJECTORIES if each.name in read)
    first = {side: log.get(f"{side}-retrieve@1", {}) for side in SIDES}
    # Count evidence only: integrate cuts its request and summaries.
    cut = [log[key]["cut_share"] for key in log if "-reason@" in key and "cut_share" in log[key]]
    return Outcome(
        draft=result["text"],
        summaries=result["summaries"],
        evidence={side: result["evidence"].get(side, []) for side in read},
        own=result["own"] if read_own else [],
        cold_start=result["cold_start"],
        pool_size={side: first[side]["pool_size"] for side in read if "pool_size" in first[side]},
        cut_share=fmean(cut) if cut else None,
        iterations=result["iterations"],
        stop_reason=result["stop_reason"],
        warnings=result["warnings"],
        calls=[entry["call"] for entry in order if "call" in entry],
    )


def _sides_read(configuration: Configuration) -> list[str]:
    """Return the sides whose evidence a reasoner reads."""
    reasoners = {side: configuration.side(side).reasoner for side in SIDES}
    if "merged" in reasoners.values() or "swapped" in reasoners.values():
        return list(SIDES)
    return [side for side in SIDES if reasoners[side] not in ("silent", "constant", "given")]
