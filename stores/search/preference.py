"""What aligned people wrote on the topic: its texts, ranked by relevance and by their author.

A topic of up to `EXACT_TEXTS` texts is ranked whole. A larger one is kept in memory in a form that
finds the best of the same ranking (`large_topic`), and what they are is read from disk. Either way
nothing but the texts themselves decides, and none of the requester's own has a part in it.

Texts on other topics, whoever wrote them: what a topic's own texts are held against.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..texts.arrow import texts_of_rows
from ..texts.cache import Snapshots
from ..texts.topics import Topics
from ..texts.users import Users
from ..types import Found, History, Hit, Vectors
from .authors import AUTHOR_COLUMNS, AsDrawn, first_texts
from .duplicates import Unseen
from .large_topics import Candidates
from .ranking import POOL_COLUMNS, Pool, pool_of_rows, rank
from .request import Choice
from .threads import MANY_ROWS, MANY_VECTORS, beside
from .words import terms_of


async def draw_elsewhere(
    snapshots: Snapshots, unseen: Unseen, topic_id: str | None, k: int, choice: Choice
) -> Found:
    """Return k texts of k other people, none of them on the topic, drawn at random."""
    history = unseen.history
    users = await snapshots.users(history.namespace)
    candidates = users.outside(topic_id)
    if history.user_id in users.row:
        candidates[users.row[history.user_id]] = False
    rows = np.flatnonzero(candidates)
    request = (history.namespace, history.user_id, topic_id)
    order = AsDrawn(rows[choice.shuffled(len(rows), *request)])

    def pick(found: pa.Table) -> dict[str, Hit]:
        if topic_id:
            found = found.filter(pc.not_equal(found.column("topic_id"), topic_id))
        texts = texts_of_rows(found)
        drawn = [texts[at] for at in choice.shuffled(len(texts), *request)]
        return {text.user_id: Hit(text, 0.0, "drawn among texts on other topics") for text in drawn}

    async def read(batch: list[str]) -> pa.Table:
        rows = await snapshots.shared_texts(history.namespace, batch, AUTHOR_COLUMNS)
        return rows.sort_by("text_id")  # what is drawn must not hang on where a text lies

    hits = await first_texts(read, unseen, users, order, k, pick)
    return Found(hits=tuple(hits), pool_size=len(order))


EXACT_TEXTS = 2_000
PICKED_TEXTS = 48
"""Candidates taken from a larger topic, the first by words and vectors: several times as many as
are wanted, for those that say the same and those that may not be shown."""

WEIGHED_TEXTS = 150
"""The same where the author's alignment weighs, and may bring up a text from far behind."""

NEAREST_TOPICS = 3
"""Topics that serve where the request names none, or one that the store does not know."""


@dataclass(frozen=True)
class _Request:
    """One preference search: for whom, what is asked, the topics that serve, the request's text."""

    history: History
    query: Vectors
    words: str
    topics: tuple[str, ...]
    why: dict[str, str]
    choice: Choice
    text: str


async def search_by_preference(
    snapshots: Snapshots,
    history: History,
    query: Vectors,
    words: str,
    topic_id: str | None,
    k: int,
    choice: Choice,
    request_text: str,
    exact: bool,
) -> Found:
    """Return k texts on the topic; see `TextStore.search_by_preference`."""
    if choice.take == "random_topic":
        return await draw_elsewhere(snapshots, Unseen(history, request_text), topic_id, k, choice)
    topics = await snapshots.topics(history.namespace)
    known = bool(topic_id) and topics.others_on(topic_id or "", history.contributed) > 0
    if known and topic_id:
        why = {topic_id: "wrote on this topic"}
    else:
        many = len(topics.ids) > MANY_VECTORS
        why = await beside(many, _nearest_topics, topics, history, query, topic_id)
    if not why:
        return Found(topic_known=known)
    request = _Request(history, query, words, tuple(why), why, choice, request_text)
    texts = {topic: int(topics.shared[topics.row[topic]]) for topic in why}
    # A control draws among all who wrote on the topic, not among the best of them.
    whole = exact or choice.take not in ("aligned", "same_topic")
    large = [] if whole else [topic for topic in why if texts[topic] > EXACT_TEXTS]
    picked = [await _candidates(snapshots, request, topic, 4 * k) for topic in large]
    if picked:
        small = [topic for topic in why if topic not in large]
        pool = await _read_picked(snapshots, history.namespace, picked, small)
    else:
        pool = await snapshots.pool(history.namespace, request.topics)
    # Several topics stand in for one that is not known: their texts are ranked anew together.
    ranked = picked[0] if len(picked) == len(why) == 1 else None
    weighs = history.texts and choice.take != "same_topic"
    users = await snapshots.users(history.namespace) if weighs else None
    many = len(pool) > MANY_ROWS
    found = await beside(many, _found, pool, ranked, request, users, topics, k)
    others = sum(topics.others_on(each, history.contributed) for each in large)
    return Found(
        hits=found.hits,
        neighbours=found.neighbours,
        pool_size=found.pool_size - sum(map(len, picked)) + others if large else found.pool_size,
        topic_known=known,
        topics=request.topics,
    )


def _nearest_topics(
    topics: Topics, history: History, query: Vectors, topic_id: str | None
) -> dict[str, str]:
    """Return the topics nearest to the query, and why each serves."""
    lack = f"topic {topic_id} not in the store" if topic_id else "no topic given"
    nearest = topics.nearest(query, history.contributed, NEAREST_TOPICS)
    return {topic: f"{lack}: nearest topic {topic}, cosine {cos:.2f}" for topic, cos in nearest}


async def _candidates(
    snapshots: Snapshots, request: _Request, topic: str, least: int
) -> Candidates:
    """Return the best of a topic that is too large to be ranked whole."""
    history, weights = request.history, request.choice.weights
    limit = max(least, WEIGHED_TEXTS if weights.alignment else PICKED_TEXTS)
    large = await snapshots.large_topic(history.namespace, topic)
    return await asyncio.to_thread(
        large.candidates,
        request.query,
        terms_of(request.words),
        without_user=history.user_id,
        limit=limit,
        weights=(weights.words, weights.topic),
    )


async def _read_picked(
    snapshots: Snapshots, namespace: str, picked: Sequence[Candidates], small: Sequence[str]
) -> Pool:
    """Return the candidates of large topics, and all texts of small ones, as one pool."""
    ids = [text_id for each in picked for text_id in each.text_ids]
    parts = [snapshots.texts(namespace, ids, POOL_COLUMNS)]
    if small:
        parts.append(snapshots.on_topics(namespace, small, POOL_COLUMNS))
    rows = pa.concat_tables(await asyncio.gather(*parts))
    return await beside(len(rows) > MANY_ROWS, pool_of_rows, rows)


def _found(
    pool: Pool,
    candidates: Candidates | None,
    request: _Request,
    users: Users | None,
    topics: Topics,
    k: int,
) -> Found:
    ranked = rank(
        pool,
        candidates,
        Unseen(request.history, request.text),
        request.query,
        request.words,
        users,
        topics,
        request.topics,
        request.choice.weights,
    )
    if not len(ranked):
        return Found()
    hits = ranked.hits(k, request.choice, request.why)
    return Found(
        hits=tuple(hits),
        neighbours=ranked.neighbours([hit.text.user_id for hit in hits]),
        pool_size=len(ranked),
    )
