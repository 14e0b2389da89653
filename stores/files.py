"""Lines of JSON in the shards of a folder: appended whole, read past damage, replaced as wholes.

A line is written with one call under a lock shared by all processes, so lines never mix; a writer
that is killed inside that call leaves at most one torn line, which readers pass over and tell of,
and which the next line does not continue. All functions block: in an event loop they belong in
`asyncio.to_thread`.

Files that are written whole, or not at all.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

_log = logging.getLogger(__name__)
_LOCK = ".traces.lock"
_REPLACING = ".tmp"

SHARDS = "*.jsonl"
FEEDBACK = "feedback-"
"""What the names of files begin with whose lines are feedback, not episodes."""


@dataclass(frozen=True)
class DamagedLine:
    """A line of a shard that is no record."""

    path: Path
    line: int
    reason: str

    def __str__(self) -> str:
        """Return it as people read it: `file:line: reason`."""
        return f"{self.path}:{self.line}: {self.reason}"


def warn_of(damaged: DamagedLine) -> None:
    """Log a line that is no record."""
    _log.warning("%s", damaged)


def locked(folder: Path) -> FileLock:
    """Return the lock of a folder, which is made where there is none."""
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / _LOCK)


def append_line(path: Path, content: str) -> None:
    """Write a line at the end of a file; it is on the disk when this returns.

    Raises:
        OSError: The file cannot be written.
    """
    with locked(path.parent):
        append_under_lock(path, content)


def append_under_lock(path: Path, content: str) -> None:
    """Write a line at the end of a file, as `append_line` does, under the lock that is held."""
    line = content.encode() + b"\n"
    with path.open("a+b", buffering=0) as file:
        _write_whole(file.fileno(), (b"\n" if _is_torn(path) else b"") + line)
        os.fsync(file.fileno())


def replace_lines(path: Path, lines: Iterable[bytes]) -> None:
    """Put lines in the place of a file's, at once; call it under the folder's lock.

    Raises:
        OSError: The disk is full, or the folder cannot be written; the file is as it was.
    """
    draft = path.with_name(path.name + _REPLACING)
    try:
        with draft.open("wb") as new:
            new.writelines(lines)
            new.flush()
            os.fsync(new.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def remove_unfinished(folder: Path) -> None:
    """Remove what a replacing that was killed has left; call it under the folder's lock."""
    for remains in folder.glob(f"{SHARDS}{_REPLACING}"):
        remains.unlink()


def load_object(line: bytes) -> dict[str, Any] | None:
    """Return the JSON object of a line, or None where it is none."""
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):  # bytes that are no UTF-8 are a ValueError too
        return None
    return content if isinstance(content, dict) else None


def no_object(path: Path, number: int, line: bytes) -> DamagedLine:
    """Return what is told of a line that holds no JSON object."""
    torn = "" if line.endswith(b"\n") else ", torn off at the end of the file"
    return DamagedLine(path, number, f"not a JSON object{torn}")


def episode_shards(path: Path) -> list[Path]:
    """Return the shards of episodes that a path names, itself or in it, by the order of names.

    Raises:
        FileNotFoundError: There is nothing of that name.
    """
    if path.is_dir():
        return sorted(p for p in path.glob(SHARDS) if not p.name.startswith(FEEDBACK))
    if not path.exists():
        raise FileNotFoundError(f"no episodes at {path}: expected a shard or a folder of shards")
    return [path]


def feedback_shards(path: Path) -> list[Path]:
    """Return the files of feedback in a folder, or beside a shard."""
    folder = path if path.is_dir() else path.parent
    return sorted(folder.glob(f"{FEEDBACK}{SHARDS}"))


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


def write_json(value: Mapping[str, Any], file: Path) -> None:
    """Write a file of JSON whole, or leave the one before."""
    write_lines([json.dumps(value, ensure_ascii=False, indent=1)], file)


def write_lines(lines: Iterable[str], file: Path) -> None:
    """Write a file of lines whole, or leave the one before."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f".{file.name}-{os.getpid()}")
    try:
        with fresh.open("w", encoding="utf-8") as out:
            out.writelines(f"{line}\n" for line in lines)
        fresh.replace(file)
    finally:
        fresh.unlink(missing_ok=True)
