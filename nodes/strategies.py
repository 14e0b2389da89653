"""How a trajectory picks its evidence: the strategies, by name.

A strategy is a setting of the same graph: `strategies={"style": "random"}` in a run's context. An
entry of `STRATEGIES` is all there is to one; `Parts.strategies` takes others for one application.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from ..stores.search.request import Selection
from ..stores.types import Found, Hit, Neighbour

if TYPE_CHECKING:
    from ..stores.search.request import SearchRequest
    from ..stores.types import Encoder

ORACLE = "oracle"


class Search(Protocol):
    """The searches that strategies need of a store; `TextStore` is the real one."""

    async def search_by_style(self, request: SearchRequest) -> Found:
        """Return texts of users who write alike, not on the topic."""

    async def search_by_preference(self, request: SearchRequest) -> Found:
        """Return others' texts on the topic, aligned authors first."""


Pick = Callable[[Search, "SearchRequest"], Awaitable[Found]]
"""Returns evidence for a request, best first."""


@dataclass(frozen=True)
class Strategy:
    """One way of picking evidence.

    Attributes:
        name: What it is called in a run's context, in evidence, and on the command line.
        sides: How each trajectory picks, by the trajectory's name.
        own_texts: Whether the evidence is the user's own texts, which then are not read twice.
        heading: What the evidence is called where a prompt quotes it.
    """

    name: str
    sides: Mapping[str, Pick]
    own_texts: bool = False
    heading: str = "Texts of others about it"


Strategies = Mapping[str, Strategy]
"""By name."""


async def own_style(store: Search, request: SearchRequest) -> Found:
    """Take the latest own texts: nothing is borrowed."""
    places = range(len(request.history.texts))
    return _own(request, [(place, "written by the user, the latest first") for place in places])


async def own_preference(store: Search, request: SearchRequest) -> Found:
    """Take the own texts nearest to what the request is about."""
    near = [float(cosine) for cosine in request.history.topic_vectors @ request.query]
    order = sorted(range(len(near)), key=lambda place: -near[place])
    return _own(
        request, [(at, f"written by the user: topic cosine {near[at]:.2f}") for at in order]
    )


def _own(request: SearchRequest, order: Sequence[tuple[int, str]]) -> Found:
    """Return own texts by place, each with its reason."""
    history = request.history
    hits = [Hit(history.texts[place], 1.0, reason) for place, reason in order[: request.k]]
    return Found(
        hits=tuple(hits),
        neighbours=(Neighbour(history.user_id, 1.0),) if hits else (),
        pool_size=len(history.texts),
    )


async def _by_style(selection: Selection, store: Search, request: SearchRequest) -> Found:
    return await store.search_by_style(replace(request, selection=selection))


async def _by_preference(selection: Selection, store: Search, request: SearchRequest) -> Found:
    return await store.search_by_preference(replace(request, selection=selection))


def _search(selection: Selection) -> Strategy:
    sides = {
        "style": partial(_by_style, selection),
        "preference": partial(_by_preference, selection),
    }
    return Strategy(selection, sides)


STRATEGIES: dict[str, Strategy] = {
    strategy.name: strategy
    for strategy in (
        _search("aligned"),
        _search("random"),
        _search("anti_aligned"),
        _search("same_topic"),
        _search("random_topic"),
        Strategy(
            "own_history",
            {"style": own_style, "preference": own_preference},
            own_texts=True,
            heading="Earlier texts of the writer",
        ),
    )
}
"""The registry: an entry here is known to the graph, the command line and the documentation check.
What the searches select is said in `SearchRequest.selection`."""


def with_oracle(
    strategies: Strategies, encoders: Mapping[str, Encoder], real: Mapping[str, str]
) -> Strategies:
    """Return strategies and `oracle`, which asks with what the user really wrote: an upper bound.

    Args:
        strategies: By name.
        encoders: By side.
        real: The real text of each user, by id; for others it is `aligned`.
    """
    sides = {
        side: partial(_ask_with_real_text, strategies["aligned"].sides[side], encoder, real)
        for side, encoder in encoders.items()
    }
    return {**strategies, ORACLE: Strategy(ORACLE, sides)}


async def _ask_with_real_text(
    pick: Pick, encoder: Encoder, real: Mapping[str, str], store: Search, request: SearchRequest
) -> Found:
    text = real.get(request.history.user_id)
    if text is None:
        return await pick(store, request)
    vectors = await asyncio.to_thread(encoder.encode, [text])
    return await pick(store, replace(request, query=vectors[0], words=text))
