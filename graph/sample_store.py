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


async def sample_store_path(topic: str, style: str) -> str:
    """Return the sample corpus's store, filling it on the first call of this machine.

    Args:
        topic: The topic encoder by name.
        style: The style encoder by name.
    """
    path = await asyncio.to_thread(_place, topic, style)
    if not await asyncio.to_thread(path.exists):
        await _fill(path, topic, style)
    return str(path)


def _place(topic: str, style: str) -> Path:
    from ..models.bundled import cache_folder
    from ..models.style_model import FEATURES
    from ..stores.sample import sample_corpus
    from ..stores.schema import SCHEMA_VERSION

    names = f"{topic}\x1f{style}\x1f{FEATURES}\x1f{SCHEMA_VERSION}"
    made_of = sample_corpus().read_bytes() + names.encode()
    return cache_folder() / f"sample-store-{hashlib.sha1(made_of).hexdigest()[:12]}"


async def _fill(path: Path, topic: str, style: str) -> None:
    """Fill a folder of its own, then put it in place: a process that is killed leaves no half."""
    rows = await asyncio.to_thread(_rows)
    from ..stores.ingest import ingest
    from .opening import open_store

    await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
    fresh = Path(await asyncio.to_thread(tempfile.mkdtemp, dir=path.parent, prefix="sample-"))
    async with open_store(str(fresh), encoder=topic, style_encoder=style) as store:
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
