"""The kinds of places that may hold a person's texts: one registry, with what finds and removes.

`KINDS` is the one list. An entry says what the place is, finds what there is of a person, and
removes it: records are emptied, lines and rows are taken out, what can be made again is removed
whole. What is left afterwards is found by the same search (`prove`). Kinds that nothing can be
removed from, as trained weights, are named in the receipt.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..datasets.splits import forget_split, load_splits, user_key
from ..episodes.redaction import RemovedTexts, forget_episodes
from ..files import load_object, write_atomic, write_json
from .search import Sought

Count = Callable[[Path, Sought], int]


@dataclass(frozen=True)
class Kind:
    """One kind of place.

    Attributes:
        name: Its name in the list of copies.
        says: What it is, and what becomes of it.
        find: Returns how many things of the person are in a place; None: nobody can tell.
        remove: Removes them and returns how many; None: they stay, and are named.
    """

    name: str
    says: str
    find: Count | None = None
    remove: Count | None = None

    def prove(self, path: Path, sought: Sought) -> bool:
        """Return whether nothing of the person is left in a place."""
        return self.find is not None and self.find(path, sought) == 0


def _find_records(path: Path, sought: Sought) -> int:
    return _forget_records(path, sought, dry_run=True)


def _empty_records(path: Path, sought: Sought) -> int:
    return _forget_records(path, sought, dry_run=False)


def _forget_records(path: Path, sought: Sought, *, dry_run: bool) -> int:
    texts = None
    if not (sought.everything and sought.by_id):
        texts = RemovedTexts(sought.text_ids, sought.bodies)
    return forget_episodes(
        path,
        sought.namespace,
        sought.user_id,
        texts=texts,
        has_words=sought.has_words,
        keeps_own=sought.keeps_own,
        dry_run=dry_run,
    )


def _find_lines(path: Path, sought: Sought) -> int:
    return sum(_is_of(line, sought) for line in _lines(path))


def _drop_lines(path: Path, sought: Sought) -> int:
    found = _find_lines(path, sought)
    if found:
        write_atomic(path, (line for line in _lines(path) if not _is_of(line, sought)))
    return found


def _lines(path: Path) -> Iterator[bytes]:
    if path.exists():
        with path.open("rb") as file:
            yield from file


def _is_of(line: bytes, sought: Sought) -> bool:
    content = load_object(line)
    if content is None:  # torn, or made by hand
        return sought.words_in([line.decode("utf-8", "replace")])
    return sought.in_value(content)


def _find_examples(path: Path, sought: Sought) -> int:
    return sum(sought.in_value(each) for each in _examples(path))


def _drop_examples(path: Path, sought: Sought) -> int:
    examples = _examples(path)
    kept = [each for each in examples if not sought.in_value(each)]
    if len(kept) < len(examples):
        write_json(path, {"examples": kept})
    return len(examples) - len(kept)


def _examples(path: Path) -> list[Any]:
    content = load_object(path.read_bytes()) if path.exists() else None
    found = (content or {}).get("examples", [])
    return found if isinstance(found, list) else [found]


def _find_made(path: Path, sought: Sought) -> int:
    files = [path] if path.is_file() else sorted(path.rglob("*"))
    return int(any(sought.in_file(each) for each in files if each.is_file()))


def _remove_made(path: Path, sought: Sought) -> int:
    found = _find_made(path, sought)
    if found:
        remove_whole(path)
    return found


def remove_whole(path: Path) -> None:
    """Remove a file, or a folder with all that is in it.

    Raises:
        OSError: It can't be removed.
    """
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _find_inside(path: Path, sought: Sought) -> int:
    """Count the folders and files in a folder of what can be made again that hold something."""
    return sum(_find_made(each, sought) for each in _inside(path))


def _remove_inside(path: Path, sought: Sought) -> int:
    return sum(_remove_made(each, sought) for each in _inside(path))


def _inside(path: Path) -> list[Path]:
    return sorted(path.iterdir()) if path.is_dir() else []


@contextmanager
def _database(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database that may be in use.

    Raises:
        OSError: It can't be read or changed.
    """
    try:
        with closing(sqlite3.connect(path, timeout=10)) as opened:
            opened.execute("PRAGMA secure_delete=ON")
            yield opened
    except sqlite3.Error as error:
        raise OSError(f"{path} can't be changed: {error}") from error


def _find_answers(path: Path, sought: Sought) -> int:
    if not path.exists():
        return 0
    with _database(path) as opened:
        return len(_answers_of(opened, sought))


def _drop_answers(path: Path, sought: Sought) -> int:
    if not path.exists():
        return 0
    with _database(path) as opened:
        keys = [(key,) for key in _answers_of(opened, sought)]
        _delete(opened, "DELETE FROM answers WHERE key = ?", keys)
    return len(keys)


def _answers_of(opened: sqlite3.Connection, sought: Sought) -> list[str]:
    rows = opened.execute("SELECT key, answer FROM answers")
    return [key for key, answer in rows if sought.in_value(load_object(answer.encode()) or answer)]


def _find_threads(path: Path, sought: Sought) -> int:
    if not path.exists():
        return 0
    with _database(path) as opened:
        return len(_threads_of(opened, sought))


def _drop_threads(path: Path, sought: Sought) -> int:
    if not path.exists():
        return 0
    with _database(path) as opened:
        threads = [(thread,) for thread in _threads_of(opened, sought)]
        for table in _tables_of_threads(opened):
            _delete(opened, f"DELETE FROM {table} WHERE thread_id = ?", threads)
    return len(threads)


def _threads_of(opened: sqlite3.Connection, sought: Sought) -> list[Any]:
    found = dict[Any, None]()
    for table in _tables_of_threads(opened):
        rows = opened.execute(f"SELECT thread_id, * FROM {table}")
        for thread, *values in rows:
            for value in values:
                data = value.encode() if isinstance(value, str) else value
                if isinstance(data, bytes) and sought.in_bytes(data):
                    found[thread] = None
    return list(found)


def _tables_of_threads(opened: sqlite3.Connection) -> list[str]:
    there = {name for (name,) in opened.execute("SELECT name FROM sqlite_master")}
    return [name for name in ("checkpoints", "writes", "checkpoint_blobs") if name in there]


def _delete(opened: sqlite3.Connection, statement: str, rows: list[tuple[Any]]) -> None:
    if not rows:
        return
    with opened:
        opened.executemany(statement, rows)
    opened.execute("VACUUM")
    # Without it, the old pages stay in the file of the write-ahead log.
    opened.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _find_split(path: Path, sought: Sought) -> int:
    if not (sought.everything and path.exists()):
        return 0
    return int(user_key(sought.user_id) in load_splits(path, sought.namespace).users)


def _drop_split(path: Path, sought: Sought) -> int:
    return int(sought.everything and forget_split(path, sought.namespace, sought.user_id))


_ALL = (
    Kind("splits", "the split that a person was dealt to, by a hash", _find_split, _drop_split),
    Kind("traces", "records of runs; emptied", _find_records, _empty_records),
    Kind("episodes", "collected episodes; emptied", _find_records, _empty_records),
    Kind("rejects", "rejected rows of an ingest; lines are removed", _find_lines, _drop_lines),
    Kind("items", "results of a bench, one a line; removed", _find_lines, _drop_lines),
    Kind("examples", "examples of a bench; removed one by one", _find_examples, _drop_examples),
    Kind("page", "a page of runs or results; removed whole", _find_made, _remove_made),
    Kind("export", "exported training data; removed whole", _find_made, _remove_made),
    Kind("run", "rows of a training that is under way; removed whole", _find_made, _remove_made),
    Kind("stores", "stores of data files in a cache; each is removed whole, and filled again by "
         "the next bench", _find_inside, _remove_inside),
    Kind("answers", "cached answers of models; rows are removed", _find_answers, _drop_answers),
    Kind("checkpoints", "an app's LangGraph checkpoints in SQLite; whole threads are removed",
         _find_threads, _drop_threads),
    Kind("learned", "weights, or statistics of texts: nothing can be removed"),
    Kind("source", "a file of yours that texts were read from: it is not changed"),
)  # fmt: skip

KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _ALL}
"""All kinds by name, in the order in which `forget` goes through them."""


def kind_of(path: Path) -> Kind | None:
    """Return the kind of a place that is named by hand; None where nothing of it may be changed."""
    if path.is_dir():
        return KINDS["traces"]
    if path.suffix == ".jsonl":
        return KINDS["items"]
    if path.name == "examples.json":
        return KINDS["examples"]
    if not _is_database(path):
        return None
    with _database(path) as opened:
        names = {name for (name,) in opened.execute("SELECT name FROM sqlite_master")}
        if _tables_of_threads(opened):
            return KINDS["checkpoints"]
        return KINDS["answers"] if "answers" in names else None


def _is_database(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(16) == b"SQLite format 3\x00"
