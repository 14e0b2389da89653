"""The whole loop for many at once, against the same loop over a sequential model."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from langchain_core.language_models import BaseChatModel

from ..graph.builder import build_graph
from ..graph.opening import open_parts, open_store
from ..graph.settings import Settings
from ..nodes.finish import ROLES
from ..nodes.parts import ChatRole, Parts
from ..nodes.state import Request, RunContext
from ..stores.ingest import ingest
from ..stores.readers import read_texts
from .serving_inputs import ADAPTERS
from .serving_prefix import Records

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

    Beside them the seconds of the last repeat, the share of texts that are the same batched and in
    sequence, and the records of the batched runs.

    Args:
        chat: The model that batches, with the adapters of `ADAPTERS`.
        sequential: The same weights, one call after the other.
        requests: All are asked at once.
        data: Where the evidence comes from; the sample corpus where None.
        iterations: Rounds of the loop.
        repeats: How often each is measured, in turn.
        say: Told of each repeat.
    """
    with TemporaryDirectory() as folder:
        store = await _filled(data, f"{folder}/store")
        models = dict.fromkeys(ROLES, chat)
        async with open_parts(Settings(store=store), models=models) as parts:
            plain, mixed, same = [], [], 0
            records = Records()
            for _ in range(repeats):
                context = RunContext(max_iterations=iterations, deadline_s=DEADLINE_S, adapters={})
                before, slow = await _run(_with_model(parts, sequential), requests, context)
                batched = replace(_with_model(parts, chat), trace=records)
                after, fast = await _run(batched, requests, context)
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
        "runs": records.runs,
    }


async def _filled(data: Path | None, uri: str) -> str | None:
    if data is None:
        return None
    async with open_store(uri) as store:
        await ingest(store, read_texts(data))
    return uri


def _with_model(parts: Parts, model: BaseChatModel) -> Parts:
    # Without a ban on repeats, which the two would count differently: the texts are to be equal.
    role = ChatRole(model, "bench", {}, takes_adapters=True)
    # Nor may a side abstain for want of confidence: every request is to make the same calls.
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
