"""Build the trace record of a run (schema: `stores/episodes/schema.py`) and its evidence."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from ..stores.episodes.schema import (
    DraftRecord,
    Episode,
    EvidenceRecord,
    IterationRecord,
    Sample,
)
from ..stores.types import Found, History, Text
from .node import Turn
from .state import Evidence, NodeLog, Request, Update, calls_of


def record_of(
    turn: Turn, log: dict[str, NodeLog], result: Update, error: BaseException | None
) -> Episode:
    """Return the record of a run.

    Args:
        turn: The turn of the node that ended it.
        log: Log entries of its nodes, by `{node}@{iteration}`.
        result: Its result; empty if it failed.
        error: Why it failed.
    """
    kept = result["kept"]["iteration"] if result else None
    in_order = sorted(log.items(), key=lambda item: item[1]["began"])
    calls = [
        _call(key, call, place)
        for key, entry in in_order
        for place, call in enumerate(calls_of(entry))
    ]
    state = turn.state
    return Episode(
        run_id=result.get("run_id") or uuid.uuid4().hex,
        created=datetime.fromtimestamp(turn.started, UTC),
        namespace=turn.context.namespace,
        request=turn.request.model_dump(),
        context=turn.context.model_dump(),
        budget=turn.parts.budget.name,
        prompts=turn.prompts.version,
        samples=tuple(calls),
        iterations=tuple(_iteration(number, log, kept) for number in range(1, turn.iteration + 1)),
        own=_evidence(state.get("own", [])) if log else (),
        cold_start=state.get("cold_start") if log else None,
        confidence=state.get("confidence", {}) if log else {},
        stop_reason=result.get("stop_reason"),
        warnings=tuple(result.get("warnings", ())),
        models=result.get("models", {}),
        adapters=result.get("adapters", {}),
        timings=result.get("timings", {}),
        text=result.get("text"),
        error=None if error is None else f"{type(error).__name__}: {error}",
    )


def _call(key: str, call: dict[str, Any], place: int) -> Sample:
    node, _, iteration = key.rpartition("@")
    name = f"{key}#{place}" if place else key
    return Sample.model_validate({"id": name, "node": node, "iteration": int(iteration), **call})


def _iteration(number: int, log: dict[str, NodeLog], kept: int | None) -> IterationRecord:
    mine = {key.rpartition("@")[0]: e for key, e in log.items() if key.endswith(f"@{number}")}
    check = mine.get("check-stop", NodeLog(run="", began=0.0, seconds=0.0))
    return IterationRecord(
        iteration=number,
        evidence={
            node.removesuffix("-retrieve"): _evidence(entry["evidence"])
            for node, entry in mine.items()
            if "evidence" in entry
        },
        summaries={
            node.removesuffix("-reason"): entry["summary"]
            for node, entry in mine.items()
            if "summary" in entry
        },
        draft=mine["integrate"].get("draft") if "integrate" in mine else None,
        drafts=tuple(
            DraftRecord.model_validate(each)
            for entry in mine.values()
            for each in entry.get("drafts", ())
        ),
        score=check.get("score"),
        similarity=check.get("similarity"),
        kept=number == kept,
    )


def _evidence(pieces: list[dict[str, Any]]) -> tuple[EvidenceRecord, ...]:
    return tuple(EvidenceRecord.model_validate(piece) for piece in pieces)


def evidence_of_hits(found: Found, strategy: str, request: Request) -> list[dict[str, Any]]:
    """Return the hits of a search as evidence, best first."""
    return [
        _evidence_of_hit(hit.text, request, score=hit.score, strategy=strategy, reason=hit.reason)
        for hit in found.hits
    ]


NOTHING_SHARED = (
    "this store has no text of other people that may be used for somebody else, so nothing can be "
    "borrowed: share texts whose authors agree (`add(..., shared=True)` or "
    "`Personalizer(share=True)`), or `patlm ingest` a file of texts that may be shared"
)
"""The warning of a result if nobody else shares a text."""


def log_of_retrieval(
    found: Found, evidence: list[dict[str, Any]], confidence: float
) -> dict[str, Any]:
    """Return the log entry of a retrieval."""
    return {
        "evidence": evidence,
        "confidence": confidence,
        "neighbours": [{"user_id": n.user_id, "score": n.score} for n in found.neighbours],
        "pool_size": found.pool_size,
        "warnings": [NOTHING_SHARED] if found.nobody_shares else [],
    }


def evidence_of_own(history: History, k: int, request: Request) -> list[dict[str, Any]]:
    """Return the user's latest own texts as evidence, at most `k`."""
    return [
        _evidence_of_hit(
            text, request, score=1.0, strategy="own_history", reason="written by the user"
        )
        for text in history.texts[:k]
    ]


def _evidence_of_hit(
    text: Text, request: Request, *, score: float, strategy: str, reason: str
) -> dict[str, Any]:
    return Evidence(
        text_id=text.text_id,
        user_id=text.user_id,
        topic_id=text.topic_id,
        title=text.title,
        body=text.body,
        rating=text.rating if request.task == "rating" else None,
        language=text.language or "en",
        score=score,
        strategy=strategy,
        reason=reason,
    ).model_dump()
