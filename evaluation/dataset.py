"""Open a benchmark file as a store: read, clean, mark targets, embed once, cache.

A store's name in the cache folder is a hash of everything that determines it (file content,
cleanings, users whose texts may be evidence, encoders), so a cached store always fits. It is filled
in a temporary folder and then renamed: a killed process leaves no partial store.
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
from ..stores.datasets.ingest import check_scale
from ..stores.datasets.splits import Place, Splits, deal, latest_as_targets
from ..stores.datasets.validation import FormatError
from ..stores.files import make_folder, put_folder
from ..stores.search.request import SearchRequest
from ..stores.texts.schema import SCHEMA_VERSION
from ..stores.texts.store import TextStore
from ..stores.types import Found, History, Text
from ..stores.values import FIVE_STARS, RatingScale

ENCODER_FORMAT = "fp32"
"""Number format of topic vectors: with fp32 a text's vector does not depend on its batch."""

BATCH = 256
"""Number of texts added between two calls of `progress`."""

Progress = Callable[[int, int], None]
"""Called with the number of stored texts and the number of all texts."""


@dataclass(frozen=True)
class BenchmarkData:
    """One benchmark file.

    Attributes:
        name: File name without `_dev`, `_test` and extension.
        path: The file.
        format: Detected format.
        sha1: SHA-1 of the content, in hex.
        cleanings: Applied cleanings, names in `stores.cleaning.CLEANINGS`.
        texts: Valid texts, targets marked.
        rejected: Invalid rows.
        splits: Splits of the texts.
        scale: The scale of the ratings.
    """

    name: str
    path: Path
    format: str
    sha1: str
    cleanings: tuple[str, ...]
    texts: Sequence[Text]
    rejected: int
    splits: Splits
    scale: RatingScale = FIVE_STARS

    @cached_property
    def by_id(self) -> dict[str, Text]:
        """Texts by `text_id`."""
        return {text.text_id: text for text in self.texts}


def read_benchmark(
    path: Path, cleanings: Collection[str] = (), scale: RatingScale | None = None
) -> BenchmarkData:
    """Read a file and mark its targets: the file's own, or each user's latest text.

    Args:
        path: The file.
        cleanings: Names of cleaning steps.
        scale: The scale of the ratings; None: that of the format, or 1 to 5 if they lie on it.

    Raises:
        FormatError: The file can't be read, holds no valid text, or its ratings lie outside 1 to 5
            and no scale is given.
        UnknownCleaning: No cleaning has this name.
    """
    names = check_cleanings(cleanings)
    rows = read_texts(path, scale=scale)
    read = list(check_scale(rows))
    texts = [row for row in read if isinstance(row, Text)]
    if not texts:
        raise FormatError(
            f"{path.name} holds no valid text: {len(read)} rows are invalid", code="no_texts"
        )
    marked = texts if any(text.target for text in texts) else latest_as_targets(texts)
    cleaned = clean_texts(marked, names)
    # The store keeps one copy of a text that occurs twice in a file.
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
        scale=rows.scale,
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
    """Open the store of a file; the first call fills it.

    Args:
        data: The file.
        cache: Folder of the stores.
        unshared: Users whose texts are no evidence for others (the inductive variant).
        train_only: Whether the store holds only texts whose user and topic are in `train`. Use it
            for training: evidence counts as training data.
        encoder: The topic encoder. The style encoder is the store's own, training-free, with
            statistics of the texts of the split `train`.
        progress: Called while the store is filled.

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
    make_folder(place.parent)
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
            await store.use_rating_scale(data.scale)
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
    """Return twelve hex digits that identify the content of a store.

    Args:
        data: The file.
        hidden: Users whose texts are not shared.
        encoder: The topic encoder.
        train_only: Whether the store holds only texts of `train`.
    """
    made_of = [data.sha1, *data.cleanings, encoder, str(FEATURES), str(SCHEMA_VERSION)]
    made_of.append(ENCODER_FORMAT)
    made_of.append(
        ",".join(each.replace("\\", r"\\").replace(",", r"\,") for each in sorted(hidden))
    )
    if data.scale != FIVE_STARS:
        made_of.append(f"ratings {data.scale}")
    if train_only:
        made_of.append(f"train {data.splits.fingerprint}")
    return hashlib.sha1("\x1f".join(made_of).encode()).hexdigest()[:12]


class HistoryCut:
    """A view of a store with only the latest own texts of each user.

    Args:
        store: The store.
        known: Maximum number of own texts per user, latest first.
    """

    def __init__(self, store: Retrieval, known: int) -> None:
        self._store = store
        self._known = known

    async def history(
        self, namespace: str, user_id: str, *, topic_id: str | None = None
    ) -> History:
        """Return a user's history, cut to the latest texts."""
        whole = await self._store.history(namespace, user_id, topic_id=topic_id)
        return replace(
            whole,
            texts=whole.texts[: self._known],
            style=whole.style[: self._known],
            topic_vectors=whole.topic_vectors[: self._known],
        )

    async def search_by_style(self, request: SearchRequest) -> Found:
        """Search the store."""
        return await self._store.search_by_style(request)

    async def search_by_preference(self, request: SearchRequest) -> Found:
        """Search the store."""
        return await self._store.search_by_preference(request)
