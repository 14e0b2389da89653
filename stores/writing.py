"""Adding texts: checked, embedded in batches beside the event loop, kept once each."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from itertools import islice

from .compaction import Compactor
from .errors import EncoderMismatch, InvalidText
from .filters import RESERVED_NAMESPACE, within
from .outcomes import Added
from .records import Encoder, Text, Vectors
from .rows import rows_of_texts
from .schema import TEXTS
from .sums import on_grid
from .tables import Tables
from .tally import Tally

BATCH_TEXTS = 512
"""Texts embedded and committed at once: what a kill can lose, and one fragment on disk."""


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
        self._left_at: dict[tuple[str, str], int] = {}

    async def add(self, texts: Iterable[Text]) -> Added:
        """Keep texts, batch by batch; see `TextStore.add`."""
        since, total, source = self._clock, Added(), iter(texts)
        self._running += 1
        try:
            # In a thread: the source may read a file while it is iterated.
            while batch := await asyncio.to_thread(_next_batch, source):
                total += await self._add_batch(batch, since)
        finally:
            self._running -= 1
            if not self._running:
                self._left_at.clear()
        return total

    def note_forgotten(self, namespace: str, user_id: str) -> None:
        """Let running calls drop what they still hold of a user who has just left."""
        self._clock += 1
        if self._running:
            self._left_at[namespace, user_id] = self._clock

    async def _add_batch(self, batch: Sequence[Text], since: int) -> Added:
        distinct = {text.text_id: text for text in reversed(batch)}
        version = await self._tables.version(TEXTS)
        new = await self._unknown([distinct[text_id] for text_id in reversed(distinct)])
        if not new:
            return Added(duplicates=len(batch))
        style, topic = await asyncio.to_thread(self._embed, new)
        async with self._tables.writing():
            kept = {text.text_id for text in new}
            if await self._tables.version(TEXTS) != version:
                kept = {text.text_id for text in await self._unknown(new)}
            here = [
                place
                for place, text in enumerate(new)
                if text.text_id in kept
                and self._left_at.get((text.namespace, text.user_id), 0) <= since
            ]
            dropped = len(kept) - len(here)
            await self._write([new[place] for place in here], style[here], topic[here])
        return Added(len(here), len(batch) - len(here) - dropped, dropped)

    async def _unknown(self, texts: Sequence[Text]) -> list[Text]:
        """Return the texts that the store does not hold."""
        known: set[str] = set()
        for namespace in sorted({text.namespace for text in texts}):
            ids = [text.text_id for text in texts if text.namespace == namespace]
            where = within(namespace, text_ids=ids)
            rows = await self._tables.read(TEXTS, where, ["text_id"])
            known.update(rows.column("text_id").to_pylist())
        return [text for text in texts if text.text_id not in known]

    def _embed(self, texts: Sequence[Text]) -> tuple[Vectors, Vectors]:
        style = _encoded(self._style_encoder, [text.body for text in texts])
        whole = [f"{text.title}\n{text.body}".strip() for text in texts]
        return style, _encoded(self._topic_encoder, whole)

    async def _write(self, texts: Sequence[Text], style: Vectors, topic: Vectors) -> None:
        if not texts:
            return
        schema = self._tables.schemas[TEXTS]
        rows = await asyncio.to_thread(rows_of_texts, texts, style, topic, schema)
        async with self._tally.step():
            await self._tables.append(TEXTS, rows)
            await self._tally.count_in(texts, style, topic)
        await self._compactor.after_write(len(texts))


def _next_batch(source: Iterable[Text]) -> list[Text]:
    batch = list(islice(source, BATCH_TEXTS))
    for text in batch:
        _check(text)
    return batch


def _check(text: Text) -> None:
    """Raise `InvalidText` unless a text can be kept."""
    if not text.user_id or not text.namespace or text.namespace == RESERVED_NAMESPACE:
        raise InvalidText(
            f"expected a user and a namespace, got user {text.user_id!r} in namespace "
            f"{text.namespace!r}: name both ({RESERVED_NAMESPACE!r} is the store's own)"
        )
    ids = text.user_id + text.topic_id + text.namespace
    if "\x00" in ids:
        raise InvalidText(f"expected ids without NUL characters, got {ids!r}: remove them")
    try:
        _ = text.text_id
    except UnicodeEncodeError as error:
        raise InvalidText(
            f"expected Unicode text, got a lone surrogate in a text of user {text.user_id!r}: "
            "read the source as UTF-8"
        ) from error


def _encoded(encoder: Encoder, texts: Sequence[str]) -> Vectors:
    vectors = encoder.encode(texts)
    if vectors.shape != (len(texts), encoder.dimension):
        raise EncoderMismatch(
            f"encoder {encoder.version!r}: expected vectors of shape "
            f"({len(texts)}, {encoder.dimension}), got {vectors.shape}: correct its `encode`"
        )
    return on_grid(vectors)
