"""Is serving fast, and is no answer lost? Every figure of `patlm bench serving`.

Ratios are medians of repeats that alternate with their reference, in one process, on the same
prompts, number format and answers. Memory is measured in fresh processes, one batch each:

    python -m patlm.bench.serving.run MODEL DTYPE FOLDER [ADAPTER ...]
"""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from .inputs import (
    ADAPTERS,
    MORE_ADAPTERS,
    finder,
    prompts_of,
    requests_of,
    save_random_adapters,
    texts_of,
)

if TYPE_CHECKING:
    import torch

    from ...models.local.chat_model import LocalChatModel
    from ...models.telemetry import BatchReport

Say = Callable[[str], None]
"""Called with what is being measured, and what was found."""


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Attributes:
        repeats: Repeats of each ratio, alternating with its reference.
        requests: Concurrent requests of the whole loop.
        iterations: Iterations of the loop.
        batches: Sizes of batches of single calls.
        lone: Lone calls in a repeat.
        callers: Numbers of concurrent callers that stream.
        marked: Short calls with a marker each, and the number of callers.
        identical: Answers that are compared, in a batch and alone.
    """

    repeats: int = 3
    requests: int = 16
    iterations: int = 2
    batches: tuple[int, ...] = (16, 32)
    lone: int = 5
    callers: tuple[int, ...] = (1, 4, 16, 64)
    marked: tuple[int, int] = (2_000, 64)
    identical: int = 16


QUICK = Size(
    repeats=1,
    requests=8,
    iterations=1,
    batches=(16,),
    lone=3,
    callers=(1, 16),
    marked=(200, 64),
    identical=6,
)


async def measure_serving(
    model: str, *, dtype: str = "auto", data: Path | None = None, size: Size = Size(), say: Say
) -> dict[str, Any]:
    """Measure everything.

    Args:
        model: A model's folder or hub id.
        dtype: "auto", "fp32" or "bf16", for all systems alike.
        data: File whose texts make the requests; the sample corpus where None.
        size: How much is measured.
        say: Called with each step.

    Raises:
        ModelError: The model can't be loaded.
        FormatError: The file is of no known format.
    """
    from ...models.device import choose_device, choose_dtype, dtype_name
    from ...models.open import open_local_chat

    number_format = choose_dtype(dtype, choose_device())
    name = dtype_name(number_format)
    with TemporaryDirectory() as folder:
        adapters = Path(folder)
        reports: list[BatchReport] = []
        say("adapters of random weights")
        await asyncio.to_thread(save_random_adapters, adapters, model, MORE_ADAPTERS)
        chat = await asyncio.to_thread(
            open_local_chat,
            model,
            dtype=name,
            find_adapter=finder(adapters),
            watches=[reports.append],
        )
        await asyncio.to_thread(chat.warm_up)
        bench = _Bench(chat, model, number_format, adapters, data, size, reports, say)
        try:
            found = await bench.run()
        finally:
            await asyncio.to_thread(chat.close)
        say("memory, in processes of their own")
        ratio = await asyncio.to_thread(memory_ratio, model, name, adapters, MORE_ADAPTERS)
        found["memory_ratio"] = round(ratio, 4)
    return {"dtype": name, **found}


@dataclass(frozen=True)
class _Bench:
    """One run of the bench over an open model."""

    chat: LocalChatModel
    model: str
    dtype: torch.dtype
    adapters: Path
    data: Path | None
    size: Size
    reports: list[BatchReport]
    say: Say

    async def run(self) -> dict[str, Any]:
        from .inputs import BareModel

        texts = texts_of(self.data)
        prompts = prompts_of(texts, max(*self.size.batches, 16), self.chat)
        bare = await asyncio.to_thread(BareModel, self.model, self.dtype)
        lengths = [len(bare.prompt_ids(prompt)) for prompt in prompts]
        ratios = await self._calls(bare, prompts)
        self.say(str(ratios))  # keeps these figures if a later part fails
        rows, marked = await self._load(bare, prompts)
        self.say(f"{rows} {marked}")
        identical = await self._identical(prompts[: self.size.identical])
        self.say(f"identical: {identical}")
        self.reports.clear()
        loop = await self._loop(texts)
        seconds = sum(report.seconds for report in self.reports)
        row_seconds = sum(
            work.rows * report.seconds for report in self.reports for work in report.work
        )
        return {
            "prompt_tokens": {"min": min(lengths), "max": max(lengths)},
            "ratios": {
                key: float(f"{value:.4g}") for key, value in (ratios | loop.pop("ratios")).items()
            },
            "identical": identical,
            "loop": {"batch_rows": row_seconds / seconds} | loop,
            "rows": rows,
            **marked,
        }

    async def _calls(self, bare: Any, prompts: list[Any]) -> dict[str, float]:
        from .calls import measure_batches, measure_capture, measure_lone
        from .inputs import BareModel

        ratios: dict[str, float] = {}
        self.say("lone calls")
        lone = prompts[: self.size.lone]
        # Before the first adapter wraps the model's layers, as in a process without adapters.
        ratios["lone_vs_bare"] = await measure_lone(self.chat, bare, lone, self.size.repeats)
        for count in self.size.batches:
            self.say(f"{count} calls at once")
            batch = prompts[:count]
            ratios |= await measure_batches(self.chat, bare, batch, self.size.repeats)
        self.say("lone calls with an adapter")
        switched = await asyncio.to_thread(
            BareModel, self.model, self.dtype, self.adapters / ADAPTERS[0]
        )
        ratios["lone_adapter_vs_set_adapter"] = await measure_lone(
            self.chat, switched, lone, self.size.repeats, adapter=ADAPTERS[0]
        )
        del switched
        self.say("capturing token ids and log-probabilities")
        return ratios | await measure_capture(self.chat, bare, self.reports, prompts[:16])

    async def _loop(self, texts: list[Any]) -> dict[str, Any]:
        from .inputs import SequentialChat
        from .load import measure_loop_against

        size = self.size
        self.say(f"the whole loop for {size.requests} requests, batched and in sequence")
        sequential = await asyncio.to_thread(SequentialChat, self.model, self.dtype)
        return await measure_loop_against(
            self.chat,
            sequential,
            requests_of(texts, size.requests),
            data=self.data,
            iterations=size.iterations,
            repeats=size.repeats,
            say=self.say,
        )

    async def _load(
        self, bare: Any, prompts: list[Any]
    ) -> tuple[list[dict[str, Any]], dict[str, int]]:
        from .load import count_lost_and_crossed, measure_callers

        rows = []
        for callers in self.size.callers:
            self.say(f"{callers} callers")
            rows.append(await measure_callers(self.chat, prompts, callers))
        calls, callers = self.size.marked
        self.say(f"{calls} marked calls of {callers} callers")
        marked = await count_lost_and_crossed(
            self.chat, bare.prompt_ids, calls=calls, callers=callers
        )
        return rows, marked

    async def _identical(self, prompts: list[Any]) -> dict[str, float]:
        """Return the share of greedy answers that batching does not change, by number format."""
        from ...models.open import open_local_chat
        from .calls import share_identical

        shares = {}
        for name in ("fp32", "bf16"):
            self.say(f"greedy answers in a batch and alone, {name}")
            chat = await asyncio.to_thread(open_local_chat, self.model, dtype=name)
            try:
                shares[name] = await share_identical(chat, prompts)
            finally:
                await asyncio.to_thread(chat.close)
        return shares


ROWS = 16


def memory_ratio(model: str, dtype: str, adapters: Path, names: Sequence[str]) -> float:
    """Return the memory after a mixed batch of six adapters over that after one of the base model.

    Args:
        model: The model's folder.
        dtype: "fp32" or "bf16".
        adapters: The folder of the adapters.
        names: The adapters to mix.
    """
    base, mixed = (_measure(model, dtype, adapters, some) for some in ((), names))
    return mixed / base


def _measure(model: str, dtype: str, adapters: Path, names: Sequence[str]) -> int:
    command = [sys.executable, "-m", "patlm.bench.serving.run"]
    done = subprocess.run(
        [*command, model, dtype, str(adapters), *names], capture_output=True, text=True, check=True
    )
    return int(done.stdout.split()[-1])


async def _resident(model: str, dtype: str, adapters: Path, names: Sequence[str]) -> int:
    import psutil

    from ...models.open import open_local_chat
    from ...models.tracing import untraced
    from .inputs import finder, prompts_of, texts_of

    chat = open_local_chat(model, dtype=dtype, find_adapter=finder(adapters))
    prompts = prompts_of(texts_of(None), ROWS, chat)
    with untraced():  # a process of its own, so the command's silence does not hold here
        await asyncio.gather(
            *(
                chat.ainvoke(
                    prompt, max_tokens=8, adapter=names[place % len(names)] if names else None
                )
                for place, prompt in enumerate(prompts)
            )
        )
    if len(chat.adapters_loaded) != len(names):
        raise RuntimeError(f"expected {len(names)} adapters in memory, got {chat.adapters_loaded}")
    gc.collect()
    resident = int(psutil.Process().memory_info().rss)
    chat.close()
    return resident


if __name__ == "__main__":
    model_, dtype_, folder, *names_ = sys.argv[1:]
    sys.stdout.write(f"{asyncio.run(_resident(model_, dtype_, Path(folder), names_))}\n")
