"""Repair a store when it is opened: values of earlier versions, and sums that don't add up.

Earlier versions kept ids as an app gave them (with spaces, in another normal form, `123.0`), and
ratings that are no numbers, which broke other people's requests. Each store is looked through once
for those; what is found is rewritten, and the table records that (`Tables.normal`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc

from ..types import Text
from ..values import FIVE_STARS, normal_id
from .arrow import PLAIN_COLUMNS, rows_of_texts, texts_of_rows, vectors_of
from .filters import every_namespace, within
from .schema import TEXTS, TOPICS, USERS
from .tables import Tables
from .topics import TopicKey, TopicTotals, count_topics, rows_of_topics
from .users import UserKey, UserTotals, count_users, rows_of_users

logger = logging.getLogger(__name__)

RECOUNT_BATCH_TEXTS = 16_384
"""Texts in memory at once while they are counted."""

COUNTED_COLUMNS = (*PLAIN_COLUMNS, "style", "topic")

REWRITTEN_TEXTS = 4_096
"""Texts rewritten at once."""

_SECONDS = range(10**8, 10**10)
"""Times of 1970 in milliseconds: earlier versions kept an app's seconds as they came."""


async def adds_up(tables: Tables) -> bool:
    """Return whether users and topics count as many texts as there are."""
    users = await tables.read(USERS, every_namespace(), ["texts", "shared"])
    topics = await tables.read(TOPICS, every_namespace(), ["shared"])
    counted = (
        pc.sum(users.column("texts")).as_py() or 0,
        pc.sum(users.column("shared")).as_py() or 0,
        pc.sum(topics.column("shared")).as_py() or 0,
    )
    return counted == (
        await tables.count(TEXTS, every_namespace()),
        await tables.count(TEXTS, every_namespace(shared=True)),
        await tables.count(TEXTS, every_namespace(shared=True, with_topic=True)),
    )


async def repair(tables: Tables) -> None:
    """Bring an older store's values to their normal form, and count again what doesn't add up."""
    if not tables.normal:
        async with tables.writing():
            await _normalise(tables)
    if await adds_up(tables):
        return
    async with tables.writing():
        await repair_counts(tables)


async def _normalise(tables: Tables) -> None:
    """Rewrite the texts whose values are not as they are read today; once a store."""
    found: dict[str, list[str]] = {}
    columns = ["namespace", "text_id", "user_id", "topic_id", "rating", "timestamp"]
    async for rows in tables.read_batches(TEXTS, every_namespace(), columns, RECOUNT_BATCH_TEXTS):
        for row in await asyncio.to_thread(rows.to_pylist):
            if _is_odd(row["user_id"], row["topic_id"], row["rating"], row["timestamp"]):
                found.setdefault(row["namespace"], []).append(row["text_id"])
    for namespace, text_ids in found.items():
        for part in _parts(text_ids):
            await _rewrite(tables, namespace, part)
    users = await tables.read(USERS, every_namespace(), ["edge_rating_sums"])
    sums = users.column("edge_rating_sums").combine_chunks().flatten()
    if found or not pc.all(pc.is_finite(sums)).as_py():
        logger.warning(
            "ids, ratings or times of %d texts were not in their normal form: corrected",
            sum(map(len, found.values())),
        )
        await tables.mark_removed(TEXTS)
        await recount(tables)
    await tables.mark_normal()


def _is_odd(user_id: str, topic_id: str, rating: float | None, timestamp: int | None) -> bool:
    return (
        normal_id(user_id) != user_id
        or normal_id(topic_id) != topic_id
        or not (rating is None or FIVE_STARS.low <= rating <= FIVE_STARS.high)
        or (timestamp is not None and timestamp in _SECONDS)
    )


async def _rewrite(tables: Tables, namespace: str, text_ids: list[str]) -> None:
    """Put corrected texts in the place of some: first the new ones, so that a kill loses none."""
    where = within(namespace, text_ids=text_ids)
    rows = await tables.read(TEXTS, where, (*COUNTED_COLUMNS, "text_id"))
    texts = [_corrected(text) for text in await asyncio.to_thread(texts_of_rows, rows)]
    first = {text.text_id: place for place, text in reversed(list(enumerate(texts)))}
    places = list(first.values())
    made = rows_of_texts(
        [texts[place] for place in places],
        vectors_of(rows, "style")[places],
        vectors_of(rows, "topic")[places],
        tables.schemas[TEXTS],
    )
    await tables.put(TEXTS, made)
    gone = [text_id for text_id in rows.column("text_id").to_pylist() if text_id not in first]
    await tables.delete(TEXTS, within(namespace, text_ids=gone))


def _corrected(text: Text) -> Text:
    scale, seconds = FIVE_STARS, text.timestamp is not None and text.timestamp in _SECONDS
    rated = text.rating is not None and scale.low <= text.rating <= scale.high
    return replace(
        text,
        user_id=normal_id(text.user_id),
        topic_id=normal_id(text.topic_id),
        rating=text.rating if rated else None,
        timestamp=text.timestamp * 1000 if seconds and text.timestamp else text.timestamp,
    )


def _parts(text_ids: list[str]) -> Iterator[list[str]]:
    source = iter(text_ids)
    while part := list(islice(source, REWRITTEN_TEXTS)):
        yield part


async def repair_counts(tables: Tables) -> None:
    """Count users and topics again if they do not add up; only while `Tables.writing`."""
    if await adds_up(tables):
        return
    logger.warning(
        "users and topics do not add up with the texts (a write was cut off): counting again"
    )
    await recount(tables)


async def recount(tables: Tables) -> None:
    """Make users and topics anew from the texts; only while `Tables.writing`."""
    users: dict[UserKey, UserTotals] = {}
    topics: dict[TopicKey, TopicTotals] = {}
    async for rows in tables.read_batches(
        TEXTS, every_namespace(), COUNTED_COLUMNS, RECOUNT_BATCH_TEXTS
    ):
        await asyncio.to_thread(_count, rows, users, topics)
    schemas = tables.schemas
    for name, made in (
        (TOPICS, rows_of_topics(topics, schemas[TOPICS])),
        (USERS, rows_of_users(users, schemas[USERS])),
    ):
        await tables.delete(name, every_namespace())
        await tables.put(name, made)
        await tables.mark_removed(name)
    logger.info("counted again: %d users, %d topics", len(users), len(topics))


def _count(
    rows: pa.Table, users: dict[UserKey, UserTotals], topics: dict[TopicKey, TopicTotals]
) -> None:
    texts = texts_of_rows(rows)
    count_users(users, texts, vectors_of(rows, "style"))
    count_topics(topics, texts, vectors_of(rows, "topic"))
