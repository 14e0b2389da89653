"""Connections to the place where a store lies."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from .errors import NoSuchStore, StoreError
from .location import local_root

if TYPE_CHECKING:
    from lancedb import AsyncConnection

REMOTE_CONSISTENCY = timedelta(seconds=5)
"""How old a read from an object store may be: asking it for news costs a round trip."""


def check_exists(uri: str) -> None:
    """Make sure that there is a folder for a store; an object store is asked when it is opened.

    Raises:
        NoSuchStore: There is none.
    """
    root = local_root(uri)
    if root is not None and not root.is_dir():
        raise missing(uri)


def missing(uri: str) -> NoSuchStore:
    """Return the error of a place where no store is."""
    return NoSuchStore(f"there is no store at {uri}: `patlm ingest FILE --store {uri}` makes one")


@asynccontextmanager
async def connected(uri: str) -> AsyncIterator[AsyncConnection]:
    """Connect to a place, and let go of it in the end.

    Raises:
        StoreError: No object store goes by its scheme.
    """
    # In a thread: the first import takes seconds, and would block every other request.
    lancedb = await asyncio.to_thread(importlib.import_module, "lancedb")
    interval = timedelta(0) if local_root(uri) else REMOTE_CONSISTENCY
    try:
        connection: AsyncConnection = await lancedb.connect_async(
            uri, read_consistency_interval=interval
        )
    except ValueError as error:  # a scheme that no object store goes by
        raise StoreError(f"no store can be opened at {uri}: {error}") from error
    try:
        yield connection
    finally:
        connection.close()  # type: ignore[no-untyped-call]
