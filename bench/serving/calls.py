"""Single calls: through the queue and with mixed adapters, against raw `generate`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from langchain_core.messages import AIMessage

from ...models.local.chat_model import LocalChatModel
from ...models.telemetry import BatchReport
from .inputs import ADAPTERS, BareModel, Messages

MAX_TOKENS = 48
"""Most new tokens of a call: the length of a summary."""

Settings = dict[str, Any]


@dataclass(frozen=True)
class Speed:
    """One measurement: tokens written and the seconds that took."""

    tokens: int
    seconds: float

    def __add__(self, other: Speed) -> Speed:
        return Speed(self.tokens + other.tokens, self.seconds + other.seconds)

    @property
    def tokens_per_s(self) -> float:
        """New tokens a second, reading the prompts included."""
        return self.tokens / self.seconds


async def call_all(
    chat: LocalChatModel, prompts: Sequence[Messages], settings: Sequence[Settings]
) -> tuple[Speed, list[Any]]:
    """Ask everything at once; return the speed and the answers."""
    begin = time.perf_counter()
    answers = await asyncio.gather(
        *(chat.ainvoke(prompt, **given) for prompt, given in zip(prompts, settings, strict=True))
    )
    seconds = time.perf_counter() - begin
    return Speed(sum(map(new_tokens, answers)), seconds), answers


def new_tokens(answer: AIMessage) -> int:
    """Return how many tokens an answer has, the end of its text included."""
    return 0 if answer.usage_metadata is None else answer.usage_metadata["output_tokens"]


async def measure_batches(
    chat: LocalChatModel, bare: BareModel, prompts: Sequence[Messages], repeats: int
) -> dict[str, float]:
    """Return `calls{n}_vs_raw` and `mixed{n}_vs_raw` for n prompts, medians of the repeats."""
    count, plain = len(prompts), [{"max_tokens": MAX_TOKENS}] * len(prompts)
    mixed = [
        {"max_tokens": MAX_TOKENS, "adapter": ADAPTERS[place % len(ADAPTERS)]}
        for place in range(count)
    ]
    ids = [bare.prompt_ids(prompt) for prompt in prompts]
    calls, mixes = [], []
    for _ in range(repeats):
        raw = Speed(*await asyncio.to_thread(bare.generate, ids, MAX_TOKENS))
        ours, _ = await call_all(chat, prompts, plain)
        mixed_adapters, _ = await call_all(chat, prompts, mixed)
        calls.append(ours.tokens_per_s / raw.tokens_per_s)
        mixes.append(mixed_adapters.tokens_per_s / raw.tokens_per_s)
    return {f"calls{count}_vs_raw": median(calls), f"mixed{count}_vs_raw": median(mixes)}


async def measure_lone(
    chat: LocalChatModel,
    bare: BareModel,
    prompts: Sequence[Messages],
    repeats: int,
    **settings: Any,
) -> float:
    """Return the speed of lone calls over that of bare ones, median of the repeats.

    Both answer every prompt; the order alternates.
    """
    given = [{"max_tokens": MAX_TOKENS, **settings}]
    ratios = []
    for repeat in range(repeats):
        raw, ours = Speed(0, 0.0), Speed(0, 0.0)
        for place, prompt in enumerate(prompts):
            ids = [bare.prompt_ids(prompt)]
            for ours_now in (False, True) if (repeat + place) % 2 else (True, False):
                if ours_now:
                    ours += (await call_all(chat, [prompt], given))[0]
                else:
                    raw += Speed(*await asyncio.to_thread(bare.generate, ids, MAX_TOKENS))
        ratios.append(ours.tokens_per_s / raw.tokens_per_s)
    return median(ratios)


async def measure_capture(
    chat: LocalChatModel, bare: BareModel, reports: list[BatchReport], prompts: Sequence[Messages]
) -> dict[str, float]:
    """Return the cost of capturing and its largest difference to a teacher-forced pass."""
    reports.clear()
    settings = {"max_tokens": MAX_TOKENS, "capture": True, "temperature": 1.0}
    seeded = [{**settings, "seed": place} for place in range(len(prompts))]
    _, answers = await call_all(chat, prompts, seeded)
    while sum(len(report.calls) for report in reports) < len(prompts):
        await asyncio.sleep(0.01)  # a batch is reported just after its calls are answered
    cost = sum(report.capture_seconds for report in reports) / sum(r.seconds for r in reports)
    difference = max(_teacher_difference(bare, answer.response_metadata) for answer in answers[:4])
    return {"capture_cost": cost, "capture_max_abs_diff": difference}


def _teacher_difference(bare: BareModel, info: dict[str, Any]) -> float:
    prompt, new = info["prompt_token_ids"], info["token_ids"]
    forced = bare.logits(prompt + new).log_softmax(-1)[len(prompt) - 1 : -1]
    chosen = forced.gather(1, torch.tensor(new).unsqueeze(1)).squeeze(1)
    return float((chosen - torch.tensor(info["logprobs"])).abs().max())


async def share_identical(chat: LocalChatModel, prompts: Sequence[Messages]) -> float:
    """Return the share of greedy answers that are the same in one batch and alone."""
    settings = [{"max_tokens": MAX_TOKENS // 2}] * len(prompts)
    _, together = await call_all(chat, prompts, settings)
    same = 0
    for prompt, answer in zip(prompts, together, strict=True):
        _, (alone,) = await call_all(chat, [prompt], settings[:1])
        same += alone.content == answer.content
    return same / len(prompts)
