"""What one run of the loop leaves behind: the trace record, schema version 1.

A record is one line of JSON, frozen, and refuses keys it does not know, so that a typo of a writer
is no silent loss. What follows from other values (number of iterations, total of calls) is not
stored. What was not there is None, never 0 or "": a summary is None where the side abstained.

Version 2 adds what training needs (token ids, groups, rewards). It joins here: a class of its own
with `version: Literal[2]`, its line in `RECORDS`, and `Episode = TraceRecord | ...`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Message(_Frozen):
    """One turn of a prompt."""

    role: str = Field(description="system, user or assistant.")
    content: str = Field(description="What the model was given.")


class CallRecord(_Frozen):
    """One call of a language model."""

    node: str = Field(description="The node that asked.")
    iteration: int = Field(ge=1, description="In which iteration, from 1.")
    role: str = Field(description="style, preference or integrate.")
    adapter: str | None = Field(default=None, description="Its LoRA adapter; none: the base model.")
    model: str = Field(description="The model's name.")
    messages: tuple[Message, ...] = Field(description="The prompt as it was sent.")
    text: str | None = Field(default=None, description="The answer; none where the call failed.")
    seconds: float = Field(ge=0, description="How long it took.")
    error: str | None = Field(default=None, description="Why it failed.")


class EvidenceRecord(_Frozen):
    """One retrieved text and why it was taken."""

    text_id: str = Field(description="Content hash of the text.")
    user_id: str = Field(description="Who wrote it; forgetting goes by it.")
    topic_id: str = Field(default="", description="What it is about.")
    title: str = Field(default="", description="Its title.")
    body: str = Field(description="The text itself.")
    rating: float | None = Field(default=None, description="Its rating, where the task shows it.")
    score: float = Field(description="What it was ranked by, higher is better.")
    strategy: str = Field(default="", description="The strategy that took it.")
    reason: str = Field(default="", description="Why it was taken.")


class IterationRecord(_Frozen):
    """One round of the loop; what a run that failed did not get to is empty or None."""

    iteration: int = Field(ge=1, description="Its number, from 1.")
    evidence: dict[str, tuple[EvidenceRecord, ...]] = Field(
        default_factory=dict, description="What each trajectory found (style, preference)."
    )
    summaries: dict[str, str | None] = Field(
        default_factory=dict, description="What each reasoner wrote; none where it abstained."
    )
    draft: str | None = Field(default=None, description="What integrate wrote.")
    score: float | None = Field(default=None, description="The draft's worth to check-stop.")
    similarity: float | None = Field(
        default=None, description="Smallest cosine to the iteration before; none in the first."
    )
    kept: bool = Field(default=False, description="Whether its draft is the run's result.")


class TraceRecord(_Frozen):
    """One run on one request."""

    version: Literal[1] = Field(default=1, description="Schema version.")
    run_id: str = Field(description="Unique name of the run.")
    created: datetime = Field(
        default_factory=lambda: datetime.now(UTC), description="When it began, in UTC."
    )
    namespace: str = Field(description="The tenant it ran in.")
    request: dict[str, Any] = Field(description="The loop's input; `user_id` is the requester.")
    context: dict[str, Any] = Field(default_factory=dict, description="The run's settings.")
    calls: tuple[CallRecord, ...] = Field(default=(), description="All calls in order.")
    iterations: tuple[IterationRecord, ...] = Field(default=(), description="All rounds in order.")
    own: tuple[EvidenceRecord, ...] = Field(default=(), description="Own texts that were read.")
    cold_start: str | None = Field(default=None, description="zero, few or known.")
    confidence: dict[str, float] = Field(
        default_factory=dict, description="How sure each retrieval was, 0 to 1."
    )
    stop_reason: str | None = Field(default=None, description="Why the loop ended.")
    warnings: tuple[str, ...] = Field(default=(), description="What the caller was told.")
    models: dict[str, str] = Field(default_factory=dict, description="Model of each role.")
    adapters: dict[str, str] = Field(default_factory=dict, description="Adapter of each role.")
    timings: dict[str, float] = Field(default_factory=dict, description="Seconds by node.")
    text: str | None = Field(default=None, description="The result; none where the run failed.")
    error: str | None = Field(default=None, description="Why the run failed.")


Episode = TraceRecord
"""A record of any version that is read."""

RECORDS: dict[int, type[Episode]] = {1: TraceRecord}
"""The class of each version."""
