"""preference-reason: say what aligned people hold about the topic."""

from __future__ import annotations

from collections.abc import Mapping

from .parts import ProvideParts
from .prompts import REASONERS, ReasonerText
from .reason import build_reason
from .turn import Node


def build_preference_reason(
    provide: ProvideParts, words: Mapping[str, ReasonerText] = REASONERS
) -> Node:
    """Return the node `preference-reason`."""
    return build_reason(provide, "preference", words)
