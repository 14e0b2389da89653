"""One writer at a time, within a process and (in a local store) across processes.

Appends retry by themselves, but deletes and merges conflict, and a clean-up takes away the files
that another writer has not committed yet.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiologic
from filelock import AsyncFileLock, Timeout

from .errors import StoreBusy

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
        """Hold it.

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
