"""Trajectories, and what every reasoner does: read its evidence, write a short summary, or abstain.

A trajectory is a retriever, a reasoner, and the name of their summary. The mode of a run decides
whether a reasoner summarises its evidence or quotes it, and `sides` whether it does anything.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..models.answers import LENGTH, whole_sentences
from ..stores.search.threads import in_thread_if
from .cleanup import without_preamble
from .dependencies import ProvideParts
from .guards.drafts import guard_of, scrubbed
from .model_call import Wanted, call_model
from .node import Node, Turn, Work, as_node
from .preference_retrieve import retrieve as retrieve_preference
from .prompts.build import (
    LEAST_CUT_TO_SAY,
    PREFERENCE,
    STYLE,
    Prompt,
    ReasonerText,
    quoted_texts,
    reasoner_prompt,
)
from .prompts.facts import ENGLISH, lacking_points, lacking_traits, language_name, measured_traits
from .state import Evidence, Update, read_evidence
from .strategies import STRATEGIES
from .style_retrieve import retrieve as retrieve_style

Summarised = tuple[str | None, dict[str, Any]]
"""A summary, None where the reasoner abstains, and the log of how it was made."""

Words = Mapping[str, ReasonerText]
"""What the prompts need to know of all trajectories, by name."""

Reason = Callable[[Turn, "Trajectory", Words], Awaitable[Summarised]]
"""Summarises a trajectory's evidence."""

SIDES = ("style", "preference")


def too_few_authors(
    evidence: Sequence[Mapping[str, Any]], user_id: str, min_authors: int, k: int
) -> str:
    """Return the warning that too few people wrote what a preference would be made of, or "".

    Where fewer pieces than authors are asked for, each by another author will do. The user's own
    texts (the strategy `own_history`) need nobody else's.

    Args:
        evidence: What preference-retrieve found.
        user_id: The requester.
        min_authors: Authors that a preference needs.
        k: Pieces that were asked for.
    """
    authors = {piece["user_id"] for piece in evidence}
    if not authors or len(authors) >= min(min_authors, k) or authors == {user_id}:
        return ""
    wrote = "1 author" if len(authors) == 1 else f"{len(authors)} authors"
    return (
        f"preference: its evidence is by {wrote}, and a preference needs {min_authors}, so this "
        f"side abstains; min_authors={len(authors)} (PATLM_MIN_AUTHORS) lets it speak"
    )


def heard(turn: Turn) -> tuple[Sequence[Mapping[str, Any]], str]:
    """Return what a preference may be made of, and the warning where that is nothing."""
    evidence = turn.state["evidence"]["preference"]
    few = too_few_authors(evidence, turn.request.user_id, turn.min_authors, turn.k)
    return ([] if few else evidence), few


@dataclass(frozen=True)
class Reading:
    """What a reasoner is to read.

    Attributes:
        prompt: None where it abstains without a call.
        warnings: What the caller should know of it.
    """

    prompt: Prompt | None
    warnings: list[str] = field(default_factory=list)


def reading(turn: Turn, trajectory: Trajectory, words: Words) -> Reading:
    """Return what a trajectory's reasoner reads in a turn."""
    state, name = turn.state, trajectory.name
    evidence = read_evidence(state["evidence"][name])
    own = read_evidence(state["own"]) if trajectory.reads_own_texts else []
    confidence, least = state["confidence"][name], turn.parts.least_confidence.get(name, 0.0)
    warnings = []
    if not evidence and not own:
        return Reading(None, [f"{name}: no evidence was found, so this side abstains"])
    if name == "preference" and (few := heard(turn)[1]):
        return Reading(None, [few])
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
        **_measured(turn, name, own or evidence),
        budget=turn.parts.budget,
        count=turn.parts.count,
        prompts=turn.prompts,
    )
    if prompt.cut_share >= LEAST_CUT_TO_SAY:
        warnings.append(f"{name}: {prompt.cut_share:.0%} of its texts was cut to fit the prompt")
    return Reading(prompt, warnings)


def _measured(turn: Turn, name: str, read: Sequence[Evidence]) -> dict[str, Any]:
    """Return what is measured for a reasoner: traits of the texts, and what the draft lacks."""
    if not turn.parts.budget.by_need or name not in SIDES:
        return {}
    draft = turn.state["draft"] if turn.iteration > 1 else ""
    if name == "preference":
        return {"lacks": lacking_points(draft, turn.state["summaries"].get(name))}
    texts, own = [piece.body for piece in read], bool(turn.state["own"])
    english = all_english(turn, read)
    traits = measured_traits(texts, own=own, english=english)
    return {"traits": traits, "lacks": lacking_traits(draft, texts, english=english)}


def all_english(turn: Turn, read: Sequence[Evidence]) -> bool:
    """Return whether the draft of a run, and all texts, are English."""
    codes = {turn.request.language, *(piece.language for piece in read)}
    return {language_name(code) for code in codes} == {ENGLISH}


async def summarise(turn: Turn, trajectory: Trajectory, words: Words) -> Summarised:
    """Return a trajectory's summary (None: it abstains) and the log of how it was made."""
    read = await in_thread_if(turn.is_long, reading, turn, trajectory, words)
    if read.prompt is None:
        return None, {"warnings": read.warnings}
    answer, call = await call_model(
        turn,
        trajectory.name,
        read.prompt,
        max_tokens=turn.parts.budget.summary,
        wanted=Wanted("sentence"),
        guard=guard_of(turn, trajectory.name),
        warnings=read.warnings,
    )
    entry = {
        "call": call,
        "warnings": read.warnings,
        "cut_share": read.prompt.cut_share,
        "cut": read.prompt.cut(trajectory.name),
        "shown": read.prompt.shown,
    }
    return read_summary(answer), entry


async def be_silent(turn: Turn, trajectory: Trajectory, words: Words) -> Summarised:
    """Return no summary: the side is left out."""
    return None, {"warnings": []}


async def quote(turn: Turn, trajectory: Trajectory, words: Words) -> Summarised:
    """Return the evidence itself, in equal shares of the room in integrate's prompt."""
    name, parts = trajectory.name, turn.parts
    if name == "preference" and (few := heard(turn)[1]):
        return None, {"warnings": [few], "shown": 0}
    own, quoted = _quoted_pieces(turn, name, words)
    fitted = await in_thread_if(
        turn.is_long,
        quoted_texts,
        turn.request,
        read_evidence(quoted),
        words[name].heading,
        share=1 / sum(text.quoted and not is_left_out(turn, n) for n, text in words.items()),
        budget=parts.budget,
        count=parts.count,
        prompts=turn.prompts,
    )
    entry = {
        "warnings": [],
        "cut_share": fitted.cut_share,
        "cut": {name: fitted.cut_share},
        "shown": 0 if own else len(fitted.texts),
    }
    if not fitted.texts:
        entry["warnings"] = [f"{name}: no evidence was found, so this side abstains"]
        return None, entry
    if fitted.cut_share >= LEAST_CUT_TO_SAY:
        entry["warnings"] = [f"{name}: {fitted.cut_share:.0%} of its texts was cut to be quoted"]
    between = " / " if parts.budget.prompts == "small" else "\n\n"
    return between.join(fitted.texts), entry


def _quoted_pieces(turn: Turn, name: str, words: Words) -> tuple[bool, list[dict[str, Any]]]:
    """Return what a side quotes, and whether it is the user's own texts, as style does."""
    if words[name].file == STYLE.file and turn.state["own"]:
        return True, turn.state["own"]
    return False, turn.state["evidence"][name]


def is_left_out(turn: Turn, name: str) -> bool:
    """Return whether a run leaves a side out; trajectories beside the two always take part."""
    sides = turn.context.sides or ("preference" if turn.mode == "quoted" else "both")
    return name in SIDES and sides not in ("both", name)


def words_in_mode(turn: Turn, words: Words) -> Words:
    """Return what the prompts need to know of the trajectories in this run's mode."""
    if turn.mode != "quoted":
        return words
    return {
        name: replace(text, heading=_quoted_heading(turn, name, text), quoted=True)
        for name, text in words.items()
    }


def _quoted_heading(turn: Turn, name: str, text: ReasonerText) -> str:
    if text.file != STYLE.file:
        return turn.strategy(name).heading
    own = bool(turn.state["own"])
    return STRATEGIES["own_history"].heading if own else "Texts of people who write alike"


def read_summary(answer: str) -> str | None:
    """Return a reasoner's answer on one line, or None where it abstains."""
    summary = " ".join(without_preamble(answer).split())
    return None if not summary or "no usable signal" in summary.lower() else summary


def summary_of(call: Mapping[str, Any]) -> str | None:
    """Return the summary in the record of a call, as `summarise` returns it."""
    text = call.get("text") or ""
    return read_summary(whole_sentences(text) if call.get("finish_reason") == LENGTH else text)


def _partners(turn: Turn, name: str, words: Words) -> dict[str, str]:
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
        words: What prompts need to know of it, such as the heading of its summary.
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

        async def work(turn: Turn) -> tuple[Update, dict[str, Any]]:
            return await scrubbed(turn, *await self.retrieve(turn))

        return as_node(f"{self.name}-retrieve", provide, work)

    def build_reason(self, provide: ProvideParts, words: Words) -> Node:
        """Return the node `{name}-reason`.

        Args:
            provide: Opens the parts.
            words: What prompts need to know of all trajectories, by name.
        """

        async def work(turn: Turn) -> tuple[Update, dict[str, Any]]:
            reason = be_silent if is_left_out(turn, self.name) else self.reason
            if reason is summarise and turn.mode == "quoted":
                reason = quote
            summary, entry = await reason(turn, self, words_in_mode(turn, words))
            return {"summaries": {self.name: summary}}, {"summary": summary, **entry}

        return as_node(f"{self.name}-reason", provide, work)


STYLE_TRAJECTORY = Trajectory("style", STYLE, retrieve_style, reads_own_texts=True)
PREFERENCE_TRAJECTORY = Trajectory("preference", PREFERENCE, retrieve_preference)
TRAJECTORIES = (STYLE_TRAJECTORY, PREFERENCE_TRAJECTORY)
