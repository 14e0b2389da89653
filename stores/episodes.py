"""Keep the records of runs: shards of JSON lines that survive being killed, and forgetting.

    EpisodeWriter(folder).append(record)
    for record in read_episodes(folder): ...

A shard holds one day. A record is written with one call under a lock shared by all processes, so
lines never mix; a writer that is killed inside that call leaves at most one torn line, which
readers pass over and tell of, and which the next record does not continue. All functions block:
in an event loop they belong in `asyncio.to_thread`.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock
from pydantic import ValidationError

from .episode_schema import VERSION, Episode, upgraded
from .errors import StoreError

__all__ = [
    "DamagedLine",
    "Episode",
    "EpisodeWriter",
    "UnknownEpisodeVersion",
    "forget_episodes",
    "read_episodes",
]

_log = logging.getLogger(__name__)
_LOCK = ".traces.lock"
_SHARDS = "*.jsonl"


class UnknownEpisodeVersion(StoreError):
    """A record of a schema version that this patlm does not read."""


@dataclass(frozen=True)
class DamagedLine:
    """A line of a shard that is no record."""

    path: Path
    line: int
    reason: str

    def __str__(self) -> str:
        """Return it as people read it: `file:line: reason`."""
        return f"{self.path}:{self.line}: {self.reason}"


class EpisodeWriter:
    """Appends records to the shards of a folder; safe from any thread and process."""

    def __init__(self, folder: Path) -> None:
        """Take the folder, which is made with the first record."""
        self.folder = folder

    def append(self, record: Episode) -> None:
        """Keep one record; it is on the disk when this returns.

        Raises:
            OSError: The folder cannot be written.
        """
        line = record.model_dump_json().encode() + b"\n"
        with _lock(self.folder):
            path = self.folder / f"traces-{record.created:%Y%m%d}.jsonl"
            with path.open("a+b", buffering=0) as file:
                _write_whole(file.fileno(), (b"\n" if _is_torn(path) else b"") + line)
                os.fsync(file.fileno())


def read_episodes(
    path: Path, *, report: Callable[[DamagedLine], None] | None = None
) -> Iterator[Episode]:
    """Yield the records of a shard, or of all shards of a folder in the order of their days.

    Args:
        path: A shard or a folder.
        report: Told of each line that is no record, which is passed over; by default it is
            logged as a warning.

    Raises:
        FileNotFoundError: There is nothing of that name.
        UnknownEpisodeVersion: A record is of a version that is not known here.
    """
    for shard in _find_shards(path):
        with shard.open("rb") as file:
            for number, line in enumerate(file, start=1):
                found = _parse(shard, number, line) if line.strip() else None
                if isinstance(found, DamagedLine):
                    (report or _warn)(found)
                elif found is not None:
                    yield found


def forget_episodes(folder: Path, namespace: str, user_id: str, *, dry_run: bool = False) -> int:
    """Remove all records of a namespace that hold something of a user.

    Those are the user's own requests and the runs in whose evidence a text of the user's stands:
    there the text is in the prompts too, so the record goes as a whole. Shards are replaced as
    wholes, the old bytes with them. Lines that are no records go as well, for nobody can tell what
    they hold; they are not counted.

    Args:
        folder: Where the shards are; one that does not exist holds nothing.
        namespace: The tenant.
        user_id: Whom to forget.
        dry_run: Only count.

    Returns:
        The number of records.
    """
    if not folder.is_dir():
        return 0
    with _lock(folder):
        for remains in folder.glob(f"{_SHARDS}.tmp"):  # of a forgetting that was killed
            remains.unlink()
        shards = _find_shards(folder)
        return sum(_forget_in(shard, namespace, user_id, dry_run) for shard in shards)


def _forget_in(shard: Path, namespace: str, user_id: str, dry_run: bool) -> int:
    with shard.open("rb") as file:
        fates = [_fate(line, namespace, user_id) for line in file]
    removed = fates.count("forgotten")
    if dry_run or len(fates) == fates.count("kept"):
        return removed
    if "kept" not in fates:
        shard.unlink()
        return removed
    draft = shard.with_name(shard.name + ".tmp")
    with shard.open("rb") as old, draft.open("wb") as new:
        new.writelines(line for line, fate in zip(old, fates, strict=True) if fate == "kept")
        new.flush()
        os.fsync(new.fileno())
    os.replace(draft, shard)
    return removed


def _fate(line: bytes, namespace: str, user_id: str) -> Literal["kept", "forgotten", "damaged"]:
    content = _load(line)
    if content is None:
        return "damaged"
    forgotten = content.get("namespace") == namespace and _names(content, user_id)
    return "forgotten" if forgotten else "kept"


def _names(content: object, user_id: str) -> bool:
    """Say whether any `user_id` in a record is this one, at whatever depth and version."""
    if isinstance(content, dict):
        if content.get("user_id") == user_id:
            return True
        return any(_names(value, user_id) for value in content.values())
    return isinstance(content, list) and any(_names(value, user_id) for value in content)


def _parse(shard: Path, number: int, line: bytes) -> Episode | DamagedLine:
    content = _load(line)
    if content is None:
        torn = "" if line.endswith(b"\n") else ", torn off at the end of the file"
        return DamagedLine(shard, number, f"not a JSON object{torn}")
    version = content.get("version")
    if version not in (1, VERSION):
        raise UnknownEpisodeVersion(
            f"{shard}:{number}: expected a record of version 1 or {VERSION}, got {version!r}: "
            "read it with the patlm that wrote it, or with a newer one"
        )
    try:
        if version != VERSION:
            line = json.dumps(upgraded(content)).encode()
        # Strings stand for dates and lists for tuples in JSON: validated as JSON, not as Python.
        return Episode.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        return DamagedLine(
            shard, number, f"no record of version {version}: {place}: {first['msg']}"
        )


def _load(line: bytes) -> dict[str, Any] | None:
    """Return the JSON object of a line, or None where it is none."""
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):  # bytes that are no UTF-8 are a ValueError too
        return None
    return content if isinstance(content, dict) else None


def _find_shards(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(path.glob(_SHARDS))
    if not path.exists():
        raise FileNotFoundError(f"no traces at {path}: expected a shard or a folder of shards")
    return [path]


def _lock(folder: Path) -> FileLock:
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / _LOCK)


def _is_torn(path: Path) -> bool:
    """Say whether a shard ends inside a line."""
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def _write_whole(descriptor: int, data: bytes) -> None:
    """Write all of the bytes: one call, and more only where the system takes part of them."""
    while data:
        data = data[os.write(descriptor, data) :]


def _warn(damaged: DamagedLine) -> None:
    _log.warning("%s", damaged)
