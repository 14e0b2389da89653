"""preference-retrieve: find what aligned people wrote about the topic.

From the second iteration on the draft joins the query.
"""

from __future__ import annotations

import asyncio
from typing import Any

from ..stores.search.request import SearchRequest
from ..stores.search.threads import is_quick
from ..stores.types import Found
from .node import Turn
from .state import Request, Update
from .trace import evidence_of_hits, log_of_retrieval

POOL_FOR_HALF = 4
"""Texts on a topic from which it counts as half known."""

NEAREST_TOPICS_FACTOR = 0.5
"""What evidence from other topics is worth beside evidence on the topic itself."""


async def retrieve(turn: Turn) -> tuple[Update, dict[str, Any]]:
    """Find preference evidence with the request's words and the draft."""
    request, context, parts = turn.request, turn.context, turn.parts
    words = query_words(request, turn.state["draft"] if turn.iteration > 1 else "")
    reading = parts.store.history(context.namespace, request.user_id, topic_id=request.topic_id)
    if is_quick(parts.topic_encoder, [words]):  # check-stop has asked for it
        history, vectors = await reading, parts.topic_encoder.encode([words])
    else:
        encoding = asyncio.to_thread(parts.topic_encoder.encode, [words])
        history, vectors = await asyncio.gather(reading, encoding)
    strategy = turn.strategy("preference")
    search = SearchRequest(
        history,
        vectors[0],
        words=words,
        topic_id=request.topic_id,
        k=turn.k,
        seed=context.seed,
        text=request.text or "",
        min_authors=turn.min_authors,
    )
    found = await strategy.sides["preference"](parts.store, search)
    evidence = evidence_of_hits(found, strategy.name, request)
    confidence = preference_confidence(found)
    update = {"evidence": {"preference": evidence}, "confidence": {"preference": confidence}}
    return update, log_of_retrieval(found, evidence, confidence)


def query_words(request: Request, draft: str) -> str:
    """Return what evidence is looked for with: the request's words, and the draft.

    Args:
        request: The request.
        draft: The draft of the iteration before; "" in the first one.
    """
    return "\n".join(part for part in (request.words, draft) if part)


def preference_confidence(found: Found) -> float:
    """Return how sure the preference side is, 0 to 1.

    c = p / (p + 4) for a pool of p texts on the topic; half of that where the texts are those of
    the nearest topics.
    """
    known = found.pool_size / (found.pool_size + POOL_FOR_HALF)
    return round(known if found.topic_known else NEAREST_TOPICS_FACTOR * known, 4)
