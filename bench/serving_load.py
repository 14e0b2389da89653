"""Many callers at once: how long each waits, and whether anything is lost or crossed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..models.errors import ModelError
from ..models.local_chat import LocalChatModel
from .serving_inputs import Messages

NEW_TOKENS = 24


async def measure_callers(
    chat: LocalChatModel, prompts: Sequence[Messages], callers: int
) -> dict[str, Any]:
    """Return tokens a second, and p50 and p95 of the time to the first token and to the end."""
    begin = time.perf_counter()
    timed = await asyncio.gather(
        *(_stream(chat, prompts[place % len(prompts)]) for place in range(callers))
    )
    seconds = time.perf_counter() - begin
    first, whole, tokens = zip(*timed, strict=True)
    return {
        "system": "patlm",
        "callers": callers,
        "tokens_per_s": round(sum(tokens) / seconds, 2),
        "ttft_ms": _spread(first),
        "total_ms": _spread(whole),
    }


async def _stream(chat: LocalChatModel, prompt: Messages) -> tuple[float, float, int]:
    begin = time.perf_counter()
    first, tokens = None, 0
    async for chunk in chat.astream(prompt, max_tokens=NEW_TOKENS):
        if first is None and chunk.content:
            first = time.perf_counter() - begin
        if chunk.usage_metadata is not None:
            tokens += chunk.usage_metadata["output_tokens"]
    whole = time.perf_counter() - begin
    return whole if first is None else first, whole, tokens


def _spread(seconds: Sequence[float]) -> dict[str, float]:
    p50, p95 = np.percentile(np.array(seconds) * 1000, [50, 95])
    return {"p50": round(float(p50), 1), "p95": round(float(p95), 1)}


async def count_lost_and_crossed(
    chat: LocalChatModel,
    prompt_ids: Callable[[Messages], list[int]],
    *,
    calls: int,
    callers: int,
) -> dict[str, int]:
    """Ask many short questions, each with a marker of its own, and look what comes back.

    Args:
        chat: The model.
        prompt_ids: Templates a prompt by the tokenizer alone, to compare with what was read.
        calls: How many.
        callers: How many at a time.
    """
    turns = asyncio.Semaphore(callers)
    lost = crossed = 0

    async def ask(number: int) -> None:
        nonlocal lost, crossed
        prompt = [("user", f"Marker {number:06}: say a word.")]
        async with turns:
            try:
                answer = await chat.ainvoke(prompt, max_tokens=3, capture=True)
            except ModelError:
                lost += 1
                return
        crossed += answer.response_metadata["prompt_token_ids"] != prompt_ids(prompt)

    await asyncio.gather(*(ask(number) for number in range(calls)))
    return {"calls": calls, "lost": lost, "crossed": crossed}
