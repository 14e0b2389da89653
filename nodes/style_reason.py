"""style-reason: say how this person writes, from own texts first and borrowed ones after."""

from __future__ import annotations

from collections.abc import Mapping

from .parts import ProvideParts
from .prompts import REASONERS, ReasonerText
from .reason import build_reason
from .turn import Node


def build_style_reason(
    provide: ProvideParts, words: Mapping[str, ReasonerText] = REASONERS
) -> Node:
    """Return the node `style-reason`."""
    return build_reason(provide, "style", words, reads_own=True)
