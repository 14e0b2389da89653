"""A benchmark's file as a store: read, cleaned, its targets marked, embedded once and kept.

Its name in the cache folder is a hash of all that it was made of (the file's content, cleanings,
whose texts may serve as evidence, encoders), so a store that is found there fits. It is filled
in a temporary folder and then renamed, so a killed process leaves no partial store.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from ..graph.encoders import Encoders
from ..graph.open import open_store_and_encoders
from ..models.encoders.style import FEATURES
from ..nodes.dependencies import Retrieval
from ..stores.datasets.cleaning import check_cleanings, clean_texts
from ..stores.datasets.formats import read_texts
from ..stores.datasets.splits import Place, Splits, deal, latest_as_targets
from ..stores.datasets.validation import FormatError
from ..stores.files import put_folder
from ..stores.search.request import SearchRequest
from ..stores.texts.schema import SCHEMA_VERSION
from ..stores.texts.store import TextStore
from ..stores.types import Found, History, Text

ENCODER_FORMAT = "fp32"
"""Of topic vectors: the same text has the same vector then, whatever shared its batch."""

BATCH = 256
"""Texts that are added between two calls of `progress`."""

Progress = Callable[[int, int], None]
"""Called with the texts in the store and the texts of the file."""


@dataclass(frozen=True)
class BenchmarkData:
    """One file.

    Attributes:
        name: The file's name less `_dev`, `_test` and its ending.
        path: The file.
        format: As the readers found it.
        sha1: Of its content, in hex.
        cleanings: What was cleaned, of `stores.cleaning.CLEANINGS`.
        texts: What could be read, targets marked.
        rejected: Rows that could not.
        splits: Of these texts.
    """

    name: str
    path: Path
    format: str
    sha1: str
    cleanings: tuple[str, ...]
    texts: Sequence[Text]
    rejected: int
    splits: Splits

    @cached_property
    def by_id(self) -> dict[str, Text]:
        """The texts by `text_id`."""
        return {text.text_id: text for text in self.texts}


def read_benchmark(path: Path, cleanings: Collection[str] = ()) -> BenchmarkData:
    """Read a file and mark its targets: its own, else each person's latest text.

    Raises:
        FormatError: It can't be read, or holds no text.
        UnknownCleaning: A cleaning is none.
    """
    names = check_cleanings(cleanings)
    rows = read_texts(path)
    read = [row for row in rows]
    texts = [row for row in read if isinstance(row, Text)]
    if not texts:
        raise FormatError(f"{path.name} holds no text that can be read: {len(read)} rows are bad")
    marked = texts if any(text.target for text in texts) else latest_as_targets(texts)
    cleaned = clean_texts(marked, names)
    # A text that stands twice in a file is one to the store.
    kept = list({text.text_id: text for text in cleaned}.values())
    return BenchmarkData(
        name=data_name(path),
        path=path,
        format=rows.format,
        sha1=hashlib.sha1(path.read_bytes()).hexdigest(),
        cleanings=names,
        texts=kept,
        rejected=len(read) - len(texts),
        splits=deal(Place.of(text) for text in kept),
    )


def data_name(path: Path) -> str:
    """Return the name of a data set: `gap` for gap_dev.json."""
    name = path.name.partition(".")[0]
    return re.sub(r"_(dev|test|train|questions)$", "", name)


@asynccontextmanager
async def open_benchmark(
    data: BenchmarkData,
    cache: Path,
    *,
    unshared: Collection[str] = (),
    train_only: bool = False,
    encoder: str = "bundled",
    progress: Progress | None = None,
) -> AsyncIterator[tuple[TextStore, Encoders]]:
    """Open the store of a file, filling it on the first call.

    Args:
        data: The file.
        cache: Folder of such stores.
        unshared: Users whose texts are no evidence for others (the inductive variant).
        train_only: Whether it holds only what may train something, texts whose user and topic are
            in `train`: evidence counts as training.
        encoder: The topic encoder. The style encoder is the store's own, training-free, its
            statistics taken from texts of the split `train`.
        progress: Called while it is filled.

    Raises:
        StoreError: The store can't be written or opened.
        ModelError: The encoder can't be loaded.
    """
    hidden = frozenset(unshared)
    place = cache / f"{data.name}-{store_fingerprint(data, hidden, encoder, train_only)}"
    if not place.exists():
        await _fill(data, place, hidden, train_only, encoder, progress)
    async with open_store_and_encoders(str(place), encoder=encoder) as opened:
        yield opened


async def _fill(
    data: BenchmarkData,
    place: Path,
    hidden: frozenset[str],
    train_only: bool,
    encoder: str,
    progress: Progress | None,
) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=place.parent, prefix="filling-"))
    may_train = data.splits.may_train
    training = [text for text in data.texts if may_train(text.user_id, text.topic_id)]
    first = [text.body for text in training]
    held = training if train_only else data.texts
    texts = [replace(text, shared=text.user_id not in hidden) for text in held]
    try:
        opened = open_store_and_encoders(
            str(fresh), encoder=encoder, first=first, dtype=ENCODER_FORMAT
        )
        async with opened as (store, _):
            for begin in range(0, len(texts), BATCH):
                await store.add(texts[begin : begin + BATCH])
                if progress is not None:
                    progress(min(begin + BATCH, len(texts)), len(texts))
            await store.compact(threshold=0)
        await asyncio.to_thread(put_folder, fresh, place)
    finally:
        await asyncio.to_thread(shutil.rmtree, fresh, ignore_errors=True)


def store_fingerprint(
    data: BenchmarkData,
    hidden: frozenset[str] = frozenset(),
    encoder: str = "bundled",
    train_only: bool = False,
) -> str:
    """Return twelve hex digits that say all that a store of a file is made of.

    Args:
        data: The file.
        hidden: Users whose texts are not shared.
        encoder: The topic encoder.
        train_only: Whether only texts that may train are in it.
    """
    made_of = [data.sha1, *data.cleanings, encoder, str(FEATURES), str(SCHEMA_VERSION)]
    made_of.append(ENCODER_FORMAT)
    made_of.append(",".join(sorted(hidden)))
    if train_only:
        made_of.append(f"train {data.splits.fingerprint}")
    return hashlib.sha1("\x1f".join(made_of).encode()).hexdigest()[:12]


class HistoryCut:
    """A store that knows only the latest own texts of each user.

    Args:
        store: What is asked.
        known: Own texts that are known of each user, the latest first.
    """

    def __init__(self, store: Retrieval, known: int) -> None:
        self._store = store
        self._known = known

    async def history(
        self, namespace: str, user_id: str, *, topic_id: str | None = None
    ) -> History:
        """Return the requester's side of a user, the latest texts alone."""
        whole = await self._store.history(namespace, user_id, topic_id=topic_id)
        return replace(
            whole,
            texts=whole.texts[: self._known],
            style=whole.style[: self._known],
            topic_vectors=whole.topic_vectors[: self._known],
        )

    async def search_by_style(self, request: SearchRequest) -> Found:
        """Ask the store."""
        return await self._store.search_by_style(request)

    async def search_by_preference(self, request: SearchRequest) -> Found:
        """Ask the store."""
        return await self._store.search_by_preference(request)
