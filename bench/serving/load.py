"""Load: many concurrent callers, and the whole loop for many requests.

Measured are how long each caller waits, whether answers are lost or mixed up, and the loop against
the same loop over a sequential model.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from langchain_core.language_models import BaseChatModel

from ...graph.builder import build_graph
from ...graph.open import open_parts, open_store
from ...graph.settings import Settings
from ...models.errors import ModelError
from ...models.local.chat_model import LocalChatModel
from ...nodes.dependencies import ChatRole, Parts
from ...nodes.result import ROLES
from ...nodes.state import Request, RunContext
from ...stores.datasets.formats import read_texts
from ...stores.datasets.ingest import ingest
from .inputs import ADAPTERS, Messages

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
    """Ask many short questions with a marker each, and count lost and mixed-up answers.

    Args:
        chat: The model.
        prompt_ids: Templates a prompt by the tokenizer alone, to compare with what was read.
        calls: Number of calls.
        callers: Concurrent calls.
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


DEADLINE_S = 7200.0


async def measure_loop_against(
    chat: BaseChatModel,
    sequential: BaseChatModel,
    requests: Sequence[Request],
    *,
    data: Path | None,
    iterations: int,
    repeats: int,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Return `loop_vs_sequential` and `loop_mixed_vs_sequential`, medians of interleaved repeats.

    Also the seconds of the last repeat, and the share of texts that are equal batched and in
    sequence.

    Args:
        chat: The model that batches, with the adapters of `ADAPTERS`.
        sequential: The same weights, one call after the other.
        requests: Sent concurrently.
        data: The file of the evidence; None: the sample corpus.
        iterations: Iterations of the loop.
        repeats: Repeats of each, interleaved.
        say: Called after each repeat.
    """
    with TemporaryDirectory() as folder:
        store = await _filled(data, f"{folder}/store")
        models = dict.fromkeys(ROLES, chat)
        async with open_parts(Settings(store=store), models=models) as parts:
            plain, mixed, same = [], [], 0
            for _ in range(repeats):
                context = RunContext(max_iterations=iterations, deadline_s=DEADLINE_S, adapters={})
                before, slow = await _run(_with_model(parts, sequential), requests, context)
                after, fast = await _run(_with_model(parts, chat), requests, context)
                of_roles = {name.partition("@")[0]: name for name in ADAPTERS}
                context = context.model_copy(update={"adapters": of_roles})
                adapted, _ = await _run(_with_model(parts, chat), requests, context)
                plain.append(before / after)
                mixed.append(before / adapted)
                say(f"sequential {before:.1f} s, batched {after:.1f} s, mixed {adapted:.1f} s")
                same = sum(a["text"] == b["text"] for a, b in zip(slow, fast, strict=True))
    return {
        "ratios": {
            "loop_vs_sequential": median(plain),
            "loop_mixed_vs_sequential": median(mixed),
        },
        "seconds": {"sequential": before, "patlm": after, "patlm_mixed": adapted},
        "same_texts": same / len(requests),
        "iterations": [state["iterations"] for state in fast],
    }


async def _filled(data: Path | None, uri: str) -> str | None:
    if data is None:
        return None
    async with open_store(uri) as store:
        await ingest(store, read_texts(data))
    return uri


def _with_model(parts: Parts, model: BaseChatModel) -> Parts:
    # No ban on repeated n-grams, which the two count differently: the texts must be equal.
    role = ChatRole(model, "bench", {}, takes_adapters=True)
    # No abstention for low confidence: every request must make the same calls.
    return replace(parts, chat=dict.fromkeys(ROLES, role), trace=None, least_confidence={})


async def _run(
    parts: Parts, requests: Sequence[Request], context: RunContext
) -> tuple[float, list[Mapping[str, Any]]]:
    """Answer all requests at once; return the seconds and the final states."""

    async def provide() -> Parts:
        return parts

    graph = build_graph(provide).compile()
    begin = time.perf_counter()
    states = await asyncio.gather(
        *(graph.ainvoke(request, context=context) for request in requests)
    )
    return time.perf_counter() - begin, list(states)
