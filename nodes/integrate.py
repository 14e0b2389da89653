"""integrate: write the draft from the request and the summaries, never from raw texts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .dependencies import ProvideParts
from .model_call import call_model
from .node import Node, Turn, as_node
from .prompts import LEAST_CUT_TO_SAY, REASONERS, ReasonerText, integrate_prompt
from .state import Request, Update

UNPARSABLE = "unparsable"
"""The warning if the answer to a rating task holds no number from 1 to 5."""

TITLE_WORDS = 10
# One digit that is not part of another number, nor the scale of a rating ("0/5", "0 out of 5").
_RATING = re.compile(r"(?<![\d.,/-])(?<!out of )[1-5](?!\d|[.,]\d)")
_DOUBLE_QUOTES = '"“”«»'
_QUOTES = f"{_DOUBLE_QUOTES}'`"


def build_integrate(provide: ProvideParts, words: Mapping[str, ReasonerText] = REASONERS) -> Node:
    """Return the node `integrate`."""

    async def integrate(turn: Turn) -> tuple[Update, dict[str, Any]]:
        draft, entry = await write_draft(turn, turn.state["summaries"], words)
        return {"draft": draft}, {"draft": draft, **entry}

    return as_node("integrate", provide, integrate)


async def write_draft(
    turn: Turn, summaries: Mapping[str, str | None], words: Mapping[str, ReasonerText]
) -> tuple[str, dict[str, Any]]:
    """Write the draft from the summaries; return it with its log entry."""
    parts, request = turn.parts, turn.request
    usable = {
        text.heading: summary
        for name, text in words.items()
        if (summary := summaries.get(name)) is not None
    }
    prompt = integrate_prompt(
        request, usable, later=turn.iteration > 1, budget=parts.budget, count=parts.count
    )
    answer, call = await call_model(
        turn, "integrate", prompt, max_tokens=parts.budget.answer[request.task]
    )
    draft, flaw = read_draft(answer, request)
    entry: dict[str, Any] = {"call": call, "warnings": [], "cut_share": prompt.cut_share}
    if flaw is not None:
        entry |= {"flaw": flaw, "warnings": [flaw]}
    if prompt.cut_share >= LEAST_CUT_TO_SAY:
        entry["warnings"].append(
            f"integrate: {prompt.cut_share:.0%} of request and summaries was cut to fit the prompt"
        )
    return draft, entry


def read_draft(answer: str, request: Request) -> tuple[str, str | None]:
    """Return the draft in an answer, and a warning if it is not in the requested form.

    A rating is one integer from 1 to 5, a title one line of at most ten words. If a rating can't be
    parsed, the answer itself is the draft and the warning is `unparsable`.
    """
    text = unquoted(answer)
    if request.task == "rating":
        found = _RATING.search(text)
        if found is None:
            return text, f"{UNPARSABLE}: the rating was not a number from 1 to 5"
        return found.group(), None
    if request.task == "short":
        line = next((line for line in text.splitlines() if line.strip()), "")
        line = unquoted(line.strip().removeprefix("Title:"))
        text = " ".join(line.split()[:TITLE_WORDS])
    return text, None if text else "the model answered nothing"


def unquoted(text: str) -> str:
    """Remove quotes around the whole text; the closing one may be missing in a cut answer."""
    text = text.strip()
    while text and text[0] in _QUOTES:
        quoted_inside = any(quote in text[1:] for quote in _DOUBLE_QUOTES)
        if text[-1] not in _QUOTES and quoted_inside:
            break
        text = text[1:].rstrip()
        if text and text[-1] in _QUOTES:
            text = text[:-1]
        text = text.strip()
    return text
