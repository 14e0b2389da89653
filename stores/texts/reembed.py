"""Embed a store again with another style encoder, and say which encoders a store has.

The write lock is held throughout. The new table of texts is built in a file beside the store and
then replaces the old one in a single commit, whose schema names the new encoder; from then on users
follow from the texts: their table is emptied and counted again, also by the next opener if a kill
comes in between. Readers go on with the old tables until that commit, then they get an
`EncoderMismatch` that tells them to open the store again; writers wait for the lock, and fail then.
No text is lost, and nothing of it but the style vectors changes. Works on object stores too.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ..errors import NoSuchStore
from ..retry import once
from ..types import Encoder
from .arrow import encode, vector_column
from .connection import WriteLock, check_exists, connected, local_root, missing
from .filters import every_namespace
from .repair import Compactor, recount
from .schema import (
    TEXTS,
    USERS,
    Columns,
    RecordedEncoder,
    StyleColumn,
    recorded_style,
    recorded_topic,
    style_columns,
)
from .tables import Tables, read_schemas

if TYPE_CHECKING:
    from lancedb import AsyncConnection

BATCH_TEXTS = 8_192
"""Texts embedded at once."""

Progress = Callable[[int, int], None]
"""Called with how many texts are embedded, and of how many."""


@dataclass(frozen=True)
class Reembedded:
    """What a re-embedding did.

    Attributes:
        texts: Texts that were embedded; 0 where the store had the encoder's vectors already.
        former: Version of the encoder that the store had before.
        encoder: Version of the encoder that it has now.
    """

    texts: int
    former: str
    encoder: str
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)


async def reembed_store(
    uri: str,
    encoder: Encoder,
    progress: Progress | None = None,
    *,
    batch_texts: int = BATCH_TEXTS,
) -> Reembedded:
    """Embed all texts of a store with another style encoder.

    Args:
        uri: Where the store lies.
        encoder: The new style encoder.
        progress: Called in the event loop.
        batch_texts: Maximum texts embedded at once.

    Raises:
        NoSuchStore: There is none.
        SchemaMismatch: The tables there were not written by patlm.
        StoreBusy: Another process held the write lock for ten minutes.
        StoreFull, StoreReadOnly, StoreDamaged: See `stores.retry.fault_of`.
    """
    began = time.perf_counter()
    await asyncio.to_thread(check_exists, uri)
    async with connected(uri) as connection:
        async with WriteLock(local_root(uri)).held():
            schemas = await read_schemas(connection)
            if TEXTS not in schemas:
                raise missing(uri)
            topic, present = recorded_topic(schemas), style_columns(schemas)
            if not present:
                recorded_style(schemas, uri)  # raises
            new = RecordedEncoder(encoder.version, encoder.dimension)
            embedded = 0
            if [column.encoder for column in present] != [new]:
                columns = Columns(topic, StyleColumn(present[-1].number + 1, new))
                embedded = await _replace_texts(connection, columns, encoder, progress, batch_texts)
                schema = columns.on_disk[USERS]
                await once(
                    lambda: connection.create_table(USERS, schema=schema, mode="overwrite"),
                    local_root(uri),
                )
        if embedded:
            tables = Tables(connection, encoder, topic)
            await tables.open()  # makes the indexes
            async with tables.writing():
                await recount(tables)
                await Compactor(tables).compact(threshold=0)  # removes the old files
    former = present[-1].encoder.version
    return Reembedded(embedded, former, encoder.version, time.perf_counter() - began)


async def _replace_texts(
    connection: AsyncConnection,
    columns: Columns,
    encoder: Encoder,
    progress: Progress | None,
    batch_texts: int,
) -> int:
    """Put texts with new style vectors in place of the old ones; return how many."""
    root = local_root(connection.uri)
    table = await once(lambda: connection.open_table(TEXTS), root)
    total, done = await once(lambda: table.count_rows(every_namespace().sql), root), 0
    schema, style = columns.on_disk[TEXTS], columns.style.in_texts
    present = (await once(table.schema, root)).names  # a store of an earlier version has fewer
    kept = [name for name in schema.names if name != style and name in present]
    query = table.query().where(every_namespace().sql).select(kept)
    # Unnamed: a kill leaves nothing behind. Not in memory: a million texts are some 2 GB.
    with tempfile.TemporaryFile(dir=root) as file:
        with pa.ipc.new_stream(file, schema) as out:
            batches = await once(lambda: query.to_batches(max_batch_length=batch_texts), root)
            while rows := await once(lambda: anext(batches, None), root):
                bodies = rows.column("body").to_pylist()
                vectors = vector_column(await asyncio.to_thread(encode, encoder, bodies))
                made = {style: vectors} | {name: rows[name] for name in kept}
                arrays = [
                    made.get(field.name, pa.nulls(len(bodies), field.type)) for field in schema
                ]
                out.write_batch(pa.record_batch(arrays, schema=schema))
                done += len(bodies)
                if progress is not None:
                    progress(done, total)
        file.seek(0)
        made_anew = pa.ipc.open_stream(file)
        await once(
            lambda: connection.create_table(TEXTS, made_anew, schema=schema, mode="overwrite"),
            root,
        )
    return done


async def recorded_encoders(uri: str) -> tuple[RecordedEncoder, RecordedEncoder] | None:
    """Return the style and the topic encoder of a store; None: there is no store yet.

    Raises:
        SchemaMismatch: An older version wrote it, or it is no store of ours.
    """
    try:
        await asyncio.to_thread(check_exists, uri)
    except NoSuchStore:
        return None
    async with connected(uri) as connection:
        schemas = await read_schemas(connection)
    if not schemas:
        return None
    topic = recorded_topic(schemas)
    return recorded_style(schemas, uri).encoder, topic


async def first_bodies(uri: str, limit: int) -> list[str]:
    """Return the bodies of the texts that were written into a store first, at most `limit`."""
    await asyncio.to_thread(check_exists, uri)
    async with connected(uri) as connection:
        if TEXTS not in await read_schemas(connection):
            raise missing(uri)
        root = local_root(uri)
        table = await once(lambda: connection.open_table(TEXTS), root)
        rows = await once(table.query().select(["body"]).limit(limit).to_arrow, root)
        return [body for body in rows.column("body").to_pylist() if body is not None]
