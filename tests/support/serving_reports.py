"""Reports of batches, made up or by a real tiny model."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from patlm.models.local.batcher import BatchLimits
from patlm.models.telemetry import BatchReport, CallReport, RoleWork, Watch

if TYPE_CHECKING:
    from patlm.models.local.chat_model import LocalChatModel

CALL = CallReport(
    role="style",
    adapter=None,
    prompt_tokens=100,
    new_tokens=10,
    started_s=0.1,
    first_token_s=0.5,
    ended_s=1.0,
    queued_at=0.0,
)


def call_report(role: str | None = "style", **fields: object) -> CallReport:
    """Return a call of a role that was asked for just now."""
    return replace(CALL, role=role, **{"queued_at": time.perf_counter(), **fields})  # type: ignore[arg-type]


def batch_report(
    *calls: CallReport, seconds: float = 2.0, capture_seconds: float = 0.0, waiting: int = 0
) -> BatchReport:
    """Return a batch of these calls, or of one, each from its beginning to its end."""
    calls = calls or (call_report(),)
    roles = dict.fromkeys(call.role for call in calls)
    work = tuple(_work(role, [call for call in calls if call.role == role]) for role in roles)
    return BatchReport(calls, work, seconds, capture_seconds, waiting)


def _work(role: str | None, calls: list[CallReport]) -> RoleWork:
    return RoleWork(
        role=role,
        rows=len(calls),
        prompt_tokens=sum(call.prompt_tokens for call in calls),
        new_tokens=sum(call.new_tokens for call in calls),
    )


def watched_chat(watch: Watch, rows: int = 32) -> LocalChatModel:
    """Return a tiny model that waits long for the rows of a batch; close it."""
    from langchain_huggingface import HuggingFacePipeline
    from patlm.models.local.chat_model import LocalChatModel
    from tiny_models import tiny_llama, tiny_tokenizer
    from transformers import pipeline

    tokenizer = tiny_tokenizer()
    model = tiny_llama(len(tokenizer))
    return LocalChatModel(
        llm=HuggingFacePipeline(pipeline=pipeline("text-generation", model, tokenizer=tokenizer)),
        limits=BatchLimits(rows=rows, gather_s=0.5, gather_at_most_s=5.0),
        watches=[watch],
    )
