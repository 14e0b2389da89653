"""check-stop: keep the best draft, and decide whether the loop continues.

Needs no language model. A run is *settled* if, from the second iteration on, the smallest cosine of
the summaries and the draft to their predecessors is at least .95. The score of a draft is the mean
of two cosines: draft to preference summary (topic encoder) and draft to style evidence (style
encoder). If a side abstained, the other one counts alone. A draft in the wrong form (a rating
without a number, an empty text) scores below any other.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from statistics import fmean
from typing import Any

from ..stores.types import Vectors
from .dependencies import ProvideParts
from .node import Node, Turn, as_node
from .preference_retrieve import query_words
from .result import UNSCORED, finish_early, finished
from .state import Kept, StopReason, Update

SETTLED_FROM = 0.95

SECONDS_TO_SCORE = 0.2
"""Seconds that a draft may be scored in any case, if the deadline is about to pass."""

SCORED = 4_000
"""Characters of a text of evidence that a draft is compared with: its style is clear by then."""

FLAWED = -1.0
"""Score of a draft in the wrong form: no mean of cosines is lower."""


def build_check_stop(provide: ProvideParts) -> Node:
    """Return the node `check-stop`."""
    return as_node("check-stop", provide, check, may_overrun=True)


async def check(turn: Turn) -> tuple[Update, dict[str, Any]]:
    """Score the draft, keep the best one, and end the run or start the next iteration."""
    if "failure" in turn.state:
        return await finish_early(turn), {}
    measured = await _measured_in_time(turn)
    score, similarity = measured or (UNSCORED, None)
    kept = _better(turn, score)
    reason = stop_reason(turn, similarity) if measured else "deadline"
    entry = {"score": score, "similarity": similarity}
    if reason is not None:
        return await finished(turn, kept, reason, last=entry), entry
    update: Update = {
        "kept": dict(kept),
        "previous": {"summaries": turn.state["summaries"], "draft": turn.state["draft"]},
        "iteration": turn.iteration + 1,
    }
    return update, entry


async def _measured_in_time(turn: Turn) -> tuple[float, float | None] | None:
    """Return what `_measure` does, or None if the deadline passes: the encoders may be slow."""
    try:
        async with asyncio.timeout(max(SECONDS_TO_SCORE, turn.seconds_left)) as limit:
            return await asyncio.to_thread(_measure, turn)
    except TimeoutError:
        if limit.expired():
            return None
        raise


def stop_reason(turn: Turn, similarity: float | None) -> StopReason | None:
    """Return the reason why the run stops here, or None if it continues.

    A run also stops if an iteration as long as this one would pass the deadline.
    """
    summaries = turn.state["summaries"].values()
    if turn.iteration == 1 and all(summary is None for summary in summaries):
        return "abstained"
    if similarity is not None and similarity >= SETTLED_FROM:
        return "settled"
    if _is_last(turn):
        return "max_iterations"
    took = (time.time() - turn.started) / turn.iteration
    return "deadline" if turn.seconds_left <= took else None


def _is_last(turn: Turn) -> bool:
    # Quoting is one call: there are no summaries that a second iteration could better.
    return turn.mode == "quoted" or turn.iteration >= turn.context.max_iterations


def _better(turn: Turn, score: float) -> Kept:
    """Return the better of this draft and the one kept before; on ties the earlier one."""
    state = turn.state
    if turn.iteration > 1 and state["kept"]["score"] >= score:
        return state["kept"]
    return Kept(
        text=state["draft"],
        score=score,
        iteration=turn.iteration,
        summaries=dict(state["summaries"]),
        evidence=dict(state["evidence"]),
    )


def _measure(turn: Turn) -> tuple[float, float | None]:
    """Return the draft's score and the similarity to the previous iteration (None in the first)."""
    vectors = compared_vectors(turn)
    similarity = similarity_to_previous(vectors, turn) if turn.iteration > 1 else None
    drafted = turn.state["log"].get(f"integrate@{turn.iteration}")
    flawed = drafted is not None and "flaw" in drafted
    return FLAWED if flawed else draft_score(vectors, turn), similarity


def compared_vectors(turn: Turn) -> Mapping[str, Vectors]:
    """Return the topic vectors of all texts that are compared here.

    What the next iteration looks for is encoded with them: serving's encoder remembers it
    (`models.encoders.remembered`), so that the next retrieval needs no thread.
    """
    state = turn.state
    texts = [state["draft"], *state["summaries"].values()]
    if turn.iteration > 1:
        texts += [state["previous"]["draft"], *state["previous"]["summaries"].values()]
    if not _is_last(turn):
        texts.append(query_words(turn.request, state["draft"]))
    wanted = list(dict.fromkeys(text for text in texts if text is not None))
    return dict(zip(wanted, turn.parts.topic_encoder.encode(wanted), strict=True))


def similarity_to_previous(vectors: Mapping[str, Vectors], turn: Turn) -> float:
    """Return the smallest cosine of both summaries and the draft to their predecessors.

    A side that abstains in both iterations has similarity 1, one that abstains in one of them 0.

    Args:
        vectors: See `compared_vectors`.
        turn: The turn.
    """
    state, previous = turn.state, turn.state["previous"]
    pairs = [(state["draft"], previous["draft"])]
    for name, summary in state["summaries"].items():
        before = previous["summaries"].get(name)
        if (summary is None) != (before is None):
            return 0.0
        if summary is not None:
            pairs.append((summary, before))
    changed = [float(vectors[one] @ vectors[other]) for one, other in pairs if one != other]
    return min(changed, default=1.0)


def draft_score(vectors: Mapping[str, Vectors], turn: Turn) -> float:
    """Return how well the draft agrees with both sides, a mean of cosines.

    Args:
        vectors: See `compared_vectors`.
        turn: The turn.
    """
    state, scores = turn.state, []
    draft, summary = state["draft"], state["summaries"].get("preference")
    if summary is not None:
        scores.append(float(vectors[draft] @ vectors[summary]))
    if state["summaries"].get("style") is not None:
        pieces = [piece["body"][:SCORED] for piece in (*state["own"], *state["evidence"]["style"])]
        rows = turn.parts.style_encoder.encode([draft, *pieces])
        scores.append(float((rows[1:] @ rows[0]).mean()))
    return fmean(scores) if scores else 0.0
