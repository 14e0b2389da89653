"""Write texts, and keep users and topics in step with them.

A batch is written in three commits: texts, topics, users. A kill in between leaves sums that do not
add up with the texts; `repair` finds that when the store is opened, and counts again.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from itertools import islice
from typing import NamedTuple, TypeVar

import pyarrow as pa

from ..errors import EncoderMismatch, InvalidText, shortened
from ..types import Added, Embedded, Encoder, Text, Vectors
from ..values import normal_id
from .arrow import on_grid, rows_of_texts, texts_of_rows, vectors_of
from .filters import RESERVED_NAMESPACE, within, written_before
from .repair import COUNTED_COLUMNS, repair_counts
from .schema import LANGUAGE_BYTES, TEXTS, TOPICS, USERS
from .tables import Compactor, Tables
from .topics import TopicKey, TopicTotals, count_topics, rows_of_topics
from .topics import totals_of_rows as topic_totals
from .users import UserKey, UserTotals, count_users, rows_of_users
from .users import totals_of_rows as user_totals


class Tally:
    """Counts texts into and out of the tables `users` and `topics`; only while `Tables.writing`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._cut_off = False

    @asynccontextmanager
    async def step(self) -> AsyncIterator[None]:
        """Frame the commits of one write; the next one repairs what a failed one left."""
        if self._cut_off:
            await repair_counts(self._tables)
        self._cut_off = True
        yield
        self._cut_off = False

    async def count_in(self, new: Embedded, removed: Embedded | None = None) -> None:
        """Count texts that were just written into their users' and topics' rows.

        Args:
            new: The texts.
            removed: Texts of the same users whose place they took; counted out.
        """
        batches = [(1, new)] if removed is None else [(1, new), (-1, removed)]
        texts = [text for _, batch in batches for text in batch.texts]
        known: dict[str, list[pa.Table]] = {USERS: [], TOPICS: []}
        for namespace in sorted({text.namespace for text in texts}):
            here = [text for text in texts if text.namespace == namespace]
            of = within(namespace, users=sorted({text.user_id for text in here}))
            on = within(namespace, topics=sorted({text.topic_id for text in here}))
            known[USERS].append(await self._tables.read(USERS, of))
            known[TOPICS].append(await self._tables.read(TOPICS, on))
        rows = {name: pa.concat_tables(tables) for name, tables in known.items()}
        users, topics = await asyncio.to_thread(_counted, rows, batches)
        await self._put_topics(topics)
        # last: see `Tables.store_version`
        await self._tables.put(USERS, rows_of_users(users, self._tables.schemas[USERS]))

    async def _put_topics(self, topics: Mapping[TopicKey, TopicTotals]) -> None:
        """Write topics' totals, and remove those without texts."""
        left = {key: total for key, total in topics.items() if total.shared > 0}
        await self._tables.put(TOPICS, rows_of_topics(left, self._tables.schemas[TOPICS]))
        gone: dict[str, list[str]] = {}
        for namespace, topic in topics.keys() - left.keys():
            gone.setdefault(namespace, []).append(topic)
        for namespace, of_one in gone.items():
            await self._tables.delete(TOPICS, within(namespace, topics=of_one))

    async def topics_without(self, namespace: str, rows: pa.Table) -> dict[TopicKey, TopicTotals]:
        """Return the totals of a user's topics without the user's texts.

        The sums are exact, so this is what counting the remaining texts again would give.
        """
        texts = texts_of_rows(rows)
        on = sorted({text.topic_id for text in texts if text.shared and text.topic_id})
        totals = topic_totals(await self._tables.read(TOPICS, within(namespace, topics=on)))
        return count_topics(totals, texts, vectors_of(rows, "topic"), sign=-1)

    async def count_out(
        self,
        namespace: str,
        user_id: str,
        rows: pa.Table,
        topics: dict[TopicKey, TopicTotals],
        *,
        user_stays: bool,
    ) -> None:
        """Bring a user and the user's topics to their totals without some texts.

        Args:
            namespace: The tenant.
            user_id: The user.
            rows: The texts, with style vectors.
            topics: The topics without them, from `topics_without`.
            user_stays: Whether the user has other texts; otherwise the user's row is removed.
        """
        await self._put_topics(topics)
        of_user = within(namespace, user=user_id)
        if not user_stays:
            await self._tables.delete(USERS, of_user)
            return
        users = user_totals(await self._tables.read(USERS, of_user))
        count_users(users, texts_of_rows(rows), vectors_of(rows, "style"), sign=-1)
        await self._tables.put(USERS, rows_of_users(users, self._tables.schemas[USERS]))


def _counted(
    known: dict[str, pa.Table], batches: Sequence[tuple[int, Embedded]]
) -> tuple[dict[UserKey, UserTotals], dict[TopicKey, TopicTotals]]:
    """Count batches into (or out of) the rows of their users and topics."""
    users, topics = user_totals(known[USERS]), topic_totals(known[TOPICS])
    for sign, batch in batches:
        count_users(users, batch.texts, batch.style, sign)
        count_topics(topics, batch.texts, batch.topic, sign)
    return users, topics


BATCH_TEXTS = 512
"""Texts embedded and committed at once: what a kill can lose, and one fragment on disk."""

LOADED_TEXTS = 16_384
"""Texts with vectors given that are committed at once; each commit brings its users and topics up
to date, which costs more than the texts themselves where batches are small."""

Batch = TypeVar("Batch", Sequence[Text], Embedded)


class Writer:
    """Writes texts into a store; one at a time, see `Tables.writing`.

    Args:
        tables: The open tables.
        tally: Keeps users and topics in step.
        compactor: Merges fragments when there are too many.
        style_encoder: Embeds bodies.
        topic_encoder: Embeds titles and bodies.
    """

    def __init__(
        self,
        tables: Tables,
        tally: Tally,
        compactor: Compactor,
        style_encoder: Encoder,
        topic_encoder: Encoder,
    ) -> None:
        self._tables, self._tally, self._compactor = tables, tally, compactor
        self._style_encoder, self._topic_encoder = style_encoder, topic_encoder
        self._running = 0
        self._clock = 0
        self._forgotten_at: dict[tuple[str, ...], int] = {}

    async def add(self, texts: Iterable[Text]) -> Added:
        """Keep texts, batch by batch; see `TextStore.add`."""
        source = iter(texts)

        def next_batch() -> list[Text]:
            return list(islice(source, BATCH_TEXTS))

        return await self._add_all(next_batch, self._add_texts)

    async def load(self, batches: Iterable[Embedded]) -> Added:
        """Keep texts with their vectors, batch by batch; see `TextStore.load`."""
        source = (part for batch in batches for part in _parts(self._fitting(batch)))
        return await self._add_all(lambda: next(source, None), self._add_embedded)

    async def _add_all(
        self,
        next_batch: Callable[[], Batch | None],
        add: Callable[[Batch, _Since], Awaitable[Added]],
    ) -> Added:
        since, total = _Since(self._clock, await self._tables.version(TEXTS)), Added()
        self._running += 1
        try:
            # In a thread: the source may read a file while it is iterated.
            while batch := await asyncio.to_thread(next_batch):
                total += await add(batch, since)
        finally:
            self._running -= 1
            if not self._running:
                self._forgotten_at.clear()
        return total

    def note_forgotten(
        self, namespace: str, user_id: str, text_ids: Iterable[str] | None = None
    ) -> None:
        """Let running calls drop what they still hold of a user, or of single texts, just removed.

        Args:
            namespace: The tenant.
            user_id: The user.
            text_ids: The texts; None: all of the user's.
        """
        self._clock += 1
        if self._running:
            keys = [()] if text_ids is None else [(text_id,) for text_id in text_ids]
            for key in keys:
                self._forgotten_at[namespace, user_id, *key] = self._clock

    def _forgotten_since(self, text: Text, since: _Since) -> bool:
        if not self._forgotten_at:
            return False
        user = (text.namespace, text.user_id)
        return any(
            self._forgotten_at.get(key, 0) > since.clock for key in (user, (*user, text.text_id))
        )

    async def _add_texts(self, batch: Sequence[Text], since: _Since) -> Added:
        await asyncio.to_thread(_check_all, batch)
        version = await self._tables.version(TEXTS)
        new = await self._new_among(batch)
        if not new:
            return Added(duplicates=len(batch))
        texts = [batch[place] for place in new]
        style, topic = await asyncio.to_thread(self._embed, texts)
        added = await self._keep(Embedded(texts, style, topic), version, since.naming(batch))
        return added + Added(duplicates=len(batch) - len(texts))

    async def _add_embedded(self, batch: Embedded, since: _Since) -> Added:
        await asyncio.to_thread(_check_all, batch.texts)
        version = await self._tables.version(TEXTS)
        new = _at(batch, await self._new_among(batch.texts))
        since = since.naming(batch.texts)
        added = await self._keep(new, version, since) if new.texts else Added()
        return added + Added(duplicates=len(batch.texts) - len(new.texts))

    async def _keep(self, new: Embedded, version: int, since: _Since) -> Added:
        """Write what is still new, and not of a user who was forgotten since."""
        async with self._tables.writing():
            kept: Sequence[int] = range(len(new.texts))
            if await self._tables.version(TEXTS) != version:
                kept = await self._new_among(new.texts)
            here = [place for place in kept if not self._forgotten_since(new.texts[place], since)]
            replaced = await self._write(_at(new, here), since)
        return Added(len(here), len(new.texts) - len(kept), len(kept) - len(here), replaced)

    async def _new_among(self, texts: Sequence[Text]) -> Sequence[int]:
        """Return the places of the texts that the store does not hold, the first of each kind."""
        places: dict[str, int] = {}
        for place, text in enumerate(texts):
            places.setdefault(text.text_id, place)
        for namespace in sorted({text.namespace for text in texts}):
            ids = [text_id for text_id, at in places.items() if texts[at].namespace == namespace]
            where = within(namespace, text_ids=ids)
            rows = await self._tables.read(TEXTS, where, ["text_id"])
            for text_id in rows.column("text_id").to_pylist():
                del places[text_id]
        return list(places.values())

    def _fitting(self, batch: Embedded) -> Embedded:
        """Return a batch with its vectors on the grid.

        Raises:
            EncoderMismatch: They are not those of the store's encoders.
        """
        encoders = (self._style_encoder, self._topic_encoder)
        for encoder, vectors in zip(encoders, (batch.style, batch.topic), strict=True):
            _check_shape(encoder, vectors, len(batch.texts))
        return Embedded(batch.texts, on_grid(batch.style), on_grid(batch.topic))

    def _embed(self, texts: Sequence[Text]) -> tuple[Vectors, Vectors]:
        style = encode(self._style_encoder, [text.body for text in texts])
        whole = [f"{text.title}\n{text.body}".strip() for text in texts]
        return style, encode(self._topic_encoder, whole)

    async def _write(self, new: Embedded, since: _Since) -> int:
        """Write texts; return how many earlier ones they took the place of."""
        if not new.texts:
            return 0
        schema = self._tables.schemas[TEXTS]
        rows = await asyncio.to_thread(rows_of_texts, new.texts, new.style, new.topic, schema)
        async with self._tally.step():
            removed = await self._remove_former(new.texts, since)
            await self._tables.append(TEXTS, rows)
            await self._tally.count_in(new, removed)
            if removed is not None:
                await self._tables.mark_removed(TOPICS)
                await self._tables.mark_removed(USERS)
        await self._compactor.after_write(len(new.texts))
        return 0 if removed is None else len(removed.texts)

    async def _remove_former(self, texts: Sequence[Text], since: _Since) -> Embedded | None:
        """Remove the texts whose author and source id new ones have; return them.

        Only what was there before this call is replaced, and only by a source id that names one
        text of the batch: an id that several texts of a file bear is a thread's, say.
        """
        new = {_source_key(text) for text in texts if text.source_id}
        removed: list[pa.Table] = []
        for namespace in sorted({namespace for namespace, _, _ in new}):
            ids = sorted({source for tenant, _, source in new if tenant == namespace})
            where = written_before(namespace, ids, since.version)
            rows = await self._tables.read(TEXTS, where, (*COUNTED_COLUMNS, "text_id", "source_id"))
            keys = [
                (namespace, row["user_id"], row["source_id"])
                for row in rows.select(["user_id", "source_id"]).to_pylist()
            ]
            old = Counter(keys)
            alone = [key in new and since.named[key] == old[key] == 1 for key in keys]
            rows = rows.filter(pa.array(alone, pa.bool_()))
            if rows.num_rows:
                text_ids = rows.column("text_id").to_pylist()
                await self._tables.delete(TEXTS, within(namespace, text_ids=text_ids))
                removed.append(rows)
        if not removed:
            return None
        await self._tables.mark_removed(TEXTS)
        whole = pa.concat_tables(removed)
        style, topic = vectors_of(whole, "style"), vectors_of(whole, "topic")
        return Embedded(texts_of_rows(whole), style, topic)


class _Since(NamedTuple):
    """When a call of `Writer.add` began.

    Attributes:
        clock: How many people had been forgotten in this process.
        version: Version of the table `texts`.
        named: How many texts of the present batch have each source id.
    """

    clock: int
    version: int
    named: Mapping[tuple[str, str, str], int] = {}

    def naming(self, batch: Sequence[Text]) -> _Since:
        """Return this with the source ids of a batch counted."""
        return self._replace(named=Counter(_source_key(text) for text in batch if text.source_id))


def _source_key(text: Text) -> tuple[str, str, str]:
    return (text.namespace, text.user_id, text.source_id)


def _parts(batch: Embedded) -> Iterator[Embedded]:
    for begin in range(0, len(batch.texts), LOADED_TEXTS):
        yield _at(batch, range(begin, min(begin + LOADED_TEXTS, len(batch.texts))))


def _at(batch: Embedded, places: Sequence[int]) -> Embedded:
    if len(places) == len(batch.texts):
        return batch
    rows = list(places)
    return Embedded([batch.texts[at] for at in rows], batch.style[rows], batch.topic[rows])


def _check_all(texts: Sequence[Text]) -> None:
    for text in texts:
        _check(text)


def _check(text: Text) -> None:
    """Raise `InvalidText` unless a text can be kept."""
    if not text.user_id or not text.namespace or text.namespace == RESERVED_NAMESPACE:
        raise InvalidText(
            f"expected a user and a namespace, got user {shortened(text.user_id)} in namespace "
            f"{shortened(text.namespace)}: name both ({RESERVED_NAMESPACE!r} is the store's own)"
        )
    ids = text.user_id + text.topic_id + text.namespace
    if "\x00" in ids:
        raise InvalidText(f"expected ids without NUL characters, got {shortened(ids)}: remove them")
    for given in (text.user_id, text.topic_id):
        if normal_id(given) != given:
            raise InvalidText(
                f"expected an id in its normal form ({shortened(normal_id(given))}), got "
                f"{shortened(given)}: read it by `stores.datasets.validation`"
            )
    if text.rating is not None and not math.isfinite(text.rating):
        raise InvalidText(
            f"expected a finite rating or None, got {text.rating!r} in a text of user "
            f"{shortened(text.user_id)}: read it by `stores.datasets.validation`"
        )
    if len(text.language.encode()) > LANGUAGE_BYTES:
        raise InvalidText(
            f"expected a language of at most {LANGUAGE_BYTES} bytes, got "
            f"{shortened(text.language)}: give its code, as en or pt-BR"
        )
    try:
        _ = text.text_id
    except UnicodeEncodeError as error:
        raise InvalidText(
            f"expected Unicode text, got a lone surrogate in a text of user "
            f"{shortened(text.user_id)}: read the source as UTF-8"
        ) from error


def encode(encoder: Encoder, texts: Sequence[str]) -> Vectors:
    """Return texts' vectors as they are stored, shape (texts, dimension); may block for long.

    Raises:
        EncoderMismatch: The encoder returned another shape.
    """
    vectors = encoder.encode(texts)
    _check_shape(encoder, vectors, len(texts))
    return on_grid(vectors)


def _check_shape(encoder: Encoder, vectors: Vectors, texts: int) -> None:
    if vectors.shape != (texts, encoder.dimension):
        raise EncoderMismatch(
            f"encoder {encoder.version!r}: expected vectors of shape "
            f"({texts}, {encoder.dimension}), got {vectors.shape}: correct what makes them",
            code="wrong_vectors",
        )
