"""Promotion history of each role's adapters, in one file, `promoted.json`.

    {"version": 1, "history": {"style": ["style@1", "style@3"]}}

The last adapter of a role is promoted. Writers replace the file atomically under a lock, so that
readers need no lock and no update is lost.
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

from ..errors import AdapterDamaged, AdapterNotFound, InvalidField, shortened
from ..files import below, read_small, replacing
from .manifest import Name, Role

_Stamp = tuple[int, int, int]
_Histories = Mapping[str, tuple[str, ...]]


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    history: dict[Role, tuple[Name, ...]] = Field(default_factory=dict)


class Promotions:
    """Promotion histories of all roles; thread- and process-safe. Methods block.

    Args:
        path: The file; created by the first promotion.
        lock: Returns the lock of all writers of the folder.
    """

    def __init__(self, path: Path, lock: Callable[[], BaseFileLock]) -> None:
        self._path, self._lock = path, lock
        self._seen: tuple[_Stamp, dict[str, str]] | None = None

    def current(self) -> dict[str, str]:
        """Return the promoted adapter by role; roles on the base model are left out.

        Cached while the file's time, size and inode are unchanged: takes microseconds.

        Raises:
            AdapterDamaged: The file can't be read.
        """
        try:
            stamp = _stamp(os.stat(self._path))
        except FileNotFoundError:
            return {}
        seen = self._seen
        if seen is None or seen[0] != stamp:
            # If the file changed since `stat`, it is cached under the old stamp and read again.
            used = {role: names[-1] for role, names in self.histories().items()}
            seen = self._seen = (stamp, used)
        return dict(seen[1])

    def histories(self) -> _Histories:
        """Return the promoted adapters by role, the current one last; no history is empty.

        Raises:
            AdapterDamaged: The file can't be read.
        """
        try:
            kept = _Kept.model_validate_json(self._read())
        except FileNotFoundError:
            return {}
        except ValidationError as error:
            raise AdapterDamaged(
                f"{self._path} is not valid for this patlm: {InvalidField.of(error)}: remove it, "
                "so that all roles run on the base model, and promote again",
                code="damaged_promotions",
            ) from None
        return {role: names for role, names in kept.history.items() if names}

    def _read(self) -> bytes:
        path = below(self._path.parent, self._path.name, error=AdapterDamaged)
        return read_small(path, error=AdapterDamaged)

    def push(self, role: str, name: str, check: Callable[[], object]) -> None:
        """Promote an adapter; the previous one stays in the history.

        Args:
            role: The role.
            name: The adapter.
            check: Called under the lock; if it raises, nothing changes.

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
        """Roll back to the previous adapter and return it; None for the base model.

        Raises:
            AdapterNotFound: No adapter of this role is promoted.
            AdapterDamaged: The file can't be read.
        """
        self._require(role, self.histories())  # without the lock, which would create the folder
        with self._lock():
            histories = self.histories()
            self._require(role, histories)
            left = histories[role][:-1]
            self._write({**histories, role: left})
        return left[-1] if left else None

    def drop(self, names: Container[str]) -> None:
        """Remove adapters from all histories before they are deleted; the caller holds the lock.

        Promoted adapters must not be among them. Rollbacks skip the removed ones.

        Raises:
            AdapterDamaged: The file can't be read.
        """
        histories = self.histories()
        left = {
            # Removing a name may leave two equal neighbours, which are merged.
            role: tuple(name for name, _ in groupby(n for n in history if n not in names))
            for role, history in histories.items()
        }
        if left != histories:
            self._write(left)

    def _require(self, role: str, histories: _Histories) -> None:
        if role not in histories:
            used = ", ".join(names[-1] for names in histories.values()) or "none"
            raise AdapterNotFound(
                f"no adapter of role {shortened(role)} is promoted, so there is nothing to roll "
                f"back; promoted: {used}",
                code="nothing_promoted",
            )

    def _write(self, histories: _Histories) -> None:
        content = {"version": 1, "history": {role: ns for role, ns in histories.items() if ns}}
        with replacing(self._path) as draft:
            draft.write_text(json.dumps(content, indent=1, sort_keys=True), encoding="utf-8")
            # Two writes within one tick of the file system's clock can get the same inode: a
            # strictly increasing time lets readers tell them apart.
            newer = max(time.time_ns(), self._written() + 1)
            os.utime(draft, ns=(newer, newer))

    def _written(self) -> int:
        try:
            return os.stat(self._path).st_mtime_ns
        except FileNotFoundError:
            return 0


def _stamp(found: os.stat_result) -> _Stamp:
    return found.st_mtime_ns, found.st_size, found.st_ino
