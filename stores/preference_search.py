"""What aligned people wrote on the topic: its texts, ranked by relevance and by their author.

A topic of up to `EXACT_TEXTS` texts is ranked whole, so that nothing but the candidates
themselves decides. In a larger one the full-text index picks the candidates first; its corpus
statistics do include the requester's own texts, so there a target can shift which texts are
*candidates* (by a word's weight among thousands), but never the score of one.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from .choices import Choice
from .elsewhere import draw_elsewhere
from .filters import within
from .pools import POOL_COLUMNS, Pool, pool_of_rows
from .ranked_pool import rank
from .records import Found, History, Vectors
from .schema import TEXTS
from .snapshots import Snapshots
from .tables import Tables
from .topics import Topics
from .unseen import Unseen
from .users import Users
from .words import terms_of

EXACT_TEXTS = 2_000
PICKED_TEXTS = 400
"""Candidates taken from a larger topic."""

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
    tables: Tables,
    snapshots: Snapshots,
    history: History,
    query: Vectors,
    words: str,
    topic_id: str | None,
    k: int,
    choice: Choice,
    request_text: str,
) -> Found:
    """Return k texts on the topic; see `TextStore.search_by_preference`."""
    if choice.take == "random_topic":
        return await draw_elsewhere(snapshots, Unseen(history, request_text), topic_id, k, choice)
    topics = await snapshots.topics(history.namespace)
    known = bool(topic_id) and topics.others_on(topic_id or "", history.contributed) > 0
    if known and topic_id:
        why = {topic_id: "wrote on this topic"}
    else:
        why = await asyncio.to_thread(_nearest_topics, topics, history, query, topic_id)
    if not why:
        return Found(topic_known=known)
    request = _Request(history, query, words, tuple(why), why, choice, request_text)
    texts = sum(int(topics.shared[topics.row[topic]]) for topic in why)
    pool = await (
        snapshots.pool(history.namespace, request.topics)
        if texts <= EXACT_TEXTS
        else _picked(tables, request)
    )
    weighs = history.texts and choice.take != "same_topic"
    users = await snapshots.users(history.namespace) if weighs else None
    found = await asyncio.to_thread(_found, pool, request, users, topics, k)
    return Found(
        hits=found.hits,
        neighbours=found.neighbours,
        pool_size=found.pool_size,
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


async def _picked(tables: Tables, request: _Request) -> Pool:
    """Return candidates from topics that are too large to be ranked whole."""
    history = request.history
    where = within(history.namespace, topics=request.topics, shared=True)
    # The requester's own texts drop out later and take nobody's place.
    own = [history.contributed[t][1] for t in request.topics if t in history.contributed]
    limit = PICKED_TEXTS + sum(own)
    rows = None
    if len(terms_of(request.words)):
        rows = await tables.read_matching(where, request.words, limit, POOL_COLUMNS)
    if rows is None or not rows.num_rows:
        # No word in common: any of the topic's texts, for the vectors to rank.
        rows = await tables.read(TEXTS, where, POOL_COLUMNS, limit=limit)
    return await asyncio.to_thread(pool_of_rows, rows)


def _found(pool: Pool, request: _Request, users: Users | None, topics: Topics, k: int) -> Found:
    ranked = rank(
        pool,
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
