"""integrate: write the draft from the request and the summaries, never from raw texts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .model_call import call_model
from .parts import ProvideParts
from .prompts import REASONERS, ReasonerText, integrate_prompt
from .state import Request, Update
from .turn import Node, Turn, as_node

UNPARSABLE = "unparsable"
"""Said in the warnings where a rating's answer holds no number from 1 to 5."""

TITLE_WORDS = 10
_RATING = re.compile(r"(?<![\d.,])[1-5](?![\d]|[.,]\d)")
_QUOTES = "\"'“”«»`"


def build_integrate(
    provide: ProvideParts, words: Mapping[str, ReasonerText] = REASONERS
) -> Node:
    """Return the node `integrate`."""

    async def integrate(turn: Turn) -> tuple[Update, dict[str, Any]]:
        draft, entry = await write_draft(turn, turn.state["summaries"], words)
        return {"draft": draft}, {"draft": draft, **entry}

    return as_node("integrate", provide, integrate)


async def write_draft(
    turn: Turn, summaries: Mapping[str, str | None], words: Mapping[str, ReasonerText]
) -> tuple[str, dict[str, Any]]:
    """Return the draft that the summaries lead to, and the log of how it came about."""
    parts, request = turn.parts, turn.request
    usable = {
        text.heading: summary
        for name, text in words.items()
        if (summary := summaries.get(name)) is not None
    }
    prompt = integrate_prompt(request, usable, budget=parts.budget, count=parts.count)
    role = parts.role("integrate")
    answer, call = await call_model(
        turn,
        "integrate",
        prompt,
        max_tokens=parts.budget.answer[request.task],
        options={**role.options, **role.draft_options},
    )
    draft, warning = read_draft(answer, request)
    return draft, {"call": call, "warnings": [warning] if warning else []}


def read_draft(answer: str, request: Request) -> tuple[str, str | None]:
    """Return the draft that an answer holds, and a warning where it is not what was asked for.

    A rating is one integer from 1 to 5, a title one line of at most ten words; where a rating can't
    be read the answer itself is the draft and the warning says `unparsable`.
    """
    text = answer.strip().strip(_QUOTES).strip()
    if request.task == "rating":
        found = _RATING.search(text)
        if found is None:
            return text, f"{UNPARSABLE}: the rating was not a number from 1 to 5"
        return found.group(), None
    if request.task == "short":
        line = next((line for line in text.splitlines() if line.strip()), "")
        line = line.removeprefix("Title:").strip().strip(_QUOTES)
        text = " ".join(line.split()[:TITLE_WORDS])
    return text, None if text else "the model answered nothing"
