"""Keeps users and topics in step with the texts, write by write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pyarrow as pa

from .filters import within
from .records import Text, Vectors
from .recount import recount
from .rows import texts_of_rows, vectors_of
from .schema import TOPICS, USERS
from .tables import Tables
from .topics import TopicKey, TopicTotals, count_topics, rows_of_topics
from .topics import totals_of_rows as topic_totals
from .unembedded import sum_missing
from .users import count_users, rows_of_users
from .users import totals_of_rows as user_totals


class Tally:
    """Counts texts into, and out of, the tables `users` and `topics`.

    All of it only while `Tables.writing`.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._cut_off = False

    @asynccontextmanager
    async def step(self) -> AsyncIterator[None]:
        """Frame the commits that belong together; one that is cut off is mended by the next."""
        if self._cut_off:
            await recount(self._tables)
        self._cut_off = True
        yield
        self._cut_off = False

    async def count_in(self, texts: Sequence[Text], style: Vectors, topic: Vectors) -> None:
        """Count texts that were just written into their users' and topics' rows."""
        known: dict[str, list[pa.Table]] = {USERS: [], TOPICS: []}
        for namespace in sorted({text.namespace for text in texts}):
            here = [text for text in texts if text.namespace == namespace]
            of = within(namespace, users=sorted({text.user_id for text in here}))
            on = within(namespace, topics=sorted({text.topic_id for text in here}))
            users = await self._tables.read(USERS, of)
            new = [text.text_id for text in here]
            known[USERS].append(await sum_missing(self._tables, users, without=new))
            known[TOPICS].append(await self._tables.read(TOPICS, on))
        rows = {name: pa.concat_tables(tables) for name, tables in known.items()}
        counted, topics = await asyncio.to_thread(self._counted, rows, texts, style, topic)
        await self._tables.put(USERS, counted)
        await self._tables.put(TOPICS, topics)

    def _counted(
        self, known: dict[str, pa.Table], texts: Sequence[Text], style: Vectors, topic: Vectors
    ) -> tuple[pa.Table, pa.Table]:
        users = count_users(user_totals(known[USERS]), texts, style)
        topics = count_topics(topic_totals(known[TOPICS]), texts, topic)
        schemas = self._tables.schemas
        return rows_of_users(users, schemas[USERS]), rows_of_topics(topics, schemas[TOPICS])

    async def topics_without(self, namespace: str, rows: pa.Table) -> dict[TopicKey, TopicTotals]:
        """Return the totals of a user's topics without the user's texts.

        The sums are exact, so this is what counting the remaining texts again would give.
        """
        texts = texts_of_rows(rows)
        on = sorted({text.topic_id for text in texts if text.shared and text.topic_id})
        totals = topic_totals(await self._tables.read(TOPICS, within(namespace, topics=on)))
        return count_topics(totals, texts, vectors_of(rows, "topic"), sign=-1)

    async def count_out(
        self, namespace: str, user_id: str, topics: dict[TopicKey, TopicTotals]
    ) -> None:
        """Remove a user's row and bring the user's topics to the totals given."""
        left = {key: total for key, total in topics.items() if total.shared > 0}
        gone = [topic for _, topic in topics.keys() - left.keys()]
        await self._tables.put(TOPICS, rows_of_topics(left, self._tables.schemas[TOPICS]))
        if gone:
            await self._tables.delete(TOPICS, within(namespace, topics=gone))
        await self._tables.delete(USERS, within(namespace, user=user_id))
