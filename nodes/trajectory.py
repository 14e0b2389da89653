"""A trajectory: a retriever, a reasoner, and the name that their summary goes by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .parts import ProvideParts
from .preference_reason import build_preference_reason
from .preference_retrieve import build_preference_retrieve
from .prompts import PREFERENCE, STYLE, ReasonerText
from .style_reason import build_style_reason
from .style_retrieve import build_style_retrieve
from .turn import Node

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
