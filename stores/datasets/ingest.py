"""Add the rows of a file to a store: streamed, with rejects, safe to repeat.

All texts go through one `add` of the store, which batches them, so a user who is forgotten during
the ingest does not come back with the next rows. A store identifies texts by their content: to
resume a killed ingest, run it again; stored texts count as duplicates. Rejects and splits are
written at the end, as whole files.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TextIO

from ..files import draft_of, new_file
from ..texts.connection import local_root
from ..types import Added, PrivateText, Text
from ..values import RatingScale
from .splits import Place, extend_splits, load_splits
from .validation import OUTSIDE_SCALE, FormatError, Reject, Row

if TYPE_CHECKING:
    from .formats import RowFile

_LONG_TEXT = 80  # characters: many people write the same short text
_COMPARED_TEXTS = 200_000
_MOST_OUTSIDE = 0.01  # share of the ratings: more are no mistakes, but another scale
_MOST_KEPT = 32_000_000  # bytes, about, of rows that are kept while the scale is looked for
_ROW_BYTES = 1_000  # of a row but its text
_TELL_EVERY = 64  # rows: often enough for a progress bar, at no cost


class TextSink(Protocol):
    """The part of a `TextStore` that an ingest needs."""

    async def add(self, texts: Iterable[Text]) -> Added:
        """Add the texts that are not stored yet; they are iterated in a thread."""

    async def use_rating_scale(self, scale: RatingScale) -> None:
        """Keep the scale of the ratings that are added."""


@dataclass(frozen=True)
class Ingested:
    """Counts of an ingest.

    Attributes:
        added: Texts that are new in the store.
        duplicates: Texts that were in the store or earlier in the file.
        rejected: Rows that are no texts.
        forgotten: Texts of users who were forgotten meanwhile: not stored, and not in `rows`.
        targets: Texts that are targets.
        shared_ids: Texts whose user id may belong to several people.
        replaced: Stored texts that new ones of the same source id took the place of.
        other_ids: Duplicates that came under another source id than the stored text has.
        same_text: Texts that stand under the id of another user, too (of 80 characters or more,
            among the first 200,000).
        private: Stored texts that others could read until they came again as private.
        rejects_file: File of the rejects; None where there are none, or no file was given.
        first_reject: The first reject, for the warning.
    """

    added: int
    duplicates: int
    rejected: int
    forgotten: int
    targets: int
    shared_ids: int
    replaced: int
    other_ids: int
    same_text: int
    private: tuple[PrivateText, ...]
    rejects_file: Path | None
    first_reject: Reject | None

    @property
    def rows(self) -> int:
        """Added, duplicate and rejected rows."""
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
        rows: The rows of a reader; read in a thread. Those of a whole file (`read_texts`) are
            checked for the scale of their ratings, which the store then has; others are not.
        progress: Called in that thread with the number of rows read so far.
        rejects_file: File for the rejects, one JSON object a line; an existing one is replaced, or
            removed if there are none.
        splits_file: File of the splits; the topics of these rows are assigned as one data set if
            there are targets among them (see `splits`).

    Returns:
        The counts.

    Raises:
        FormatError: The scale of the file's ratings is not known, and they lie outside 1 to 5.
        StoreError: The store cannot be written or has another scale of ratings, or the splits in
            the file are damaged.
        OSError: The rejects or the splits cannot be written.
    """
    from .formats import RowFile

    if isinstance(rows, RowFile):
        file = rows
        rows = await asyncio.to_thread(check_scale, file)
        await use_scale_of(file, store)
    if splits_file is not None:  # a damaged file must be found before anything is written
        await asyncio.to_thread(load_splits, splits_file)
    draft = None if rejects_file is None else await asyncio.to_thread(draft_of, rejects_file)
    sieve = _Sieve(rows, progress, draft, deals=splits_file is not None)
    added = await store.add(iter(sieve))
    if splits_file is not None:
        for namespace, places in sieve.places.items():
            await asyncio.to_thread(extend_splits, splits_file, namespace, places)
    if draft is not None and rejects_file is not None:
        await asyncio.to_thread(_put_rejects, draft, rejects_file, sieve.rejected)
    return Ingested(
        added=added.added,
        duplicates=added.duplicates,
        rejected=sieve.rejected,
        forgotten=added.forgotten,
        targets=sieve.targets,
        shared_ids=sieve.shared_ids,
        replaced=added.replaced,
        other_ids=added.other_ids,
        same_text=sieve.same_text,
        private=added.private,
        rejects_file=rejects_file if sieve.rejected else None,
        first_reject=sieve.first_reject,
    )


def _put_rejects(draft: Path, file: Path, rejected: int) -> None:
    if rejected:
        os.replace(draft, file)
    else:  # that of an earlier run would be taken for this one's
        file.unlink(missing_ok=True)


async def use_scale_of(rows: RowFile, store: TextSink) -> None:
    """Keep the scale of a file's ratings with a store; a file without ratings fits any scale.

    One that has a column of ratings, but no rating in it, has none.

    Raises:
        StoreError: The store has ratings on another scale.
    """
    if rows.scale_asked or await asyncio.to_thread(rows.find_ratings):
        await store.use_rating_scale(rows.scale)


async def check_scale_of(rows: RowFile, uri: str) -> None:
    """Check that the ratings of a file fit the store at a place, if there is one; write nothing.

    Raises:
        StoreError: The store has ratings on another scale.
    """
    from ..texts.artefacts import find_rating_scale, other_scale

    held = await find_rating_scale(uri)
    if held is None or held == rows.scale:
        return
    if rows.scale_asked or await asyncio.to_thread(rows.find_ratings):
        raise other_scale(held, rows.scale)


def check_scale(rows: RowFile) -> Iterable[Row]:
    """Ask for the scale of a file's ratings if they do not lie on 1 to 5; return its rows.

    With a wrong scale the low ratings would be kept, each of them wrong, and the best reviews lost.
    So the whole file is read before anything is written; its rows are kept in memory if it is not
    too large for that, and read anew otherwise.

    Returns:
        The rows, to be iterated once.

    Raises:
        FormatError: The scale is not known, and ratings lie outside 1 to 5.
    """
    if rows.scale_known or not rows.has_ratings:
        return rows
    if rows.columns and "rating" not in rows.columns and not rows.find_ratings():
        return rows  # none of the first rows has a rating, and no later one
    rated = outside = size = 0
    kept: list[tuple[int, Row]] = []
    for row in rows:
        if isinstance(row, Reject):
            outside += row.code == OUTSIDE_SCALE
        else:
            rated += row.rating is not None
            size += len(row.body) + len(row.title)
        size += _ROW_BYTES
        if size <= _MOST_KEPT:
            kept.append((rows.position, row))
        else:
            kept.clear()
    rows.rated = rated + outside > 0
    if outside > _MOST_OUTSIDE * (rated + outside):
        raise FormatError(
            f"{outside:,} of the {rated + outside:,} ratings in {rows.path.name} are outside "
            f"{rows.scale.low:g} to {rows.scale.high:g}: name their scale, as --rating-scale 1-10 "
            f"or 0-100; if they are mistakes, --rating-scale {rows.scale} rejects their rows",
            code="rating_scale_unknown",
        )
    return rows if size > _MOST_KEPT else _replay(rows, kept)


def _replay(rows: RowFile, kept: list[tuple[int, Row]]) -> Iterator[Row]:
    """Yield rows that were read before, with the position in the file as it was then."""
    for position, row in kept:
        rows.position = position
        yield row


def place_rejects_file(uri: str, source: Path) -> Path:
    """Return the default file of the rejects: next to the store, named after both.

    Args:
        uri: The store; for one that is no folder (`s3://...`), the rejects go to the working
            folder.
        source: The file that is read.
    """
    store = local_root(uri)
    name = f"{source.stem}.rejects.jsonl"
    if store is not None and store.name in ("", ".."):  # `--store .`
        store = store.resolve()
    return Path(name) if store is None else store.parent / f"{store.name}.{name}"


class _Sieve:
    """Passes texts on, counts them, and lists the rejects."""

    def __init__(
        self,
        rows: Iterable[Row],
        progress: Callable[[int], None] | None,
        rejects_draft: Path | None,
        *,
        deals: bool,
    ) -> None:
        self.rejected = self.targets = self.shared_ids = self.same_text = 0
        self._authors: dict[int, int] = {}
        self.first_reject: Reject | None = None
        self.places: dict[str, list[Place]] = {}
        self._rows, self._progress, self._rejects_draft = rows, progress, rejects_draft
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
        if len(text.body) >= _LONG_TEXT and len(self._authors) < _COMPARED_TEXTS:
            author = hash(text.user_id)
            self.same_text += self._authors.setdefault(hash(text.body), author) != author
        if self._deals:
            self.places.setdefault(text.namespace, []).append(Place.of(text))

    def _keep_out(self, reject: Reject) -> None:
        self.rejected += 1
        self.first_reject = self.first_reject or reject
        if self._rejects_draft is None:
            return
        if self._list is None:
            self._list = new_file(self._rejects_draft).open("w", encoding="utf-8")
        self._list.write(json.dumps(reject.as_dict(), ensure_ascii=False) + "\n")
