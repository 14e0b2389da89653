"""A table's version, asked for only where its directory has changed since the last answer.

A request compares ten snapshots with the newest version. LanceDB takes 0.2 to 0.5 ms to say it; a
look at the directory in which each version is a file takes a hundredth of that. A file system's
clock has ticks: a directory that changed within the last `SETTLED_S` may change again without
showing it, and is asked about anew (git's index knows this as a racily clean entry).

On a network file system a client may show old times of directories for as long as it keeps them:
mount it so that it does not, if several machines write.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from .bounded import bounded

if TYPE_CHECKING:
    from lancedb.table import AsyncTable

SETTLED_S = 3.0
"""Age from which a directory's time says that nothing came after it; FAT counts in two seconds."""

_State = tuple[int, int]
"""Of a directory: its time of change in nanoseconds, and its number."""


class Versions:
    """The newest versions of tables.

    Args:
        root: The directory that the store lies in; None: an object store, which is always asked.
    """

    def __init__(self, root: Path | None) -> None:
        self._root = root
        self._known: dict[str, tuple[_State, int]] = {}

    async def of(self, name: str, table: AsyncTable) -> int:
        """Return the newest version of a table.

        Args:
            name: The table's.
            table: It itself.
        """
        # Before the question: what changes in between is seen the next time.
        state = self._state(name)
        if state is not None and name in self._known:
            seen, version = self._known[name]
            if seen == state:
                return version
        version = await bounded(table.version)
        if state is not None and time.time_ns() - state[0] > SETTLED_S * 1e9:
            self._known[name] = state, version
        return version

    def _state(self, name: str) -> _State | None:
        if self._root is None:
            return None
        try:
            found = os.stat(self._root / f"{name}.lance" / "_versions")
        except OSError:  # LanceDB lays it out in another way: it is asked
            return None
        return found.st_mtime_ns, found.st_ino
