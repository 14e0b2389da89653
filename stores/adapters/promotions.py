"""Which adapter of each role is in use, and which were before: one file, `promoted.json`.

    {"version": 1, "history": {"style": ["style@1", "style@3"]}}

The last of a role is in use. The file is replaced as a whole under a lock, so that readers need
none: they see the one before or the one after, and two writers never lose each other's part.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Container, Mapping
from itertools import groupby
from pathlib import Path
from typing import Literal

from filelock import BaseFileLock
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import AdapterDamaged, AdapterNotFound, InvalidField
from ..files import replacing
from .manifest import Name

_Stamp = tuple[int, int, int]
_Histories = Mapping[str, tuple[str, ...]]


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    history: dict[str, tuple[Name, ...]] = Field(default_factory=dict)


class Promotions:
    """The histories of all roles; safe from any thread and process. Blocks.

    Args:
        path: The file; made with the first promotion.
        lock: Gives the lock that every writer of the folder takes.
    """

    def __init__(self, path: Path, lock: Callable[[], BaseFileLock]) -> None:
        self._path, self._lock = path, lock
        self._seen: tuple[_Stamp, dict[str, str]] | None = None

    def current(self) -> dict[str, str]:
        """Return the adapter in use by role; a role that runs on the base model is left out.

        One look at the file's time, size and place where nothing changed: some microseconds.

        Raises:
            AdapterDamaged: The file can't be read.
        """
        try:
            stamp = _stamp(os.stat(self._path))
        except FileNotFoundError:
            return {}
        seen = self._seen
        if seen is None or seen[0] != stamp:
            # A newer file than the one looked at is remembered under the old stamp and read again.
            used = {role: names[-1] for role, names in self.histories().items()}
            seen = self._seen = (stamp, used)
        return dict(seen[1])

    def histories(self) -> _Histories:
        """Return what was promoted by role, the one in use last; no role is empty.

        Raises:
            AdapterDamaged: The file can't be read.
        """
        try:
            kept = _Kept.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except ValidationError as error:
            raise AdapterDamaged(
                f"{self._path} is none that this patlm reads: {InvalidField.of(error)}: remove it, "
                "so that all roles run on the base model, and promote again"
            ) from None
        return {role: names for role, names in kept.history.items() if names}

    def push(self, role: str, name: str, check: Callable[[], object]) -> None:
        """Put an adapter into use; the one before stays in the history.

        Args:
            role: Whose.
            name: The adapter.
            check: Called under the lock; what it raises keeps all as it is.

        Raises:
            AdapterDamaged: The file can't be read.
        """
        with self._lock():
            check()
            histories = self.histories()
            before = histories.get(role, ())
            if before[-1:] != (name,):  # twice in a row would make a rollback do nothing
                self._write({**histories, role: (*before, name)})

    def pop(self, role: str) -> str | None:
        """Go back to the adapter before; None: the base model.

        Raises:
            AdapterNotFound: Nothing of this role is in use.
            AdapterDamaged: The file can't be read.
        """
        self._demand(role, self.histories())  # without a lock, which would make the folder
        with self._lock():
            histories = self.histories()
            self._demand(role, histories)
            left = histories[role][:-1]
            self._write({**histories, role: left})
        return left[-1] if left else None

    def drop(self, names: Container[str]) -> None:
        """Take adapters that are to go out of all histories; whoever calls this holds the lock.

        Those in use must not be among them. A rollback passes over what was taken out.

        Raises:
            AdapterDamaged: The file can't be read.
        """
        histories = self.histories()
        left = {
            # Without what lay between them two of one name may meet: one of them is enough.
            role: tuple(name for name, _ in groupby(n for n in history if n not in names))
            for role, history in histories.items()
        }
        if left != histories:
            self._write(left)

    def _demand(self, role: str, histories: _Histories) -> None:
        if role not in histories:
            used = ", ".join(names[-1] for names in histories.values()) or "none"
            raise AdapterNotFound(
                f"no adapter of role {role!r} is promoted, so there is none to go back from; "
                f"promoted: {used}"
            )

    def _write(self, histories: _Histories) -> None:
        content = {"version": 1, "history": {role: ns for role, ns in histories.items() if ns}}
        with replacing(self._path) as draft:
            draft.write_text(json.dumps(content, indent=1, sort_keys=True), encoding="utf-8")
            # Two writes can fall into one tick of the file system's clock and get the same inode
            # in turn: a time that always grows keeps readers from taking one for the other.
            newer = max(time.time_ns(), self._written() + 1)
            os.utime(draft, ns=(newer, newer))

    def _written(self) -> int:
        try:
            return os.stat(self._path).st_mtime_ns
        except FileNotFoundError:
            return 0


def _stamp(found: os.stat_result) -> _Stamp:
    return found.st_mtime_ns, found.st_size, found.st_ino
