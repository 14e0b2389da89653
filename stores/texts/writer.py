"""Write texts: what is new of each batch, under the source ids that `stores.source_ids` gives it.

A batch is written in three commits: texts, topics, users. A kill in between leaves sums that do not
add up with the texts; `repair` finds that when the store is opened, and counts again.
"""

from __future__ import annotations

import asyncio
from collections.abc import (
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import replace
from itertools import islice
from typing import NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..forgotten import Forgotten, key_of, now_us, private_key
from ..source_ids import (
    CallSoFar,
    Changes,
    Held,
    made_private,
    plan,
    read_stored,
    stored_form,
    with_ids,
)
from ..types import Added, Embedded, Encoder, PrivateText, Text, Vectors
from ..values import RatingScale
from .arrow import (
    check_shape,
    check_texts,
    encode,
    on_grid,
    rows_of_texts,
    texts_of_rows,
    vectors_of,
    with_changes,
)
from .artefacts import KeptScale, other_scale
from .filters import with_source_ids, within
from .repair import COUNTED_COLUMNS, Compactor, Tally
from .schema import TEXTS, TOPICS, USERS
from .tables import Tables

BATCH_TEXTS = 512
"""Texts embedded and committed at once: what a kill can lose, and one fragment on disk."""

LOOKED_UP_BATCHES = 4
"""Batches that are looked up at once behind one that brought nothing new: where a file comes again,
looking its texts up takes half of the time, and the more at once, the less."""

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
        scale: The scale of the store's ratings.
        forgotten: Says who was forgotten while a call was under way, in any process.
        style_encoder: Embeds bodies.
        topic_encoder: Embeds titles and bodies.
    """

    def __init__(
        self,
        tables: Tables,
        tally: Tally,
        compactor: Compactor,
        scale: KeptScale,
        forgotten: Forgotten,
        style_encoder: Encoder,
        topic_encoder: Encoder,
    ) -> None:
        self._tables, self._tally, self._compactor = tables, tally, compactor
        self._scale, self._forgotten = scale, forgotten
        self._style_encoder, self._topic_encoder = style_encoder, topic_encoder

    async def add(self, texts: Iterable[Text], read_us: int | None = None) -> Added:
        """Keep texts, batch by batch; see `TextStore.add`."""
        source, batches = iter(texts), 1

        def next_batches() -> list[Text]:
            return list(islice(source, batches * BATCH_TEXTS))

        async def add(group: Sequence[Text], call: _Call) -> Added:
            nonlocal batches
            added = await self._add_texts(group, call)
            batches = LOOKED_UP_BATCHES if added.duplicates == len(group) else 1
            return added

        return await self._add_all(next_batches, add, read_us)

    async def load(self, batches: Iterable[Embedded]) -> Added:
        """Keep texts with their vectors, batch by batch; see `TextStore.load`."""
        source = (part for batch in batches for part in _parts(self._fitting(batch)))
        return await self._add_all(lambda: next(source, None), self._add_embedded)

    async def _add_all(
        self,
        next_batch: Callable[[], Batch | None],
        add: Callable[[Batch, _Call], Awaitable[Added]],
        read_us: int | None = None,
    ) -> Added:
        began = now_us() if read_us is None else read_us
        call, total = _Call(began, await self._scale.read(), CallSoFar()), Added()
        # In a thread: the source may read a file while it is iterated.
        while batch := await asyncio.to_thread(next_batch):
            total += await add(batch, call)
        return total

    async def _add_texts(self, batch: Sequence[Text], call: _Call) -> Added:
        await asyncio.to_thread(check_texts, batch)
        version, held = await self._tables.version(TEXTS), await self._held_among(batch)
        new = _new_among(batch, held)
        if not new and _are_as_held(batch, held):
            call.so_far.note(batch, held)
            return Added(duplicates=len(batch))
        if len(batch) > BATCH_TEXTS:  # each part as the one before it leaves the store
            starts = range(0, len(batch), BATCH_TEXTS)
            parts = [batch[start : start + BATCH_TEXTS] for start in starts]
            return sum([await self._add_texts(part, call) for part in parts], Added())
        texts = [batch[place] for place in new]
        style, topic = await asyncio.to_thread(self._embed, texts)
        return await self._keep(batch, Embedded(texts, style, topic), version, held, call)

    async def _add_embedded(self, batch: Embedded, call: _Call) -> Added:
        await asyncio.to_thread(check_texts, batch.texts)
        version, held = await self._tables.version(TEXTS), await self._held_among(batch.texts)
        new = _at(batch, _new_among(batch.texts, held))
        if not new.texts and _are_as_held(batch.texts, held):
            call.so_far.note(batch.texts, held)
            return Added(duplicates=len(batch.texts))
        return await self._keep(batch.texts, new, version, held, call)

    async def _keep(
        self,
        batch: Sequence[Text],
        new: Embedded,
        version: int,
        held: Mapping[str, Held],
        call: _Call,
    ) -> Added:
        """Write what is still new, and not of a user who was forgotten since.

        Args:
            batch: All texts of the batch.
            new: Those that were new at a version of the table.
            version: That version.
            held: What the store held of the batch then.
            call: The call that the batch is part of.
        """
        async with self._tables.writing():
            await self._check_scale(new.texts, call)
            if await self._tables.version(TEXTS) != version:
                held = await self._held_among(batch)
            embedded = {text.text_id: row for row, text in enumerate(new.texts)}
            # A text that was held then and is not any more was there before what removed it.
            here = [text for text in batch if text.text_id in held or text.text_id in embedded]
            keys = (await self._forgotten.notes()).since(call.began_us)
            gone = [text for text in here if _is_among(text, keys)]
            if gone:
                here = [text for text in here if not _is_among(text, keys)]
            known = {**held, **await self._with_their_ids(here)}
            changes = plan(here, known, call.so_far)
            rows = [embedded[here[place].text_id] for place in changes.new]
            private = {text.text_id for text in here if not text.shared}
            written = _with_private(_at(new, rows), private)
            hidden = await self._write(written, changes, known, private)
            call.so_far.note(here, known)
        forgotten = len({text.text_id for text in gone} - held.keys())
        duplicates = len(batch) - len(rows) - forgotten
        replaced = len(changes.removed)
        return Added(len(rows), duplicates, forgotten, replaced, changes.other_ids, hidden)

    async def _check_scale(self, texts: Sequence[Text], call: _Call) -> None:
        """Raise `StoreError` if the scale is no longer the one that ratings were read on."""
        if any(text.rating is not None for text in texts):
            now = await self._scale.read()
            if now != call.scale:
                raise other_scale(now, call.scale)

    async def _held_among(self, texts: Sequence[Text]) -> dict[str, Held]:
        """Return those of the texts that the store holds, by `text_id`."""
        held: dict[str, Held] = {}
        for namespace, here in _by_namespace(texts).items():
            of = {text.text_id: text for text in here}
            names = ["text_id", "source_id", "shared"]
            where = await self._tables.where_among(namespace, of)
            rows = await self._tables.read(TEXTS, where, names)
            rows = rows.filter(pc.is_in(rows.column("text_id"), pa.array(of, pa.string())))
            columns = (rows.column(name).to_pylist() for name in names)
            for text_id, stored, shared in zip(*columns, strict=True):
                held[text_id] = Held(namespace, of[text_id].user_id, read_stored(stored), shared)
        return held

    async def _with_their_ids(self, texts: Sequence[Text]) -> dict[str, Held]:
        """Return what the store holds under the source ids of texts, by `text_id`."""
        found: dict[str, Held] = {}
        named = [text for text in texts if text.source_id]
        columns = ["text_id", "user_id", "source_id", "shared"]
        for namespace, here in _by_namespace(named).items():
            users, ids = {text.user_id for text in here}, {text.source_id for text in here}
            where = with_source_ids(namespace, sorted(users), sorted(ids))
            rows = await self._tables.read(TEXTS, where, columns)
            lists = (rows.column(name).to_pylist() for name in columns)
            for text_id, user_id, stored, shared in zip(*lists, strict=True):
                found[text_id] = Held(namespace, user_id, read_stored(stored), shared)
        return found

    async def change(self, text: Text) -> tuple[PrivateText, ...] | None:
        """Change fields of a text that its id does not cover; see `TextStore.change`."""
        check_texts([text])
        where = within(text.namespace, user=text.user_id, text_ids=[text.text_id])
        async with self._tables.writing():
            rows = await self._tables.read(TEXTS, where)
            if not rows.num_rows:
                return None
            before = _embedded(rows)
            (held,) = before.texts
            changed = with_changes(rows, text)
            async with self._tally.step():
                await self._tables.put(TEXTS, changed)
                await self._tables.mark_removed(TEXTS)
                await self._tally.count_in(_embedded(changed), before)
                await self._tables.mark_removed(TOPICS)
                await self._tables.mark_removed(USERS)
            if text.shared or not held.shared:
                return ()
            private = PrivateText(text.namespace, text.user_id, text.text_id)
            await self._forgotten.note([private_key(*private)])
            return (private,)

    def _fitting(self, batch: Embedded) -> Embedded:
        """Return a batch with its vectors on the grid.

        Raises:
            EncoderMismatch: They are not those of the store's encoders.
        """
        encoders = (self._style_encoder, self._topic_encoder)
        for encoder, vectors in zip(encoders, (batch.style, batch.topic), strict=True):
            check_shape(encoder, vectors, len(batch.texts))
        return Embedded(batch.texts, on_grid(batch.style), on_grid(batch.topic))

    def _embed(self, texts: Sequence[Text]) -> tuple[Vectors, Vectors]:
        style = encode(self._style_encoder, [text.body for text in texts])
        whole = [f"{text.title}\n{text.body}".strip() for text in texts]
        return style, encode(self._topic_encoder, whole)

    async def _write(
        self, new: Embedded, changes: Changes, held: Mapping[str, Held], private: Collection[str]
    ) -> tuple[PrivateText, ...]:
        """Write texts, replace earlier ones, and change source ids; return what was taken back.

        Args:
            new: The texts of `changes.new`.
            changes: By the rule of source ids.
            held: The stored texts that these are about.
            private: `text_id` of the texts that came as ones that others may not read.
        """
        hidden = [each for each in private if each in held and held[each].shared]
        hidden = [each for each in hidden if each not in changes.removed]
        if not (new.texts or changes.ids or changes.removed or hidden):
            return ()
        texts = [with_ids(*each) for each in zip(new.texts, changes.new.values(), strict=True)]
        schema = self._tables.schemas[TEXTS]
        rows = schema.empty_table()
        if texts:
            rows = await asyncio.to_thread(rows_of_texts, texts, new.style, new.topic, schema)
        async with self._tally.step():
            removed = await self._remove(changes.removed, held)
            await self._change_ids(changes.ids, held)
            if (shown := await self._hide(hidden, held)) is not None:
                new = _joined(new, _with_private(shown, private))
                removed = shown if removed is None else _joined(removed, shown)
            if rows.num_rows:
                await self._tables.append(TEXTS, rows)
            if new.texts or removed is not None:
                await self._tally.count_in(new, removed)
            if removed is not None:
                await self._tables.mark_removed(TOPICS)
                await self._tables.mark_removed(USERS)
        of = (*hidden, *made_private(changes, new.texts, held))
        taken = tuple(PrivateText(held[each].namespace, held[each].user_id, each) for each in of)
        if taken:  # once they are hidden: who read one before finds the note when it writes
            await self._forgotten.note(private_key(*each) for each in taken)
        await self._compactor.after_write(len(texts))
        return taken

    async def _remove(self, text_ids: Sequence[str], held: Mapping[str, Held]) -> Embedded | None:
        """Remove texts whose place new ones take; return them."""
        removed: list[pa.Table] = []
        for namespace, ids in _ids_by_namespace(text_ids, held).items():
            where = within(namespace, text_ids=ids)
            removed.append(await self._tables.read(TEXTS, where, COUNTED_COLUMNS))
            await self._tables.delete(TEXTS, where)
        if not removed:
            return None
        await self._tables.mark_removed(TEXTS)
        return _embedded(pa.concat_tables(removed))

    async def _hide(self, text_ids: Sequence[str], held: Mapping[str, Held]) -> Embedded | None:
        """Take texts back that others could read; return them as they were."""
        shown: list[pa.Table] = []
        for namespace, ids in _ids_by_namespace(text_ids, held).items():
            rows = await self._tables.read(TEXTS, within(namespace, text_ids=ids))
            column = pa.array([False] * rows.num_rows)
            place = rows.schema.get_field_index("shared")
            await self._tables.put(TEXTS, rows.set_column(place, "shared", column))
            shown.append(rows)
        if not shown:
            return None
        await self._tables.mark_removed(TEXTS)
        return _embedded(pa.concat_tables(shown))

    async def _change_ids(
        self, changed: Mapping[str, tuple[str, ...]], held: Mapping[str, Held]
    ) -> None:
        """Give stored texts their new source ids."""
        for namespace, ids in _ids_by_namespace(changed, held).items():
            rows = await self._tables.read(TEXTS, within(namespace, text_ids=ids))
            stored = [stored_form(changed[each]) for each in rows.column("text_id").to_pylist()]
            place = rows.schema.get_field_index("source_id")
            column = pa.array(stored, pa.string())
            await self._tables.put(TEXTS, rows.set_column(place, "source_id", column))


class _Call(NamedTuple):
    """One call of `Writer.add` or `Writer.load`.

    Attributes:
        began_us: When it began, in microseconds since 1970.
        scale: The scale that its ratings were read on: the store's when it began.
        so_far: What its earlier batches brought.
    """

    began_us: int
    scale: RatingScale
    so_far: CallSoFar


def _is_among(text: Text, keys: Collection[str]) -> bool:
    if not keys:
        return False
    ids = (None, text.text_id)
    return any(key_of(text.namespace, text.user_id, text_id=each) in keys for each in ids)


def _new_among(batch: Sequence[Text], held: Mapping[str, Held]) -> list[int]:
    """Return the places of the texts that are not held, the first of each kind."""
    places: dict[str, int] = {}
    for place, text in enumerate(batch):
        if text.text_id not in held:
            places.setdefault(text.text_id, place)
    return list(places.values())


def _are_as_held(batch: Sequence[Text], held: Mapping[str, Held]) -> bool:
    """Say whether texts that are held have the ids that they come under, and are no more private.

    A text that is private stays so: only `remove` and a new `add` can make it public.
    """
    return all(
        (not text.source_id or text.source_id in held[text.text_id].ids)
        and (text.shared or not held[text.text_id].shared)
        for text in batch
    )


def _by_namespace(texts: Iterable[Text]) -> dict[str, list[Text]]:
    found: dict[str, list[Text]] = {}
    for text in texts:
        found.setdefault(text.namespace, []).append(text)
    return found


def _ids_by_namespace(text_ids: Iterable[str], held: Mapping[str, Held]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for text_id in text_ids:
        found.setdefault(held[text_id].namespace, []).append(text_id)
    return found


def _embedded(rows: pa.Table) -> Embedded:
    return Embedded(texts_of_rows(rows), vectors_of(rows, "style"), vectors_of(rows, "topic"))


def _joined(one: Embedded, two: Embedded) -> Embedded:
    texts = [*one.texts, *two.texts]
    return Embedded(
        texts, np.concatenate([one.style, two.style]), np.concatenate([one.topic, two.topic])
    )


def _with_private(batch: Embedded, text_ids: Collection[str]) -> Embedded:
    """Return a batch in which some texts are for their authors alone."""
    texts = [
        replace(text, shared=False) if text.shared and text.text_id in text_ids else text
        for text in batch.texts
    ]
    return replace(batch, texts=texts)


def _parts(batch: Embedded) -> Iterator[Embedded]:
    for begin in range(0, len(batch.texts), LOADED_TEXTS):
        yield _at(batch, range(begin, min(begin + LOADED_TEXTS, len(batch.texts))))


def _at(batch: Embedded, places: Sequence[int]) -> Embedded:
    if len(places) == len(batch.texts):
        return batch
    rows = list(places)
    return Embedded([batch.texts[at] for at in rows], batch.style[rows], batch.topic[rows])
