"""What tests hand to the nodes: a retrieval of given texts, parts, and turns made by hand."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from langchain_core.language_models import BaseChatModel
from patlm.graph.builder import build_graph
from patlm.nodes.dependencies import ChatRole, Parts
from patlm.nodes.node import Turn
from patlm.nodes.state import Request, RunContext
from patlm.stores.episodes.schema import Episode
from patlm.stores.search.request import SearchRequest
from patlm.stores.types import Found, History, Hit, Neighbour, Text, Vectors
from store_fixtures import style_encoder, topic_encoder

ROLES = ("style", "preference", "integrate")
LONG = {"user_id": "ana", "task": "long", "title": "Two nights by the sea"}


def found(texts: Sequence[Text], *, cosine: float = 0.8, **more: Any) -> Found:
    """Return texts as a search brings them back, in this order."""
    hits = tuple(Hit(text, 1 - n / 10, f"because {n}") for n, text in enumerate(texts))
    people = tuple(Neighbour(text.user_id, cosine) for text in texts)
    return Found(**{"hits": hits, "neighbours": people, "pool_size": len(texts), **more})


STYLE_FOUND = found([Text("bo", "I slept. I ate. I left."), Text("cy", "Well! Well! Well!")])
PREFERENCE_FOUND = found(
    [
        Text("dee", "The view over the bay is grand.", topic_id="sea", title="Grand", rating=4.5),
        Text("eli", "Breakfast was cold, twice.", topic_id="sea", rating=2),
    ]
)


class GivenRetrieval:
    """Brings back given texts; keeps what it was asked. `fault` may raise, by the search."""

    def __init__(
        self,
        *,
        own: Sequence[Text] = (),
        style: Found = STYLE_FOUND,
        preference: Found = PREFERENCE_FOUND,
        slow_s: float = 0.0,
    ) -> None:
        self.own, self.style, self.preference, self.slow_s = tuple(own), style, preference, slow_s
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.faults: dict[tuple[str, int], BaseException] = {}

    async def _note(self, search: str, **arguments: Any) -> None:
        self.asked.append((search, arguments))
        number = len(self.asked_of(search))
        await asyncio.sleep(self.slow_s)
        if (search, number) in self.faults:
            raise self.faults[search, number]

    def asked_of(self, search: str) -> list[dict[str, Any]]:
        return [arguments for name, arguments in self.asked if name == search]

    async def history(
        self, namespace: str, user_id: str, *, topic_id: str | None = None
    ) -> History:
        await self._note("history", namespace=namespace, user_id=user_id, topic_id=topic_id)
        bodies = [text.body for text in self.own]
        style, topic = style_encoder().encode(bodies), topic_encoder().encode(bodies)
        return History(namespace, user_id, self.own, style, topic, {}, frozenset())

    async def search_by_style(self, request: SearchRequest) -> Found:
        await self._note("style", **vars(request))
        return self.style

    async def search_by_preference(self, request: SearchRequest) -> Found:
        await self._note("preference", **vars(request))
        return self.preference


class MemoryTrace:
    """Keeps records of runs in a list."""

    def __init__(self) -> None:
        self.records: list[Episode] = []

    def append(self, record: Episode) -> None:
        self.records.append(record)


def parts_of(model: BaseChatModel, store: Any = None, **given: Any) -> Parts:
    """Return parts with cheap encoders and one model in all roles, tokens counted in words."""
    defaults: dict[str, Any] = {
        "store": GivenRetrieval() if store is None else store,
        "style_encoder": style_encoder(),
        "topic_encoder": topic_encoder(),
        "chat": {role: ChatRole(model, f"{role}-model") for role in ROLES},
        "count": lambda text: len(text.split()),
    }
    return Parts(**{**defaults, **given})


def loop_of(parts: Parts, *more: Any, checkpointer: Any = None, **options: Any) -> Any:
    """Return the compiled loop over parts."""

    async def provide() -> Parts:
        return parts

    return build_graph(provide, *more).compile(checkpointer=checkpointer, **options)


async def run(
    parts: Parts, request: dict[str, Any] = LONG, config: Any = None, **context: Any
) -> dict[str, Any]:
    """Run the loop once."""
    result: dict[str, Any] = await loop_of(parts).ainvoke(
        request, config, context=RunContext(**context)
    )
    return result


def record_of(
    model: BaseChatModel,
    store: Any = None,
    request: dict[str, Any] = LONG,
    **context: Any,
) -> Episode:
    """Return the record of one real run of the loop, which may fail."""
    trace = MemoryTrace()
    try:
        asyncio.run(run(parts_of(model, store, trace=trace), request, **context))
    except RuntimeError:  # the record tells of it
        assert trace.records[0].error is not None
    return trace.records[0]


def turn_of(
    parts: Parts,
    request: dict[str, Any] = LONG,
    *,
    iteration: int = 1,
    state: dict[str, Any] | None = None,
    started: float | None = None,
    **context: Any,
) -> Turn:
    """Return a turn made by hand, for a node's own work."""
    return Turn(
        state={"log": {}, **(state or {})},  # type: ignore[typeddict-item]
        request=Request(**request),
        context=RunContext(**context),
        parts=parts,
        run="run-1",
        iteration=iteration,
        started=time.time() if started is None else started,
    )


def unit(*numbers: float) -> Vectors:
    """Return numbers as a unit vector."""
    vector = np.array(numbers, np.float32)
    return vector / np.linalg.norm(vector)
