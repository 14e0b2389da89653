"""integrate: write the draft from the request, the summaries and the user's own texts.

Raw texts of other people never reach it, but in the mode `quoted`.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

from ..models.answers import LENGTH
from ..models.ratings import read_rating
from ..stores.search.threads import in_thread_if
from .cleanup import is_refusal, unquoted, without_preamble
from .dependencies import ProvideParts
from .drafts.choice import Candidate, Material, judge
from .errors import ModelCallError
from .guards.drafts import Guard, guard_of
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
    """Write the draft from the summaries, the best of as many as the run asks for.

    Returns:
        The draft and its log entry.
    """
    long = turn.is_long
    prompt = await in_thread_if(long, drafting, turn, summaries, words)
    most, options = await in_thread_if(long, answer_limits, turn)
    if prompt.begin:
        options["stop"] = NEXT_POST
    guard = None if turn.request.task == "rating" else guard_of(turn)

    async def write(turn: Turn, more: Mapping[str, Any]) -> WrittenDraft:
        warnings: list[str] = []
        answer, call = await call_model(
            turn,
            "integrate",
            prompt,
            max_tokens=most,
            wanted=Wanted(ENDS.get(turn.request.task)),
            guard=guard,
            warnings=warnings,
            **{**options, **more},
        )
        draft, flaw = read_draft(answer, turn.request)
        return WrittenDraft(draft, flaw, call, warnings)

    chosen: dict[str, Any] = {}
    if turn.context.drafts == 1:
        written = await write(turn, {})
    else:
        written, chosen = await _best_of(turn, write, _material(turn, summaries, guard))
    entry: dict[str, Any] = {
        "call": written.call,
        **chosen,
        "warnings": [*written.warnings, *_cut_warnings(prompt)],
        "cut_share": prompt.cut_share,
        "cut": prompt.cut(),
    }
    if written.flaw is not None:
        entry |= {"flaw": written.flaw, "warnings": [written.flaw, *entry["warnings"]]}
    return written.draft, entry


@dataclass(frozen=True)
class WrittenDraft:
    """A draft.

    Attributes:
        draft: Its text.
        flaw: What is wrong with its form; None: nothing.
        call: The call as the run's record keeps it.
        warnings: What the caller of the run should know of it.
    """

    draft: str
    flaw: str | None
    call: dict[str, Any]
    warnings: list[str]


async def _best_of(
    turn: Turn,
    write: Callable[[Turn, Mapping[str, Any]], Awaitable[WrittenDraft]],
    material: Material,
) -> tuple[WrittenDraft, dict[str, Any]]:
    """Write several drafts side by side; return the best one, and what the log has of the others.

    Raises:
        ModelCallError: All of them failed.
    """
    role = replace(turn.parts.role("integrate"), streamed=False)  # their words would be mixed
    parts = replace(turn.parts, chat={**turn.parts.chat, "integrate": role})
    apart, number = replace(turn, parts=parts), turn.context.drafts
    answers = await asyncio.gather(
        *(write(apart, sampling_of(turn, place)) for place in range(number)),
        return_exceptions=True,
    )
    written = [each for each in answers if isinstance(each, WrittenDraft)]
    failed = [each for each in answers if isinstance(each, ModelCallError)]
    for each in answers:
        if isinstance(each, BaseException) and (each not in failed or not written):
            raise each
    candidates = [
        Candidate(
            each.draft,
            flaw=each.flaw is not None,
            cut=each.call["finish_reason"] == LENGTH,
            answer=each.call["text"],
        )
        for each in written
    ]
    judged = await asyncio.to_thread(judge, candidates, material)
    best = max(range(len(written)), key=lambda place: judged[place].score)  # the first of equals
    if failed:
        said = f"integrate: {len(failed)} of {number} drafts failed: {failed[0]}"
        written[best].warnings.append(said)
    order = sorted(range(len(written)), key=lambda place: place != best)  # the kept one first
    names = {place: at for at, place in enumerate(order)}
    key = f"integrate@{turn.iteration}"
    calls = [written[place].call for place in order[1:]] + [dict(each.call) for each in failed]
    records = [
        {
            "sample": f"{key}#{names[place]}" if names[place] else key,
            **each.record(),
            "kept": place == best,
        }
        for place, each in enumerate(judged)
    ]
    return written[best], {"other_calls": calls, "drafts": records}


DRAWN = {"temperature": 0.7, "top_p": 0.9}
"""How drafts beside the first one are drawn, where the first one is the likeliest text."""


def sampling_of(turn: Turn, place: int) -> dict[str, Any]:
    """Return the options of one of several drafts, which follow from the seed of the run.

    The first one is written as a single one is. A model that draws at random draws all of them as
    it is wont to.

    Args:
        turn: The turn.
        place: Its place among the drafts, from 0.
    """
    role = turn.parts.role("integrate")
    greedy = role.options.get("temperature") == 0
    if greedy and place == 0:
        return {}
    named = f"{turn.context.seed} {turn.iteration} {place}".encode()
    seed = int.from_bytes(hashlib.sha256(named).digest()[:4], "big") >> 1  # 31 bits for any server
    return {**(DRAWN if greedy else {}), **({"seed": seed} if role.takes_seed else {})}


def _material(turn: Turn, summaries: Mapping[str, str | None], guard: Guard | None) -> Material:
    """Return what drafts are judged by."""
    state, request = turn.state, turn.request
    others = [piece["body"] for piece in state.get("evidence", {}).get("preference", [])]
    length = _expected(turn)
    return Material(
        task=request.task,
        span=request.scale.span,
        guard=guard,
        notes=[summary for summary in summaries.values() if summary and turn.mode != "quoted"],
        own=[piece["body"] for piece in state.get("own", [])],
        others=others if request.task in LENGTH_TASKS else [],
        request=[part for part in (request.title, request.text, request.instruction) if part],
        # What an instruction asks for may be of any length, unless it names one.
        words=length.words if length and (request.task == "long" or length.named) else 0,
    )


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
