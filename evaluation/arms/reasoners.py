"""Alternative reasoners of a benchmark; the graph stays the same.

Each answers a question. Is a summary worth a model call (`quoted`, `extractive`)? Is it specific to
this person (`constant`, `given`)? Does it matter which reasoner reads what (`swapped`, `merged`)?
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain, zip_longest
from typing import Any

from ...nodes.node import Turn
from ...nodes.prompts.build import ReasonerText
from ...nodes.prompts.facts import LENGTH_TASKS
from ...nodes.prompts.texts import quoted_text
from ...nodes.reason import (
    TRAJECTORIES,
    Reason,
    Summarised,
    Trajectory,
    Words,
    be_silent,
    heard,
    quote,
    summarise,
)
from ...nodes.state import Evidence
from ...nodes.strategies import STRATEGIES
from .configuration import Configuration, Reasoner
from .extractive import preference_summary, style_summary

Summaries = Mapping[str, Mapping[str, str | None]]
"""Summaries by user, then by side."""

MERGED = ReasonerText("Style and opinions", file="merged")

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
    """Return the trajectories of the loop with the reasoners of a configuration.

    Args:
        configuration: Configuration of both sides.
        given: Summaries for `given` reasoners.
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
        words = replace(words, heading=STRATEGIES[side.strategy].heading, quoted=True)
    if side.reasoner == "merged":
        words = MERGED
    reason = _REASONERS[side.reasoner] if side.reasoner != "given" else _given(given)
    return replace(trajectory, words=words, reason=reason)


def extractive_summary(turn: Turn, trajectory: Trajectory) -> str | None:
    """Return a side's extractive summary; None if there is nothing to say.

    It states lengths as the reasoners' prompts do: of own texts (style), and of others' texts on
    the topic (preference).

    Args:
        turn: Turn of the reasoner.
        trajectory: The side, style or preference.
    """
    state, parts, name = turn.state, turn.parts, trajectory.name
    limits: dict[str, Any] = {"count": parts.count, "tokens": parts.budget.summary}
    if name == "style":
        own = [piece["body"] for piece in (state["own"] if trajectory.reads_own_texts else [])]
        others = [piece["body"] for piece in state["evidence"][name]]
        return style_summary([*own, *others], measured=own, **limits) or None
    bodies = _bodies(heard(turn)[0], turn)
    lengths = turn.request.task in LENGTH_TASKS
    return preference_summary(bodies, lengths=lengths, **limits) or None


async def _extractive(turn: Turn, trajectory: Trajectory, words: Words) -> Summarised:
    return extractive_summary(turn, trajectory), {}


async def _constant(turn: Turn, trajectory: Trajectory, words: Words) -> Summarised:
    said = CONSTANT.get(turn.request.language, CONSTANT["en"])
    return said[trajectory.name], {}


async def _swapped(turn: Turn, trajectory: Trajectory, words: Words) -> Summarised:
    """Give a reasoner the other side's evidence, including own texts."""
    (other,) = (each for each in TRAJECTORIES if each.name != trajectory.name)
    found = turn.state["evidence"]["style"] if other.name == "style" else heard(turn)[0]
    turn = _reading(turn, trajectory.name, found)
    swapped = replace(trajectory, reads_own_texts=other.reads_own_texts)
    return await summarise(turn, swapped, words)


async def _merged(turn: Turn, trajectory: Trajectory, words: Words) -> Summarised:
    """Give one reasoner both sides' evidence, with twice the tokens in prompt and answer."""
    pairs = zip_longest(turn.state["evidence"]["style"], heard(turn)[0])
    turn = _reading(turn, trajectory.name, [piece for piece in chain.from_iterable(pairs) if piece])
    budget = turn.parts.budget
    double = replace(
        budget, first=2 * budget.first, later=2 * budget.later, summary=2 * budget.summary
    )
    turn = replace(turn, parts=replace(turn.parts, budget=double))
    return await summarise(turn, replace(trajectory, reads_own_texts=True), words)


def _given(given: Summaries) -> Reason:
    async def give(turn: Turn, trajectory: Trajectory, words: Words) -> Summarised:
        return given[turn.request.user_id].get(trajectory.name), {}

    return give


def _reading(turn: Turn, name: str, evidence: Sequence[Mapping[str, Any]]) -> Turn:
    """Return a turn with other evidence for one side."""
    found = {**turn.state["evidence"], name: [dict(piece) for piece in evidence]}
    return replace(turn, state={**turn.state, "evidence": found})


def _bodies(evidence: Sequence[Mapping[str, Any]], turn: Turn) -> list[str]:
    """Return the evidence as it is read, with titles and ratings if the task needs them."""
    return [quoted_text(Evidence.model_validate(piece), turn.request) for piece in evidence]


_REASONERS: Mapping[Reasoner, Reason] = {
    "silent": be_silent,
    "quoted": quote,
    "extractive": _extractive,
    "constant": _constant,
    "swapped": _swapped,
    "merged": _merged,
}
