"""Find the one set of files in a folder: shards of a set, pieces of a split file, partitions.

A folder that holds several sets is a question, not a guess. Names are those that the writers give:
`datasets` and its hub, Spark, Hive, pyarrow, Dask, `split`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from ...files import below
from ..validation import FormatError

_DATA = (".parquet", ".pq", ".arrow", ".feather", ".jsonl", ".ndjson", ".json", ".csv", ".tsv")
PACKED_SUFFIXES = (".gz", ".zst", ".bz2", ".xz")
"""Endings of packed files, where names are looked for; what a file is its bytes say."""

_DESCRIPTIONS = ("dataset_info.json", "dataset_infos.json")  # of a set, not a part of it
_TABLES = {"_delta_log": "Delta Lake", ".hoodie": "Hudi"}  # whose files hold deleted rows, too
_PART = re.compile(r"part[-_.]([rm]-)?\d+")  # part-00000-7e1c.c000.snappy.parquet, part.0.parquet
_SHARD = re.compile(  # train-00000-of-00004, train-00000-of-00001-0fb5d8b0f1b2c3d4, reviews_0001
    r"[-_.]?\d{3,}(-of-\d{3,})?(-[0-9a-f]{8,})?$"
)
_FIRST_PIECE = re.compile(r"(?:a{2,}|0{2,}|0+1)$")
_NUMBER = re.compile(r"(\d+)")
_SPLIT_KEYS = ("split", "subset")  # of partitions: these are sets of their own
_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
_SHOWN = 8


@dataclass(frozen=True)
class FileSet:
    """The files of one set, in their order.

    Attributes:
        paths: The files.
        pieces: Whether they are pieces of one file, to be put one behind the other.
        columns: For each file the columns that its folders name, as `year=2020`.
    """

    paths: list[Path]
    pieces: bool = False
    columns: dict[Path, dict[str, str]] = field(default_factory=dict)


def find_set(path: Path) -> FileSet:
    """Return the files of the one set that a folder holds.

    Args:
        path: The folder; or of one with several sets the set, as `folder/train`.

    Raises:
        FormatError: There is none, or there are several: these are named. Or a part is missing.
    """
    if not path.is_dir():
        return _named_set(path)
    folder = _snapshot_of(path)
    for name, kind in _TABLES.items():
        if (folder / name).is_dir():
            raise FormatError(
                f"{folder} is a table of {kind}, whose files also hold rows that were deleted or "
                "replaced: write it as parquet with the program that made it",
                code="not_text",
            )
    splits = _names_in(folder / "dataset_dict.json", "splits")
    if splits is not None:
        return find_set(_only_split(folder, splits))
    files = _names_in(folder / "state.json", "_data_files")
    if files is not None:
        return FileSet(_shards(folder, files))
    sets = _sets_in(folder)
    if len(sets) == 1:
        return next(iter(sets.values()))
    if not sets:
        raise FormatError(
            f"{folder} is a folder without a file of texts ({', '.join(_DATA)})", code="no_texts"
        )
    shown = ", ".join(sorted(sets)[:_SHOWN]) + (", ..." if len(sets) > _SHOWN else "")
    raise FormatError(
        f"{folder} is a folder of several sets ({shown}): name one, as {folder / min(sets)}",
        code="several_sets",
    )


def _named_set(path: Path) -> FileSet:
    """Return the set of a folder that a path names as the question for it does: `data/train`.

    Raises:
        FormatError: There is none.
    """
    if path.parent.is_dir():
        sets = _sets_in(path.parent, deep=False)
        wanted = [each for each in sets if path.name in (each, each.rpartition(".")[0])]
        if len(wanted) == 1:
            return sets[wanted[0]]
    raise FormatError(f"no such file: {path}", code="no_such_file")


def _sets_in(folder: Path, *, deep: bool = True) -> dict[str, FileSet]:
    """Return the sets in a folder by name, with those of the folders in it if it is `deep`."""
    sets: dict[str, FileSet] = {}
    for path in _visible_files(folder, "**/*" if deep else "*"):
        stem, kind = _split_name(path)
        if kind not in _DATA or path.name in _DESCRIPTIONS:
            continue
        columns = _partition_of(path, folder)
        inside = path.relative_to(folder).parent.parts
        kept = [part for part in inside if _key_of(part) in ("", *_SPLIT_KEYS)]
        name = "part" if _PART.match(path.name) else _SHARD.sub("", stem)
        one = sets.setdefault("/".join((*kept, name + kind)), FileSet([]))
        one.paths.append(path)
        if columns:
            one.columns[path] = columns
    if sets or not deep:
        return sets
    parts = [path for path in folder.glob("part[-_.]*") if path.is_file() and not path.suffix]
    if parts:  # of Hadoop
        return {"part": FileSet(sorted(parts, key=_natural_order))}
    return _pieces_in(folder)


def _visible_files(folder: Path, pattern: str) -> Iterator[Path]:
    """Yield the files in a folder; names that begin with a dot or `_` are of programs."""
    for path in sorted(folder.glob(pattern), key=_natural_order):
        inside = path.relative_to(folder).parts
        if path.is_file() and not any(part.startswith((".", "_")) for part in inside):
            yield path


def _natural_order(path: Path) -> list[tuple[bool, int, str]]:
    """Return a key by which `part.10` comes after `part.2`."""
    pieces = _NUMBER.split(str(path))
    return [(each.isdigit(), int(each) if each.isdigit() else 0, each) for each in pieces]


def _pieces_in(folder: Path) -> dict[str, FileSet]:
    """Return the files of a folder that are pieces, as `split` makes them: `xaa`, `a.csv.00`."""
    names = sorted(
        path.name for path in folder.iterdir() if path.is_file() and path.name[0] not in "._"
    )
    found: dict[str, FileSet] = {}
    for name in names:
        if not (first := _FIRST_PIECE.search(name)):
            continue
        groups = [
            (name[:-length], _pieces_behind(names, name, length))
            for length in range(2, len(first[0]) + 1)
        ]
        prefix, pieces = max(groups, key=lambda each: len(each[1]))
        _check_gaps(folder, prefix, pieces)
        found.setdefault(f"{prefix}*", FileSet([folder / each for each in pieces], pieces=True))
    return found


def _pieces_behind(names: list[str], first: str, length: int) -> list[str]:
    """Return the names that differ from the first piece's in the counting end alone."""
    kind = r"\d" if first[-1].isdigit() else "[a-z]"
    wanted = re.compile(re.escape(first[:-length]) + kind + f"{{{length},}}")
    return [name for name in names if wanted.fullmatch(name)]


def _check_gaps(folder: Path, prefix: str, pieces: list[str]) -> None:
    """Raise if a piece is missing between two others."""
    ends = [name[len(prefix) :] for name in pieces]
    for before, after in zip(ends, ends[1:], strict=False):
        if len(before) == len(after) and _count_of(after) != _count_of(before) + 1:
            raise FormatError(
                f"{folder} lacks the piece between {prefix}{before} and {prefix}{after}",
                code="no_such_file",
            )


def _count_of(end: str) -> int:
    """Return the number that the end of a piece's name counts, in letters or digits."""
    if end.isdigit():
        return int(end)
    count = 0
    for letter in end:
        count = 26 * count + ord(letter) - ord("a")
    return count


def _key_of(part: str) -> str:
    """Return the column that the name of a folder gives a value for, as `year=2020`; else ""."""
    key, equals, _ = part.partition("=")
    return key if equals else ""


def _partition_of(path: Path, folder: Path) -> dict[str, str]:
    """Return the columns that the folders between a folder and a file give a value for."""
    parts = [part for part in path.relative_to(folder).parent.parts if _key_of(part)]
    pairs = (part.split("=", 1) for part in parts)
    return {unquote(key): unquote(value) for key, value in pairs if value != _HIVE_NULL}


def _snapshot_of(folder: Path) -> Path:
    """Return the snapshot of a folder of the hub's cache; other folders as they are.

    Raises:
        FormatError: It has several, and none is the main one.
    """
    snapshots = folder / "snapshots"
    if not (snapshots.is_dir() and (folder / "refs").is_dir()):
        return folder
    main = folder / "refs" / "main"
    if main.is_file():
        return below(snapshots, main.read_text(errors="replace").strip(), error=FormatError)
    held = sorted(path for path in snapshots.iterdir() if path.is_dir())
    if len(held) != 1:
        raise FormatError(
            f"{folder} holds {len(held)} snapshots: name one, as {snapshots}/NAME",
            code="several_sets",
        )
    return held[0]


def _names_in(path: Path, key: str) -> list[str] | None:
    """Return the names that a file of the `datasets` library lists; None if it is none of these.

    Other programs have files of the same names (a trainer's `state.json`), and one may be broken.
    """
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError):
        return None
    listed = found.get(key) if isinstance(found, dict) else None
    if not isinstance(listed, list):
        return None
    given = [each.get("filename") if isinstance(each, dict) else each for each in listed]
    names = [name for name in given if isinstance(name, str) and name not in ("", ".", "..")]
    plain = len(names) == len(given) and all(Path(name).name == name for name in names)
    return names if plain else None


def _only_split(folder: Path, splits: list[str]) -> Path:
    """Return the folder of the one split that a folder holds."""
    if not splits:
        raise FormatError(f"{folder} is empty: it has no split", code="empty_file")
    if len(splits) > 1:
        raise FormatError(
            f"{folder} holds the splits {', '.join(splits)}: name {folder}/SPLIT",
            code="several_sets",
        )
    if not (folder / splits[0]).is_dir():
        raise FormatError(
            f"{folder} has no folder {splits[0]}, which its dataset_dict.json names",
            code="no_such_file",
        )
    return folder / splits[0]


def _shards(folder: Path, names: list[str]) -> list[Path]:
    """Return the files of a set, all of which have to be there."""
    if not names:
        raise FormatError(f"{folder} is empty: its state.json names no file", code="empty_file")
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise FormatError(
            f"{folder} lacks {', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}, which "
            "its state.json names",
            code="no_such_file",
        )
    return [folder / name for name in names]


def _split_name(path: Path) -> tuple[str, str]:
    """Return a file's name without its endings, and the ending that says what it is."""
    name = Path(path.stem) if path.suffix in PACKED_SUFFIXES else Path(path.name)
    return name.stem, name.suffix
