"""Where a store lies, connections to that place, and the lock that lets one writer in at a time.

Appends retry by themselves, but deletes and merges conflict, and a clean-up removes files that
another writer has not committed yet. So there is one writer at a time: within a process and, in a
local store, across processes.
"""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import aiologic
from filelock import AsyncFileLock, Timeout

from ..errors import NoSuchStore, StoreBusy, StoreError

if TYPE_CHECKING:
    from lancedb import AsyncConnection


def local_root(uri: str) -> Path | None:
    """Return the directory a store lies in, or None for an object store."""
    if uri.startswith("file://"):
        return Path(uri.removeprefix("file://"))
    return None if "://" in uri else Path(uri)


REMOTE_CONSISTENCY = timedelta(seconds=5)
"""How old a read from an object store may be: asking for the newest version is a round trip."""


def check_exists(uri: str) -> None:
    """Check that a store's folder exists; an object store is asked when it is opened.

    Raises:
        NoSuchStore: There is none.
    """
    root = local_root(uri)
    if root is not None and not root.is_dir():
        raise missing(uri)


def missing(uri: str) -> NoSuchStore:
    """Return the error that there is no store at a place."""
    return NoSuchStore(f"there is no store at {uri}: `patlm ingest FILE --store {uri}` makes one")


_CLIENT = "lance_namespace_urllib3_client"


def _import_lancedb() -> ModuleType:
    """Import lancedb without the HTTP client of its catalogues, which it imports and never calls.

    The client's decorated methods take a second and 12 MB. Its package is entered without being
    run; the first name that is looked up there runs it after all.
    """
    spec = importlib.util.find_spec(_CLIENT)
    if _CLIENT not in sys.modules and spec is not None and spec.loader is not None:
        client, loader = importlib.util.module_from_spec(spec), spec.loader

        def run(name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            del client.__getattr__
            loader.exec_module(client)
            return getattr(client, name)

        client.__getattr__ = run  # type: ignore[method-assign]
        sys.modules[_CLIENT] = client
    return importlib.import_module("lancedb")


@asynccontextmanager
async def connected(uri: str) -> AsyncIterator[AsyncConnection]:
    """Connect to a place, and close the connection in the end.

    Raises:
        StoreError: The scheme of the URI is unknown.
    """
    # In a thread: the first import takes seconds, and would block every other request.
    lancedb = await asyncio.to_thread(_import_lancedb)
    interval = timedelta(0) if local_root(uri) else REMOTE_CONSISTENCY
    try:
        connection: AsyncConnection = await lancedb.connect_async(
            uri, read_consistency_interval=interval
        )
    except ValueError as error:  # an unknown scheme
        raise StoreError(
            f"no store can be opened at {uri}: {error}", code="cannot_open_store"
        ) from error
    try:
        yield connection
    finally:
        connection.close()  # type: ignore[no-untyped-call]


LOCK_FILE = ".patlm-writer.lock"
LOCK_TIMEOUT_S = 600.0


class WriteLock:
    """The right to write into the store at a place.

    Args:
        root: The store's directory; None: an object store, where one process only may write.
    """

    def __init__(self, root: Path | None) -> None:
        self._root = root
        self._here = aiologic.Lock()

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Hold the lock.

        Raises:
            StoreBusy: If another process held it for ten minutes.
        """
        async with self._here, self._across_processes():
            yield

    @asynccontextmanager
    async def _across_processes(self) -> AsyncIterator[None]:
        if self._root is None:
            yield
            return
        await asyncio.to_thread(self._root.mkdir, parents=True, exist_ok=True)
        lock = AsyncFileLock(str(self._root / LOCK_FILE), thread_local=False)
        try:
            await lock.acquire(timeout=LOCK_TIMEOUT_S)
        except Timeout as error:
            raise StoreBusy(
                f"expected to write within {LOCK_TIMEOUT_S:.0f} s, but another process holds "
                f"{lock.lock_file}: wait for it to end and try again"
            ) from error
        try:
            yield
        finally:
            await lock.release()
