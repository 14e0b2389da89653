"""Put the rows of a file into a store: streamed, with rejects, safe to repeat.

All texts go through one `add` of the store, which batches them: so a user who is forgotten while a
file is read does not come back with its next rows. A store tells texts apart by their content, so
an ingest that was killed is resumed by running it again: what is there counts as duplicates and
nothing is added twice. The rejects and the splits are written in the end, whole.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TextIO

from ..texts.connection import local_root
from ..types import Added, Text
from .splits import Place, extend_splits, load_splits
from .validation import Reject, Row

_TELL_EVERY = 64  # rows: often enough for a progress bar, too seldom to cost anything


class TextSink(Protocol):
    """The part of a `TextStore` that an ingest needs."""

    async def add(self, texts: Iterable[Text]) -> Added:
        """Keep the texts that are not there yet; they are iterated in a thread."""


@dataclass(frozen=True)
class Ingested:
    """What became of the rows; `rows` is the next three added up.

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

    added: int
    duplicates: int
    rejected: int
    forgotten: int
    targets: int
    shared_ids: int
    rejects_file: Path | None
    first_reject: Reject | None

    @property
    def rows(self) -> int:
        """Rows that were dealt with."""
        return self.added + self.duplicates + self.rejected


async def ingest(
    store: TextSink,
    rows: Iterable[Row],
    *,
    progress: Callable[[int], None] | None = None,
    rejects_file: Path | None = None,
    splits_file: Path | None = None,
) -> Ingested:
    """Add the texts among the rows to a store, and list the others.

    Args:
        store: Where the texts go.
        rows: What a reader yields; read in a thread.
        progress: Told in that thread, now and then, how many rows have been read.
        rejects_file: Where the rejects are listed, one JSON object a line, if there are any; a
            file of that name is replaced.
        splits_file: Where the splits are kept; the topics of these rows are dealt as one data set
            if there are targets among them (see `splits`).

    Returns:
        The counts.

    Raises:
        StoreError: The store cannot be written, or the splits in the file are damaged.
        OSError: The rejects or the splits cannot be written.
    """
    if splits_file is not None:  # a damaged one has to be known before anything is written
        await asyncio.to_thread(load_splits, splits_file)
    sieve = _Sieve(rows, progress, rejects_file, deals=splits_file is not None)
    added = await store.add(iter(sieve))
    if splits_file is not None:
        for namespace, places in sieve.places.items():
            await asyncio.to_thread(extend_splits, splits_file, namespace, places)
    if sieve.rejected and rejects_file is not None:
        await asyncio.to_thread(os.replace, _draft_of(rejects_file), rejects_file)
    return Ingested(
        added=added.added,
        duplicates=added.duplicates,
        rejected=sieve.rejected,
        forgotten=added.forgotten,
        targets=sieve.targets,
        shared_ids=sieve.shared_ids,
        rejects_file=rejects_file if sieve.rejected else None,
        first_reject=sieve.first_reject,
    )


def place_rejects_file(uri: str, source: Path) -> Path:
    """Return where the rejects of a file go by default: beside the store, named after both.

    Args:
        uri: The store; one that is no folder (`s3://...`) has its rejects in the working folder.
        source: The file that is read.
    """
    store = local_root(uri)
    name = f"{source.stem}.rejects.jsonl"
    return Path(name) if store is None else store.with_name(f"{store.name}.{name}")


class _Sieve:
    """Lets texts through, and keeps count of what goes by and a list of what does not."""

    def __init__(
        self,
        rows: Iterable[Row],
        progress: Callable[[int], None] | None,
        rejects_file: Path | None,
        *,
        deals: bool,
    ) -> None:
        self.rejected = self.targets = self.shared_ids = 0
        self.first_reject: Reject | None = None
        self.places: dict[str, list[Place]] = {}
        self._rows, self._progress, self._rejects_file = rows, progress, rejects_file
        self._deals = deals
        self._list: TextIO | None = None

    def __iter__(self) -> Iterator[Text]:
        read = 0
        try:
            for read, row in enumerate(self._rows, start=1):
                if self._progress is not None and read % _TELL_EVERY == 0:
                    self._progress(read)
                if isinstance(row, Reject):
                    self._keep_out(row)
                else:
                    self._let_through(row)
                    yield row
        finally:
            if self._list is not None:
                self._list.close()
        if self._progress is not None:
            self._progress(read)

    def _let_through(self, text: Text) -> None:
        self.targets += text.target
        self.shared_ids += text.shared_id
        if self._deals:
            self.places.setdefault(text.namespace, []).append(Place.of(text))

    def _keep_out(self, reject: Reject) -> None:
        self.rejected += 1
        self.first_reject = self.first_reject or reject
        if self._rejects_file is None:
            return
        if self._list is None:
            self._rejects_file.parent.mkdir(parents=True, exist_ok=True)
            self._list = _draft_of(self._rejects_file).open("w", encoding="utf-8")
        self._list.write(json.dumps(reject.as_dict(), ensure_ascii=False) + "\n")


def _draft_of(path: Path) -> Path:
    return path.with_name(path.name + ".tmp")
