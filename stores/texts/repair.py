"""Upkeep: users and topics in step with the texts, repair at the opening, merged fragments.

A write commits several tables. A kill in between leaves sums that do not add up with the texts:
`repair` finds that when the store is opened, and counts again.

Earlier versions kept ids as an app gave them (with spaces, in another normal form, `123.0`), and
ratings that are no numbers, which broke other people's requests. Each store is looked through once
for those; what is found is rewritten, and the table records that (`Tables.normal`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc

from ..errors import StoreBusy
from ..source_ids import read_stored, with_ids
from ..types import Compacted, Embedded, StoreLimits, Text
from ..values import FIVE_STARS, normal_id
from .arrow import PLAIN_COLUMNS, rows_of_texts, texts_of_rows, vectors_of
from .filters import every_namespace, within
from .schema import TEXTS, TOPICS, USERS
from .tables import Tables
from .topics import TopicKey, TopicTotals, count_topics, rows_of_topics
from .topics import totals_of_rows as topic_totals
from .users import UserKey, UserTotals, count_users, rows_of_users
from .users import totals_of_rows as user_totals

logger = logging.getLogger(__name__)

RECOUNT_BATCH_TEXTS = 16_384
"""Texts in memory at once while they are counted."""

COUNTED_COLUMNS = (*PLAIN_COLUMNS, "style", "topic")

REWRITTEN_TEXTS = 4_096
"""Texts rewritten at once."""

_SECONDS = range(10**8, 10**10)
"""Times of 1970 in milliseconds: earlier versions kept an app's seconds as they came."""


async def adds_up(tables: Tables) -> bool:
    """Return whether users and topics count as many texts as there are."""
    users = await tables.read(USERS, every_namespace(), ["texts", "shared"])
    topics = await tables.read(TOPICS, every_namespace(), ["shared"])
    counted = (
        pc.sum(users.column("texts")).as_py() or 0,
        pc.sum(users.column("shared")).as_py() or 0,
        pc.sum(topics.column("shared")).as_py() or 0,
    )
    return counted == (
        await tables.count(TEXTS, every_namespace()),
        await tables.count(TEXTS, every_namespace(shared=True)),
        await tables.count(TEXTS, every_namespace(shared=True, with_topic=True)),
    )


async def repair(tables: Tables) -> None:
    """Bring an older store's values to their normal form, and count again what doesn't add up."""
    if not tables.normal:
        async with tables.writing():
            await _normalise(tables)
    if await adds_up(tables):
        return
    async with tables.writing():
        await repair_counts(tables)


async def _normalise(tables: Tables) -> None:
    """Rewrite the texts whose values are not as they are read today; once a store."""
    found: dict[str, list[str]] = {}
    columns = ["namespace", "text_id", "user_id", "topic_id", "rating", "timestamp"]
    async for rows in tables.read_batches(TEXTS, every_namespace(), columns, RECOUNT_BATCH_TEXTS):
        for row in await asyncio.to_thread(rows.to_pylist):
            if _is_odd(row["user_id"], row["topic_id"], row["rating"], row["timestamp"]):
                found.setdefault(row["namespace"], []).append(row["text_id"])
    for namespace, text_ids in found.items():
        for part in _parts(text_ids):
            await _rewrite(tables, namespace, part)
    users = await tables.read(USERS, every_namespace(), ["edge_rating_sums"])
    sums = users.column("edge_rating_sums").combine_chunks().flatten()
    if found or not pc.all(pc.is_finite(sums)).as_py():
        logger.warning(
            "ids, ratings or times of %d texts were not in their normal form: corrected",
            sum(map(len, found.values())),
        )
        await tables.mark_removed(TEXTS)
        await recount(tables)
    await tables.mark_normal()


def _is_odd(user_id: str, topic_id: str, rating: float | None, timestamp: int | None) -> bool:
    return (
        normal_id(user_id) != user_id
        or normal_id(topic_id) != topic_id
        or not (rating is None or FIVE_STARS.low <= rating <= FIVE_STARS.high)
        or (timestamp is not None and timestamp in _SECONDS)
    )


async def _rewrite(tables: Tables, namespace: str, text_ids: list[str]) -> None:
    """Put corrected texts in the place of some: first the new ones, so that a kill loses none."""
    where = within(namespace, text_ids=text_ids)
    rows = await tables.read(TEXTS, where, (*COUNTED_COLUMNS, "text_id", "source_id"))
    ids = map(read_stored, rows.column("source_id").to_pylist())
    held = map(with_ids, await asyncio.to_thread(texts_of_rows, rows), ids)
    texts = [_corrected(text) for text in held]
    first = {text.text_id: place for place, text in reversed(list(enumerate(texts)))}
    places = list(first.values())
    made = rows_of_texts(
        [texts[place] for place in places],
        vectors_of(rows, "style")[places],
        vectors_of(rows, "topic")[places],
        tables.schemas[TEXTS],
    )
    await tables.put(TEXTS, made)
    gone = [text_id for text_id in rows.column("text_id").to_pylist() if text_id not in first]
    await tables.delete(TEXTS, within(namespace, text_ids=gone))


def _corrected(text: Text) -> Text:
    scale, seconds = FIVE_STARS, text.timestamp is not None and text.timestamp in _SECONDS
    rated = text.rating is not None and scale.low <= text.rating <= scale.high
    return replace(
        text,
        user_id=normal_id(text.user_id),
        topic_id=normal_id(text.topic_id),
        rating=text.rating if rated else None,
        timestamp=text.timestamp * 1000 if seconds and text.timestamp else text.timestamp,
    )


def _parts(text_ids: list[str]) -> Iterator[list[str]]:
    source = iter(text_ids)
    while part := list(islice(source, REWRITTEN_TEXTS)):
        yield part


async def repair_counts(tables: Tables) -> None:
    """Count users and topics again if they do not add up; only while `Tables.writing`."""
    if await adds_up(tables):
        return
    logger.warning(
        "users and topics do not add up with the texts (a write was cut off): counting again"
    )
    await recount(tables)


async def recount(tables: Tables) -> None:
    """Make users and topics anew from the texts; only while `Tables.writing`."""
    users: dict[UserKey, UserTotals] = {}
    topics: dict[TopicKey, TopicTotals] = {}
    async for rows in tables.read_batches(
        TEXTS, every_namespace(), COUNTED_COLUMNS, RECOUNT_BATCH_TEXTS
    ):
        await asyncio.to_thread(_count, rows, users, topics)
    schemas = tables.schemas
    for name, made in (
        (TOPICS, rows_of_topics(topics, schemas[TOPICS])),
        (USERS, rows_of_users(users, schemas[USERS])),
    ):
        await tables.delete(name, every_namespace())
        await tables.put(name, made)
        await tables.mark_removed(name)
    logger.info("counted again: %d users, %d topics", len(users), len(topics))


def _count(
    rows: pa.Table, users: dict[UserKey, UserTotals], topics: dict[TopicKey, TopicTotals]
) -> None:
    texts = texts_of_rows(rows)
    count_users(users, texts, vectors_of(rows, "style"))
    count_topics(topics, texts, vectors_of(rows, "topic"))


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


THRESHOLD = 16
"""Fragments of all tables from which `compact` has something to do."""

CHECK_EVERY = 8
"""Writes after which fragments are counted."""


class Compactor:
    """Merges fragments of a store's tables; only while `Tables.writing`.

    Every write leaves a fragment, every search looks into each, and LanceDB merges none by itself:
    after 200 one-row writes a query is five times slower. Merging rewrites the small fragments, so
    it waits until that pays: a quarter of the texts is new, or the fragments are very many.
    """

    def __init__(self, tables: Tables, limits: StoreLimits = StoreLimits()) -> None:
        self._tables, self._limits = tables, limits
        self._writes = 0
        self._new_texts = 0

    async def compact(self, threshold: int) -> Compacted:
        """Merge fragments and bring indexes up to date, if there are `threshold` or more."""
        begin = time.perf_counter()
        before = after = await self._tables.fragments()
        pruned = 0
        if before >= threshold:
            for name in (TEXTS, USERS, TOPICS):
                pruned += await self._tables.optimize(name)
            after = await self._tables.fragments()
            self._new_texts = 0
        seconds = time.perf_counter() - begin
        return Compacted(before >= threshold, threshold, before, after, pruned, seconds)

    async def after_write(self, texts: int) -> None:
        """Compact after a write where it pays; a failure is logged, the texts are kept."""
        self._writes += 1
        self._new_texts += texts
        if self._writes % CHECK_EVERY:
            return
        total = await self._tables.count(TEXTS, every_namespace())
        pays = self._new_texts * 4 >= total
        threshold = self._limits.fragments if pays else self._limits.most_fragments
        try:
            outcome = await self.compact(threshold)
        except StoreBusy as error:
            logger.warning("the texts are kept, but compaction failed: %s", error)
            return
        if outcome.compacted:
            logger.info("compacted: %s", outcome)
