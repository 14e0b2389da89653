"""Draw candidate summaries during a run, and replay integrate with each of them.

The drawing reasoners are ordinary trajectories, so the graph is the one of serving. In one given
iteration a reasoner calls its model n more times with the same prompt: with a temperature, top_p 1
and no n-gram blocking, so each sample comes from the policy itself, with a seed from the plan. The
samples and the extractive summary are logged under `candidates`; the loop continues with the greedy
summary.

    replay = Replay(parts, context)
    draft, call = await replay.draft(request, {"style": "Short.", "preference": None}, iteration=1)

A replay changes the summaries only. Request, iteration, adapters and greedy decoding with n-gram
blocking are those of serving, so two drafts differ because of their summaries.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from tenacity import wait_exponential

from ...evaluation.arms.reasoners import extractive_summary
from ...graph.builder import is_transient
from ...nodes.dependencies import Parts
from ...nodes.errors import ModelCallError
from ...nodes.integrate import write_draft
from ...nodes.model_call import Wanted, call_model
from ...nodes.node import Turn
from ...nodes.prompts.build import REASONERS, Prompt
from ...nodes.reason import TRAJECTORIES, Summarised, Trajectory, Words, reading, summarise
from ...nodes.state import Request, RunContext
from ...stores.episodes.schema import EXTRACTIVE
from ...stores.retry import with_retries

T = TypeVar("T")

ATTEMPTS = 3
FIRST_WAIT_S = 0.2


async def _retried(call: Callable[[], Awaitable[T]]) -> T:
    """Await a model call outside of the graph with the retries of its nodes."""
    return await with_retries(
        call, is_transient, attempts=ATTEMPTS, wait=wait_exponential(FIRST_WAIT_S)
    )


CANDIDATES = "candidates"
"""Key of the candidates in a node's log entry."""

Call = dict[str, Any]
"""Record of a call from `nodes.model_call`; a failed one has `error` and no text."""


@dataclass(frozen=True)
class Drawing:
    """What is drawn in one run.

    Attributes:
        iteration: The iteration of the candidates.
        sides: Sides whose reasoners draw.
        number: Number of candidates of each side.
        temperature: Sampling temperature.
        seed_of: Returns the seed of a side's candidate by its index, from 0.
    """

    iteration: int
    sides: Collection[str]
    number: int
    temperature: float
    seed_of: Callable[[str, int], int]


def drawing_trajectories(drawing: Drawing) -> tuple[Trajectory, ...]:
    """Return the trajectories of the loop with reasoners that draw candidates.

    Args:
        drawing: What is drawn, and when.
    """

    async def reason(turn: Turn, trajectory: Trajectory, words: Words) -> Summarised:
        served = summarise(turn, trajectory, words)
        if trajectory.name not in drawing.sides or turn.iteration != drawing.iteration:
            return await served
        (summary, entry), candidates = await _both(served, _draw(turn, trajectory, words, drawing))
        return summary, {**entry, CANDIDATES: candidates}

    return tuple(replace(trajectory, reason=reason) for trajectory in TRAJECTORIES)


def extractive_trajectories() -> tuple[Trajectory, ...]:
    """Return the trajectories of the loop with extractive summaries, made without a model.

    They are logged like calls, with the prompt that a model would have received.
    """

    async def reason(turn: Turn, trajectory: Trajectory, words: Words) -> Summarised:
        read = reading(turn, trajectory, words)
        made = _extract(turn, trajectory, read.prompt)
        entry = {"warnings": read.warnings, **({} if made is None else {"call": made})}
        return None if made is None else made["text"], entry

    return tuple(replace(trajectory, reason=reason) for trajectory in TRAJECTORIES)


async def _draw(turn: Turn, trajectory: Trajectory, words: Words, drawing: Drawing) -> list[Call]:
    """Return the candidates of a side; none where it abstains without a call."""
    name = trajectory.name
    prompt = reading(turn, trajectory, words).prompt
    if prompt is None:
        return []
    drawn = [
        _draw_one(turn, name, prompt, drawing, drawing.seed_of(name, number))
        for number in range(drawing.number)
    ]
    made = await asyncio.to_thread(_extract, turn, trajectory, prompt)
    return [*await asyncio.gather(*drawn), *([] if made is None else [made])]


async def _draw_one(turn: Turn, name: str, prompt: Prompt, drawing: Drawing, seed: int) -> Call:
    """Return one candidate; a call that failed permanently is kept as failed."""
    options: dict[str, Any] = {"temperature": drawing.temperature, "top_p": 1.0, "seed": seed}
    plain = {"no_repeat_ngram_size": 0, "repetition_penalty": 1.0}  # what has to be lifted
    options |= {each: plain[each] for each in turn.parts.role(name).options if each in plain}
    tokens = turn.parts.budget.summary
    try:
        _, call = await _retried(
            lambda: call_model(
                turn, name, prompt, max_tokens=tokens, wanted=Wanted(may_be_empty=True), **options
            )
        )
    except ModelCallError as error:
        return dict(error.call)
    return {**call, "trainable": True}


def _extract(turn: Turn, trajectory: Trajectory, prompt: Prompt | None) -> Call | None:
    summary = extractive_summary(turn, trajectory)
    if prompt is None or summary is None:
        return None
    return {
        "role": trajectory.name,
        "model": EXTRACTIVE,
        "messages": [{"role": who, "content": content} for who, content in prompt.messages],
        "text": summary,
    }


async def _both(served: Awaitable[Any], drawn: Awaitable[Any]) -> tuple[Any, Any]:
    """Wait for both, then raise the first error: no task outlives the node."""
    found = await asyncio.gather(served, drawn, return_exceptions=True)
    for each in found:
        if isinstance(each, BaseException):
            raise each
    return found[0], found[1]


Draft = tuple[str, dict[str, Any]]
"""A draft and the record of its call."""


class Replay:
    """Replays integrate, once for each set of summaries.

    Args:
        parts: Provide the model of integrate, the budget of prompts and the token counter.
        context: Context of the replayed run, with its adapters; none means the base model.
        read: What integrate reads beside the summaries: `own`, `evidence` and, from the second
            iteration on, the `draft` of the one before.
    """

    def __init__(
        self, parts: Parts, context: RunContext, read: Mapping[str, Any] | None = None
    ) -> None:
        self._parts = parts
        self._context = context
        self._read = dict(read or {})
        self._asked: dict[tuple[str, int, frozenset[tuple[str, str]]], asyncio.Future[Draft]] = {}

    async def draft(
        self, request: Request, summaries: Mapping[str, str | None], iteration: int
    ) -> Draft:
        """Return the draft from these summaries, and the record of the call.

        Concurrent equal requests share one call and its record.

        Args:
            request: The request.
            summaries: By side; None where one abstains or is left out.
            iteration: Counts from 1; prompts may be longer from the second on.

        Raises:
            ModelCallError: The model failed permanently.
        """
        said = frozenset((side, text) for side, text in summaries.items() if text is not None)
        key = (request.model_dump_json(), iteration, said)
        if key not in self._asked:
            self._asked[key] = asyncio.ensure_future(self._write(request, summaries, iteration))
        return await asyncio.shield(self._asked[key])

    async def _write(
        self, request: Request, summaries: Mapping[str, str | None], iteration: int
    ) -> Draft:
        turn = Turn(
            state={"log": {}, **self._read},  # type: ignore[typeddict-item]
            request=request,
            context=self._context,
            parts=self._parts,
            run="replay",
            iteration=iteration,
            started=time.time(),
            adapters=self._context.adapters or {},
        )
        draft, entry = await _retried(lambda: write_draft(turn, summaries, REASONERS))
        return draft, entry["call"]
