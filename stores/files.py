"""Files and folders of this user alone, atomic replacement, crash-safe JSONL, and safe names.

What is made here holds people's texts: files get the mode 0600, folders 0700. `make_folder`,
`new_file` and `lock_in` are the one place where they are made; what is there stays as it is.
`below` is the way from a name that was read to a path.

`write_atomic` and `write_json` replace a file atomically: readers see the old or the new content.
`append_line` writes a line with one system call; a killed writer leaves at most one torn line,
which readers skip and report, and which the next append does not continue. All functions block:
call them through `asyncio.to_thread` in an event loop.

Stores, adapters, records and reports may come from elsewhere. They are data and never decide where
files are read or written: a name that was read becomes a path by `below` alone.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from filelock import FileLock

from .errors import CodedError, StoreDamaged, shortened

_log = logging.getLogger(__name__)
_LOCK = ".traces.lock"

SHARDS = "*.jsonl"
FEEDBACK = "feedback-"
"""File name prefix of feedback shards."""

SMALL_FILE = 16_000_000
"""Bytes of a file that `read_small` reads at most."""

_PLAIN_NAME = re.compile(r"[^/\\\x00-\x1f\x7f\ud800-\udfff]{1,200}")


def below(folder: Path, name: str, *, error: type[CodedError] = StoreDamaged) -> Path:
    """Return the path of a file or folder that lies in a folder, whether it exists or not.

    Args:
        folder: The folder that was made for it.
        name: A plain name: no path, no address.
        error: The class of the error.

    Raises:
        CodedError: The name is none, or what lies there is a link that leads out of the folder,
            or a device; of the class `error`.
    """
    path = folder / name
    plain = _PLAIN_NAME.fullmatch(name) is not None and name not in (".", "..")
    if not plain or not _is_inside(path, folder):
        raise error(
            f"expected the name of a file in {folder}, got {shortened(name)}, which leads "
            "elsewhere: patlm writes no such names and no links; remove it, or make it again"
        )
    return path


def _is_inside(path: Path, folder: Path) -> bool:
    try:
        if not path.resolve().is_relative_to(folder.resolve()):
            return False
        kind = path.stat().st_mode
    except RuntimeError:  # a circle of links
        return False
    except OSError:  # nothing is there, or who opens it will say what is wrong
        return True
    return stat.S_ISREG(kind) or stat.S_ISDIR(kind)


def read_small(path: Path, *, error: type[CodedError] = StoreDamaged) -> bytes:
    """Return the content of a file whose kind and size are looked at before it is read.

    Raises:
        OSError: It can't be read.
        CodedError: It is larger than `SMALL_FILE`; of the class `error`.
    """
    if (size := path.stat().st_size) > SMALL_FILE:
        raise error(
            f"expected at most {SMALL_FILE:,} bytes in {path}, got {size:,}: patlm writes no such "
            "file; remove it, or make it again"
        )
    return path.read_bytes()


def make_folder(path: Path) -> Path:
    """Make a folder, and those above it, where they are missing, for this user alone; return it.

    Raises:
        OSError: It can't be made, or a file is there.
    """
    if not path.parent.exists():
        make_folder(path.parent)
    path.mkdir(0o700, exist_ok=True)
    return path


def new_file(path: Path) -> Path:
    """Make a file where it is missing, for this user alone, so that it can be written; return it.

    Raises:
        OSError: It can't be made.
    """
    path.touch(0o600)
    return path


def lock_in(folder: Path, name: str, *, error: type[CodedError] = StoreDamaged) -> FileLock:
    """Return a lock between processes; its folder is made.

    Raises:
        CodedError: What lies there is a link that leads elsewhere; of the class `error`.
    """
    return FileLock(below(make_folder(folder), name, error=error), mode=0o600)


def draft_of(path: Path) -> Path:
    """Return a new file name beside a file that is to be replaced; its folder is made.

    Raises:
        OSError: What is there is no regular file: a folder, or a device, which stays as it is.
    """
    if path.name in ("", "..") or (path.exists() and not path.is_file()):
        raise FileExistsError(errno.EEXIST, "it is no regular file: name another one", str(path))
    make_folder(path.parent)
    # A unique name: two writers without a lock must not share a draft, nor hit another file.
    return path.with_name(f"{path.name}.{uuid4().hex[:8]}.tmp")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a draft in the same folder, which replaces the file when the block ends.

    The draft is synced to disk before it replaces the file. If the block fails, the draft is
    removed and the file stays unchanged. A missing folder is created.

    Raises:
        OSError: The draft can't be written, or what is there is no regular file; names the file.
    """
    draft = draft_of(path)
    try:
        with _naming(path):
            yield new_file(draft)
            with draft.open("rb") as written:
                os.fsync(written.fileno())
            os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def write_atomic(path: Path, content: str | Iterable[bytes]) -> None:
    """Replace a file atomically by a text or by chunks of bytes (see `replacing`)."""
    with replacing(path) as draft:
        if isinstance(content, str):
            draft.write_text(content, encoding="utf-8")
        else:
            with draft.open("wb") as file:
                file.writelines(content)


def write_json(path: Path, value: Mapping[str, Any], *, sort_keys: bool = False) -> None:
    """Replace a file atomically by one JSON object (see `replacing`)."""
    write_atomic(path, json.dumps(value, ensure_ascii=False, indent=1, sort_keys=sort_keys) + "\n")


def put_folder(fresh: Path, path: Path) -> None:
    """Rename a finished folder; delete it if another process has already put one at `path`.

    Raises:
        OSError: The folder can't be renamed, and `path` does not exist.
    """
    try:
        fresh.rename(path)
    except OSError:
        shutil.rmtree(fresh)
        if not path.exists():
            raise


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Add the file name to write errors: those of a full disk have none."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            raise type(error)(error.errno, os.strerror(error.errno), str(path)) from error
        raise


@dataclass(frozen=True)
class DamagedLine:
    """A line of a JSONL file that is not a valid record."""

    path: Path
    line: int
    reason: str

    def __str__(self) -> str:
        """Return `file:line: reason`."""
        return f"{self.path}:{self.line}: {self.reason}"


def log_damaged(damaged: DamagedLine) -> None:
    """Log a damaged line as a warning."""
    _log.warning("%s", damaged)


def append_line(path: Path, content: str, *, sync: bool = True) -> None:
    """Append a line to a file; create the file if missing.

    Several writers need a lock.

    Args:
        path: The file.
        content: The line without its end.
        sync: Wait until the line is on disk; otherwise it survives a crash of the process, but not
            of the machine.

    Raises:
        OSError: The file can't be written; the error names the file.
    """
    line = content.encode() + b"\n"
    make_folder(path.parent)
    with _naming(path), new_file(path).open("a+b", buffering=0) as file:
        _write_whole(file.fileno(), (b"\n" if _is_torn(path) else b"") + line)
        if sync:
            os.fsync(file.fileno())


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the non-blank lines of a file with their numbers, from 1."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, line


def load_object(line: bytes) -> dict[str, Any] | None:
    """Return the JSON object on a line, or None if it holds none."""
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):  # invalid UTF-8 is a ValueError too
        return None
    return content if isinstance(content, dict) else None


def not_an_object(path: Path, number: int, line: bytes) -> DamagedLine:
    """Return the report of a line without a JSON object."""
    torn = "" if line.endswith(b"\n") else ", torn off at the end of the file"
    return DamagedLine(path, number, f"not a JSON object{torn}")


def _is_torn(path: Path) -> bool:
    """Return whether a file ends inside a line."""
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def _write_whole(descriptor: int, data: bytes) -> None:
    """Write all bytes: with one call, unless the system accepts only a part."""
    while data:
        data = data[os.write(descriptor, data) :]


def files_below(root: Path) -> Iterator[Path]:
    """Yield the plain files below a folder, which another process may be removing meanwhile.

    A folder that is gone has none. A file may be gone, too, once it is opened.
    """
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            if path.is_file():
                yield path


def size_below(root: Path) -> int:
    """Return the bytes of all files below a folder that are still there."""
    size = 0
    for path in files_below(root):
        try:
            size += path.stat().st_size
        except FileNotFoundError:
            continue
    return size


def locked(folder: Path) -> FileLock:
    """Return the lock of an episode folder; create the folder if missing."""
    return lock_in(folder, _LOCK)


def remove_unfinished(folder: Path) -> None:
    """Remove drafts of shards left by killed processes; call it under the folder's lock."""
    for remains in folder.glob(f"{SHARDS}*.tmp"):
        remains.unlink()


def episode_shards(path: Path) -> list[Path]:
    """Return the episode shards of a folder sorted by name, or the path itself if it is a shard.

    Raises:
        FileNotFoundError: The path does not exist.
    """
    if path.is_dir():
        return sorted(p for p in path.glob(SHARDS) if not p.name.startswith(FEEDBACK))
    if not path.exists():
        raise FileNotFoundError(f"no episodes at {path}: expected a shard or a folder of shards")
    return [path]


def feedback_shards(path: Path) -> list[Path]:
    """Return the feedback shards of a folder, or of a shard's folder."""
    folder = path if path.is_dir() else path.parent
    return sorted(folder.glob(f"{FEEDBACK}{SHARDS}"))
