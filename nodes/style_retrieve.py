"""style-retrieve: find people who write like this user, and their most telling texts.

What is known of how the user writes is the own history; where there is none, the request's own
words, with a confidence that says how little that is.
"""

from __future__ import annotations

from statistics import fmean
from typing import Any

from ..stores.search.request import SearchRequest, reliability
from ..stores.search.threads import encode
from ..stores.types import Found, History, Vectors
from .node import Turn
from .state import ColdStart, Update
from .trace import evidence_of_hits, evidence_of_own, log_of_retrieval

WORDS_OF_A_TEXT = 46
"""Words of a request that are worth one text: the median text of the data behind `reliability`."""

KNOWN_FROM = 4
"""Own texts from which a user counts as known."""


async def retrieve(turn: Turn) -> tuple[Update, dict[str, Any]]:
    """Find style evidence; from the second iteration on what was found stays."""
    if turn.iteration > 1:  # the style query does not depend on the draft
        return {}, {
            "evidence": turn.state["evidence"]["style"],
            "confidence": turn.state["confidence"]["style"],
        }
    request, context, parts = turn.request, turn.context, turn.parts
    history = await parts.store.history(
        context.namespace, request.user_id, topic_id=request.topic_id
    )
    query = await style_query(turn, history)
    strategy = turn.strategy("style")
    search = SearchRequest(
        history,
        query,
        words=request.words,
        topic_id=request.topic_id,
        k=turn.k,
        seed=context.seed,
        text=request.text or "",
    )
    found = await strategy.sides["style"](parts.store, search)
    evidence = evidence_of_hits(found, strategy.name, request)
    confidence = style_confidence(history, request.words, found)
    update = {
        "evidence": {"style": evidence},
        "confidence": {"style": confidence},
        "own": [] if strategy.own_texts else evidence_of_own(history, turn.k, request),
        "cold_start": cold_start(len(history.texts)),
    }
    return update, log_of_retrieval(found, evidence, confidence)


async def style_query(turn: Turn, history: History) -> Vectors:
    """Return the unit vector of how the user writes, shape (style dimension,)."""
    if history.texts:
        mean: Vectors = history.style.mean(axis=0)
        norm = float(mean @ mean) ** 0.5
        return mean / norm if norm else mean
    vectors = await encode(turn.parts.style_encoder, [turn.request.words])
    query: Vectors = vectors[0]
    return query


def cold_start(own_texts: int) -> ColdStart:
    """Say how much is known of a user: zero, few (1-3 own texts) or known."""
    if own_texts == 0:
        return "zero"
    return "known" if own_texts >= KNOWN_FROM else "few"


def style_confidence(history: History, words: str, found: Found) -> float:
    """Return how sure the style side is, 0 to 1.

    c = known x near: known = sqrt(n / (n + 3.3)) for n own texts, or n = w / 46 for the w words of
    a request without history (`reliability`); near = mean score of the neighbours taken, at least
    0. It estimates the cosine of the requester's own style to theirs.
    """
    texts = len(history.texts) or len(words.split()) / WORDS_OF_A_TEXT
    taken = [neighbour.score for neighbour in found.neighbours[: len(found.hits)]]
    near = max(0.0, fmean(taken)) if taken else 0.0
    return round(reliability(texts) * min(1.0, near), 4)
