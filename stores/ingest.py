"""Put the rows of a file into a store: in batches, with rejects, safe to repeat.

A store tells texts apart by their content, so an ingest that was killed is resumed by running it
again: what is there already counts as duplicates and nothing is added twice. The rejects and the
splits are written at the end, whole.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Protocol

from .file_rows import Reject, Row
from .records import Text
from .split_files import extend_splits, load_splits
from .splits import Place

BATCH = 512
"""Rows a write: more make fewer versions of the table, fewer a livelier progress bar."""


class AddedCounts(Protocol):
    """What a store says of one write."""

    @property
    def added(self) -> int:
        """Texts that are new."""

    @property
    def duplicates(self) -> int:
        """Texts that were there."""

    @property
    def forgotten(self) -> int:
        """Texts of users who were forgotten while the write was under way."""


class TextSink(Protocol):
    """The part of a `TextStore` that an ingest needs."""

    async def add(self, texts: Sequence[Text]) -> AddedCounts:
        """Keep the texts that are not there yet."""


@dataclass(frozen=True)
class Ingested:
    """What became of the rows; `rows` is the other three added up.

    Attributes:
        added: Texts that are new in the store.
        duplicates: Texts that were in the store or stood in the file before.
        rejected: Rows that are no texts.
        forgotten: Texts of users who were forgotten meanwhile: not kept, and not among `rows`.
        targets: How many of the texts are targets.
        shared_ids: How many of the texts bear an id that several people may bear.
        rejects_file: Where the rejects are listed; None where there are none, or no place for them.
        first_reject: The first of them, for the warning.
    """

    added: int = 0
    duplicates: int = 0
    rejected: int = 0
    forgotten: int = 0
    targets: int = 0
    shared_ids: int = 0
    rejects_file: Path | None = None
    first_reject: Reject | None = None

    @property
    def rows(self) -> int:
        """Rows that were dealt with."""
        return self.added + self.duplicates + self.rejected


async def ingest(
    store: TextSink,
    rows: Iterable[Row],
    *,
    batch: int = BATCH,
    progress: Callable[[Ingested], None] | None = None,
    rejects_file: Path | None = None,
    splits_file: Path | None = None,
) -> Ingested:
    """Add the texts among the rows to a store, and list the others.

    Args:
        store: Where the texts go.
        rows: What a reader yields; read in a thread, one batch at a time.
        batch: Rows a write.
        progress: Called after each batch with the counts so far.
        rejects_file: Where the rejects are listed, one JSON object a line, if there are any; a
            file of that name is replaced.
        splits_file: Where the splits are kept; the topics of these rows are dealt as one data set
            if there are targets among them (see `splits`).

    Returns:
        The counts.

    Raises:
        OSError: The rejects or the splits cannot be written.
        ValueError: The batch is below 1.
    """
    if batch < 1:
        raise ValueError(f"expected a batch of 1 row or more, got {batch}")
    if splits_file is not None:  # a damaged one has to be known before anything is written
        await asyncio.to_thread(load_splits, splits_file)
    done = Ingested()
    places: dict[str, list[Place]] = {}
    iterator = iter(rows)
    while taken := await asyncio.to_thread(_take, iterator, batch):
        texts = [row for row in taken if isinstance(row, Text)]
        rejects = [row for row in taken if isinstance(row, Reject)]
        done = _count(done, texts, rejects, await store.add(texts) if texts else None)
        if rejects and rejects_file is not None:
            await asyncio.to_thread(_note_rejects, rejects_file, rejects, done)
        for text in texts if splits_file is not None else ():
            places.setdefault(text.namespace, []).append(Place.of(text))
        if progress is not None:
            progress(done)
    for namespace, found in places.items():
        assert splits_file is not None
        await asyncio.to_thread(extend_splits, splits_file, namespace, found)
    if done.rejected and rejects_file is not None:
        await asyncio.to_thread(os.replace, _draft_of(rejects_file), rejects_file)
        done = replace(done, rejects_file=rejects_file)
    return done


def place_rejects_file(uri: str, source: Path) -> Path:
    """Return where the rejects of a file go by default: beside the store, named after both.

    Args:
        uri: The store; one that is no folder (`s3://...`) has its rejects in the working folder.
        source: The file that is read.
    """
    if "://" in uri:
        return Path(f"{source.stem}.rejects.jsonl")
    store = Path(uri)
    return store.with_name(f"{store.name}.{source.stem}.rejects.jsonl")


def _count(
    done: Ingested, texts: list[Text], rejects: list[Reject], counts: AddedCounts | None
) -> Ingested:
    return replace(
        done,
        added=done.added + (counts.added if counts else 0),
        duplicates=done.duplicates + (counts.duplicates if counts else 0),
        rejected=done.rejected + len(rejects),
        forgotten=done.forgotten + (counts.forgotten if counts else 0),
        targets=done.targets + sum(text.target for text in texts),
        shared_ids=done.shared_ids + sum(text.shared_id for text in texts),
        first_reject=done.first_reject or next(iter(rejects), None),
    )


def _take(rows: Iterator[Row], batch: int) -> list[Row]:
    return list(islice(rows, batch))


def _draft_of(path: Path) -> Path:
    return path.with_name(path.name + ".tmp")


def _note_rejects(path: Path, rejects: list[Reject], done: Ingested) -> None:
    """Add rejects to the draft of the list, or begin it where these are the first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    first = done.rejected == len(rejects)
    with _draft_of(path).open("w" if first else "a", encoding="utf-8") as file:
        for reject in rejects:
            file.write(json.dumps(reject.as_dict(), ensure_ascii=False) + "\n")
