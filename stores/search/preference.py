"""Find texts on the topic, ranked by relevance and by how aligned their authors are.

A topic of up to `StoreLimits.exact_texts` is ranked whole. A larger one is kept in memory in a form
that finds the best of the same ranking (`large_topics`), which are then read. Either way only the
texts themselves decide, and none of the requester's own plays a part.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..texts.arrow import Places
from ..texts.cache import Snapshots
from ..texts.topics import Topics
from ..types import Found, Hit, Text
from .alignment import Alignment, align
from .duplicates import EvidenceFilter
from .large_topics import Candidates
from .ranking import POOL_COLUMNS, Pool, pool_of_rows, rank
from .request import SearchRequest
from .selection import AUTHOR_COLUMNS, first_texts
from .threads import LONG_WORDS, MANY_ROWS, MANY_TERMS, MANY_VECTORS, are_many, in_thread_if
from .words import terms_of

NEAREST_TOPICS = 3
"""Topics searched where the request names none, or one that the store does not know."""


async def search_by_preference(snapshots: Snapshots, request: SearchRequest) -> Found:
    """Return k texts on the topic; see `TextStore.search_by_preference`."""
    if request.selection == "random_topic":
        return await _draw_on_other_topics(snapshots, request)
    history, topic_id = request.history, request.topic_id
    topics = await snapshots.topics(history.namespace)
    known = bool(topic_id) and topics.others_on(topic_id or "", history.contributed) > 0
    if known and topic_id:
        why = {topic_id: "wrote on this topic"}
    else:
        why = await in_thread_if(len(topics.ids) > MANY_VECTORS, _nearest_topics, topics, request)
    if not why:
        return Found(topic_known=known)
    # A control draws among all who wrote on the topic, not among the best of them.
    whole = request.exact or request.selection not in ("aligned", "same_topic")
    most = snapshots.cache.limits.exact_texts
    large = [] if whole else [each for each in why if topics.shared[topics.row[each]] > most]
    best = [await _candidates(snapshots, request, topic) for topic in large]
    if best:
        small = [topic for topic in why if topic not in large]
        pool = await _read_candidates(snapshots, history.namespace, best, small)
    else:
        pool = await snapshots.pool(history.namespace, tuple(why))
    # Texts of several nearest topics are ranked anew together.
    ranked = best[0] if len(best) == len(why) == 1 else None
    weighs = history.texts and request.selection != "same_topic"
    users = await snapshots.users(history.namespace) if weighs else None
    long_words = max(len(request.words), len(request.text)) > LONG_WORDS
    many = long_words or len(pool) > MANY_ROWS or len(pool.terms) > MANY_TERMS
    aligned = None
    if users is not None:
        # Cached: reasons and neighbours ask for the same authors.
        aligned = cache(
            partial(
                align,
                history,
                users=users,
                topics=topics,
                asked=tuple(why),
                rating_span=snapshots.cache.scale.now.span,
            )
        )
    found = await in_thread_if(many, _found, request, pool, ranked, why, aligned)
    unread = sum(topics.others_on(topic, history.contributed) for topic in large)
    return replace(
        found,
        pool_size=found.pool_size + unread - sum(map(len, best)),
        topic_known=known,
        topics=tuple(why),
    )


def _nearest_topics(topics: Topics, request: SearchRequest) -> dict[str, str]:
    """Return the topics nearest to the query, and why each is searched."""
    asked = request.topic_id
    lack = f"topic {asked} not in the store" if asked else "no topic given"
    nearest = topics.nearest(request.query, request.history.contributed, NEAREST_TOPICS)
    return {topic: f"{lack}: nearest topic {topic}, cosine {cos:.2f}" for topic, cos in nearest}


async def _candidates(snapshots: Snapshots, request: SearchRequest, topic: str) -> Candidates:
    """Return the best of a topic that is too large to be ranked whole."""
    history, weights, limits = request.history, request.weights, snapshots.cache.limits
    picked = limits.weighed_texts if weights.alignment else limits.picked_texts
    large = await snapshots.large_topic(history.namespace, topic)

    def best() -> Candidates:
        return large.candidates(
            request.query,
            terms_of(request.words),
            without_user=history.user_id,
            limit=max(4 * request.k, picked),
            weights=(weights.words, weights.topic),
        )

    return await asyncio.to_thread(best)


async def _read_candidates(
    snapshots: Snapshots, namespace: str, best: Sequence[Candidates], small: Sequence[str]
) -> Pool:
    """Return the candidates of large topics, and all texts of small ones, as one pool."""
    ids = [text_id for each in best for text_id in each.text_ids]
    parts = [snapshots.texts(namespace, ids, POOL_COLUMNS)]
    if small:
        parts.append(snapshots.on_topics(namespace, small, POOL_COLUMNS))
    rows = pa.concat_tables(await asyncio.gather(*parts))
    return await in_thread_if(are_many(rows), pool_of_rows, rows)


def _found(
    request: SearchRequest,
    pool: Pool,
    candidates: Candidates | None,
    why: Mapping[str, str],
    aligned: Callable[[tuple[str, ...]], Alignment] | None,
) -> Found:
    ranked = rank(request, pool, candidates, aligned)
    if not len(ranked):
        return Found()
    hits = ranked.hits(why)
    return Found(
        hits=tuple(hits),
        neighbours=ranked.neighbours([hit.text.user_id for hit in hits]),
        pool_size=len(ranked),
    )


async def _draw_on_other_topics(snapshots: Snapshots, request: SearchRequest) -> Found:
    """Return k texts of k other people, none of them on the topic, drawn at random."""
    history, topic_id = request.history, request.topic_id
    users = await snapshots.users(history.namespace)
    candidates = users.outside(topic_id)
    if history.user_id in users.row:
        candidates[users.row[history.user_id]] = False
    rows = np.flatnonzero(candidates)
    evidence = EvidenceFilter(request)

    def shuffled(count: int) -> Places:
        return request.shuffled(count, topic_id)

    def drawn(found: pa.Table) -> pa.Table:
        # Sorted, as a draw must not depend on where a text lies.
        found = evidence.allowed_rows(found.sort_by("text_id").combine_chunks())
        if topic_id:
            found = found.filter(pc.not_equal(found.column("topic_id"), topic_id))
        return found.take(shuffled(len(found))[::-1])

    async def read(batch: list[str]) -> pa.Table:
        found = await snapshots.shared_texts(history.namespace, batch, AUTHOR_COLUMNS)
        return await in_thread_if(are_many(found), drawn, found)

    def hit(text: Text) -> Hit:
        return Hit(text, 0.0, "drawn among texts on other topics")

    order = iter(rows[shuffled(len(rows))])
    hits = await first_texts(users, order, request.k, read, hit)
    return Found(hits=tuple(hits), pool_size=len(rows))
