"""What is in a store: counts, sizes, indexes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pyarrow.compute as pc

from .filters import every_namespace
from .outcomes import StoreStats
from .records import Encoder
from .schema import TEXTS, TOPICS, USERS
from .tables import Tables


async def gather_stats(tables: Tables, style: Encoder, topic: Encoder) -> StoreStats:
    """Count what the store holds, over all namespaces."""
    everything = every_namespace()
    users = await tables.read(USERS, everything, ["namespace"])
    size = (
        await tables.live_bytes()
        if tables.root is None
        else await asyncio.to_thread(_size, tables.root)
    )
    return StoreStats(
        texts=await tables.count(TEXTS, everything),
        users=users.num_rows,
        topics=await tables.count(TOPICS, everything),
        namespaces=len(pc.unique(users.column("namespace"))),
        shared=await tables.count(TEXTS, every_namespace(shared=True)),
        fragments=await tables.fragments(),
        bytes=size,
        indexes=await tables.indexes(),
        style_encoder=style.version,
        topic_encoder=topic.version,
    )


def store_files(root: Path) -> list[Path]:
    """Return the store's files, sorted."""
    return sorted(path for path in root.rglob("*") if path.is_file())


def _size(root: Path) -> int:
    return sum(path.stat().st_size for path in store_files(root))
