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
from .topics import TopicTotals, count_topics, rows_of_topics
from .users import UserTotals, count_users, rows_of_users

logger = logging.getLogger(__name__)

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
    rows = await tables.read(TEXTS, every_namespace(), COUNTED_COLUMNS)
    users, topics = await asyncio.to_thread(_count_all, rows)
    for name, made in (
        (USERS, rows_of_users(users, tables.schemas[USERS])),
        (TOPICS, rows_of_topics(topics, tables.schemas[TOPICS])),
    ):
        await tables.delete(name, every_namespace())
        await tables.put(name, made)
    logger.warning("counted again: %d users, %d topics", len(users), len(topics))
    return True


def _count_all(
    rows: pa.Table,
) -> tuple[dict[tuple[str, str], UserTotals], dict[tuple[str, str], TopicTotals]]:
    users: dict[tuple[str, str], UserTotals] = {}
    topics: dict[tuple[str, str], TopicTotals] = {}
    for batch in rows.to_batches(max_chunksize=10_000):
        part = pa.Table.from_batches([batch])
        texts = texts_of_rows(part)
        count_users(users, texts, vectors_of(part, "style"))
        count_topics(topics, texts, vectors_of(part, "topic"))
    return users, topics
