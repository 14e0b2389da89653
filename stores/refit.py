"""Embed a store again with another style encoder, without stopping those who use it.

The new vectors go into columns of their own (see `generations`). Whoever has the store open goes on
with the former encoder and may write meanwhile; what is written is embedded by each side when it
reads it. A refit that was cut off is finished by the next one with the same encoder.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from .bounded import bounded
from .filters import every_namespace
from .generations import ENCODER_KEY, Generation, current_generation, generations_of
from .location import local_root
from .records import Encoder, Sums
from .rows import vector_column, vectors_of
from .schema import KEYS, TEXTS, USERS
from .sums import exact_sum, on_grid
from .upgrade import upgrade
from .write_lock import WriteLock

if TYPE_CHECKING:
    from lancedb import AsyncConnection, AsyncTable

BATCH_TEXTS = 8_192
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
                if left <= BATCH_TEXTS:  # few: writers wait for the last ones
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
        async for rows in _batches(await query.to_batches(max_batch_length=BATCH_TEXTS)):
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
        async for rows in _batches(await query.to_batches(max_batch_length=BATCH_TEXTS)):
            await asyncio.to_thread(_add_up, sums, rows, generation.texts_column)
        keys = list(sums)
        for begin in range(0, len(keys), BATCH_TEXTS):
            some = keys[begin : begin + BATCH_TEXTS]
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
