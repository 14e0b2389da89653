"""The list of copies: which files and folders patlm wrote people's texts to, outside of stores.

Whoever writes such a place notes it first, with its kind and what it was made of: a store, a folder
of records, or a data file. `forget` goes through the list: what was made of the store, or of
something that was made of it, belongs to it.

    note_copy("page", Path("runs.html"), of=trace)
    for copy in read_copies(): ...

The list is one file of this user (`PATLM_COPIES`, else in the user's data folder), never a file of
a store: a store may come from elsewhere, and must not say which files are changed.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import platformdirs

from ..files import append_line, load_object, lock_in, read_lines, write_atomic
from ..texts.connection import local_root

_log = logging.getLogger(__name__)

VARIABLE = "PATLM_COPIES"
SAMPLE = "sample"
"""Stands for the store of the sample corpus, which has no place of its own."""

_DAY = 86_400.0
_TIDIED_FROM = 256  # lines
_LOCK = "copies.lock"


@dataclass(frozen=True)
class Copy:
    """A place that holds copies of texts, or was made of some.

    Attributes:
        kind: Its kind, one of `kinds.KINDS`.
        path: The file or folder.
        of: What it was made of, as `origin` names it.
        at: When it was noted, in seconds since 1970.
    """

    kind: str
    path: Path
    of: str = ""
    at: float = 0.0


def origin(what: str | Path | None) -> str:
    """Return the one name of a store, a folder or a file; None is the sample corpus's store."""
    if what is None:
        return SAMPLE
    local = local_root(str(what))
    return str(what) if local is None else str(local.expanduser().resolve())


def ledger_file() -> Path:
    """Return the file of the list."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else platformdirs.user_data_path("patlm") / "copies.jsonl"


def note_copy(kind: str, path: Path, *, of: str | Path | None) -> None:
    """Note a place before texts are written to it. Blocks.

    Where the list can't be written, that is logged: `forget` then finds the place only by name.

    Args:
        kind: Its kind, one of `kinds.KINDS`.
        path: The file or folder.
        of: The store, folder or file that it is made of; None: the sample corpus's store.
    """
    copy = Copy(kind, Path(origin(path)), origin(of), time.time())
    file = ledger_file()
    try:
        with lock_in(file.parent, _LOCK):
            known = read_copies()
            if any((each.kind, each.path, each.of) == (kind, copy.path, copy.of) for each in known):
                return
            if len(known) >= _TIDIED_FROM:
                _keep(file, [each for each in known if _may_be_there(each)])
            append_line(file, json.dumps({**asdict(copy), "path": str(copy.path)}))
    except OSError as error:
        _log.warning(
            "%s holds texts, and %s can't be written (%s): `patlm forget --copies %s` finds it",
            path,
            file,
            error.strerror or error,
            path,
        )


def read_copies() -> list[Copy]:
    """Return the list; lines that are none are left out."""
    file = ledger_file()
    if not file.exists():
        return []
    found = []
    for _, line in read_lines(file):
        said = load_object(line) or {}
        kind, path, of, at = (said.get(name) for name in ("kind", "path", "of", "at"))
        if isinstance(kind, str) and isinstance(path, str) and isinstance(of, str):
            found.append(Copy(kind, Path(path), of, at if isinstance(at, float) else 0.0))
    return found


def made_of(copies: Sequence[Copy], origins: Iterable[str]) -> list[Copy]:
    """Return the copies that were made of some places, or of copies of them, the first ones first.

    Args:
        copies: All that are known.
        origins: The places, as `origin` names them.
    """
    reached, found = set(origins), list[Copy]()
    left = list(copies)
    while fresh := [copy for copy in left if copy.of in reached]:
        found += fresh
        reached |= {str(copy.path) for copy in fresh}
        left = [copy for copy in left if copy not in found]
    return found


def _may_be_there(copy: Copy) -> bool:
    """Say whether a place is there, or was noted so lately that it may be about to be made."""
    return copy.path.exists() or time.time() - copy.at < _DAY


def _keep(file: Path, copies: Iterable[Copy]) -> None:
    lines = (json.dumps({**asdict(each), "path": str(each.path)}) for each in copies)
    write_atomic(file, [line.encode() + b"\n" for line in lines])
