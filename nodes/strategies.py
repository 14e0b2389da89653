"""How a trajectory picks its evidence, by name: what the loop is for, and its controls.

A strategy is any async function from a question to what was found, so an experiment is a
configuration of the same graph: `strategies={"style": "random"}` in a run's context. Further ones
come with `Parts.strategies`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from ..stores.search.request import TAKES, Choice, Take
from ..stores.types import Found, Hit, Neighbour

if TYPE_CHECKING:
    from ..stores.types import Encoder, History, Vectors

OWN_HISTORY = "own_history"
ORACLE = "oracle"


class Search(Protocol):
    """What strategies ask of a store; `TextStore` is the real one."""

    async def search_by_style(
        self,
        history: History,
        query: Vectors,
        *,
        topic_id: str | None,
        k: int,
        choice: Choice,
        request_text: str,
    ) -> Found:
        """Return texts of users who write alike, not on the topic."""

    async def search_by_preference(
        self,
        history: History,
        query: Vectors,
        query_text: str,
        *,
        topic_id: str | None,
        k: int,
        choice: Choice,
        request_text: str,
    ) -> Found:
        """Return others' texts on the topic, aligned authors first."""


@dataclass(frozen=True)
class Question:
    """What a trajectory asks.

    Attributes:
        history: The requester.
        query: How the user writes, or what the request is about: a unit vector of the side's
            encoder.
        words: What the request is about, in words.
        topic_id: What it is about, as the store names it.
        k: How many texts.
        seed: Of what is drawn.
        text: The request's own text, "" where it has none: its near-copies are no evidence. Not
            what else joins the words, such as a draft.
    """

    history: History
    query: Vectors
    words: str
    topic_id: str | None
    k: int
    seed: int
    text: str = ""


Strategy = Callable[[Search, Question], Awaitable[Found]]
"""Returns evidence for a question, best first."""

Strategies = Mapping[str, Mapping[str, Strategy]]
"""By side (the trajectory's name), then by the strategy's name."""


async def by_style(take: Take, store: Search, question: Question) -> Found:
    """Take texts of others that are not on the topic."""
    return await store.search_by_style(
        question.history,
        question.query,
        topic_id=question.topic_id,
        k=question.k,
        choice=Choice(take, question.seed),
        request_text=question.text,
    )


async def by_preference(take: Take, store: Search, question: Question) -> Found:
    """Take texts of others on the topic."""
    return await store.search_by_preference(
        question.history,
        question.query,
        question.words,
        topic_id=question.topic_id,
        k=question.k,
        choice=Choice(take, question.seed),
        request_text=question.text,
    )


async def own_style(store: Search, question: Question) -> Found:
    """Take the latest own texts: nothing is borrowed."""
    texts = question.history.texts
    return _own(
        question, [(place, "written by the user, the latest first") for place in range(len(texts))]
    )


async def own_preference(store: Search, question: Question) -> Found:
    """Take the own texts nearest to what the request is about."""
    near = [float(cosine) for cosine in question.history.topic_vectors @ question.query]
    order = sorted(range(len(near)), key=lambda place: -near[place])
    return _own(
        question, [(at, f"written by the user: topic cosine {near[at]:.2f}") for at in order]
    )


def oracle(strategy: Strategy, encoder: Encoder, real: Mapping[str, str]) -> Strategy:
    """Return a strategy that asks with what the user really wrote: an upper bound, for benches.

    Args:
        strategy: What is asked so.
        encoder: The side's.
        real: The real text of each user, by id; others are asked for as ever.
    """

    async def ask(store: Search, question: Question) -> Found:
        text = real.get(question.history.user_id)
        if text is None:
            return await strategy(store, question)
        vectors = await asyncio.to_thread(encoder.encode, [text])
        return await strategy(store, replace(question, query=vectors[0], words=text))

    return ask


def with_oracle(
    strategies: Strategies, encoders: Mapping[str, Encoder], real: Mapping[str, str]
) -> Strategies:
    """Return strategies with `oracle` among the names of each side, for `Parts.strategies`.

    Args:
        strategies: By side and name.
        encoders: By side.
        real: The real text of each user, by id.
    """
    return {
        side: {**named, ORACLE: oracle(named["aligned"], encoders[side], real)}
        for side, named in strategies.items()
    }


def _own(question: Question, order: Sequence[tuple[int, str]]) -> Found:
    """Return own texts by place, each with its reason."""
    history = question.history
    hits = [Hit(history.texts[place], 1.0, reason) for place, reason in order[: question.k]]
    return Found(
        hits=tuple(hits),
        neighbours=(Neighbour(history.user_id, 1.0),) if hits else (),
        pool_size=len(history.texts),
    )


STRATEGIES: Strategies = {
    "style": {take: partial(by_style, take) for take in TAKES} | {OWN_HISTORY: own_style},
    "preference": {take: partial(by_preference, take) for take in TAKES}
    | {OWN_HISTORY: own_preference},
}
