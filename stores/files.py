"""Write files whole or not at all, and lines of JSON that survive a kill.

`write_atomic` and `write_json` replace a file at once: readers see the one before or the one after.
`append_line` writes a line with one call; a writer that is killed inside that call leaves at most
one torn line, which readers skip and report, and which the next line does not continue. All
functions block: in an event loop they belong in `asyncio.to_thread`.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from filelock import FileLock

_log = logging.getLogger(__name__)
_LOCK = ".traces.lock"

SHARDS = "*.jsonl"
FEEDBACK = "feedback-"
"""Files whose names begin so hold feedback, not episodes."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a draft in the same folder to write; it replaces the file when the block ends.

    The draft is on the disk before it replaces the file. Where the block fails, the draft is
    removed and the file is as it was. The folder is made where there is none.

    Raises:
        OSError: The draft cannot be written; it names the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own: two writers without a lock must not share a draft.
    draft = path.with_name(f"{path.name}.{uuid4().hex[:8]}.tmp")
    try:
        with _naming(path):
            yield draft
            with draft.open("rb") as written:
                os.fsync(written.fileno())
            os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def write_atomic(path: Path, content: str | Iterable[bytes]) -> None:
    """Replace a file by text, or by pieces of bytes, as `replacing` does."""
    with replacing(path) as draft:
        if isinstance(content, str):
            draft.write_text(content, encoding="utf-8")
        else:
            with draft.open("wb") as file:
                file.writelines(content)


def write_json(path: Path, value: Mapping[str, Any], *, sort_keys: bool = False) -> None:
    """Replace a file by one JSON object, as `replacing` does."""
    write_atomic(path, json.dumps(value, ensure_ascii=False, indent=1, sort_keys=sort_keys) + "\n")


def put_folder(fresh: Path, path: Path) -> None:
    """Rename a finished folder; it is dropped where another process has put one there before.

    Raises:
        OSError: It cannot be renamed, and nothing is there.
    """
    try:
        fresh.rename(path)
    except OSError:
        shutil.rmtree(fresh)
        if not path.exists():
            raise


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Give errors of writing the name of the file: those of a full disk have none."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            raise type(error)(error.errno, os.strerror(error.errno), str(path)) from error
        raise


@dataclass(frozen=True)
class DamagedLine:
    """A line of a file of JSON lines that is no record."""

    path: Path
    line: int
    reason: str

    def __str__(self) -> str:
        """Return it as people read it: `file:line: reason`."""
        return f"{self.path}:{self.line}: {self.reason}"


def warn_of(damaged: DamagedLine) -> None:
    """Log a line that is no record."""
    _log.warning("%s", damaged)


def append_line(path: Path, content: str, *, sync: bool = True) -> None:
    """Write a line at the end of a file, made where there is none.

    Where several write, call it under a lock.

    Args:
        path: The file.
        content: The line without its end.
        sync: Wait until the line is on the disk; otherwise it survives a kill of the process, but
            not of the machine.

    Raises:
        OSError: The file cannot be written; it names the file.
    """
    line = content.encode() + b"\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    with _naming(path), path.open("a+b", buffering=0) as file:
        _write_whole(file.fileno(), (b"\n" if _is_torn(path) else b"") + line)
        if sync:
            os.fsync(file.fileno())


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a file that are not blank, with their numbers from 1."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, line


def load_object(line: bytes) -> dict[str, Any] | None:
    """Return the JSON object of a line, or None where it is none."""
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):  # bytes that are no UTF-8 are a ValueError too
        return None
    return content if isinstance(content, dict) else None


def no_object(path: Path, number: int, line: bytes) -> DamagedLine:
    """Return the report of a line that holds no JSON object."""
    torn = "" if line.endswith(b"\n") else ", torn off at the end of the file"
    return DamagedLine(path, number, f"not a JSON object{torn}")


def _is_torn(path: Path) -> bool:
    """Say whether a file ends inside a line."""
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def _write_whole(descriptor: int, data: bytes) -> None:
    """Write all of the bytes: one call, and more only where the system takes part of them."""
    while data:
        data = data[os.write(descriptor, data) :]


def locked(folder: Path) -> FileLock:
    """Return the lock of a folder of episodes, which is made where there is none."""
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / _LOCK)


def remove_unfinished(folder: Path) -> None:
    """Remove drafts of shards that a kill has left; call it under the folder's lock."""
    for remains in folder.glob(f"{SHARDS}*.tmp"):
        remains.unlink()


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
