"""Users and topics follow from texts: where they do not add up, they are counted anew.

A batch is written in three commits: texts, users, topics. A kill between them leaves sums that
do not add up with the texts; `recount` sees that when the store is opened and counts again.
"""

from __future__ import annotations

import asyncio
import logging

import pyarrow as pa
import pyarrow.compute as pc

from .filters import every_namespace
from .rows import PLAIN_COLUMNS, texts_of_rows, vectors_of
from .schema import TEXTS, TOPICS, USERS
from .tables import Tables
from .topics import TopicKey, TopicTotals, count_topics, rows_of_topics
from .users import UserKey, UserTotals, count_users, rows_of_users

logger = logging.getLogger(__name__)

BATCH_TEXTS = 16_384
"""Texts counted at once: so much is in memory beside the sums."""

COUNTED_COLUMNS = (*PLAIN_COLUMNS, "style", "topic")


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


async def recount(tables: Tables) -> bool:
    """Make users and topics anew if they do not add up with the texts; return whether so.

    Only while `Tables.writing`.
    """
    if await adds_up(tables):
        return False
    logger.warning(
        "users and topics do not add up with the texts (a write was cut off): counting again"
    )
    users: dict[UserKey, UserTotals] = {}
    topics: dict[TopicKey, TopicTotals] = {}
    async for rows in tables.read_batches(TEXTS, every_namespace(), COUNTED_COLUMNS, BATCH_TEXTS):
        await asyncio.to_thread(_count, rows, users, topics)
    schemas = tables.schemas
    for name, made in (
        (USERS, rows_of_users(users, schemas[USERS])),
        (TOPICS, rows_of_topics(topics, schemas[TOPICS])),
    ):
        await tables.delete(name, every_namespace())
        await tables.put(name, made)
        await tables.mark_removed(name)
    logger.warning("counted again: %d users, %d topics", len(users), len(topics))
    return True


def _count(
    rows: pa.Table, users: dict[UserKey, UserTotals], topics: dict[TopicKey, TopicTotals]
) -> None:
    texts = texts_of_rows(rows)
    count_users(users, texts, vectors_of(rows, "style"))
    count_topics(topics, texts, vectors_of(rows, "topic"))
