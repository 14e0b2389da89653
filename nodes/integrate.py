"""integrate: write the draft from the request, the summaries and the user's own texts.

Raw texts of other people never reach it, but in the mode `quoted`.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

from ..models.ratings import read_rating
from ..stores.search.threads import in_thread_if
from .cleanup import is_refusal, unquoted, without_preamble
from .dependencies import ProvideParts
from .guards.drafts import guard_of
from .model_call import Unit, Wanted, call_model
from .node import Node, Turn, as_node
from .prompts.build import LEAST_CUT_TO_SAY, REASONERS, Prompt, integrate_prompt
from .prompts.facts import (
    LENGTH_TASKS,
    Length,
    expected_length,
    lacking_length,
    lacking_points,
    lacking_traits,
)
from .reason import Words, all_english, is_left_out, words_in_mode
from .state import Request, Update, read_evidence

REFUSED = "refused"
"""The warning if the model refused to write; its refusal is the draft."""

UNPARSABLE = "unparsable"
"""The warning if the answer to a rating task holds no number on the scale of the ratings."""

ENDS: Mapping[str, Unit] = {"long": "sentence", "free": "sentence", "short": "word"}
"""Where a draft ends that reached its limit of tokens, by task; a rating needs no end."""

TITLE_WORDS = 10

NEXT_POST = ["\n## "]
"""Where a post ends that a model was made to begin: at the heading of another one."""


def build_integrate(provide: ProvideParts, words: Words = REASONERS) -> Node:
    """Return the node `integrate`."""

    async def integrate(turn: Turn) -> tuple[Update, dict[str, Any]]:
        draft, entry = await write_draft(turn, turn.state["summaries"], words)
        return {"draft": draft}, {"draft": draft, **entry}

    return as_node("integrate", provide, integrate)


LEAST_SHARE, LONGEST_SHARE = 0.8, 3.0
"""Bounds of a draft's length, as shares of the expected one."""

LONGEST_DRAFT = 2_000
"""Tokens of a draft at most, where its length goes by need."""

SHORTEST_LIMIT = 60
"""Tokens that a draft may have in any case."""


async def write_draft(
    turn: Turn, summaries: Mapping[str, str | None], words: Words
) -> tuple[str, dict[str, Any]]:
    """Write the draft from the summaries; return it with its log entry."""
    long = turn.is_long
    prompt = await in_thread_if(long, drafting, turn, summaries, words)
    most, options = await in_thread_if(long, answer_limits, turn)
    warnings: list[str] = []
    wanted = Wanted(ENDS.get(turn.request.task))
    if prompt.begin:
        options["stop"] = NEXT_POST
    answer, call = await call_model(
        turn,
        "integrate",
        prompt,
        max_tokens=most,
        wanted=wanted,
        guard=None if turn.request.task == "rating" else guard_of(turn),
        warnings=warnings,
        **options,
    )
    draft, flaw = read_draft(answer, turn.request)
    entry: dict[str, Any] = {
        "call": call,
        "warnings": [*warnings, *_cut_warnings(prompt)],
        "cut_share": prompt.cut_share,
        "cut": prompt.cut(),
    }
    if flaw is not None:
        entry |= {"flaw": flaw, "warnings": [flaw, *entry["warnings"]]}
    return draft, entry


def drafting(turn: Turn, summaries: Mapping[str, str | None], words: Words) -> Prompt:
    """Return the prompt of integrate in a turn."""
    parts, words, length = turn.parts, words_in_mode(turn, words), _expected(turn)
    usable = {
        text.heading: summary
        for name, text in words.items()
        if (summary := summaries.get(name)) is not None
    }
    later = turn.iteration > 1
    quotes_own = turn.mode == "own_quoted" and not is_left_out(turn, "style")
    own = turn.state.get("own", []) if quotes_own else []
    draft = turn.state.get("draft") if later and parts.budget.by_need else None
    chat = parts.chat.get("integrate")  # none where a prompt is built to train a local model
    return integrate_prompt(
        turn.request,
        usable,
        later=later,
        own=read_evidence(own),
        quoted=[text.heading for text in words.values() if text.quoted],
        length=length,
        draft=draft,
        lacks=_lacks(turn, draft, summaries, length) if draft else (),
        continues=chat is None or chat.base is not None,
        budget=parts.budget,
        count=parts.count,
        prompts=turn.prompts,
    )


def answer_limits(turn: Turn) -> tuple[int, dict[str, Any]]:
    """Return the tokens that a draft may have, and the option that keeps its least length.

    Only local models keep one; an instruction that names no length keeps none.
    """
    budget, task, chat = turn.parts.budget, turn.request.task, turn.parts.role("integrate")
    length = _expected(turn)
    most = budget.answer[task]
    if length is not None:
        needed = max(SHORTEST_LIMIT, round(LONGEST_SHARE * length.tokens))
        most = min(LONGEST_DRAFT, max(needed, most) if task == "free" else needed)
    most = turn.context.max_tokens or most
    if length is None or chat.base is None or (task == "free" and not length.named):
        return most, {}
    return most, {"min_tokens": min(most, round(LEAST_SHARE * length.tokens))}


def _expected(turn: Turn) -> Length | None:
    """Return how long the draft is expected to be, where the budget goes by need."""
    if not turn.parts.budget.by_need:
        return None
    state = turn.state
    own = [piece["body"] for piece in state.get("own", [])]
    others = [piece["body"] for piece in state.get("evidence", {}).get("preference", [])]
    return expected_length(turn.request, own, others, turn.parts.count)


def _lacks(
    turn: Turn, draft: str, summaries: Mapping[str, str | None], length: Length | None
) -> list[str]:
    """Return what is wrong with the current draft: traits of style, length, missing points."""
    if turn.request.task not in LENGTH_TASKS:
        return []
    state = turn.state
    pieces = state.get("own") or state.get("evidence", {}).get("style", [])
    read = read_evidence(pieces)
    texts = [] if is_left_out(turn, "style") else [piece.body for piece in read]
    return [
        *lacking_length(draft, length),
        *lacking_traits(draft, texts, english=all_english(turn, read)),
        *lacking_points(draft, summaries.get("preference")),
    ]


def _cut_warnings(prompt: Prompt) -> list[str]:
    said = []
    before, after = prompt.fits["request"]
    if before and 1 - after / before >= LEAST_CUT_TO_SAY:
        said.append(f"the request was cut from {before:,} tokens to {after:,} to fit the prompts")
    if prompt.cut_share >= LEAST_CUT_TO_SAY:
        said.append(
            f"integrate: {prompt.cut_share:.0%} of request and summaries was cut to fit the prompt"
        )
    return said


def read_draft(answer: str, request: Request) -> tuple[str, str | None]:
    """Return the draft in an answer, and a warning if it is not in the requested form.

    A rating is one integer on the store's scale, a title one line of at most ten words. If a rating
    can't be parsed, the answer itself is the draft and the warning begins with `unparsable`; with
    `refused` if the model refused to write.
    """
    if is_refusal(answer):
        return answer, f"{REFUSED}: the answer reads like a refusal of the model, not like a text"
    title = request.title if request.task == "long" else None
    text = without_preamble(answer, title)
    if request.task == "rating":
        low, high = ceil(request.scale.low), int(request.scale.high)
        rating = read_rating(text, low, high)
        if rating.value is None:
            said = f"the answer gives no rating from {low} to {high}: {rating.why}"
            return text, f"{UNPARSABLE}: {said}"
        return str(rating.value), None
    if request.task == "short":
        line = next((line for line in text.splitlines() if line.strip()), "")
        line = unquoted(line.strip().removeprefix("Title:"))
        text = " ".join(line.split()[:TITLE_WORDS])
    return text, None if text else "the model answered nothing"
