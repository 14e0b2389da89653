"""What one run of the loop leaves behind: the episode, schema version 2.

A record is one line of JSON, frozen, and refuses keys it does not know, so that a typo of a writer
is no silent loss. What follows from other values (number of iterations, total of calls) is not
stored. What was not there is None, never 0 or "": a summary is None where the side abstained, a
reward is None where nothing was measured.

Serving and collecting write the same record. Serving draws no candidates and knows no real text, so
its episodes have no groups, no target and no rewards; feedback can be attached later.

Version 1 had no token ids, groups and rewards; its records are read as episodes without them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

VERSION: Literal[2] = 2

EXTRACTIVE = "extractive"
"""The `model` of a summary that was made without a language model."""


class _Frozen(BaseModel):
    # Infinite figures as they are: by default they would become null, and the line no record.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class Message(_Frozen):
    """One turn of a prompt."""

    role: str = Field(description="system, user or assistant.")
    content: str = Field(description="What the model was given.")


class SamplingSettings(_Frozen):
    """How the tokens of a sample were chosen."""

    temperature: float = Field(ge=0, description="0: the likeliest token (greedy).")
    top_p: float = Field(default=1.0, gt=0, le=1, description="Share of the likeliest tokens.")
    seed: int | None = Field(default=None, description="Of what was drawn; none: not set.")
    max_tokens: int = Field(ge=1, description="New tokens at most.")
    no_repeat_ngram_size: int = Field(default=0, ge=0, description="0: repeats are allowed.")


class Sample(_Frozen):
    """One call of a language model, or a summary that was made without one.

    A sample with token ids is *exact*: what a trainer computes on them is what the model wrote.
    """

    id: str = Field(
        default="", description="Names it within its episode; empty in records of version 1."
    )
    node: str = Field(description="The node that asked.")
    iteration: int = Field(ge=1, description="In which iteration, from 1.")
    role: str = Field(description="style, preference or integrate.")
    adapter: str | None = Field(
        default=None, description="Its LoRA adapter; `base` or none: the base model."
    )
    model: str = Field(description="The model's name.")
    base: str | None = Field(
        default=None, description="Fingerprint of the base model's weights; none: not known."
    )
    messages: tuple[Message, ...] = Field(default=(), description="The prompt as it was sent.")
    text: str | None = Field(default=None, description="The answer; none where the call failed.")
    prompt_token_ids: tuple[int, ...] | None = Field(
        default=None, description="Tokens of the prompt, as the model read them; none: not known."
    )
    token_ids: tuple[int, ...] | None = Field(
        default=None, description="Tokens of the answer, the ending one included."
    )
    logprobs: tuple[float, ...] | None = Field(
        default=None,
        description="log-softmax(logits / temperature) of each token of the answer, before top-p, "
        "top-k and bans; temperature 0 counts as 1.",
    )
    mask: tuple[int, ...] | None = Field(
        default=None, description="1 for each token of the answer that counts; none: all do."
    )
    sampling: SamplingSettings | None = Field(
        default=None, description="How its tokens were chosen; none: not known."
    )
    finish_reason: str | None = Field(
        default=None, description="stop or length, as the model told it."
    )
    seconds: float = Field(default=0.0, ge=0, description="How long it took.")
    error: str | None = Field(default=None, description="Why it failed.")
    group: str | None = Field(
        default=None, description="Id of the group that it is a candidate of; none: it is none."
    )
    trainable: bool = Field(
        default=False,
        description="Whether it was drawn from the policy itself (top_p 1, nothing banned).",
    )
    replays: str | None = Field(
        default=None,
        description="Of a replayed integrate call: id of the candidate whose draft it writes, or "
        "`without:SIDE` for the draft without that side.",
    )
    draft: str | None = Field(
        default=None, description="Of a candidate: what integrate wrote from it."
    )
    rewards: Mapping[str, float | None] = Field(
        default_factory=dict, description="Of a candidate: each component by name."
    )
    reward: float | None = Field(
        default=None, description="Of a candidate: the weighted sum of all components."
    )
    differential: float | None = Field(
        default=None,
        description="Of a candidate: its value less the value of the draft without this side.",
    )

    @property
    def exact(self) -> bool:
        """Whether the token ids of prompt and answer are known."""
        return self.prompt_token_ids is not None and self.token_ids is not None


class Group(_Frozen):
    """One fixed context in which candidates of one role were drawn."""

    id: str = Field(description="Names it within all episodes: run id and node of its samples.")
    role: str = Field(description="Whose candidates: style or preference.")
    iteration: int = Field(ge=1, description="In which iteration they were drawn.")
    held: Mapping[str, str | None] = Field(
        description="Summaries of the other sides, the same for all; none where one abstained."
    )
    without_draft: str | None = Field(
        default=None, description="What integrate wrote with this side left out; none: it failed."
    )
    without_rewards: Mapping[str, float | None] = Field(
        default_factory=dict, description="Components of that draft, by name."
    )
    without_value: float | None = Field(
        default=None, description="Value of that draft: what differentials are counted from."
    )


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


class TargetRecord(_Frozen):
    """What the user really wrote: rewards are measured against it."""

    id: str = Field(description="Hash of data set, task and text (`training.targets.Target.id`).")
    data: str = Field(description="Name of the data set.")
    real: str = Field(description="What was really written; for a rating its number.")


class Feedback(_Frozen):
    """What a person said of a run's result."""

    run_id: str = Field(description="Of which run.")
    created: datetime = Field(
        default_factory=lambda: datetime.now(UTC), description="When it was said, in UTC."
    )
    accepted: bool | None = Field(default=None, description="Whether the draft was taken as it is.")
    edited: str | None = Field(default=None, description="The draft as the person corrected it.")
    rating: float | None = Field(default=None, ge=1, le=5, description="How good it was, 1 to 5.")


class Episode(_Frozen):
    """One run on one request."""

    version: Literal[2] = Field(default=VERSION, description="Schema version.")
    run_id: str = Field(description="Unique name of the run.")
    created: datetime = Field(
        default_factory=lambda: datetime.now(UTC), description="When it began, in UTC."
    )
    redacted: datetime | None = Field(
        default=None,
        description="When it was emptied because a person in it had to be forgotten; none: never.",
    )
    namespace: str = Field(description="The tenant it ran in.")
    request: dict[str, Any] = Field(description="The loop's input; `user_id` is the requester.")
    target: TargetRecord | None = Field(
        default=None, description="What the user really wrote; none in serving."
    )
    split: str | None = Field(
        default=None, description="Fingerprint of the splits under which it was collected."
    )
    store: str | None = Field(
        default=None, description="What the store held: hash of data, cleanings and encoders."
    )
    settings: dict[str, Any] = Field(
        default_factory=dict, description="How candidates were drawn and rewards weighed."
    )
    context: dict[str, Any] = Field(default_factory=dict, description="The run's settings.")
    samples: tuple[Sample, ...] = Field(default=(), description="All calls in order.")
    groups: tuple[Group, ...] = Field(default=(), description="Contexts of its candidates.")
    iterations: tuple[IterationRecord, ...] = Field(default=(), description="All rounds in order.")
    own: tuple[EvidenceRecord, ...] = Field(default=(), description="Own texts that were read.")
    cold_start: str | None = Field(default=None, description="zero, few or known.")
    confidence: dict[str, float] = Field(
        default_factory=dict, description="How sure each retrieval was, 0 to 1."
    )
    stop_reason: str | None = Field(default=None, description="Why the loop ended.")
    warnings: tuple[str, ...] = Field(default=(), description="What the caller was told.")
    models: dict[str, str] = Field(default_factory=dict, description="Model of each role.")
    adapters: dict[str, str] = Field(
        default_factory=dict,
        description="What each role's last call ran on; `base` where it was not called.",
    )
    timings: dict[str, float] = Field(default_factory=dict, description="Seconds by node.")
    text: str | None = Field(default=None, description="The result; none where the run failed.")
    error: str | None = Field(default=None, description="Why the run failed.")
    feedback: tuple[Feedback, ...] = Field(
        default=(), description="What people said of it; kept in lines of their own, joined here."
    )

    def candidates(self, group: str) -> tuple[Sample, ...]:
        """Return the candidates of a group, failed ones included."""
        return tuple(sample for sample in self.samples if sample.group == group)


def upgraded(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a record of version 1 as those of an episode."""
    changed = {name: value for name, value in fields.items() if name != "calls"}
    return {**changed, "version": VERSION, "samples": fields.get("calls", [])}
