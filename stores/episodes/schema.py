"""Schema of an episode, the record of one run of the loop (version 2).

A record is one line of JSON, frozen, and rejects unknown keys, so that a typo never loses data
silently. Derived values (number of iterations, number of calls) are not stored. A missing value is
None, never 0 or "": a summary is None if the trajectory abstained, a reward is None if nothing was
measured.

Serving and collecting write the same record. Serving draws no candidates and has no target text, so
its episodes have no groups, target or rewards; feedback can be attached later.

Version 1 had no token ids, groups and rewards; its records are read as episodes without them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ..fields import EditedText, Rating

VERSION: Literal[2] = 2

EXTRACTIVE = "extractive"
"""The `model` of a summary written without a language model."""


def _in_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


TimeInUtc = Annotated[datetime, AfterValidator(_in_utc)]
"""A time; one without a zone, in a record that was made by hand, is in UTC."""


class _Frozen(BaseModel):
    # By default infinite values would become null, and the record invalid.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class Message(_Frozen):
    """One turn of a prompt."""

    role: str = Field(description="system, user or assistant.")
    content: str = Field(description="Text of the turn.")


class SamplingSettings(_Frozen):
    """Sampling settings of a call."""

    temperature: float = Field(ge=0, description="Sampling temperature; 0 is greedy.")
    top_p: float = Field(
        default=1.0, gt=0, le=1, description="Nucleus sampling: kept probability mass."
    )
    seed: int | None = Field(default=None, description="Random seed; null if not set.")
    max_tokens: int = Field(ge=1, description="Maximum number of new tokens.")
    no_repeat_ngram_size: int = Field(
        default=0, ge=0, description="Size of n-grams that may not repeat; 0 allows repeats."
    )
    repetition_penalty: float = Field(
        default=1.0, ge=1, description="What logits of generated tokens were divided by."
    )
    min_tokens: int = Field(
        default=0, ge=0, description="New tokens before which the answer could not end."
    )


class Sample(_Frozen):
    """One call of a language model, or a summary written without one.

    A sample with token ids is *exact*: a trainer sees the tokens that the model generated.
    """

    id: str = Field(default="", description="Id within the episode; empty in records of version 1.")
    node: str = Field(description="Node that made the call.")
    iteration: int = Field(ge=1, description="Iteration, from 1.")
    role: str = Field(description="style, preference or integrate.")
    adapter: str | None = Field(
        default=None, description="LoRA adapter; `base` or null for the base model."
    )
    model: str = Field(description="Name of the model.")
    base: str | None = Field(
        default=None, description="Fingerprint of the base model's weights; null if unknown."
    )
    messages: tuple[Message, ...] = Field(default=(), description="The prompt as sent.")
    text: str | None = Field(default=None, description="The completion; null if the call failed.")
    prompt_token_ids: tuple[int, ...] | None = Field(
        default=None, description="Token ids of the prompt; null if unknown."
    )
    token_ids: tuple[int, ...] | None = Field(
        default=None, description="Token ids of the completion, including the end token."
    )
    logprobs: tuple[float, ...] | None = Field(
        default=None,
        description="log-softmax(logits / temperature) of each token of the completion, before "
        "top-p, top-k and bans; temperature 0 counts as 1.",
    )
    mask: tuple[int, ...] | None = Field(
        default=None, description="1 for each token of the completion in the loss; null for all."
    )
    sampling: SamplingSettings | None = Field(
        default=None, description="Sampling settings; null if unknown."
    )
    finish_reason: str | None = Field(
        default=None,
        description="stop, length or content_filter; another word is the provider's own.",
    )
    tokens_in: int | None = Field(
        default=None,
        ge=0,
        description="Tokens of the prompt, of all attempts; null if not reported.",
    )
    tokens_out: int | None = Field(
        default=None,
        ge=0,
        description="Generated tokens, reasoning included, of all attempts; null if not reported.",
    )
    asked: int = Field(default=1, ge=1, description="Attempts: 2 where the first answer was empty.")
    seconds: float = Field(default=0.0, ge=0, description="Duration of the call.")
    error: str | None = Field(default=None, description="Error of a failed call.")
    group: str | None = Field(
        default=None, description="Id of the group of a candidate; null for other calls."
    )
    trainable: bool = Field(
        default=False,
        description="Whether it was sampled from the policy itself (top_p 1, nothing banned).",
    )
    replays: str | None = Field(
        default=None,
        description="Replayed integrate calls: id of the candidate whose draft it writes, or "
        "`without:SIDE` for the draft without that side.",
    )
    draft: str | None = Field(
        default=None, description="Candidates: the draft that integrate wrote from it."
    )
    rewards: Mapping[str, float | None] = Field(
        default_factory=dict, description="Candidates: reward components by name."
    )
    reward: float | None = Field(
        default=None, description="Candidates: weighted sum of the reward components."
    )
    differential: float | None = Field(
        default=None,
        description="Candidates: value minus that of the draft without this side.",
    )

    @property
    def exact(self) -> bool:
        """Whether the token ids of prompt and answer are known."""
        return self.prompt_token_ids is not None and self.token_ids is not None


class Group(_Frozen):
    """A fixed context for which candidates of one role were sampled."""

    id: str = Field(description="Unique id: run id and node of its samples.")
    role: str = Field(description="Role of the candidates: style or preference.")
    iteration: int = Field(ge=1, description="Iteration of the candidates.")
    held: Mapping[str, str | None] = Field(
        description="Fixed summaries of the other sides; null for a side that abstained."
    )
    without_draft: str | None = Field(
        default=None, description="Baseline: the draft without this side; null if it failed."
    )
    without_rewards: Mapping[str, float | None] = Field(
        default_factory=dict, description="Reward components of the baseline, by name."
    )
    without_value: float | None = Field(
        default=None, description="Value of the baseline, subtracted for differential rewards."
    )


class EvidenceRecord(_Frozen):
    """A retrieved text and the reason it was chosen."""

    text_id: str = Field(description="Content hash of the text.")
    user_id: str = Field(description="The author; `forget` searches for it.")
    topic_id: str = Field(default="", description="The topic.")
    title: str = Field(default="", description="The title.")
    body: str = Field(description="The text itself.")
    rating: float | None = Field(default=None, description="The rating, if the task shows it.")
    language: str = Field(default="en", description="The language, as an ISO 639-1 code.")
    score: float = Field(description="Ranking score, higher is better.")
    strategy: str = Field(default="", description="The retrieval strategy.")
    reason: str = Field(default="", description="Why it was chosen.")


class DraftRecord(_Frozen):
    """How one of several drafts of an iteration was judged; its text is in its sample."""

    sample: str = Field(description="Id of its sample; that of the kept draft has no number.")
    score: float = Field(description="What the best one was chosen by, higher is better.")
    drafts: float | None = Field(
        default=None, description="Agreement with the other drafts, 0 to 1; null if there are none."
    )
    evidence: float | None = Field(
        default=None,
        description="Agreement with others' texts on the topic, 0 to 1; null if there are none.",
    )
    faults: tuple[str, ...] = Field(default=(), description="Names of its faults.")
    kept: bool = Field(default=False, description="Whether it is the draft of its iteration.")


class IterationRecord(_Frozen):
    """One iteration of the loop; values that a failed run did not reach are empty or null."""

    iteration: int = Field(ge=1, description="Number of the iteration, from 1.")
    evidence: dict[str, tuple[EvidenceRecord, ...]] = Field(
        default_factory=dict, description="Evidence by trajectory (style, preference)."
    )
    summaries: dict[str, str | None] = Field(
        default_factory=dict, description="Summary by trajectory; null if it abstained."
    )
    draft: str | None = Field(default=None, description="The draft that integrate wrote.")
    drafts: tuple[DraftRecord, ...] = Field(
        default=(), description="The drafts that it was chosen from, where there were several."
    )
    score: float | None = Field(default=None, description="The draft's score by check-stop.")
    similarity: float | None = Field(
        default=None,
        description="Smallest cosine to the previous iteration; null in the first.",
    )
    kept: bool = Field(default=False, description="Whether its draft is the run's result.")


class TargetRecord(_Frozen):
    """The text that the user actually wrote, as the reference for rewards."""

    id: str = Field(description="Hash of data set, task and text (`evaluation.targets.Target.id`).")
    data: str = Field(description="Name of the data set.")
    real: str = Field(description="The reference text; for a rating its number.")


class Feedback(_Frozen):
    """A person's feedback on the result of a run."""

    run_id: str = Field(description="Id of the run.")
    created: TimeInUtc = Field(
        default_factory=lambda: datetime.now(UTC), description="Time of the feedback, in UTC."
    )
    accepted: bool | None = Field(
        default=None, description="Whether the draft was accepted unchanged."
    )
    edited: EditedText = Field(default=None, description="The draft as edited by the person.")
    rating: Rating = Field(default=None, description="Rating, 1 to 5.")


class Episode(_Frozen):
    """The record of one run on one request."""

    version: Literal[2] = Field(default=VERSION, description="Schema version.")
    run_id: str = Field(description="Unique id of the run.")
    created: TimeInUtc = Field(
        default_factory=lambda: datetime.now(UTC), description="Start of the run, in UTC."
    )
    redacted: TimeInUtc | None = Field(
        default=None,
        description="Time at which it was emptied to forget a person; null otherwise.",
    )
    namespace: str = Field(description="The tenant.")
    request: dict[str, Any] = Field(description="The loop's input; `user_id` is the requester.")
    target: TargetRecord | None = Field(
        default=None, description="The reference text; null in serving."
    )
    split: str | None = Field(
        default=None, description="Fingerprint of the splits under which it was collected."
    )
    store: str | None = Field(
        default=None, description="Hash of the store's data, cleaning and encoders."
    )
    settings: dict[str, Any] = Field(
        default_factory=dict, description="Sampling of candidates and weights of rewards."
    )
    context: dict[str, Any] = Field(default_factory=dict, description="The run's settings.")
    budget: str | None = Field(
        default=None, description="Name of the budget of prompts and answers; null if unknown."
    )
    prompts: str | None = Field(
        default=None, description="Set and version of the prompts; null if unknown."
    )
    samples: tuple[Sample, ...] = Field(default=(), description="All calls in order.")
    groups: tuple[Group, ...] = Field(default=(), description="Groups of its candidates.")
    iterations: tuple[IterationRecord, ...] = Field(
        default=(), description="All iterations in order."
    )
    own: tuple[EvidenceRecord, ...] = Field(default=(), description="The user's own texts used.")
    cold_start: str | None = Field(default=None, description="zero, few or known.")
    confidence: dict[str, float] = Field(
        default_factory=dict, description="Confidence of each retrieval, 0 to 1."
    )
    stop_reason: str | None = Field(default=None, description="Why the loop ended.")
    warnings: tuple[str, ...] = Field(default=(), description="Warnings returned to the caller.")
    models: dict[str, str] = Field(default_factory=dict, description="Model of each role.")
    adapters: dict[str, str] = Field(
        default_factory=dict,
        description="Adapter of each role's last call; `base` for roles that were not called.",
    )
    timings: dict[str, float] = Field(default_factory=dict, description="Seconds by node.")
    text: str | None = Field(default=None, description="The result; null if the run failed.")
    error: str | None = Field(default=None, description="Error of a failed run.")
    feedback: tuple[Feedback, ...] = Field(
        default=(), description="Feedback on the run, joined from its own files."
    )

    def candidates(self, group: str) -> tuple[Sample, ...]:
        """Return the candidates of a group, failed ones included."""
        return tuple(sample for sample in self.samples if sample.group == group)


def upgraded(fields: dict[str, Any]) -> dict[str, Any]:
    """Convert the fields of a version 1 record to version 2."""
    changed = {name: value for name, value in fields.items() if name != "calls"}
    return {**changed, "version": VERSION, "samples": fields.get("calls", [])}
