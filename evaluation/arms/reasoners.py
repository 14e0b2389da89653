"""Reasoners that a benchmark puts in the place of the model's: trajectories like any others.

They read what the retrieval found and leave a summary, so the graph stays the same; each stands
for a question. Is a summary worth its call (`quoted`, `extractive`)? Is it about this person
(`constant`, `given`)? Does it matter who reads what (`swapped`, `merged`)?
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import chain, zip_longest
from typing import Any

from ...models.sanitise import harmless_text as neutralise
from ...nodes.budget import fit
from ...nodes.dependencies import ProvideParts
from ...nodes.node import Node, Turn, as_node
from ...nodes.prompts import (
    ABSTENTION,
    LENGTH_TASKS,
    REASONERS,
    TEMPLATE_TOKENS,
    ReasonerText,
    integrate_prompt,
)
from ...nodes.reason import TRAJECTORIES, Trajectory, summarise
from ...nodes.state import Update
from .configuration import Configuration, Reasoner
from .extractive import preference_summary, style_summary

Summaries = Mapping[str, Mapping[str, str | None]]
"""Summaries by user, then by side."""

Sum = Callable[[Turn, str, Mapping[str, ReasonerText]], Any]
"""Returns (in a coroutine) a side's summary, or None, and what is logged of it."""

MERGED = ReasonerText(
    system="You describe how people write and what they think. If the texts show nothing, answer: "
    f"{ABSTENTION}",
    evidence_heading="Texts of people who write alike or think alike:",
    own_heading="Texts of this person:",
    question="Describe the writing style of these texts in one or two short sentences: tone, "
    "length of sentences, punctuation, typical words. Then summarize what they like and dislike "
    "in one or two short sentences.",
    heading="Style and opinions",
)

QUOTED = {
    "aligned": "Texts of others about it",
    "own_history": "Earlier texts of the writer",
}
"""What quoted evidence is called in the prompt, by the strategy that found it."""

CONSTANT = {
    "en": {
        "style": "Friendly and plain, short sentences, everyday words and ordinary punctuation.",
        "preference": "Most people like it and find it worth the price; a few had small problems.",
    },
    "pt": {
        "style": "Simples e simpático, frases curtas, palavras do dia a dia.",
        "preference": "A maioria gosta e acha que vale o preço; alguns tiveram pequenos problemas.",
    },
}
"""The fixed summaries, by language; English for any other."""


def trajectories_of(
    configuration: Configuration, given: Summaries | None = None
) -> tuple[Trajectory, ...]:
    """Return the trajectories of the loop with the reasoners that a configuration names.

    Args:
        configuration: What each side is.
        given: The summaries of `given` reasoners.
    """
    return tuple(_trajectory(trajectory, configuration, given or {}) for trajectory in TRAJECTORIES)


def _trajectory(
    trajectory: Trajectory, configuration: Configuration, given: Summaries
) -> Trajectory:
    side = configuration.side(trajectory.name)
    if side.reasoner == "model":
        return trajectory
    words = trajectory.words
    if side.reasoner == "quoted":
        words = replace(words, heading=QUOTED[side.strategy])
    if side.reasoner == "merged":
        words = MERGED
    sums = _SUMS[side.reasoner] if side.reasoner != "given" else _given(given)

    def build(provide: ProvideParts, said: Mapping[str, ReasonerText] = REASONERS) -> Node:
        async def reason(turn: Turn) -> tuple[Update, dict[str, Any]]:
            summary, entry = await sums(turn, trajectory.name, said)
            return {"summaries": {trajectory.name: summary}}, {"summary": summary, **entry}

        return as_node(f"{trajectory.name}-reason", provide, reason)

    return replace(trajectory, words=words, build_reason=build)


async def _silent(
    turn: Turn, name: str, words: Mapping[str, ReasonerText]
) -> tuple[None, dict[str, Any]]:
    return None, {}


async def _quoted(
    turn: Turn, name: str, words: Mapping[str, ReasonerText]
) -> tuple[str | None, dict[str, Any]]:
    """Give the evidence itself, in equal shares of what integrate's prompt has room for."""
    bodies = _bodies(turn.state["evidence"][name], turn)
    parts = turn.parts
    empty = integrate_prompt(
        turn.request, {words[name].heading: ""}, budget=parts.budget, count=parts.count
    )
    room = parts.budget.first - TEMPLATE_TOKENS - parts.count(f"{empty.system}\n{empty.user}")
    fitted = fit(bodies, room, parts.budget.smallest_share, parts.count, around=2)
    return " / ".join(fitted.texts) or None, {"cut_share": fitted.cut_share}


def extractive_summary(turn: Turn, name: str) -> str | None:
    """Return a side's summary made without a language model; None where there is nothing to say.

    Lengths are told as the reasoners' prompts tell them: of own texts (style), and of what others
    wrote on the topic (preference).

    Args:
        turn: Of its reasoner.
        name: The side, style or preference.
    """
    state, parts = turn.state, turn.parts
    limits: dict[str, Any] = {"count": parts.count, "tokens": parts.budget.summary}
    if name == "style":
        own, others = (
            [piece["body"] for piece in pieces]
            for pieces in (state["own"], state["evidence"]["style"])
        )
        return style_summary([*own, *others], measured=own, **limits) or None
    bodies = _bodies(state["evidence"][name], turn)
    lengths = turn.request.task in LENGTH_TASKS
    return preference_summary(bodies, lengths=lengths, **limits) or None


async def _extractive(
    turn: Turn, name: str, words: Mapping[str, ReasonerText]
) -> tuple[str | None, dict[str, Any]]:
    return extractive_summary(turn, name), {}


async def _constant(
    turn: Turn, name: str, words: Mapping[str, ReasonerText]
) -> tuple[str | None, dict[str, Any]]:
    said = CONSTANT.get(turn.request.language, CONSTANT["en"])
    return said[name], {}


async def _swapped(
    turn: Turn, name: str, words: Mapping[str, ReasonerText]
) -> tuple[str | None, dict[str, Any]]:
    """Let a reasoner read the other's evidence; own texts go with that of style."""
    other = {"style": "preference", "preference": "style"}[name]
    turn = _reading(turn, name, turn.state["evidence"][other])
    return await summarise(turn, name, words, reads_own=other == "style")


async def _merged(
    turn: Turn, name: str, words: Mapping[str, ReasonerText]
) -> tuple[str | None, dict[str, Any]]:
    """Let one reasoner read both sides' evidence, in a prompt and an answer twice as long."""
    found = turn.state["evidence"]
    pairs = zip_longest(found["style"], found["preference"])
    turn = _reading(turn, name, [piece for piece in chain.from_iterable(pairs) if piece])
    budget = turn.parts.budget
    double = replace(
        budget, first=2 * budget.first, later=2 * budget.later, summary=2 * budget.summary
    )
    turn = replace(turn, parts=replace(turn.parts, budget=double))
    return await summarise(turn, name, words, reads_own=True)


def _given(given: Summaries) -> Sum:
    async def give(
        turn: Turn, name: str, words: Mapping[str, ReasonerText]
    ) -> tuple[str | None, dict[str, Any]]:
        return given[turn.request.user_id].get(name), {}

    return give


def _reading(turn: Turn, name: str, evidence: Sequence[Mapping[str, Any]]) -> Turn:
    """Return a turn whose side has found something else."""
    found = {**turn.state["evidence"], name: [dict(piece) for piece in evidence]}
    return replace(turn, state={**turn.state, "evidence": found})


def _bodies(evidence: Sequence[Mapping[str, Any]], turn: Turn) -> list[str]:
    """Return what is read of evidence; with the titles and ratings where they are at stake."""
    task = turn.request.task
    texts = []
    for piece in evidence:
        titled = task in ("short", "rating") and piece["title"]
        text = f"{piece['title']}: {piece['body']}" if titled else piece["body"]
        rated = task == "rating" and piece["rating"] is not None
        texts.append(neutralise(f"({piece['rating']:g}/5) {text}" if rated else text))
    return texts


_SUMS: Mapping[Reasoner, Sum] = {
    "silent": _silent,
    "quoted": _quoted,
    "extractive": _extractive,
    "constant": _constant,
    "swapped": _swapped,
    "merged": _merged,
}
