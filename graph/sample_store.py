"""The store that serves where none is named: the sample corpus, ingested once into the cache."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..stores.readers import RowFile
    from ..stores.records import Encoder


async def sample_store_path(style: Encoder, topic: Encoder) -> str:
    """Return the sample corpus's store, filling it on the first call of this machine."""
    path = await asyncio.to_thread(_place, style, topic)
    if not await asyncio.to_thread(path.exists):
        await _fill(path, style, topic)
    return str(path)


def _place(style: Encoder, topic: Encoder) -> Path:
    from ..models.bundled import cache_folder
    from ..stores.sample import sample_corpus

    made_of = sample_corpus().read_bytes() + style.version.encode() + topic.version.encode()
    return cache_folder() / f"sample-store-{hashlib.sha1(made_of).hexdigest()[:12]}"


async def _fill(path: Path, style: Encoder, topic: Encoder) -> None:
    """Fill a folder of its own, then put it in place: a process that is killed leaves no half."""
    rows = await asyncio.to_thread(_rows)
    from ..stores.ingest import ingest
    from ..stores.text_store import TextStore

    await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
    fresh = Path(await asyncio.to_thread(tempfile.mkdtemp, dir=path.parent, prefix="sample-"))
    async with TextStore.open(str(fresh), style_encoder=style, topic_encoder=topic) as store:
        await ingest(store, rows)
    await asyncio.to_thread(_put, fresh, path)


def _rows() -> RowFile:
    """Open the sample corpus. In a thread, with the imports: both look at the disk."""
    from ..stores import ingest, text_store  # noqa: F401 - so that they are loaded for the caller
    from ..stores.readers import read_texts
    from ..stores.sample import sample_corpus

    return read_texts(sample_corpus())


def _put(fresh: Path, path: Path) -> None:
    try:
        fresh.rename(path)
    except OSError:  # another process was quicker; its store is the same
        shutil.rmtree(fresh)
        if not path.exists():
            raise
