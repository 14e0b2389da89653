"""What is kept in memory between requests.

A request asks for the store's version once (`SnapshotCache.latest`, half a millisecond) and works
on the `Snapshots` of that version; what has changed since it was read is read again, also after
another process's write. Values are frozen: a request that works on one is not disturbed by a write.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import aiologic
import pyarrow as pa
import pyarrow.compute as pc

from ..retry import bounded
from ..search.large_topics import LargeTopic
from ..search.ranking import POOL_COLUMNS, Pool, pool_of_rows
from ..search.threads import are_many, in_thread_if
from ..types import History, StoreLimits
from .arrow import HISTORY_COLUMNS, history_of_rows
from .artefacts import KeptScale
from .filters import within
from .resident import Resident, ResidentBuilder
from .schema import TEXTS, TOPICS, USERS
from .tables import Tables
from .topics import TWO_HOP, GraphForm, Topics, topics_of_rows
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
"""Texts that all large topics in memory may hold together (about 1 KB each)."""

BATCH_ROWS = 16_384
"""Rows read at once of a table that is too large to be read whole."""

LARGE_COLUMNS = ("text_id", "user_id", "topic_id", "shared", "terms", "topic")

ENTRY_COST = 16
"""Weight of an entry without its texts, so that empty ones count too."""


@dataclass(frozen=True)
class Cached(Generic[Value]):
    """What is in memory.

    Attributes:
        version: Of the store, asked for before the read.
        read_at: Of the table, asked for before the read; None if the value is always read whole.
    """

    version: int
    read_at: int | None
    value: Value


class _Cache(Generic[Key, Value]):
    """Values by key, read again when the version has changed; the least used are dropped first.

    Args:
        tables: Of which one is read.
        table: Name of the table whose changes bring a kept value up to date; None: `read` always
            reads the whole value. Asking for a version costs half a millisecond.
        read: Reads a value, or brings the kept one up to date.
        weight: Returns what a value weighs.
        limit: What all values may weigh together.
    """

    def __init__(
        self,
        tables: Tables,
        table: str | None,
        read: Callable[[Snapshots, Key, Cached[Value] | None], Awaitable[Value]],
        weight: Callable[[Value], int],
        limit: int,
    ) -> None:
        self._tables, self._table = tables, table
        self._read, self._weight, self._limit = read, weight, limit
        self._kept: OrderedDict[Key, Cached[Value]] = OrderedDict()
        self._total = 0
        self._locks: dict[Key, aiologic.Lock] = {}
        self._cleared = 0

    async def get(self, key: Key, snapshots: Snapshots) -> Value:
        """Return the value at the version of the snapshots, or at a newer one."""
        if (kept := self._find(key, snapshots.version)) is not None:
            return kept.value
        try:
            async with self._locks.setdefault(key, aiologic.Lock()):
                return await self._read_once(key, snapshots)
        finally:
            self._locks.pop(key, None)

    async def _read_once(self, key: Key, snapshots: Snapshots) -> Value:
        if (kept := self._find(key, snapshots.version)) is not None:
            return kept.value
        cleared = self._cleared
        # Asked for before the read: a write in between makes one read too many, never a stale
        # value.
        table = self._table
        read_at = None if table is None else await self._tables.version(table)
        value = await self._read(snapshots, key, self._kept.get(key))
        if cleared == self._cleared:  # else it may hold what was to be dropped
            self._keep(key, Cached(snapshots.version, read_at, value))
        return value

    def _find(self, key: Key, version: int) -> Cached[Value] | None:
        kept = self._kept.get(key)
        if kept is None or kept.version < version:
            return None
        self._kept.move_to_end(key)
        return kept

    def _keep(self, key: Key, kept: Cached[Value]) -> None:
        if key in self._kept:
            self._total -= self._weight(self._kept.pop(key).value)
        self._kept[key] = kept
        self._total += self._weight(kept.value)
        while self._total > self._limit and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._total -= self._weight(dropped.value)

    def clear(self) -> None:
        self._kept.clear()
        self._total = 0
        self._cleared += 1


class SnapshotCache:
    """Histories, users, topics and texts in memory; all can be dropped at any time."""

    def __init__(self, tables: Tables, limits: StoreLimits, scale: KeptScale) -> None:
        self.tables, self.limits, self.scale = tables, limits, scale
        self._scale_read_at = 0
        self.graph_forms: Mapping[str, GraphForm] = {}
        self.users = _Cache(tables, USERS, Snapshots.read_users, lambda _: 1, 64)
        self.topics = _Cache(tables, TOPICS, Snapshots.read_topics, lambda _: 1, 64)
        self.pools = _Cache(
            tables, None, Snapshots.read_pool, lambda pool: len(pool) + ENTRY_COST, POOLED_TEXTS
        )
        self.histories = _Cache(
            tables,
            None,
            Snapshots.read_history,
            lambda history: len(history.texts) + ENTRY_COST,
            REMEMBERED_HISTORIES,
        )
        self.residents = _Cache(
            tables,
            TEXTS,
            Snapshots.read_resident,
            lambda resident: len(resident or ()) + ENTRY_COST,
            ALL_RESIDENT_TEXTS,
        )
        self.large_topics = _Cache(tables, TEXTS, Snapshots.read_large_topic, len, ALL_LARGE_TEXTS)

    async def latest(self) -> Snapshots:
        """Return snapshots of the store as it is now.

        Raises:
            EncoderMismatch: If the store was embedded again since it was opened.
        """
        version = await self.tables.store_version()
        if version != self._scale_read_at:  # the first rated text may have come with a scale
            await self.scale.read()
            self._scale_read_at = version
        return self.at(version)

    def at(self, version: int) -> Snapshots:
        """Return snapshots of a version of the store that was asked for before."""
        return Snapshots(self, version)

    def use_graph(self, forms: Mapping[str, GraphForm]) -> None:
        """Make users' embeddings by these forms from now on, by namespace."""
        self.graph_forms = dict(forms)
        self.topics.clear()

    def clear(self) -> None:
        """Drop everything: nothing of a forgotten user may stay in memory."""
        for cache in (self.users, self.topics, self.pools, self.histories):
            cache.clear()
        self.residents.clear()
        self.large_topics.clear()


@dataclass(frozen=True)
class Snapshots:
    """What one request reads: everything as of one version of the store, or newer."""

    cache: SnapshotCache
    version: int

    @property
    def _tables(self) -> Tables:
        return self.cache.tables

    async def history(self, namespace: str, user_id: str, topic_id: str | None) -> History:
        """Return a requester's side, which remembers the version for the searches to come."""
        history = await self.cache.histories.get((namespace, user_id, topic_id), self)
        return replace(history, version=self.version)

    async def users(self, namespace: str) -> Users:
        """Return the users of a namespace."""
        return await self.cache.users.get(namespace, self)

    async def topics(self, namespace: str) -> Topics:
        """Return the topics of a namespace."""
        return await self.cache.topics.get(namespace, self)

    async def pool(self, namespace: str, topics: tuple[str, ...]) -> Pool:
        """Return the shared texts of some topics."""
        return await self.cache.pools.get((namespace, topics), self)

    async def large_topic(self, namespace: str, topic_id: str) -> LargeTopic:
        """Return the shared texts of a topic of very many."""
        return await self.cache.large_topics.get((namespace, topic_id), self)

    async def resident(self, namespace: str) -> Resident | None:
        """Return all texts of a namespace; None: they are too many for memory."""
        return await self.cache.residents.get(namespace, self)

    async def texts(
        self, namespace: str, text_ids: Sequence[str], columns: Sequence[str]
    ) -> pa.Table:
        """Return the rows of some texts."""
        resident = await self.resident(namespace)
        if resident is not None:
            return resident.by_ids(text_ids, columns)
        return await self._tables.read(TEXTS, within(namespace, text_ids=text_ids), columns)

    async def shared_texts(
        self, namespace: str, users: Sequence[str], columns: Sequence[str]
    ) -> pa.Table:
        """Return the rows of some users' shared texts."""
        resident = await self.resident(namespace)
        if resident is not None:
            return resident.by_users(users, columns, shared=True)
        return await self._tables.read(TEXTS, within(namespace, users=users, shared=True), columns)

    async def on_topics(
        self, namespace: str, topics: Sequence[str], columns: Sequence[str]
    ) -> pa.Table:
        """Return the rows of the shared texts on some topics."""
        resident = await self.resident(namespace)
        if resident is not None:
            return resident.by_topics(topics, columns)
        where = within(namespace, topics=topics, shared=True)
        return await self._tables.read(TEXTS, where, columns)

    # From here on: what the caches read. `kept` is what has to be brought up to date, if anything.

    async def read_history(
        self, key: tuple[str, str, str | None], kept: Cached[History] | None
    ) -> History:
        """Read a requester's side."""
        namespace, user_id, topic_id = key
        resident = await self.resident(namespace)
        if resident is not None:
            rows = resident.by_users([user_id], HISTORY_COLUMNS)
        else:
            rows = await self._tables.read(TEXTS, within(namespace, user=user_id), HISTORY_COLUMNS)
        many = are_many(rows)
        return await in_thread_if(many, history_of_rows, rows, namespace, user_id, topic_id)

    async def read_users(self, namespace: str, kept: Cached[Users] | None) -> Users:
        """Read the users of a namespace."""
        changed = await self._changed(USERS, namespace, kept)
        if kept is not None and changed is not None:
            return (
                await asyncio.to_thread(kept.value.updated, changed) if len(changed) else kept.value
            )
        rows = await self._tables.read(USERS, within(namespace))
        return await asyncio.to_thread(users_of_rows, rows)

    async def read_topics(self, namespace: str, kept: Cached[Topics] | None) -> Topics:
        """Read the topics of a namespace."""
        changed = await self._changed(TOPICS, namespace, kept)
        if kept is not None and changed is not None:
            return (
                await asyncio.to_thread(kept.value.updated, changed) if len(changed) else kept.value
            )
        rows = await self._tables.read(TOPICS, within(namespace))
        form = self.cache.graph_forms.get(namespace, TWO_HOP)
        return await asyncio.to_thread(topics_of_rows, rows, form)

    async def read_pool(self, key: tuple[str, tuple[str, ...]], kept: Cached[Pool] | None) -> Pool:
        """Read the shared texts of some topics."""
        namespace, topics = key
        rows = await self.on_topics(namespace, topics, POOL_COLUMNS)
        return await in_thread_if(are_many(rows), pool_of_rows, rows)

    async def read_large_topic(
        self, key: tuple[str, str], kept: Cached[LargeTopic] | None
    ) -> LargeTopic:
        """Read the shared texts of a topic of very many."""
        namespace, topic = key
        changed = await self._changed(TEXTS, namespace, kept, LARGE_COLUMNS)
        if kept is not None and changed is not None:
            here = pc.and_(pc.equal(changed["topic_id"], topic), changed["shared"])
            grown = await asyncio.to_thread(kept.value.with_new, changed.filter(here))
            if grown is not None:
                return grown
        rows = await self.on_topics(namespace, [topic], LARGE_COLUMNS)
        return await asyncio.to_thread(LargeTopic.build, rows)

    async def read_resident(
        self, namespace: str, kept: Cached[Resident | None] | None
    ) -> Resident | None:
        """Read all texts of a namespace; None where there are none, or too many."""
        texts = await self._tables.count(TEXTS, within(namespace))
        if not 0 < texts <= self.cache.limits.resident_texts:
            return None
        if kept is not None and kept.value is not None:
            changed = await self._changed(TEXTS, namespace, kept)
            if changed is not None:
                return await asyncio.to_thread(kept.value.with_new, changed)
        # All rows of one version; where a clean-up removes its files meanwhile, all are read again.
        return await bounded(lambda: self._read_all(namespace))

    async def _read_all(self, namespace: str) -> Resident:
        texts, taken = ResidentBuilder(), asyncio.ensure_future(asyncio.sleep(0))
        batches = self._tables.read_batches(TEXTS, within(namespace), None, BATCH_ROWS)
        async for batch in batches:  # the next one is read while this one is taken in
            await taken
            taken = asyncio.ensure_future(asyncio.to_thread(texts.take, batch))
        await taken
        return await asyncio.to_thread(texts.build)

    async def _changed(
        self,
        name: str,
        namespace: str,
        kept: Cached[Value] | None,
        columns: Sequence[str] | None = None,
    ) -> pa.Table | None:
        """Return the rows that are newer than what is kept; None: all have to be read."""
        if kept is None or kept.read_at is None:
            return None
        return await self._tables.read_changed(name, namespace, kept.read_at, columns)
