"""What is kept in memory between requests, each at the version of the table it was read from.

A request asks for the table's version first (half a millisecond) and reads again only where it
has changed, also by another process. Snapshots are frozen: a request that works on one is not
disturbed by a write.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Generic, TypeVar

import aiologic
import pyarrow as pa
import pyarrow.compute as pc

from ..retry import bounded
from ..search.large_topics import LargeTopic
from ..search.ranking import POOL_COLUMNS, Pool, pool_of_rows
from ..search.request import HISTORY_COLUMNS, history_of_rows
from ..search.threads import MANY_ROWS, beside
from ..types import History
from .filters import within
from .resident import RESIDENT_TEXTS, Resident, ResidentBuilder
from .schema import TEXTS, TOPICS, USERS
from .tables import Tables
from .topics import TWO_HOP, GraphForm, Topics, topics_of_rows
from .unembedded import sum_missing
from .users import Users, users_of_rows

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

POOLED_TEXTS = 50_000
"""Texts that all pools in memory may hold together (about 2.5 KB each)."""

REMEMBERED_HISTORIES = 4_000
"""Own texts that all histories in memory may hold together (about 2.5 KB each)."""

ALL_RESIDENT_TEXTS = 1_500_000
"""Texts that all namespaces kept in memory may hold together (about 2 KB each)."""

ALL_LARGE_TEXTS = 2_000_000
"""Texts that all large topics in memory may hold together (about 0.9 KB each)."""

BATCH_ROWS = 16_384
"""Rows read at once of a table that is too large to be read whole."""

LARGE_COLUMNS = ("text_id", "user_id", "topic_id", "shared", "terms", "topic")

ENTRY_COST = 16
"""What an entry weighs beside its texts, so that empty ones count too."""


Kept = tuple[int, Value]
"""What is in memory, after the version that it was read at."""


class _Latest(Generic[Key, Value]):
    """Values by key, read anew when the version has changed, the least used dropped first."""

    def __init__(
        self,
        version: Callable[[], Awaitable[int]],
        read: Callable[[Key, int, Kept[Value] | None], Awaitable[Value]],
        weight: Callable[[Value], int],
        limit: int,
    ) -> None:
        self._version, self._read, self._weight, self._limit = version, read, weight, limit
        self._kept: OrderedDict[Key, tuple[int, Value]] = OrderedDict()
        self._total = 0
        self._locks: dict[Key, aiologic.Lock] = {}
        self._cleared = 0

    async def get(self, key: Key, version: int | None = None) -> Value:
        """Return the value at the newest version, or at `version` where the caller just asked."""
        # The version is asked for before the read: a write in between makes one read too many,
        # never a stale value.
        if version is None:
            version = await self._version()
        kept = self._kept.get(key)
        if kept is not None and kept[0] >= version:
            self._kept.move_to_end(key)
            return kept[1]
        async with self._locks.setdefault(key, aiologic.Lock()):
            kept = self._kept.get(key)
            if kept is not None and kept[0] >= version:
                self._kept.move_to_end(key)
                return kept[1]
            cleared = self._cleared
            value = await self._read(key, version, kept)
            if cleared == self._cleared:  # else it may hold what was to be dropped
                self._keep(key, version, value)
        self._locks.pop(key, None)
        return value

    def _keep(self, key: Key, version: int, value: Value) -> None:
        if key in self._kept:
            self._total -= self._weight(self._kept.pop(key)[1])
        self._kept[key] = (version, value)
        self._total += self._weight(value)
        while self._total > self._limit and len(self._kept) > 1:
            _, (_, dropped) = self._kept.popitem(last=False)
            self._total -= self._weight(dropped)

    def clear(self) -> None:
        self._kept.clear()
        self._total = 0
        self._cleared += 1


class Snapshots:
    """The users, topics and pools in memory; all can be dropped at any time."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._graph_forms: Mapping[str, GraphForm] = {}
        self._users = _Latest(lambda: tables.version(USERS), self._read_users, lambda _: 1, 64)
        self._topics = _Latest(lambda: tables.version(TOPICS), self._read_topics, lambda _: 1, 64)
        self._pools = _Latest(
            lambda: tables.version(TEXTS),
            self._read_pool,
            lambda pool: len(pool) + ENTRY_COST,
            POOLED_TEXTS,
        )
        self._histories = _Latest(
            lambda: tables.version(TEXTS),
            self._read_history,
            lambda history: len(history.texts) + ENTRY_COST,
            REMEMBERED_HISTORIES,
        )
        self._residents = _Latest(
            lambda: tables.version(TEXTS),
            self._read_resident,
            lambda resident: len(resident or ()) + ENTRY_COST,
            ALL_RESIDENT_TEXTS,
        )

        self._large_topics = _Latest(
            lambda: tables.version(TEXTS), self._read_large_topic, len, ALL_LARGE_TEXTS
        )

    async def history(self, namespace: str, user_id: str, topic_id: str | None) -> History:
        """Return a requester's side as it is now; both retrievals of a request ask for it."""
        return await self._histories.get((namespace, user_id, topic_id))

    async def users(self, namespace: str) -> Users:
        """Return the users of a namespace as they are now."""
        return await self._users.get(namespace)

    async def topics(self, namespace: str) -> Topics:
        """Return the topics of a namespace as they are now."""
        return await self._topics.get(namespace)

    async def pool(self, namespace: str, topics: tuple[str, ...]) -> Pool:
        """Return the shared texts of some topics as they are now."""
        return await self._pools.get((namespace, topics))

    async def large_topic(self, namespace: str, topic_id: str) -> LargeTopic:
        """Return the shared texts of a topic of very many as they are now."""
        return await self._large_topics.get((namespace, topic_id))

    async def resident(self, namespace: str) -> Resident | None:
        """Return all texts of a namespace as they are now; None: they are too many for memory."""
        return await self._residents.get(namespace)

    async def texts(
        self, namespace: str, text_ids: Sequence[str], columns: Sequence[str]
    ) -> pa.Table:
        """Return the rows of some texts as they are now."""
        resident = await self._residents.get(namespace)
        if resident is not None:
            return resident.by_ids(text_ids, columns)
        return await self._tables.read(TEXTS, within(namespace, text_ids=text_ids), columns)

    async def shared_texts(
        self, namespace: str, users: Sequence[str], columns: Sequence[str]
    ) -> pa.Table:
        """Return the rows of some users' shared texts as they are now."""
        resident = await self._residents.get(namespace)
        if resident is not None:
            return resident.by_users(users, columns, shared=True)
        return await self._tables.read(TEXTS, within(namespace, users=users, shared=True), columns)

    def use_graph(self, forms: Mapping[str, GraphForm]) -> None:
        """Make users' embeddings by these forms from now on, by namespace."""
        self._graph_forms = dict(forms)
        self._topics.clear()

    def clear(self) -> None:
        """Drop everything: nothing of a forgotten user may stay in memory."""
        self._users.clear()
        self._topics.clear()
        self._pools.clear()
        self._histories.clear()
        self._residents.clear()
        self._large_topics.clear()

    async def _read_history(
        self, key: tuple[str, str, str | None], version: int, _: Kept[History] | None
    ) -> History:
        namespace, user_id, topic_id = key
        resident = await self._residents.get(namespace, version)
        if resident is not None:
            rows = resident.by_users([user_id], HISTORY_COLUMNS)
        else:
            rows = await self._tables.read(TEXTS, within(namespace, user=user_id), HISTORY_COLUMNS)
        many = len(rows) > MANY_ROWS
        return await beside(many, history_of_rows, rows, namespace, user_id, topic_id)

    async def _read_users(self, namespace: str, _: int, kept: Kept[Users] | None) -> Users:
        changed = await self._changed(USERS, namespace, kept)
        if kept is not None and changed is not None:
            rows = await sum_missing(self._tables, changed)
            return await asyncio.to_thread(kept[1].updated, rows) if rows.num_rows else kept[1]
        rows = await sum_missing(self._tables, await self._tables.read(USERS, within(namespace)))
        return await asyncio.to_thread(users_of_rows, rows)

    async def _read_topics(self, namespace: str, _: int, kept: Kept[Topics] | None) -> Topics:
        changed = await self._changed(TOPICS, namespace, kept)
        if kept is not None and changed is not None:
            return await asyncio.to_thread(kept[1].updated, changed) if len(changed) else kept[1]
        rows = await self._tables.read(TOPICS, within(namespace))
        form = self._graph_forms.get(namespace, TWO_HOP)
        return await asyncio.to_thread(topics_of_rows, rows, form)

    async def _changed(
        self, name: str, namespace: str, kept: tuple[int, object] | None
    ) -> pa.Table | None:
        """Return the rows that are newer than what is kept; None: all have to be read."""
        if kept is None:
            return None
        return await self._tables.read_changed(name, namespace, kept[0])

    async def on_topics(
        self, namespace: str, topics: Sequence[str], columns: Sequence[str]
    ) -> pa.Table:
        """Return the rows of the shared texts on some topics as they are now."""
        resident = await self._residents.get(namespace)
        if resident is not None:
            return resident.by_topics(topics, columns)
        where = within(namespace, topics=topics, shared=True)
        return await self._tables.read(TEXTS, where, columns)

    async def _read_pool(
        self, key: tuple[str, tuple[str, ...]], _: int, kept: Kept[Pool] | None
    ) -> Pool:
        namespace, topics = key
        rows = await self.on_topics(namespace, topics, POOL_COLUMNS)
        return await beside(len(rows) > MANY_ROWS, pool_of_rows, rows)

    async def _read_large_topic(
        self, key: tuple[str, str], _: int, kept: Kept[LargeTopic] | None
    ) -> LargeTopic:
        namespace, topic = key
        if kept is not None:
            since = kept[0]
            changed = await self._tables.read_changed(TEXTS, namespace, since, LARGE_COLUMNS)
            if changed is not None:
                here = pc.and_(pc.equal(changed["topic_id"], topic), changed["shared"])
                new = changed.filter(here)
                return await asyncio.to_thread(kept[1].with_new, new) if len(new) else kept[1]
        rows = await self.on_topics(namespace, [topic], LARGE_COLUMNS)
        return await asyncio.to_thread(LargeTopic.build, rows)

    async def _read_resident(
        self, namespace: str, _: int, kept: Kept[Resident | None] | None
    ) -> Resident | None:
        """Return all texts of a namespace; None where there are none, or too many."""
        if not 0 < await self._tables.count(TEXTS, within(namespace)) <= RESIDENT_TEXTS:
            return None
        if kept is not None and kept[1] is not None:
            changed = await self._tables.read_changed(TEXTS, namespace, kept[0])
            if changed is not None:
                return await asyncio.to_thread(kept[1].with_new, changed)
        # Of one version from the first row to the last; a clean-up may take its files away.
        return await bounded(lambda: self._read_all(namespace))

    async def _read_all(self, namespace: str) -> Resident:
        texts, taken = ResidentBuilder(), asyncio.ensure_future(asyncio.sleep(0))
        batches = self._tables.read_batches(TEXTS, within(namespace), None, BATCH_ROWS)
        async for batch in batches:  # the next one is read while this one is taken in
            await taken
            taken = asyncio.ensure_future(asyncio.to_thread(texts.take, batch))
        await taken
        return await asyncio.to_thread(texts.build)
