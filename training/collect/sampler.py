"""Reasoners that draw candidates beside what they do in serving.

Trajectories like any others, so the graph stays the one of serving. In one given iteration a
reasoner asks its model n times more with the very same prompt: at a temperature, top_p 1 and no
banned n-grams, so that a sample is the policy's own, each with a seed that follows from the plan.
What comes of them, and the summary that is made without a model, stands in the node's log entry
under `candidates`; the loop itself goes on with the greedy summary.

What would integrate have written, had one side said something else? Asked in a fixed context.

    replay = Replay(parts, context)
    draft, call = await replay.draft(request, {"style": "Short.", "preference": None}, iteration=1)

All but the summaries is held: request, iteration, adapters, and greedy decoding as in serving, its
ban of repeated n-grams included. So what differs between two drafts is the summaries' doing.

Calls of a model outside of the graph are asked again as its nodes are.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_exponential

from ...evaluation.arms.reasoners import extractive_summary
from ...graph.builder import is_transient
from ...nodes.dependencies import Parts, ProvideParts
from ...nodes.errors import ModelCallError
from ...nodes.integrate import write_draft
from ...nodes.model_call import call_model
from ...nodes.node import Node, Turn, as_node
from ...nodes.prompts import REASONERS, Prompt, ReasonerText
from ...nodes.reason import TRAJECTORIES, Trajectory, reading, summarise
from ...nodes.state import Request, RunContext, Update
from ...stores.episodes.schema import EXTRACTIVE

T = TypeVar("T")

ATTEMPTS = 3
FIRST_WAIT_S = 0.2


async def with_retries(call: Callable[[], Awaitable[T]]) -> T:
    """Return what a call brings; where its fault may pass, it is made three times at most.

    Args:
        call: Makes it.

    Raises:
        ModelCallError: It failed for good.
    """
    attempts = AsyncRetrying(
        retry=retry_if_exception(_may_pass),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_exponential(FIRST_WAIT_S),
        reraise=True,
    )

    async def attempt() -> T:  # tenacity awaits only what it knows for a coroutine function
        return await call()

    return await attempts(attempt)


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, Exception) and is_transient(error)


CANDIDATES = "candidates"
"""Key of a node's log entry under which its candidates are."""

Call = dict[str, Any]
"""A call's record, as `nodes.model_call` makes it; one that failed holds `error`, and no text."""

Reason = Callable[[Turn, str, Mapping[str, ReasonerText]], Awaitable[tuple[str | None, Any]]]


@dataclass(frozen=True)
class Drawing:
    """What is drawn in one run.

    Attributes:
        iteration: In which iteration.
        sides: Whose reasoners draw.
        number: Candidates of each.
        temperature: They are drawn at.
        seed_of: Returns the seed of a side's candidate by its number, from 0.
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

    async def reason(
        turn: Turn, name: str, words: Mapping[str, ReasonerText]
    ) -> tuple[str | None, Any]:
        served = summarise(turn, name, words, reads_own=_reads_own(name))
        if name not in drawing.sides or turn.iteration != drawing.iteration:
            return await served
        (summary, entry), candidates = await _both(served, _draw(turn, name, words, drawing))
        return summary, {**entry, CANDIDATES: candidates}

    return tuple(_with_reasoner(trajectory, reason) for trajectory in TRAJECTORIES)


def extractive_trajectories() -> tuple[Trajectory, ...]:
    """Return the trajectories of the loop with summaries that are made without a model.

    They are logged as calls are, with the prompt that a model would have been asked.
    """

    async def reason(
        turn: Turn, name: str, words: Mapping[str, ReasonerText]
    ) -> tuple[str | None, Any]:
        read = reading(turn, name, words, reads_own=_reads_own(name))
        made = _extract(turn, name, read.prompt)
        entry = {"warnings": read.warnings, **({} if made is None else {"call": made})}
        return None if made is None else made["text"], entry

    return tuple(_with_reasoner(trajectory, reason) for trajectory in TRAJECTORIES)


async def _draw(
    turn: Turn, name: str, words: Mapping[str, ReasonerText], drawing: Drawing
) -> list[Call]:
    """Return the candidates of a side; none where it abstains without a call."""
    prompt = reading(turn, name, words, reads_own=_reads_own(name)).prompt
    if prompt is None:
        return []
    drawn = [
        _draw_one(turn, name, prompt, drawing, drawing.seed_of(name, number))
        for number in range(drawing.number)
    ]
    made = await asyncio.to_thread(_extract, turn, name, prompt)
    return [*await asyncio.gather(*drawn), *([] if made is None else [made])]


async def _draw_one(turn: Turn, name: str, prompt: Prompt, drawing: Drawing, seed: int) -> Call:
    """Return one candidate; a call that failed for good is kept as failed."""
    options = {"temperature": drawing.temperature, "top_p": 1.0, "seed": seed}
    if "no_repeat_ngram_size" in turn.parts.role(name).options:  # a ban that has to be lifted
        options["no_repeat_ngram_size"] = 0
    tokens = turn.parts.budget.summary
    try:
        _, call = await with_retries(
            lambda: call_model(turn, name, prompt, max_tokens=tokens, **options)
        )
    except ModelCallError as error:
        return dict(error.call)
    return {**call, "trainable": True}


def _extract(turn: Turn, name: str, prompt: Prompt | None) -> Call | None:
    summary = extractive_summary(turn, name)
    if prompt is None or summary is None:
        return None
    return {
        "role": name,
        "model": EXTRACTIVE,
        "messages": [{"role": who, "content": content} for who, content in prompt.messages],
        "text": summary,
    }


async def _both(served: Awaitable[Any], drawn: Awaitable[Any]) -> tuple[Any, Any]:
    """Wait for both, then raise what went wrong: nothing is left at work behind the node."""
    found = await asyncio.gather(served, drawn, return_exceptions=True)
    for each in found:
        if isinstance(each, BaseException):
            raise each
    return found[0], found[1]


def _with_reasoner(trajectory: Trajectory, reason: Reason) -> Trajectory:
    name = trajectory.name

    def build(provide: ProvideParts, words: Mapping[str, ReasonerText] = REASONERS) -> Node:
        async def work(turn: Turn) -> tuple[Update, dict[str, Any]]:
            summary, entry = await reason(turn, name, words)
            return {"summaries": {name: summary}}, {"summary": summary, **entry}

        return as_node(f"{name}-reason", provide, work)

    return replace(trajectory, build_reason=build)


def _reads_own(name: str) -> bool:
    return name == "style"


Draft = tuple[str, dict[str, Any]]
"""What was written, and the call's record."""


class Replay:
    """Asks integrate again, each different thing once.

    Args:
        parts: With the model of integrate, prompts' budget and token counter.
        context: Of the run that is replayed; its adapters are named, none stands for the base.
    """

    def __init__(self, parts: Parts, context: RunContext) -> None:
        self._parts = parts
        self._context = context
        self._asked: dict[tuple[str, int, frozenset[tuple[str, str]]], asyncio.Future[Draft]] = {}

    async def draft(
        self, request: Request, summaries: Mapping[str, str | None], iteration: int
    ) -> Draft:
        """Return the draft that the summaries lead to, and the record of the call.

        Those who ask the same wait for one call, and get the same record.

        Args:
            request: What is to be written.
            summaries: By side; None where one abstains or is left out.
            iteration: From 1; prompts may be longer from the second on.

        Raises:
            ModelCallError: The model failed for good.
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
            state={"log": {}},
            request=request,
            context=self._context,
            parts=self._parts,
            run="replay",
            iteration=iteration,
            started=time.time(),
            adapters=self._context.adapters or {},
        )
        draft, entry = await with_retries(lambda: write_draft(turn, summaries, REASONERS))
        return draft, entry["call"]
