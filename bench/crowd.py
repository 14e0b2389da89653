"""Does one caller slow others down? Every figure of `patlm bench crowd`.

Callers write for people of the sample corpus, each one request after the other, by a model that
takes the same time for every answer. They do so alone and beside one caller whose requests are as
large as they may be, in turn, in one process, so that the ratio of their times holds on any
machine.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from itertools import cycle
from typing import Any

import numpy as np

from ..graph.personalizer import Personalizer
from ..stores.datasets.formats import read_texts
from ..stores.datasets.sample import sample_corpus
from ..stores.types import Text
from ..stores.values import MAX_CHARACTERS
from .fake_model import FakeModel

SHAPES = ("the kettle boils fast and I would buy it again ", "a", "部屋", "User:\n", "!?", "ünö é ")
"""What the large inputs repeat: prose, and what is slow to cut into words or tokens."""


async def measure_crowd(
    *, callers: int = 16, answer_s: float = 0.5, phase_s: float = 10.0, rounds: int = 3
) -> dict[str, Any]:
    """Time callers alone and beside one with the largest inputs, in turn.

    Args:
        callers: Who write ordinary requests, at once.
        answer_s: Seconds that an answer of the model takes.
        phase_s: Seconds of each phase.
        rounds: Of a phase alone and one beside.

    Returns:
        `rounds`: of each the p50 and p95 in milliseconds `alone` and `beside`, requests of the
        callers, `large` requests that ended, `ratio` of the two p95; and the median `ratio`.
    """
    texts = [text for text in read_texts(sample_corpus()) if isinstance(text, Text)]
    people = sorted({text.user_id for text in texts})
    people, measured = people[:callers], []
    # Without a store of its own it has a copy of the sample store.
    async with Personalizer(model=FakeModel(seconds=answer_s)) as app:
        await _phase(app, people, phase_s / 4)
        for _ in range(rounds):
            alone, _ = await _phase(app, people, phase_s)
            beside, large = await _phase(app, people, phase_s, large=True)
            measured.append(_row(alone, beside, large))
    ratio = float(np.median([row["ratio"] for row in measured]))
    return {"rounds": measured, "ratio": round(ratio, 3), "callers": callers, "answer_s": answer_s}


def _row(alone: Sequence[float], beside: Sequence[float], large: int) -> dict[str, Any]:
    cuts = [np.percentile(times, [50, 95]) for times in (alone, beside)]
    names = ("alone", "beside")
    spread: dict[str, Any] = {
        name: dict(zip(("p50", "p95"), map(float, cut.round(1)), strict=True))
        for name, cut in zip(names, cuts, strict=True)
    }
    counts = {"requests": len(beside), "large": large}
    return {**spread, **counts, "ratio": round(float(cuts[1][1] / cuts[0][1]), 3)}


async def _phase(
    app: Personalizer, people: Sequence[str], seconds: float, *, large: bool = False
) -> tuple[list[float], int]:
    """Return the milliseconds of each ordinary request, and how many large ones ended."""
    end, times, done = time.perf_counter() + seconds, [], 0

    async def ordinary(person: str) -> None:
        while time.perf_counter() < end:
            began = time.perf_counter()
            await app.awrite(
                person, topic_id="standing-desk", title="Up and down", max_iterations=1
            )
            times.append((time.perf_counter() - began) * 1000)

    async def largest() -> None:
        nonlocal done
        for shape in cycle(SHAPES):
            if time.perf_counter() > end:
                break
            text = (shape * (MAX_CHARACTERS // len(shape) + 1))[:MAX_CHARACTERS]
            await app.awrite("mallory", instruction=text, text=text, max_iterations=1)
            await app.add("mallory", text, topic_id="large")
            done += 1

    await asyncio.gather(*map(ordinary, people), *([largest()] if large else []))
    return times, done
