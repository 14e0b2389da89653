"""The store of texts: open, add, read a user's history, search across users, forget.

Example:
    async with TextStore.open("./store", style_encoder=style, topic_encoder=topic) as store:
        await store.add(texts)
        history = await store.history("default", "ann", topic_id="kettle")
        found = await store.search_by_style(SearchRequest(history, query, topic_id="kettle"))
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from ..forgotten import Forgotten, Notes, keys_to_forget
from ..search.length_bias import LengthAxis
from ..search.preference import search_by_preference
from ..search.request import SearchRequest
from ..search.style import search_by_style
from ..search.words import similar_ids
from ..source_ids import read_stored, with_ids
from ..types import (
    Added,
    Compacted,
    Embedded,
    Encoder,
    Found,
    History,
    PrivateText,
    Receipt,
    StoreLimits,
    StoreStats,
    Text,
    Vectors,
)
from ..values import RatingScale
from .arrow import PLAIN_COLUMNS, texts_of_rows, vectors_of
from .artefacts import Artefact, Artefacts, KeptScale, other_scale
from .cache import SnapshotCache, Snapshots
from .connection import check_exists, connected, missing
from .filters import within
from .forget import Forgetting, say_unfinished
from .repair import THRESHOLD, Compactor, Tally, repair
from .schema import TEXTS, USERS, recorded_style, recorded_topic
from .tables import Tables, gather_stats, read_schemas
from .topics import GraphForm
from .writer import Writer

if TYPE_CHECKING:
    from lancedb import AsyncConnection


logger = logging.getLogger(__name__)


class StoreReader:
    """The reading half of a `TextStore`; it changes nothing in the tables.

    Args:
        tables: Open, once something is read.
        cache: What of them is in memory.
        style_encoder: What the style vectors were made with.
        topic_encoder: What the topic vectors were made with.
    """

    def __init__(
        self, tables: Tables, cache: SnapshotCache, style_encoder: Encoder, topic_encoder: Encoder
    ) -> None:
        self._tables, self._cache = tables, cache
        self._style_encoder, self._topic_encoder = style_encoder, topic_encoder
        self._length = LengthAxis(style_encoder)

    async def history(
        self, namespace: str, user_id: str, *, topic_id: str | None = None
    ) -> History:
        """Return the requester's side of a user: own history, latest first.

        Own history is the user's texts less targets, less those on the requested topic, less
        exact duplicates of a target; unshared texts are in it. A stranger's is empty. Searches for
        it read the store as of this moment.

        Args:
            namespace: The tenant.
            user_id: The requester.
            topic_id: What the request is about, where that is known.
        """
        snapshots = await self._cache.latest()
        return await snapshots.history(namespace, user_id, topic_id)

    async def _snapshots_for(self, history: History) -> Snapshots:
        return self._cache.at(history.version) if history.version else await self._cache.latest()

    async def search_by_style(self, request: SearchRequest) -> Found:
        """Find users who write alike, and one telling text of each.

        Candidates are other users with a shared text that is not on the topic. A hit's score is its
        author's cosine to the query without the length direction, shrunk where the author has few
        texts.

        Args:
            request: With a unit style vector as query.

        Raises:
            InvalidQuery: If the query has another shape, or k is below 1.
        """
        request.check(self._style_encoder)
        snapshots = await self._snapshots_for(request.history)
        found = await search_by_style(snapshots, request, self._length)
        return found if found.hits else await _explained(found, snapshots, request.history)

    async def search_by_preference(self, request: SearchRequest) -> Found:
        """Find what aligned people wrote on the topic.

        Texts of others on the topic, ranked by BM25 and topic vectors (reciprocal rank fusion) and
        diversified (maximal marginal relevance). An author's alignment with the requester is
        reported, and weighs where the request's weights say so. The best text of each author comes
        first, second ones only fill up to k. A hit's score is in (0, 1], 1 for a text that is first
        in both rankings, times the factor of alignment. Without a topic, or with one that nobody
        else wrote on, the texts of the nearest topics are searched.

        Args:
            request: With a unit topic vector as query.

        Raises:
            InvalidQuery: If the query has another shape, or k is below 1.
        """
        request.check(self._topic_encoder)
        snapshots = await self._snapshots_for(request.history)
        found = await search_by_preference(snapshots, request)
        return found if found.hits else await _explained(found, snapshots, request.history)

    async def near_ids(self, namespace: str, user_id: str, most: int = 3) -> tuple[str, ...]:
        """Return ids of a tenant's users that look like an id, the most similar first.

        Args:
            namespace: The tenant.
            user_id: The id that was looked for.
            most: How many at most.
        """
        rows = await self._tables.read(USERS, within(namespace), ["user_id"])
        ids = rows.column("user_id").to_pylist()
        return await asyncio.to_thread(similar_ids, user_id, ids, most)

    async def texts_of(self, namespace: str, user_id: str) -> list[Text]:
        """Return all that is held of a user, latest first: targets and unshared texts, too.

        Args:
            namespace: The tenant.
            user_id: The user; of a stranger there is nothing.
        """
        columns = (*PLAIN_COLUMNS, "source_id")
        rows = await self._tables.read(TEXTS, within(namespace, user=user_id), columns)
        ids = rows.column("source_id").to_pylist()
        held = [
            with_ids(text, read_stored(stored))
            for text, stored in zip(texts_of_rows(rows), ids, strict=True)
        ]
        return sorted(held, key=lambda text: (text.timestamp or 0, text.position), reverse=True)

    async def shared_texts(self, namespace: str) -> list[Text]:
        """Return all texts of a tenant that may serve others, in no order; all are in memory then.

        Args:
            namespace: The tenant.
        """
        rows = await self._tables.read(TEXTS, within(namespace, shared=True), PLAIN_COLUMNS)
        return await asyncio.to_thread(texts_of_rows, rows)

    async def shared_topic_vectors(self, namespace: str) -> tuple[list[Text], Vectors]:
        """Return what `shared_texts` does, and the texts' topic vectors, one row each."""
        columns = (*PLAIN_COLUMNS, "topic")
        rows = await self._tables.read(TEXTS, within(namespace, shared=True), columns)
        texts = await asyncio.to_thread(texts_of_rows, rows)
        return texts, await asyncio.to_thread(vectors_of, rows, "topic")

    def use_graph(self, forms: Mapping[str, GraphForm]) -> None:
        """Say who is aligned by trained user-topic graphs, one a namespace; else two-hop means."""
        self._cache.use_graph(forms)


async def _explained(found: Found, snapshots: Snapshots, history: History) -> Found:
    """Return an empty result that says whether there is anybody to borrow from."""
    users = await snapshots.users(history.namespace)
    others = len(users.ids) - (history.user_id in users.row)
    return replace(found, nobody_shares=others == 0)


class TextStore(StoreReader):
    """Keeps texts and finds evidence in them; safe to use from many tasks at once.

    Opened by `open`, or around a live connection and then `setup`. Every operation names a
    namespace, itself or by the history it is given; namespaces never mix.

    Args:
        connection: An open LanceDB connection; the caller closes it.
        style_encoder: Embeds how a text is written.
        topic_encoder: Embeds what it is about.
        limits: Sizes from which it searches by estimate, reads from disk, and compacts.

    Attributes:
        forgetting: Finds and removes all of a user, or single texts.
    """

    def __init__(
        self,
        connection: AsyncConnection,
        *,
        style_encoder: Encoder,
        topic_encoder: Encoder,
        limits: StoreLimits = StoreLimits(),
    ) -> None:
        tables = Tables(connection, style_encoder, topic_encoder)
        self._artefacts = Artefacts(connection)
        self._scale = KeptScale(self._artefacts)
        cache = SnapshotCache(tables, limits, self._scale)
        super().__init__(tables, cache, style_encoder, topic_encoder)
        self._tally = Tally(self._tables)
        self._compactor = Compactor(self._tables, limits)
        self._forgotten = Forgotten(connection, self._tables.root, self._tables.writing)
        kept = (self._forgotten, self._tally, self._artefacts)
        self.forgetting = Forgetting(tables, cache, *kept)
        self._writer = Writer(
            self._tables,
            self._tally,
            self._compactor,
            self._scale,
            self._forgotten,
            style_encoder,
            topic_encoder,
        )

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        uri: str,
        *,
        style_encoder: Encoder,
        topic_encoder: Encoder,
        limits: StoreLimits = StoreLimits(),
    ) -> AsyncIterator[TextStore]:
        """Open the store at a directory or object-store URI, and close it in the end.

        Args:
            uri: Where the store lies; its tables are made if there are none yet.
            style_encoder: Embeds how a text is written.
            topic_encoder: Embeds what it is about.
            limits: Sizes from which it searches by estimate, reads from disk, and compacts.

        Raises:
            SchemaMismatch: If the tables there are of another version of the store.
            EncoderMismatch: If they were filled with other encoders.
        """
        async with connected(uri) as connection:
            store = cls(
                connection,
                style_encoder=style_encoder,
                topic_encoder=topic_encoder,
                limits=limits,
            )
            await store.setup()
            yield store

    @classmethod
    @asynccontextmanager
    async def open_existing(cls, uri: str) -> AsyncIterator[TextStore]:
        """Open an existing store to count, compact or forget, without loading an encoder.

        Raises:
            NoSuchStore: There is none.
            SchemaMismatch: It was written by another version of patlm, or by others.
        """
        await asyncio.to_thread(check_exists, uri)
        async with connected(uri) as connection:
            schemas = await read_schemas(connection)
            if TEXTS not in schemas:
                raise missing(uri)
            topic, style = recorded_topic(schemas), recorded_style(schemas, uri).encoder
            store = cls(connection, style_encoder=style, topic_encoder=topic)
            await store.setup()
            yield store

    @property
    def rating_scale(self) -> RatingScale:
        """The scale of the ratings as it was last read: 1 to 5, unless another is kept."""
        return self._scale.now

    async def read_rating_scale(self) -> RatingScale:
        """Return the scale of the ratings as it is now: another process may have set it."""
        return await self._scale.read()

    async def use_rating_scale(self, scale: RatingScale) -> None:
        """Say on which scale the ratings are, before the first rating is added; kept in the store.

        Raises:
            StoreError: There are ratings on another scale.
        """
        if scale == await self._scale.read():
            return
        async with self._tables.writing():
            now = await self._scale.read()
            if scale != now and await self._tables.has_ratings():
                raise other_scale(now, scale)
            await self._scale.keep(scale)

    async def setup(self) -> None:
        """Open or make the tables; repair what a cut off write or an earlier version left.

        Raises:
            SchemaMismatch: If the tables there are of another version of the store.
            EncoderMismatch: If they were filled with other encoders.
        """
        await self._tables.open()
        await repair(self._tables)
        await self._scale.read()
        if said := await self.unfinished():
            logger.warning(said)

    async def add(self, texts: Iterable[Text], *, read_us: int | None = None) -> Added:
        """Keep texts that are new, by content: adding the same again changes nothing.

        They are embedded and committed in batches: what was committed before a fault or a kill
        stays, and the same call again adds the rest.

        Args:
            texts: The texts; may be a generator that reads a file.
            read_us: When they were read, in microseconds since 1970: what was forgotten since is
                dropped. None: from now on.

        Raises:
            InvalidText: If one can't be kept. The batches before it are.
            StoreBusy: If other writers kept getting in the way.
        """
        return await self._writer.add(texts, read_us)

    async def change(self, text: Text) -> tuple[PrivateText, ...] | None:
        """Give a held text the time, language, source ids and sharing of `text`, in one step.

        Returns:
            The text if others could read it and may no longer; None if there is no such text.
        """
        return await self._writer.change(text)

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
        return await self.forgetting.forget(namespace, user_id, dry_run=dry_run)

    async def remove(
        self, namespace: str, user_id: str, text_ids: Collection[str], *, dry_run: bool = False
    ) -> Receipt:
        """Remove single texts of a user from all places that `forget` reaches; all or none.

        Args:
            namespace: The tenant.
            user_id: Whose texts they are.
            text_ids: `Text.text_id` of each. One that the user has no text of is left out: the
                receipt lists the others.
            dry_run: Only say what would be removed.

        Raises:
            NotForgotten: If bytes of the texts are left; bears the receipt.
            StoreBusy: If other writers kept getting in the way.
        """
        forget = self.forgetting.forget
        return await forget(namespace, user_id, text_ids=text_ids, dry_run=dry_run)

    def removing(
        self,
        namespace: str,
        user_id: str,
        text_ids: Iterable[str] | None = None,
        bodies: Iterable[str] = (),
    ) -> AbstractAsyncContextManager[None]:
        """Frame a removal that reaches beyond the store: it is noted before, and when it is done.

        `forget` and `remove` do so for themselves (see `stores.forgotten`). Without the ids (and
        the words) of single texts it is one of everything of the user.
        """
        return self._forgotten.removing(keys_to_forget(namespace, user_id, text_ids, bodies))

    async def forgotten(self) -> Notes:
        """Return the notes of what was forgotten, for who writes what was read from this store."""
        return await self._forgotten.notes()

    async def unfinished(self) -> str:
        """Say whose removal was cut off or is under way, and what to run; "" if nobody's."""
        return await say_unfinished(self._tables, self._forgotten)
