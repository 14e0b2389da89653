"""Embed a store again with another style encoder, without stopping those who use it.

The new vectors go into columns of their own (see `generations`). Whoever has the store open goes on
with the former encoder and may write meanwhile; what is written is embedded by each side when it
reads it. A refit that was cut off is finished by the next one with the same encoder.

Bring a store that an older version wrote up to date, where it lies.

Schema version 1 had one style vector a text, in a column `style`, and told of its encoders in the
tables' own metadata, which LanceDB does not let anybody change; version 2 tells of them in the
metadata of columns, and keeps a text's small facts in one. Nothing but those is copied: columns get
other names. A step that was cut off is done by the next call.

A store's encoders, as the store itself knows them: before it is opened, and from outside.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ..errors import NoSuchStore
from ..retry import bounded
from ..types import Encoder, Sums
from . import schema as details
from .arrow import exact_sum, on_grid, vector_column, vectors_of
from .artefacts import Artefact, Artefacts
from .connection import WriteLock, check_exists, connected, local_root, missing
from .filters import every_namespace
from .generations import ENCODER_KEY, Generation, current_generation, generations_of
from .schema import (
    KEYS,
    METADATA_KEY,
    SCHEMA_VERSION,
    STAMP,
    TEXTS,
    TOPICS,
    USERS,
    RecordedEncoder,
    about_table,
    recorded_encoders,
)

if TYPE_CHECKING:
    from lancedb import AsyncConnection, AsyncTable

UPGRADE_BATCH_TEXTS = 16_384
"""Texts whose small facts are packed at once."""

_NO_STAMP = {STAMP: "CAST(0 AS BIGINT)"}


async def upgrade(connection: AsyncConnection) -> bool:
    """Bring the tables of schema version 1 to version 2; return whether there was any.

    Only while the write lock is held.
    """
    upgraded = False
    for name in (TOPICS, USERS, TEXTS):
        table = await connection.open_table(name)
        if about_table(await table.schema()).get("schema") == 1:
            await _upgrade_table(name, table)
            upgraded = True
    return upgraded


async def _upgrade_table(name: str, table: AsyncTable) -> None:
    schema = await table.schema()
    about: dict[str, Any] = json.loads(schema.metadata[METADATA_KEY])
    style, topic = about["style"], about["topic"]
    first = Generation(1, style["version"], style["dimension"], filled=True)
    renamed = {
        TEXTS: ("style", first.texts_column),
        USERS: ("style_sum", first.users_column),
    }.get(name)
    if renamed is not None and renamed[0] in schema.names:
        alteration = {"path": renamed[0], "rename": renamed[1]}
        await table.alter_columns(alteration)  # type: ignore[arg-type]  # LanceDB's own example
    if name == USERS:
        metadata = {ENCODER_KEY.decode(): first.as_metadata()}
        await table.update_field_metadata({"path": first.users_column, "metadata": metadata})
    if STAMP not in schema.names:
        await table.add_columns(_NO_STAMP)
    if name == TEXTS:
        await _pack_details(table)
    # Last: from here on the table counts as one of version 2.
    written = {
        "schema": SCHEMA_VERSION,
        "encoder": topic["version"],
        "dimension": topic["dimension"],
    }
    metadata = {METADATA_KEY.decode(): json.dumps(written, sort_keys=True)}
    await table.update_field_metadata({"path": "namespace", "metadata": metadata})


async def _pack_details(table: AsyncTable) -> None:
    """Put the small facts of each text into one column, and take the old columns away."""
    if "details" not in (await table.schema()).names:
        await table.add_columns(pa.schema([pa.field("details", details.TYPE)]))
    query = table.query().where("details IS NULL").select(["text_id", *details.DETAILS])
    if set(details.DETAILS) <= set((await table.schema()).names):
        async for batch in await query.to_batches(max_batch_length=UPGRADE_BATCH_TEXTS):
            rows = pa.Table.from_batches([batch])
            made = pa.table([rows["text_id"], details.pack(rows)], names=["text_id", "details"])
            await table.merge_insert(KEYS[TEXTS]).when_matched_update_all().execute(made)
        await table.drop_columns([name for name in details.DETAILS if name != "shared"])


REEMBED_BATCH_TEXTS = 8_192
"""Texts embedded and committed at once: a commit looks through all text ids of the store."""

Progress = Callable[[int, int], None]
"""Told how many texts are embedded, and of how many."""


@dataclass(frozen=True)
class Refitted:
    """What a refit did.

    Attributes:
        texts: Texts that were embedded; 0 where the store had the encoder's vectors already.
        former: Version of the encoder that served before; its vectors stay until the next refit.
        encoder: Version of the encoder that serves whoever opens the store from now on.
        upgraded: Whether an older version of patlm had written the store.
    """

    texts: int
    former: str | None
    encoder: str
    upgraded: bool
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)


async def refit(
    connection: AsyncConnection, encoder: Encoder, progress: Progress | None = None
) -> Refitted:
    """Embed all texts by another style encoder; whoever opens the store afterwards uses it.

    Args:
        connection: To a place where there is a store.
        encoder: The new style encoder.
        progress: Called in the event loop.

    Raises:
        StoreBusy: If other writers kept getting in the way; what was embedded is kept.
    """
    began = time.perf_counter()
    lock = WriteLock(local_root(connection.uri))
    async with lock.held():
        upgraded = await upgrade(connection)
        work = _Refit(
            encoder,
            lock,
            progress or (lambda done, total: None),
            await connection.open_table(TEXTS),
            await connection.open_table(USERS),
        )
        former, generation = await work.begin()
    embedded = 0 if generation.filled else await work.fill(generation)
    return Refitted(
        embedded,
        None if former is None else former.encoder,
        encoder.version,
        upgraded,
        time.perf_counter() - began,
    )


@dataclass(frozen=True)
class _Refit:
    encoder: Encoder
    lock: WriteLock
    progress: Progress
    texts: AsyncTable
    users: AsyncTable

    async def begin(self) -> tuple[Generation | None, Generation]:
        """Return the generation in use and the one to be filled, with its columns made."""
        generations = generations_of(await self.users.schema())
        former = current_generation(generations)
        same = (self.encoder.version, self.encoder.dimension)
        if former is not None and (former.encoder, former.dimension) == same:
            return former, former
        for generation in generations:
            if generation == former or (
                not generation.filled and (generation.encoder, generation.dimension) == same
            ):
                continue
            await self.users.drop_columns([generation.users_column])
            if generation.texts_column in (await self.texts.schema()).names:
                await self.texts.drop_columns([generation.texts_column])
        left = generations_of(await self.users.schema())
        begun = [generation for generation in left if generation != former]
        if begun:
            return former, begun[0]
        number = 1 + max((generation.number for generation in generations), default=0)
        generation = Generation(number, *same, filled=False)
        if generation.texts_column not in (await self.texts.schema()).names:
            await self.texts.add_columns(pa.schema([generation.texts_field()]))
        await self.users.add_columns(pa.schema([generation.users_field()]))
        return former, generation

    async def fill(self, generation: Generation) -> int:
        """Fill all empty cells, then let the generation serve; return how many texts."""
        total, done = await self.texts.count_rows(every_namespace().sql), 0
        while True:
            async with self.lock.held():
                left = await self._empty(generation)
                if left <= REEMBED_BATCH_TEXTS:  # few: writers wait for the last ones
                    done += await self._fill(generation, total - left, total, nullcontext)
                    await self._sum_up(generation)
                    await self._let_serve(generation)
                    return done
            done += await bounded(
                partial(self._fill, generation, total - left, total, self.lock.held)
            )

    async def _empty(self, generation: Generation) -> int:
        return await self.texts.count_rows(self._where_empty(generation))

    def _where_empty(self, generation: Generation) -> str:
        return f"{every_namespace().sql} AND {generation.texts_column} IS NULL"

    async def _fill(
        self,
        generation: Generation,
        at: int,
        total: int,
        hold: Callable[[], AbstractAsyncContextManager[None]],
    ) -> int:
        """Embed what is empty; each commit under `hold`.

        A writer takes the number of its write from the table's version: nothing may come between.
        """
        done = 0
        query = self.texts.query().where(self._where_empty(generation)).select(["text_id", "body"])
        async for rows in _batches(await query.to_batches(max_batch_length=REEMBED_BATCH_TEXTS)):
            bodies = rows.column("body").to_pylist()
            vectors = on_grid(await asyncio.to_thread(self.encoder.encode, bodies))
            made = pa.table(
                [rows.column("text_id"), vector_column(vectors)],
                names=["text_id", generation.texts_column],
            )
            # A text that has been forgotten meanwhile matches nothing, and stays away.
            merge = self.texts.merge_insert(KEYS[TEXTS]).when_matched_update_all()
            async with hold():
                await bounded(partial(merge.execute, made))
            done += len(bodies)
            self.progress(at + done, total)
        return done

    async def _sum_up(self, generation: Generation) -> None:
        """Bring every user's sum to what the texts' vectors add up to."""
        sums = {key: np.zeros(generation.dimension) for key in await self._keys()}
        columns = ["namespace", "user_id", generation.texts_column]
        query = self.texts.query().where(every_namespace(shared=True).sql).select(columns)
        async for rows in _batches(await query.to_batches(max_batch_length=REEMBED_BATCH_TEXTS)):
            await asyncio.to_thread(_add_up, sums, rows, generation.texts_column)
        keys = list(sums)
        for begin in range(0, len(keys), REEMBED_BATCH_TEXTS):
            some = keys[begin : begin + REEMBED_BATCH_TEXTS]
            made = pa.table(
                [
                    pa.array([namespace for namespace, _ in some]),
                    pa.array([user for _, user in some]),
                    vector_column(np.array([sums[key] for key in some])),
                ],
                names=["namespace", "user_id", generation.users_column],
            )
            merge = self.users.merge_insert(KEYS[USERS]).when_matched_update_all()
            await bounded(partial(merge.execute, made))

    async def _keys(self) -> list[tuple[str, str]]:
        query = self.users.query().where(every_namespace().sql).select(["namespace", "user_id"])
        rows = await query.to_arrow()
        columns = (rows.column(name).to_pylist() for name in ("namespace", "user_id"))
        return list(zip(*columns, strict=True))

    async def _let_serve(self, generation: Generation) -> None:
        served = Generation(generation.number, generation.encoder, generation.dimension, True)
        metadata = {ENCODER_KEY.decode(): served.as_metadata()}
        await self.users.update_field_metadata({"path": served.users_column, "metadata": metadata})


async def _batches(reader: AsyncIterator[pa.RecordBatch]) -> AsyncIterator[pa.Table]:
    async for batch in reader:
        yield pa.Table.from_batches([batch])


def _add_up(sums: dict[tuple[str, str], Sums], rows: pa.Table, column: str) -> None:
    vectors = vectors_of(rows, column)
    order = np.lexsort([rows.column("user_id").to_numpy(), rows.column("namespace").to_numpy()])
    whose = list(
        zip(
            rows.column("namespace").take(order).to_pylist(),
            rows.column("user_id").take(order).to_pylist(),
            strict=True,
        )
    )
    begins = [at for at in range(len(whose)) if at == 0 or whose[at] != whose[at - 1]]
    for begin, end in zip(begins, [*begins[1:], len(whose)], strict=True):
        if whose[begin] in sums:
            sums[whose[begin]] += exact_sum(vectors[order[begin:end]])


async def recorded_style(uri: str) -> RecordedEncoder | None:
    """Return the style encoder that a store is filled with; None: no store is there yet."""
    recorded = await recorded_pair(uri)
    return None if recorded is None else recorded[0]


async def recorded_pair(uri: str) -> tuple[RecordedEncoder, RecordedEncoder] | None:
    """Return the style and the topic encoder of a store; None: no store is there yet.

    Raises:
        SchemaMismatch: An older version wrote it, or it is no store of ours.
    """
    try:
        await asyncio.to_thread(check_exists, uri)
    except NoSuchStore:
        return None
    async with connected(uri) as connection:
        names = (await connection.list_tables()).tables
        if not {TEXTS, USERS} & set(names):
            return None
        # A lone table of texts is somebody else's, which its schema tells.
        table = await connection.open_table(USERS if USERS in names else TEXTS)
        return recorded_encoders(await table.schema(), uri)


async def style_generations(uri: str) -> list[Generation]:
    """Return the style encoders that a store has vectors of, the earliest first.

    Raises:
        NoSuchStore: There is none.
    """
    await asyncio.to_thread(check_exists, uri)
    async with connected(uri) as connection:
        if USERS not in (await connection.list_tables()).tables:
            raise missing(uri)
        table = await connection.open_table(USERS)
        return generations_of(await table.schema())


async def find_artefact(uri: str, name: str) -> Artefact | None:
    """Return something learnt that is kept at a place, without opening its store."""
    async with connected(uri) as connection:
        return await Artefacts(connection).find(name)


async def keep_artefact(uri: str, artefact: Artefact) -> None:
    """Keep something learnt at a place where there may be no store yet."""
    async with connected(uri) as connection, WriteLock(local_root(uri)).held():
        await Artefacts(connection).keep(artefact)


async def refit_store(uri: str, encoder: Encoder, progress: Progress | None = None) -> Refitted:
    """Embed a store again with another style encoder; see `refit`.

    Raises:
        NoSuchStore: There is none.
        StoreBusy: Other writers kept getting in the way; the same call goes on from there.
    """
    await asyncio.to_thread(check_exists, uri)
    async with connected(uri) as connection:
        if not {TEXTS, USERS} <= set((await connection.list_tables()).tables):
            raise missing(uri)
        return await refit(connection, encoder, progress)


async def first_bodies(uri: str, limit: int) -> list[str]:
    """Return the bodies of the texts that were written into a store first, at most `limit`."""
    await asyncio.to_thread(check_exists, uri)
    async with connected(uri) as connection:
        if TEXTS not in (await connection.list_tables()).tables:
            raise missing(uri)
        table = await connection.open_table(TEXTS)
        rows = await table.query().select(["body"]).limit(limit).to_arrow()
        return [body for body in rows.column("body").to_pylist() if body is not None]
