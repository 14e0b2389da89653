"""Trajectories, and what every reasoner does: read its evidence, write a short summary, or abstain.

A trajectory is a retriever, a reasoner, and the name of their summary.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .dependencies import ProvideParts
from .model_call import call_model
from .node import Node, Turn, Work, as_node
from .preference_retrieve import retrieve as retrieve_preference
from .prompts import (
    LEAST_CUT_TO_SAY,
    PREFERENCE,
    STYLE,
    Prompt,
    ReasonerText,
    reasoner_prompt,
)
from .state import Evidence, Update
from .style_retrieve import retrieve as retrieve_style

Summarised = tuple[str | None, dict[str, Any]]
"""A summary, None where the reasoner abstains, and the log of how it was made."""

Reason = Callable[[Turn, "Trajectory", Mapping[str, ReasonerText]], Awaitable[Summarised]]
"""Summarises a trajectory's evidence; the prompt words are those of all trajectories, by name."""


@dataclass(frozen=True)
class Reading:
    """What a reasoner is to read.

    Attributes:
        prompt: None where it abstains without a call.
        warnings: What the caller should know of it.
    """

    prompt: Prompt | None
    warnings: list[str] = field(default_factory=list)


def reading(turn: Turn, trajectory: Trajectory, words: Mapping[str, ReasonerText]) -> Reading:
    """Return what a trajectory's reasoner reads in a turn."""
    state, name = turn.state, trajectory.name
    evidence = [Evidence.model_validate(piece) for piece in state["evidence"][name]]
    given = state["own"] if trajectory.reads_own_texts else []
    own = [Evidence.model_validate(piece) for piece in given]
    confidence, least = state["confidence"][name], turn.parts.least_confidence.get(name, 0.0)
    warnings = []
    if not evidence and not own:
        return Reading(None, [f"{name}: no evidence was found, so this side abstains"])
    if confidence < least:
        doubt = f"{name}: confidence {confidence:.3g} is below {least:.3g}"
        if not own:
            return Reading(None, [f"{doubt}: this side abstains"])
        # What the user wrote needs no neighbours to be sure of.
        evidence, warnings = [], [f"{doubt}: only the user's own texts are read"]
    later = turn.iteration > 1
    prompt = reasoner_prompt(
        words[name],
        turn.request,
        evidence,
        own=own,
        draft=state["draft"] if later else None,
        partners=_partners(turn, name, words) if later else None,
        budget=turn.parts.budget,
        count=turn.parts.count,
    )
    if prompt.cut_share >= LEAST_CUT_TO_SAY:
        warnings.append(f"{name}: {prompt.cut_share:.0%} of its texts was cut to fit the prompt")
    return Reading(prompt, warnings)


async def summarise(
    turn: Turn, trajectory: Trajectory, words: Mapping[str, ReasonerText]
) -> Summarised:
    """Return a trajectory's summary (None: it abstains) and the log of how it was made."""
    read = reading(turn, trajectory, words)
    if read.prompt is None:
        return None, {"warnings": read.warnings}
    answer, call = await call_model(
        turn, trajectory.name, read.prompt, max_tokens=turn.parts.budget.summary
    )
    entry = {"call": call, "warnings": read.warnings, "cut_share": read.prompt.cut_share}
    return read_summary(answer), entry


def read_summary(answer: str) -> str | None:
    """Return a reasoner's answer on one line, or None where it abstains."""
    summary = " ".join(answer.split())
    return None if not summary or "no usable signal" in summary.lower() else summary


def _partners(turn: Turn, name: str, words: Mapping[str, ReasonerText]) -> dict[str, str]:
    return {
        words[other].heading: summary
        for other, summary in turn.state["summaries"].items()
        if other != name and other in words and summary
    }


@dataclass(frozen=True)
class Trajectory:
    """One source of knowledge about the user.

    Attributes:
        name: Key in `summaries`, `evidence` and `confidence`; its nodes are `{name}-retrieve` and
            `{name}-reason`.
        words: Prompt words of its reasoner, and the heading of its summary in other prompts.
        retrieve: Work of the retriever, which writes `evidence[name]` and `confidence[name]`.
        reason: Makes the summary that becomes `summaries[name]`.
        reads_own_texts: Whether the reasoner reads the user's own texts before other people's.
    """

    name: str
    words: ReasonerText
    retrieve: Work
    reason: Reason = summarise
    reads_own_texts: bool = False

    def build_retrieve(self, provide: ProvideParts) -> Node:
        """Return the node `{name}-retrieve`."""
        return as_node(f"{self.name}-retrieve", provide, self.retrieve)

    def build_reason(self, provide: ProvideParts, words: Mapping[str, ReasonerText]) -> Node:
        """Return the node `{name}-reason`.

        Args:
            provide: Opens the parts.
            words: Prompt words of all trajectories, by name.
        """

        async def work(turn: Turn) -> tuple[Update, dict[str, Any]]:
            summary, entry = await self.reason(turn, self, words)
            return {"summaries": {self.name: summary}}, {"summary": summary, **entry}

        return as_node(f"{self.name}-reason", provide, work)


STYLE_TRAJECTORY = Trajectory("style", STYLE, retrieve_style, reads_own_texts=True)
PREFERENCE_TRAJECTORY = Trajectory("preference", PREFERENCE, retrieve_preference)
TRAJECTORIES = (STYLE_TRAJECTORY, PREFERENCE_TRAJECTORY)
