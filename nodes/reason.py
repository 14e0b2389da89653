"""What every reasoner does: read its evidence, write a short summary, or abstain.

style-reason: say how this person writes, from own texts first and borrowed ones after.

preference-reason: say what aligned people hold about the topic.

A trajectory: a retriever, a reasoner, and the name that their summary goes by.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .dependencies import ProvideParts
from .model_call import call_model
from .node import Node, Turn, as_node
from .preference_retrieve import build_preference_retrieve
from .prompts import (
    LEAST_CUT_TO_SAY,
    PREFERENCE,
    REASONERS,
    STYLE,
    Prompt,
    ReasonerText,
    reasoner_prompt,
)
from .state import Evidence, Update
from .style_retrieve import build_style_retrieve


def build_reason(
    provide: ProvideParts, name: str, words: Mapping[str, ReasonerText], *, reads_own: bool = False
) -> Node:
    """Return the node `{name}-reason`.

    Args:
        provide: Opens the parts.
        name: The trajectory, its key in `summaries` and its role.
        words: The prompt words of all trajectories, by name.
        reads_own: Whether the user's own texts come before other people's.
    """

    async def reason(turn: Turn) -> tuple[Update, dict[str, Any]]:
        summary, entry = await summarise(turn, name, words, reads_own=reads_own)
        return {"summaries": {name: summary}}, {"summary": summary, **entry}

    return as_node(f"{name}-reason", provide, reason)


@dataclass(frozen=True)
class Reading:
    """What a reasoner is to read.

    Attributes:
        prompt: None where it abstains without a call.
        warnings: What the caller should know of it.
    """

    prompt: Prompt | None
    warnings: list[str] = field(default_factory=list)


def reading(
    turn: Turn, name: str, words: Mapping[str, ReasonerText], *, reads_own: bool
) -> Reading:
    """Return what a trajectory's reasoner reads in a turn; arguments as those of `build_reason`."""
    state = turn.state
    evidence = [Evidence.model_validate(piece) for piece in state["evidence"][name]]
    own = [Evidence.model_validate(piece) for piece in state["own"]] if reads_own else []
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
    turn: Turn, name: str, words: Mapping[str, ReasonerText], *, reads_own: bool
) -> tuple[str | None, dict[str, Any]]:
    """Return a trajectory's summary (None: it abstains) and the log of how it came about."""
    read = reading(turn, name, words, reads_own=reads_own)
    if read.prompt is None:
        return None, {"warnings": read.warnings}
    answer, call = await call_model(turn, name, read.prompt, max_tokens=turn.parts.budget.summary)
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


def build_style_reason(
    provide: ProvideParts, words: Mapping[str, ReasonerText] = REASONERS
) -> Node:
    """Return the node `style-reason`."""
    return build_reason(provide, "style", words, reads_own=True)


def build_preference_reason(
    provide: ProvideParts, words: Mapping[str, ReasonerText] = REASONERS
) -> Node:
    """Return the node `preference-reason`."""
    return build_reason(provide, "preference", words)


BuildRetrieve = Callable[[ProvideParts], Node]
BuildReason = Callable[[ProvideParts, Mapping[str, ReasonerText]], Node]


@dataclass(frozen=True)
class Trajectory:
    """One way of knowing the user.

    Attributes:
        name: Key in `summaries`, `evidence` and `confidence`; its nodes are `{name}-retrieve` and
            `{name}-reason`.
        words: What makes its reasoner, and the heading of its summary in other prompts.
        build_retrieve: Makes the retriever, which writes `evidence[name]` and `confidence[name]`.
        build_reason: Makes the reasoner, which writes `summaries[name]`.
    """

    name: str
    words: ReasonerText
    build_retrieve: BuildRetrieve
    build_reason: BuildReason


STYLE_TRAJECTORY = Trajectory("style", STYLE, build_style_retrieve, build_style_reason)
PREFERENCE_TRAJECTORY = Trajectory(
    "preference", PREFERENCE, build_preference_retrieve, build_preference_reason
)
TRAJECTORIES = (STYLE_TRAJECTORY, PREFERENCE_TRAJECTORY)
