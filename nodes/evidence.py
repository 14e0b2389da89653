"""From what a store found to evidence as results and prompts show it."""

from __future__ import annotations

from typing import Any

from ..stores.records import Found, History, Text
from .state import Evidence, Request


def evidence_of_hits(found: Found, strategy: str, request: Request) -> list[dict[str, Any]]:
    """Return what was found as evidence, best first."""
    return [
        _evidence(hit.text, request, score=hit.score, strategy=strategy, reason=hit.reason)
        for hit in found.hits
    ]


def log_of_retrieval(
    found: Found, evidence: list[dict[str, Any]], confidence: float
) -> dict[str, Any]:
    """Return what a retrieval leaves in the log."""
    return {
        "evidence": evidence,
        "confidence": confidence,
        "neighbours": [{"user_id": n.user_id, "score": n.score} for n in found.neighbours],
        "pool_size": found.pool_size,
    }


def evidence_of_own(history: History, k: int, request: Request) -> list[dict[str, Any]]:
    """Return the user's latest own texts as evidence, at most `k`."""
    return [
        _evidence(text, request, score=1.0, strategy="own_history", reason="written by the user")
        for text in history.texts[:k]
    ]


def _evidence(
    text: Text, request: Request, *, score: float, strategy: str, reason: str
) -> dict[str, Any]:
    return Evidence(
        text_id=text.text_id,
        user_id=text.user_id,
        topic_id=text.topic_id,
        title=text.title,
        body=text.body,
        rating=text.rating if request.task == "rating" else None,
        score=score,
        strategy=strategy,
        reason=reason,
    ).model_dump()
