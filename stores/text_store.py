"""The one store of texts: open, add, look back, search across users, forget.

Example:
    async with TextStore.open("./store", style_encoder=style, topic_encoder=topic) as store:
        await store.add(texts)
        history = await store.history("default", "ann", topic_id="kettle")
        found = await store.search_by_style(history, query, topic_id="kettle", k=4)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from .artefacts import Artefact, Artefacts
from .compaction import THRESHOLD, Compactor
from .connecting import check_exists, connected, missing
from .forgetting import Forgetting
from .inventory import gather_stats
from .outcomes import Added, Compacted, Receipt, StoreStats
from .recorded_encoder import recorded_encoders
from .records import Embedded, Encoder, Text
from .recount import adds_up, recount
from .schema import TEXTS, USERS
from .snapshots import Snapshots
from .store_reader import StoreReader
from .tables import Tables
from .tally import Tally
from .writing import Writer

if TYPE_CHECKING:
    from lancedb import AsyncConnection


class TextStore(StoreReader):
    """Keeps texts and finds evidence in them; safe to use from many tasks at once.

    Opened by `open`, or around a live connection and then `setup`. Every operation names a
    namespace, itself or by the history it is given; namespaces never mix.

    Args:
        connection: An open LanceDB connection; whoever opened it closes it.
        style_encoder: Embeds how a text is written.
        topic_encoder: Embeds what it is about.
    """

    def __init__(
        self, connection: AsyncConnection, *, style_encoder: Encoder, topic_encoder: Encoder
    ) -> None:
        tables = Tables(connection, style_encoder, topic_encoder)
        super().__init__(tables, Snapshots(tables), style_encoder, topic_encoder)
        self._artefacts = Artefacts(connection)
        self._tally = Tally(self._tables)
        self._compactor = Compactor(self._tables)
        self._writer = Writer(
            self._tables, self._tally, self._compactor, style_encoder, topic_encoder
        )

    @classmethod
    @asynccontextmanager
    async def open(
        cls, uri: str, *, style_encoder: Encoder, topic_encoder: Encoder
    ) -> AsyncIterator[TextStore]:
        """Open the store at a directory or object-store URI, and close it in the end.

        Args:
            uri: Where the store lies; its tables are made if there are none yet.
            style_encoder: Embeds how a text is written.
            topic_encoder: Embeds what it is about.

        Raises:
            SchemaMismatch: If the tables there are of another version of the store.
            EncoderMismatch: If they were filled with other encoders.
        """
        async with connected(uri) as connection:
            store = cls(connection, style_encoder=style_encoder, topic_encoder=topic_encoder)
            await store.setup()
            yield store

    @classmethod
    @asynccontextmanager
    async def open_existing(cls, uri: str) -> AsyncIterator[TextStore]:
        """Open a store that is there to count, compact or forget: without loading an encoder.

        Raises:
            NoSuchStore: There is none.
            SchemaMismatch: What is there is of another version, or no store of ours.
        """
        await asyncio.to_thread(check_exists, uri)
        async with connected(uri) as connection:
            if not {TEXTS, USERS} <= set((await connection.list_tables()).tables):
                raise missing(uri)
            table = await connection.open_table(USERS)
            style, topic = recorded_encoders(await table.schema(), uri)
            store = cls(connection, style_encoder=style, topic_encoder=topic)
            await store.setup()
            yield store

    async def setup(self) -> None:
        """Open or make the tables; count users and topics anew if a write was cut off.

        Raises:
            SchemaMismatch: If the tables there are of another version of the store.
            EncoderMismatch: If they were filled with other encoders.
        """
        await self._tables.open()
        if not await adds_up(self._tables):
            async with self._tables.writing():
                await recount(self._tables)

    @property
    def version(self) -> int:
        """A number that changes with every write, for caches.

        Another process's writes show from the next search on, which asks for them.
        """
        return self._tables.last_version(TEXTS)

    async def add(self, texts: Iterable[Text]) -> Added:
        """Keep texts that are new, by content: adding the same again changes nothing.

        They are embedded and committed in batches: what was committed before a fault or a kill
        stays, and the same call again adds the rest.

        Args:
            texts: The texts; may be a generator that reads a file.

        Raises:
            InvalidText: If one can't be kept. The batches before it are.
            StoreBusy: If other writers kept getting in the way.
        """
        return await self._writer.add(texts)

    async def load(self, batches: Iterable[Embedded]) -> Added:
        """Keep texts whose vectors are there already: what `add` does, less the embedding.

        Committed in batches of some 16,000; memory is bounded by those and by what the caller
        yields at once.

        Args:
            batches: May be a generator; it is run in a thread.

        Raises:
            EncoderMismatch: If the vectors' shapes are not those of the store's encoders.
            InvalidText: If a text can't be kept. The batches before it are.
            StoreBusy: If other writers kept getting in the way.
        """
        return await self._writer.load(batches)

    async def artefact(self, name: str) -> Artefact | None:
        """Return something learnt that is kept with the texts, or None.

        Args:
            name: As it was kept.

        Raises:
            StoreError: It is damaged.
        """
        return await self._artefacts.find(name)

    async def keep_artefact(self, artefact: Artefact) -> None:
        """Keep something learnt with the texts, in place of what has the same name."""
        async with self._tables.writing():
            await self._artefacts.keep(artefact)

    async def stats(self) -> StoreStats:
        """Count what the store holds, over all namespaces."""
        return await gather_stats(self._tables, self._style_encoder, self._topic_encoder)

    async def compact(self, *, threshold: int = THRESHOLD) -> Compacted:
        """Merge fragments and bring indexes up to date if there are `threshold` fragments.

        Args:
            threshold: Fragments of all tables from which there is something to do; 0: always.
        """
        async with self._tables.writing():
            return await self._compactor.compact(threshold)

    async def forget(self, namespace: str, user_id: str, *, dry_run: bool = False) -> Receipt:
        """Remove a user from texts, users, topics, indexes and caches, down to the bytes.

        Works during `add`, which then drops what it still holds of the user; later the same
        user may be added again. Where a removal was cut off, the same call again finishes it.

        Args:
            namespace: The tenant.
            user_id: Who is to be forgotten.
            dry_run: Only say what would be removed.

        Raises:
            NotForgotten: If bytes of the user's texts are left; bears the receipt.
            StoreBusy: If other writers kept getting in the way.
        """
        forgetting = Forgetting(self._tables, self._snapshots, self._writer, self._tally)
        return await forgetting.forget(namespace, user_id, dry_run=dry_run)
