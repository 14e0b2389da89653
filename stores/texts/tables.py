"""The tables on disk: opened or made, read, changed by one writer at a time, compacted, counted.

Everything goes through `Filter`s (see `filters`). Readers need no lock: where a clean-up removes a
file during a read, the read is repeated on the newest version.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa
import pyarrow.compute as pc

from ..errors import EncoderMismatch, SchemaMismatch
from ..files import size_below
from ..retry import bounded, once
from ..types import Encoder, StoreStats
from .connection import WriteLock, local_root, table_made
from .filters import RESERVED_NAMESPACE, Filter, changed, every_namespace, markers, within
from .schema import (
    KEYS,
    METADATA_KEY,
    NAMESPACE,
    NAMESPACE_INDEX,
    NORMAL,
    PACKED,
    SCALAR_INDEXES,
    SOURCE_ID,
    TEXTS,
    TOPICS,
    USERS,
    Columns,
    about_table,
    check_encoders,
    unpack,
)

if TYPE_CHECKING:
    from lancedb import AsyncConnection, AsyncTable

UNREAD = timedelta(minutes=10)
"""Age from which no reader is on a version; LanceDB's own seven days cost 5 x the disk."""

ALL_OLD = timedelta(milliseconds=1)
"""Age from which a version is old; zero would do, but LanceDB warns of it."""

LEAST_LOOKED_UP, READ_RATHER = 100, 32
"""From so many texts on, all of a namespace are read where they are not more than this many times
as many: an id in a filter costs as much as reading some tens of rows."""


class Tables:
    """The tables `texts`, `users` and `topics` of one store.

    Args:
        connection: An open LanceDB connection; the caller closes it.
        style_encoder: Gives the style vectors' version and dimension.
        topic_encoder: Gives the topic vectors' version and dimension.

    Attributes:
        root: The store's directory; None for an object store.
        normal: Whether all ids and ratings are in their normal form (see `repair`), once opened.
    """

    def __init__(
        self, connection: AsyncConnection, style_encoder: Encoder, topic_encoder: Encoder
    ) -> None:
        self._connection = connection
        self._style_encoder, self._topic_encoder = style_encoder, topic_encoder
        self._columns = self._find_columns({})
        self._tables: dict[str, AsyncTable] = {}
        self._checked_at = 0
        self.normal = False
        self.root = local_root(connection.uri)
        self._lock = WriteLock(self.root)

    @property
    def schemas(self) -> dict[str, pa.Schema]:
        """The arrow schema of each table by name."""
        return self._columns.seen

    async def open(self) -> None:
        """Open the tables, and make those that are not there yet, with their indexes.

        Raises:
            SchemaMismatch: If a table was not written by this version of the store.
            EncoderMismatch: If its vectors were made by other encoders.
        """
        found = await read_schemas(self._connection)
        self._columns = self._find_columns(found)
        if await self._open_whole(found):  # what is only read may lie where nothing can be written
            return
        self._tables = {}
        async with self.writing():
            found = await read_schemas(self._connection)
            self._columns = self._find_columns(found)
            for name, schema in self._columns.on_disk.items():
                self._tables[name] = await self._open_or_make(name, schema, found)
                await self._make_indexes(name, await self._missing_indexes(name))
            self.normal = TEXTS not in found or NORMAL in about_table(found[TEXTS])

    async def _open_whole(self, found: Mapping[str, pa.Schema]) -> bool:
        """Open the tables if they are all there, with all columns and indexes; else say so."""
        if any(name not in found or self._lacks(name, found) for name in self._columns.on_disk):
            return False
        for name in self._columns.on_disk:
            self._tables[name] = await self._open(name)
            if await self._missing_indexes(name):
                return False
        self.normal = NORMAL in about_table(found[TEXTS])
        return True

    def _lacks(self, name: str, found: Mapping[str, pa.Schema]) -> bool:
        needed = {TEXTS: SOURCE_ID.name, USERS: self._columns.style.in_users}.get(name)
        return needed is not None and needed not in found[name].names

    async def _open(self, name: str) -> AsyncTable:
        return await bounded(lambda: self._connection.open_table(name), self.root)

    async def _open_or_make(
        self, name: str, schema: pa.Schema, found: Mapping[str, pa.Schema]
    ) -> AsyncTable:
        create = partial(self._connection.create_table, name, schema=schema)
        if name not in found:
            return await table_made(create, self.root, name)
        if not self._lacks(name, found):
            return await self._open(name)
        if name == USERS:  # a re-embedding was cut off: users are counted again (see `reembed`)
            return await bounded(partial(create, mode="overwrite"), self.root)
        table = await self._open(name)
        await bounded(lambda: table.add_columns(SOURCE_ID), self.root)
        return table

    async def mark_normal(self) -> None:
        """Record that all ids and ratings are in their normal form."""
        about = about_table(self._columns.on_disk[TEXTS])
        update = {"path": NAMESPACE, "metadata": {METADATA_KEY.decode(): json.dumps(about)}}
        await bounded(lambda: self._tables[TEXTS].update_field_metadata(update), self.root)
        self.normal = True

    def _find_columns(self, schemas: dict[str, pa.Schema]) -> Columns:
        uri = self._connection.uri
        style = check_encoders(schemas, self._style_encoder, self._topic_encoder, uri)
        return Columns(self._topic_encoder, style)

    async def _missing_indexes(self, name: str) -> list[str]:
        """Return columns whose index is missing: a kill may have come between two of them."""
        present = {
            tuple(index.columns)
            for index in await bounded(self._tables[name].list_indices, self.root)
        }
        wanted = (NAMESPACE_INDEX, *SCALAR_INDEXES[name])
        return [column for column in wanted if (column,) not in present]

    async def _make_indexes(self, name: str, columns: Iterable[str]) -> None:
        """Make the indexes of these columns, in place of what is there."""
        from lancedb.index import Bitmap, BTree

        create = self._tables[name].create_index
        for column in columns:
            config: Any = Bitmap() if column == NAMESPACE_INDEX else BTree()
            await bounded(partial(create, column, config=config), self.root)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """Hold the right to write, see `WriteLock`.

        Raises:
            EncoderMismatch: If the store was embedded again since it was opened.
        """
        async with self._lock.held():
            if TEXTS in self._tables:
                await self._check_style_column()
            yield

    async def version(self, name: str) -> int:
        """Return a table's version, which changes with every write, also another process's."""
        return await bounded(self._tables[name].version, self.root)

    async def store_version(self) -> int:
        """Return the store's version: a request asks once, and caches are compared with it.

        It is the version of `users`: every write commits that table last, so a reader of the new
        version sees the whole write.

        Raises:
            EncoderMismatch: If the store was embedded again since it was opened.
        """
        version = await self.version(USERS)
        if version != self._checked_at:
            await self._check_style_column()
            self._checked_at = version
        return version

    async def _check_style_column(self) -> None:
        style = self._columns.style
        if style.in_texts not in (await bounded(self._tables[TEXTS].schema, self.root)).names:
            raise EncoderMismatch(
                f"this store's style vectors were made by {style.encoder} when it was opened, and "
                "it has been embedded again since: open it again",
                code="embedded_again",
            )

    async def count(self, name: str, where: Filter) -> int:
        """Return how many rows meet the filter."""
        return await bounded(lambda: self._tables[name].count_rows(where.sql), self.root)

    async def where_among(self, namespace: str, text_ids: Collection[str]) -> Filter:
        """Return what finds some texts, and maybe all others of their namespace besides."""
        every = within(namespace)
        if len(text_ids) >= LEAST_LOOKED_UP:
            if await self.count(TEXTS, every) <= READ_RATHER * len(text_ids):
                return every
        return within(namespace, text_ids=text_ids)

    async def read(
        self,
        name: str,
        where: Filter,
        columns: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> pa.Table:
        """Return the rows that meet the filter, new and not yet indexed ones among them."""

        async def run() -> pa.Table:
            query = self._tables[name].query().where(where.sql)
            query = query.select(self._columns.asked(name, columns, where.namespace))
            rows = await (query if limit is None else query.limit(limit)).to_arrow()
            rows.validate(full=True)  # a damaged file may hold what is no UTF-8
            return rows

        async with self._checked_if_failed():
            found = await bounded(run, self.root)
        return self._columns.read(name, found, columns, where.namespace)

    async def read_batches(
        self, name: str, where: Filter, columns: Sequence[str] | None, rows: int
    ) -> AsyncIterator[pa.Table]:
        """Yield the rows that meet the filter, `rows` at a time; all of one version."""
        query = self._tables[name].query().where(where.sql)
        query = query.select(self._columns.asked(name, columns, where.namespace))
        async with self._checked_if_failed():
            # Once: a reader that failed would go on behind the batch that it failed on.
            batches = await once(lambda: query.to_batches(max_batch_length=rows), self.root)
            while (part := await once(lambda: _next_batch(batches), self.root)) is not None:
                yield self._columns.read(name, part, columns, where.namespace)

    async def has_ratings(self) -> bool:
        """Return whether any text has a rating."""
        return await bounded(lambda: any_rated(self._tables[TEXTS]), self.root)

    async def read_changed(
        self, name: str, namespace: str, since: int, columns: Sequence[str] | None = None
    ) -> pa.Table | None:
        """Return the rows that were written after a table's version; None: some were removed."""
        where = changed(namespace, since)
        rows = await self.read(name, where, None if columns is None else ["namespace", *columns])
        own = rows.filter(pc.field("namespace") == namespace)
        return own if own.num_rows == rows.num_rows else None

    async def mark_removed(self, name: str) -> None:
        """Write a row by which `read_changed` sees that rows were deleted."""
        await self.delete(name, markers())
        await self.append(name, _marker(self.schemas[name]))

    @asynccontextmanager
    async def _checked_if_failed(self) -> AsyncIterator[None]:
        """Say so where a read failed because the store was embedded again meanwhile."""
        try:
            yield
        except (ValueError, RuntimeError):
            await self._check_style_column()
            raise

    async def _disk_rows(self, name: str, rows: pa.Table) -> pa.Table:
        stamp = await bounded(self._tables[name].version, self.root) + 1
        return self._columns.written(name, rows, stamp)

    async def append(self, name: str, rows: pa.Table) -> None:
        """Add rows."""
        written = await self._disk_rows(name, rows)
        await bounded(lambda: self._tables[name].add(written), self.root)

    async def put(self, name: str, rows: pa.Table) -> None:
        """Add rows, in place of those with the same key."""
        if not rows.num_rows:
            return
        written = await self._disk_rows(name, rows)

        async def run() -> object:
            merge = self._tables[name].merge_insert(KEYS[name])
            merge = merge.when_matched_update_all().when_not_matched_insert_all()
            return await merge.execute(written)

        await bounded(run, self.root)

    async def delete(self, name: str, where: Filter) -> None:
        """Remove the rows that meet the filter; their bytes stay until `erase_old`."""
        await bounded(lambda: self._tables[name].delete(where.sql), self.root)

    async def optimize(self, name: str) -> int:
        """Merge small fragments, bring indexes up to date, return the bytes pruned."""
        table = self._tables[name]
        done = await bounded(lambda: table.optimize(cleanup_older_than=UNREAD), self.root)
        return int(done.prune.bytes_removed)

    async def remake_indexes(self, name: str) -> None:
        """Make all indexes anew: beside a damaged one, old files are not merged and stay."""
        await self._make_indexes(name, (NAMESPACE_INDEX, *SCALAR_INDEXES[name]))

    async def erase_old(self, name: str) -> bool:
        """Optimize, and remove every old version at once; return whether anything changed.

        Only while `writing`: another writer's unfinished files go too.
        """
        table = self._tables[name]
        done = await bounded(
            lambda: table.optimize(cleanup_older_than=ALL_OLD, delete_unverified=True), self.root
        )
        return bool(
            done.compaction.files_removed
            or done.prune.bytes_removed
            or done.prune.old_versions_removed
        )

    async def fragments(self) -> int:
        """Return the number of fragments of all tables."""
        return sum([stats["fragment_stats"]["num_fragments"] for stats in await self._stats()])

    async def live_bytes(self) -> int:
        """Return the bytes of data and indexes that the newest versions refer to."""
        return sum([stats["total_bytes"] for stats in await self._stats()])

    async def _stats(self) -> list[dict[str, Any]]:
        # The annotation in LanceDB 0.40 says `TableStatistics`; what comes is a dict.
        stats = [await bounded(table.stats, self.root) for table in self._tables.values()]
        return cast(list[dict[str, Any]], stats)

    async def indexes(self) -> tuple[str, ...]:
        """Return the names of all indexes as `table.index`, sorted."""
        names: list[str] = []
        for name, table in self._tables.items():
            found = await bounded(table.list_indices, self.root)
            names += [f"{name}.{index.name}" for index in found]
        return tuple(sorted(names))


async def any_rated(texts: AsyncTable) -> bool:
    """Return whether any text has a rating.

    Args:
        texts: The table `texts`.
    """
    query = texts.query().where(every_namespace().sql).select([PACKED])
    async for batch in await query.to_batches(max_batch_length=_SCANNED):
        rating = unpack(pa.Table.from_batches([batch]).column(PACKED), ["rating"])["rating"]
        if rating.null_count < len(rating):
            return True
    return False


async def read_schemas(connection: AsyncConnection) -> dict[str, pa.Schema]:
    """Return the schemas of the tables that exist, by name.

    Raises:
        StoreDamaged: A file of one is missing or damaged.
        SchemaMismatch: One names code that is to be loaded.
    """
    root = local_root(connection.uri)
    names = (await bounded(connection.list_tables, root)).tables
    found = {}
    for name in (TEXTS, USERS, TOPICS):
        if name in names:
            table = await bounded(partial(connection.open_table, name), root)
            found[name] = await bounded(table.schema, root)
            if _FUNCTIONS in (found[name].metadata or {}):
                raise SchemaMismatch(
                    f"table {name!r} names functions that LanceDB would load to compute vectors, "
                    "which no store of patlm does: name a store made by `patlm ingest`"
                )
    return found


_FUNCTIONS = b"embedding_functions"
"""Key of a table's metadata: LanceDB loads the models that it names when rows are added."""


async def _next_batch(batches: AsyncIterator[pa.RecordBatch]) -> pa.Table | None:
    batch = await anext(batches, None)
    if batch is None:
        return None
    batch.validate(full=True)
    return pa.Table.from_batches([batch])


def _marker(schema: pa.Schema) -> pa.Table:
    """Return a row of the store's own namespace."""
    columns = []
    for field in schema:
        if field.name == "namespace":
            columns.append(pa.array([RESERVED_NAMESPACE], field.type))
        elif pa.types.is_fixed_size_list(field.type):
            zeros = [0.0] * field.type.list_size
            columns.append(pa.array([zeros], field.type))
        else:
            columns.append(pa.nulls(1, field.type))
    return pa.Table.from_arrays(columns, schema=schema)


_SCANNED = 65_536  # texts whose ratings are looked at together


async def gather_stats(tables: Tables, style: Encoder, topic: Encoder) -> StoreStats:
    """Count what the store holds, over all namespaces."""
    everything = every_namespace()
    users = await tables.read(USERS, everything, ["namespace"])
    size = (
        await tables.live_bytes()
        if tables.root is None
        else await asyncio.to_thread(size_below, tables.root)
    )
    return StoreStats(
        texts=await tables.count(TEXTS, everything),
        users=users.num_rows,
        topics=await tables.count(TOPICS, everything),
        namespaces=len(pc.unique(users.column("namespace"))),
        shared=await tables.count(TEXTS, every_namespace(shared=True)),
        fragments=await tables.fragments(),
        bytes=size,
        indexes=await tables.indexes(),
        style_encoder=style.version,
        topic_encoder=topic.version,
    )
