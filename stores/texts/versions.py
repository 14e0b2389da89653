"""A table's version, asked for only where its directory has changed since the last answer.

A request compares ten snapshots with the newest version. LanceDB takes 0.2 to 0.5 ms to say it; a
look at the directory in which each version is a file takes a hundredth of that. A file system's
clock has ticks: a directory that changed within the last `SETTLED_S` may change again without
showing it, and is asked about anew (git's index knows this as a racily clean entry).

On a network file system a client may show old times of directories for as long as it keeps them:
mount it so that it does not, if several machines write.
"""

from __future__ import annotations

import asyncio
import os
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from ..retry import bounded

if TYPE_CHECKING:
    from lancedb.table import AsyncTable

SETTLED_S = 3.0
"""Age from which a directory's time says that nothing came after it; FAT counts in two seconds."""


class Versions:
    """The newest versions of tables.

    Args:
        root: The directory that the store lies in; None: an object store, which is always asked.
    """

    def __init__(self, root: Path | None) -> None:
        self._root = root
        # Held open: to look at what is open never waits for a disk, as looking up a path may.
        self._directories: dict[str, int | None] = {}
        self._known: dict[str, tuple[int, int]] = {}
        weakref.finalize(self, _close, self._directories)

    async def of(self, name: str, table: AsyncTable) -> int:
        """Return the newest version of a table.

        Args:
            name: The table's.
            table: It itself.
        """
        if name not in self._directories:
            opened = await asyncio.to_thread(_opened, self._root, name)
            if self._directories.setdefault(name, opened) != opened:
                _close({name: opened})  # somebody else was quicker
        # Before the question: what changes in between is seen the next time.
        changed = self._changed(name)
        if changed is not None and name in self._known:
            seen, version = self._known[name]
            if seen == changed:
                return version
        version = await bounded(table.version)
        if changed is not None and time.time_ns() - changed > SETTLED_S * 1e9:
            self._known[name] = changed, version
        return version

    def _changed(self, name: str) -> int | None:
        """Return when a table's directory changed last, in nanoseconds; None: not known."""
        directory = self._directories[name]
        if directory is None:
            return None
        found = os.fstat(directory)
        if not found.st_nlink:  # removed: what lies in its place is opened the next time
            _close({name: self._directories.pop(name)})
            return None
        return found.st_mtime_ns


def _opened(root: Path | None, name: str) -> int | None:
    """Open the directory of a table's versions; None where that can't be done."""
    if root is None or not hasattr(os, "O_DIRECTORY"):
        return None
    try:
        return os.open(root / f"{name}.lance" / "_versions", os.O_RDONLY | os.O_DIRECTORY)
    except OSError:  # LanceDB lays it out in another way: it is asked
        return None


def _close(directories: dict[str, int | None]) -> None:
    for directory in directories.values():
        if directory is not None:
            os.close(directory)
