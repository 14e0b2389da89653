"""Group the candidates of a run: replay each in its fixed context and compute its reward."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...evaluation.arms.configuration import SIDES
from ...nodes.errors import ModelCallError
from ...nodes.reason import summary_of
from ...nodes.state import Request
from ...stores.episodes.schema import EXTRACTIVE, Group, Sample
from ..rewards.components import RewardWeights, differential, total, value
from ..rewards.measure import RewardMeasure, Situation
from .sampler import CANDIDATES, Call, Replay

WITHOUT = "without"
"""Prefix of a replay without a side: `without:SIDE`."""


@dataclass(frozen=True)
class Drawn:
    """The candidates of one side and their context.

    Attributes:
        group: Id of their group.
        side: Their side.
        iteration: The iteration that they were drawn in.
        held: Fixed summaries of the other sides; None where one abstained.
        calls: Records of the calls, failed ones too; at most one was made without a model.
        evidence: All texts that the reasoners read in that iteration.
    """

    group: str
    side: str
    iteration: int
    held: Mapping[str, str | None]
    calls: Sequence[Call]
    evidence: Sequence[str]

    @property
    def node(self) -> str:
        """The node that drew them."""
        return f"{self.side}-reason"

    def id_of(self, place: int) -> str:
        """Return the id of a candidate's sample."""
        made = self.calls[place].get("model") == EXTRACTIVE
        return f"{self.node}@{self.iteration}#{EXTRACTIVE if made else place}"

    def summaries_with(self, summary: str | None) -> dict[str, str | None]:
        """Return the summaries for integrate, with the given one for this side."""
        return {**self.held, self.side: summary}


def drawn_in(
    log: Mapping[str, Any], own: Sequence[str], run_id: str, iteration: int, sides: Sequence[str]
) -> list[Drawn]:
    """Return the candidates of a run; none for a side that abstained without a call.

    The context is frozen from the first iteration: in the second one the reasoner reads the other
    side's first summary, and the replays of integrate use it.

    Args:
        log: Log entries of the run's nodes, by `{node}@{iteration}`.
        own: The user's own texts that were read.
        run_id: Id of the run.
        iteration: The iteration that the candidates were drawn in.
        sides: The sides that drew candidates.
    """
    read = list(own)
    for side in SIDES:
        found = log.get(f"{side}-retrieve@{iteration}", {})
        read += [piece["body"] for piece in found.get("evidence", [])]
    drawn = []
    for side in sides:
        node = f"{side}-reason@{iteration}"
        calls = log.get(node, {}).get(CANDIDATES, [])
        held = {other: log[f"{other}-reason@1"]["summary"] for other in SIDES if other != side}
        if calls:
            drawn.append(Drawn(f"{run_id}/{node}", side, iteration, held, calls, read))
    return drawn


@dataclass(frozen=True)
class Rewarding:
    """What is needed to compute the rewards of candidates.

    Attributes:
        measure: Measures drafts.
        weights: Weights of the components.
        replay: Replays integrate.
        request: The request.
        real: The real text.
    """

    measure: RewardMeasure
    weights: RewardWeights
    replay: Replay
    request: Request
    real: str

    async def grouped(self, drawn: Sequence[Drawn]) -> tuple[list[Group], list[Sample]]:
        """Return groups, and the samples of their candidates and of the replays, in order.

        All sides are replayed concurrently, so the model's batches are full.
        """
        replayed = await asyncio.gather(*(self._replayed(each) for each in drawn))
        groups: list[Group] = []
        samples: list[Sample] = []
        seen: set[int] = set()
        for each, (without, drafts) in zip(drawn, replayed, strict=True):
            group, candidates = await asyncio.to_thread(self._rewarded, each, without, drafts)
            groups.append(group)
            samples += candidates
            samples += _replays(each, without, drafts, seen)
        return groups, samples

    async def _replayed(self, drawn: Drawn) -> tuple[_Replayed, list[_Replayed | None]]:
        """Return the draft without the side, and with each candidate in its place."""
        answered = [call.get("text") is not None for call in drawn.calls]
        wanted = [drawn.summaries_with(None)]
        wanted += [
            drawn.summaries_with(summary_of(call))
            for call, told in zip(drawn.calls, answered, strict=True)
            if told
        ]
        without, *rest = await asyncio.gather(
            *(self._ask(summaries, drawn.iteration) for summaries in wanted)
        )
        drafts = iter(rest)
        return without, [next(drafts) if told else None for told in answered]

    async def _ask(self, summaries: Mapping[str, str | None], iteration: int) -> _Replayed:
        try:
            draft, call = await self.replay.draft(self.request, summaries, iteration)
        except ModelCallError as error:  # kept as failed: it says nothing about the summary
            return _Replayed(None, error.call)
        return _Replayed(draft, call)

    def _rewarded(
        self, drawn: Drawn, without: _Replayed, drafts: Sequence[_Replayed | None]
    ) -> tuple[Group, list[Sample]]:
        said = [summary_of(call) for call in drawn.calls]
        written = [None if replayed is None else replayed.draft for replayed in drafts]
        at = Situation(self.request, self.real, drawn.side, drawn.held, drawn.evidence)
        baseline, *found = self.measure.components(
            [without.draft, *written], [None, *said], [at] * (1 + len(said))
        )
        least = value(baseline, self.weights)
        group = Group(
            id=drawn.group,
            role=drawn.side,
            iteration=drawn.iteration,
            held=drawn.held,
            without_draft=without.draft,
            without_rewards=baseline,
            without_value=least,
        )
        return group, [
            Sample.model_validate(
                {
                    **call,
                    "id": drawn.id_of(place),
                    "node": drawn.node,
                    "iteration": drawn.iteration,
                    "group": drawn.group,
                    "draft": written[place],
                    "rewards": found[place],
                    "reward": total(found[place], self.weights),
                    "differential": differential(value(found[place], self.weights), least),
                }
            )
            for place, call in enumerate(drawn.calls)
        ]


@dataclass(frozen=True)
class _Replayed:
    """A draft, None where the call failed, and the call's record."""

    draft: str | None
    call: Call


def _replays(
    drawn: Drawn, without: _Replayed, drafts: Sequence[_Replayed | None], seen: set[int]
) -> list[Sample]:
    """Return the replayed calls of a side; a shared call is listed once."""
    named = [(f"{WITHOUT}:{drawn.side}", without)]
    named += [(drawn.id_of(place), replayed) for place, replayed in enumerate(drafts) if replayed]
    samples = []
    for name, replayed in named:
        if id(replayed.call) in seen:
            continue
        seen.add(id(replayed.call))
        fields = {
            "id": f"integrate@{drawn.iteration}<{name}",
            "node": "integrate",
            "iteration": drawn.iteration,
            "replays": name,
        }
        samples.append(Sample.model_validate({**replayed.call, **fields}))
    return samples
