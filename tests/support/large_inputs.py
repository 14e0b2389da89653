"""Texts as large as they may be, each of a kind that is slow to cut, to search or to match."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fakes import ScriptedChat
from loop_parts import ROLES, loop_of
from patlm.nodes.budget import BUDGETS
from patlm.nodes.dependencies import ChatRole, Parts
from patlm.nodes.state import RunContext
from patlm.stores import Text, TextStore, Vectors
from patlm.stores.values import MAX_CHARACTERS
from store_fixtures import HashedEncoder, style_encoder, topic_encoder

_PROSE = "the kettle boils fast and I would buy it again since my aunt's lamp broke by the sea "

KINDS: dict[str, Callable[[int], str]] = {
    "prose": lambda size: (_PROSE * (size // len(_PROSE) + 1))[:size],
    "one word": lambda size: "a" * size,
    "no spaces": lambda size: "部屋" * (size // 2),
    "white space": lambda size: f"a{' ' * (size - 2)}b",
    "line ends": lambda size: f"a{chr(10) * (size - 2)}b",
    "marks": lambda size: f"{'!?' * (size // 2 - 1)}ab",
    "dots": lambda size: f"{'.' * (size - 1)}a",
    "not seen": lambda size: f"{chr(0x200D) * (size - 1)}é",
    "turns": lambda size: "User:\n" * (size // 6),
    "brackets": lambda size: "<|[[" * (size // 4),
    "accents": lambda size: "ünö é " * (size // 6),
}


def largest(kind: str, number: int = 0) -> str:
    """Return a text of a kind that is as long as it may be."""
    made = KINDS[kind](MAX_CHARACTERS - 8)
    return f"{made}{number:08d}"


class Bounded:
    """Encodes as our encoders do: the front of a text, in time that it bounds."""

    def __init__(self, encoder: HashedEncoder, wait: Callable[[], None] = lambda: None) -> None:
        self.version, self.dimension = encoder.version, encoder.dimension
        self._encoder, self._wait = encoder, wait

    def encode(self, texts: Any) -> Vectors:
        self._wait()
        return self._encoder.encode([text[:2_000] for text in texts])


@asynccontextmanager
async def crowded(
    folder: Path, model: ScriptedChat, budget: str = "large", **given: Any
) -> AsyncIterator[Parts]:
    """Open parts over a store with ordinary people, and one whose texts are as large as can be."""
    style, topic = Bounded(style_encoder()), Bounded(topic_encoder())
    opened = TextStore.open(str(folder), style_encoder=style, topic_encoder=topic)
    async with opened as store:
        texts = [
            Text(f"u{n % 40}", f"{KINDS['prose'](400 + n)}{n}", topic_id=f"t{n % 8}", title="Sea")
            for n in range(400)
        ]
        big = [Text(f"big{n}", largest(kind), topic_id="big") for n, kind in enumerate(KINDS)]
        own = [Text("mallory", largest(kind, 1), topic_id="own") for kind in KINDS]
        await store.add([*texts, *big, *own])
        defaults: dict[str, Any] = {
            "store": store,
            "style_encoder": style,
            "topic_encoder": topic,
            "chat": dict.fromkeys(ROLES, ChatRole(model, "fake")),
            "count": lambda text: -(-len(text) // 4),
            "budget": BUDGETS[budget],  # type: ignore[index]
        }
        yield Parts(**{**defaults, **given})


def large_request(kind: str) -> dict[str, Any]:
    """Return the largest request of a kind."""
    words = {"instruction": largest(kind), "text": largest(kind), "title": largest(kind)}
    return {"user_id": "mallory", "task": "free", "topic_id": "big", **words}


async def timed(parts: Parts, request: dict[str, Any], **context: Any) -> float:
    """Return the seconds that a run takes; its failure is one of time."""
    began = time.perf_counter()
    await loop_of(parts).ainvoke(request, context=RunContext(**context))
    return time.perf_counter() - began


async def longest_pause(work: Any) -> float:
    """Return the longest time for which some work held the event loop.

    In CPU seconds of the loop's thread: a loaded machine lets the loop wait for long, too.
    """
    done, longest = asyncio.ensure_future(work), 0.0
    while not done.done():
        began = time.thread_time()
        await asyncio.sleep(0.002)
        longest = max(longest, time.thread_time() - began)
    await done
    return longest


async def ended_in_time(work: Any, deadline_s: float) -> Any:
    """Return what comes of some work, which is to end when its deadline has passed.

    By the clock all is late on a loaded machine. So what is counted is how often the event loop
    wakes after the deadline: 50 times are half a second on an idle machine.
    """
    task, wakings = asyncio.ensure_future(work), 0
    await asyncio.wait([task], timeout=deadline_s)
    while not task.done() and wakings < 50:
        await asyncio.wait([task], timeout=0.01)
        wakings += 1
    ended = task.done()
    task.cancel()
    assert ended, f"{deadline_s} s and half a second have passed"
    return await task
