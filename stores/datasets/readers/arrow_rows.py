"""Read Arrow's containers: parquet, folders of the `datasets` library, data sets of its hub.

Rows are counted instead of lines. A folder that holds several splits is a question, not a guess.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..validation import FormatError, Reject
from .rows import Advance, DataFile, Item

HUB = "hf:"
"""Prefix of a data set of the Hugging Face hub: `hf:owner/name/configuration@split`."""

_ROWS = 256  # of a batch; a person with a profile has some hundred kilobytes
_SHARD = re.compile(r"[-_.]?\d{3,}(-of-\d{3,})?$")  # train-00000-of-00004
_DATA = (".parquet", ".arrow", ".jsonl", ".json", ".csv", ".tsv")
_PACKED = (".gz", ".zst", ".bz2", ".xz")


class ArrowRows:
    """Tables of Arrow, one after the other (see `rows.DataFile`).

    Attributes:
        paths: Files of parquet, or of Arrow's stream and file formats.
    """

    kind = "parquet"

    def __init__(self, path: Path, paths: Sequence[Path]) -> None:
        """Open the first file.

        Raises:
            FormatError: It is damaged.
        """
        self.path, self.paths = path, tuple(paths)
        self.notes: list[str] = []
        self.names: tuple[str, ...] = tuple(self._batches(self.paths[0], schema_only=True))

    @property
    def size(self) -> int:
        """Bytes of the files."""
        return sum(path.stat().st_size for path in self.paths)

    @property
    def content_hash(self) -> str:
        """Eight hex digits of the hash of the files' bytes."""
        return _hash_files(self.paths)

    def lines(self, advance: Advance) -> Iterator[tuple[int, bytes | Reject]]:
        """Raise: there are no lines.

        Raises:
            FormatError: Always.
        """
        raise FormatError(f"{self.path.name} is a table of Arrow, and has no lines")

    def items(self, advance: Advance) -> Iterator[Item]:
        """Yield the rows, counted from 1."""
        number = done = 0
        for path in self.paths:
            total = path.stat().st_size
            for rows, share in self._batches(path):
                for row in rows:
                    number += 1
                    yield number, "", row
                    advance(done + round(total * share))
            done += total

    def _batches(self, path: Path, *, schema_only: bool = False) -> Iterator[Any]:
        """Yield the rows of each batch with the share of the file; or the columns' names."""
        import pyarrow as pa

        try:
            if path.suffix == ".arrow" or not _is_parquet(path):
                yield from self._stream_batches(path, schema_only=schema_only)
                return
            from pyarrow import parquet

            with parquet.ParquetFile(path) as file:
                if schema_only:
                    yield from file.schema_arrow.names
                    return
                total, read = max(file.metadata.num_rows, 1), 0
                for batch in file.iter_batches(batch_size=_ROWS):
                    read += batch.num_rows
                    yield _rows_of(batch), read / total
        except (pa.ArrowException, OSError) as error:
            raise FormatError(
                f"{path.name} is a damaged table of Arrow: {error}", code="damaged_file"
            ) from None

    def _stream_batches(self, path: Path, *, schema_only: bool) -> Iterator[Any]:
        import pyarrow as pa
        from pyarrow import ipc

        with pa.memory_map(str(path)) as source:
            opened = ipc.open_file if _starts(path, b"ARROW1") else ipc.open_stream
            reader = opened(source)
            if schema_only:
                yield from reader.schema.names
                return
            for batch in _batches_of(reader):
                for start in range(0, batch.num_rows, _ROWS):
                    share = source.tell() / max(source.size(), 1)
                    yield _rows_of(batch.slice(start, _ROWS)), share


class Several:
    """Files of one split, read one after the other (see `rows.DataFile`)."""

    def __init__(self, path: Path, files: Sequence[DataFile]) -> None:
        self.path, self._files = path, tuple(files)
        self.kind, self.names = files[0].kind, files[0].names
        self.notes = [f"{each.path.name}: {note}" for each in files for note in each.notes]

    @property
    def size(self) -> int:
        """Bytes of the files."""
        return sum(each.size for each in self._files)

    @property
    def content_hash(self) -> str:
        """Eight hex digits of the hash of the files' hashes."""
        digests = "".join(each.content_hash for each in self._files)
        return hashlib.sha1(digests.encode()).hexdigest()[:8]

    def items(self, advance: Advance) -> Iterator[Item]:
        """Yield the rows; the place of each begins with its file."""
        done = 0
        for each in self._files:
            before = done

            def show(position: int, before: int = before) -> None:
                advance(before + position)

            for line, place, row in each.items(show):
                where = f"{each.path.name}{place}"
                if isinstance(row, Reject):
                    row = Reject(row.line, row.reason, where, row.code)
                yield line, where, row
            done += each.size

    def lines(self, advance: Advance) -> Iterator[tuple[int, bytes | Reject]]:
        """Yield the lines of all files."""
        for each in self._files:
            yield from each.lines(advance)


class HubRows:
    """A data set of the Hugging Face hub, streamed (see `rows.DataFile`)."""

    kind = "parquet"
    size = 0

    def __init__(self, address: str) -> None:
        """Find a data set.

        Args:
            address: `hf:owner/name`, with `/configuration` and `@split` where there are several.

        Raises:
            FormatError: It can't be had, or holds several splits and none is named.
        """
        self.path, self.notes = Path(address), [f"read from the hub: {address}"]
        name, _, split = address.removeprefix(HUB).partition("@")
        parts = name.split("/")
        if not 2 <= len(parts) <= 3:
            raise FormatError(
                f"{address} names no data set: expected hf:owner/name", code="invalid_address"
            )
        self._rows = _load(address, "/".join(parts[:2]), *parts[2:], split=split or None)
        self.names = tuple(self._rows.column_names or ())

    @property
    def content_hash(self) -> str:
        """Eight hex digits of the hash of the address."""
        return hashlib.sha1(str(self.path).encode()).hexdigest()[:8]

    def items(self, advance: Advance) -> Iterator[Item]:
        """Yield the rows, counted from 1."""
        for number, row in enumerate(self._rows, start=1):
            yield number, "", dict(row)

    def lines(self, advance: Advance) -> Iterator[tuple[int, bytes | Reject]]:
        """Raise: there are no lines.

        Raises:
            FormatError: Always.
        """
        raise FormatError(f"{self.path.name} is a data set of a hub, and has no lines")


def is_arrow(path: Path) -> bool:
    """Say whether a file is one of Arrow's, by its first bytes."""
    return _starts(path, b"PAR1") or _starts(path, b"ARROW1") or _starts(path, b"\xff" * 4)


def list_folder(folder: Path) -> list[Path]:
    """Return the files of the one split that a folder holds.

    Raises:
        FormatError: It holds none, or several splits: these are named. Or a part is missing.
    """
    splits = _names_in(folder / "dataset_dict.json", "splits")
    if splits is not None:
        return list_folder(_only_split(folder, splits))
    files = _names_in(folder / "state.json", "_data_files")
    if files is not None:
        return _shards(folder, files)
    groups: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        stem, kind = _split_name(path)
        if kind in _DATA and path.is_file() and not path.name.startswith("."):
            group = str(path.relative_to(folder).with_name(_SHARD.sub("", stem) + kind))
            groups.setdefault(group, []).append(path)
    if len(groups) == 1:
        return next(iter(groups.values()))
    if not groups:
        raise FormatError(
            f"{folder} is a folder without a file of texts ({', '.join(_DATA)})", code="no_texts"
        )
    shown = ", ".join(sorted(groups)[:8]) + (", ..." if len(groups) > 8 else "")
    raise FormatError(
        f"{folder} is a folder of several sets ({shown}): name the file in it", code="several_sets"
    )


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
    name = Path(path.stem) if path.suffix in _PACKED else Path(path.name)
    return name.stem, name.suffix


def _load(address: str, name: str, config: str | None = None, *, split: str | None) -> Any:
    try:
        from datasets import IterableDatasetDict, load_dataset
    except ImportError:
        raise FormatError(
            f"{address} needs the library of the hub: pip install 'patlm[train]', or download the "
            "files and name the folder",
            code="missing_extra",
        ) from None
    try:
        found = load_dataset(name, config, split=split, streaming=True)
    except Exception as error:  # noqa: BLE001 - whatever the library, the hub or the network raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FormatError(f"cannot read {address}: {reason}") from None
    if not isinstance(found, IterableDatasetDict):
        return found
    if len(found) > 1:
        raise FormatError(
            f"{address} holds the splits {', '.join(found)}: name {address}@SPLIT",
            code="several_sets",
        )
    return next(iter(found.values()))


def _rows_of(batch: Any) -> list[dict[str, Any]]:
    """Return the rows of a batch; times of nanoseconds lose what Python can't hold.

    A value that Python can't hold at all, as a time in the year 30,000, is `_Unreadable`: the value
    can't be read, and not the file.
    """
    import pyarrow as pa

    for index, column in enumerate(batch.schema):
        if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
            exact = pa.timestamp("us", column.type.tz)
            batch = batch.set_column(index, column.name, batch.column(index).cast(exact, False))
    try:
        rows: list[dict[str, Any]] = batch.to_pylist()
    except (ValueError, OverflowError):  # UnicodeDecodeError among them
        columns = [[_plain_value(value) for value in column] for column in batch.columns]
        rows = [
            dict(zip(batch.schema.names, row, strict=True)) for row in zip(*columns, strict=True)
        ]
    return rows


class _Unreadable:
    """A value that Python can't hold: neither a text nor a number, and so no field takes it."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def __str__(self) -> str:
        return f"{self._kind} beyond Python's"


def _plain_value(value: Any) -> Any:
    """Return a value of Arrow as Python's, its parts one by one if it can't be had as a whole.

    A string that is not valid UTF-8 becomes one with lone surrogates, as in files of text: the row
    is rejected if it is read.
    """
    import pyarrow as pa

    try:
        return value.as_py()
    except (ValueError, OverflowError):
        kind = value.type
    if isinstance(value, pa.StringScalar):  # large strings and views too
        return value.as_buffer().to_pybytes().decode("utf-8", "surrogateescape")
    if isinstance(value, pa.StructScalar):
        names = (field.name for field in kind)
        return {name: _plain_value(value[at]) for at, name in enumerate(names)}
    if isinstance(value, pa.ListScalar):  # maps too, as lists of pairs
        return [_plain_value(each) for each in value.values]
    if isinstance(value, pa.DictionaryScalar | pa.ExtensionScalar):
        return _plain_value(value.value)
    return _Unreadable(str(kind))


def _batches_of(reader: Any) -> Iterator[Any]:
    if hasattr(reader, "num_record_batches"):  # the file format; the stream is iterated
        yield from map(reader.get_batch, range(reader.num_record_batches))
    else:
        yield from reader


def _is_parquet(path: Path) -> bool:
    return _starts(path, b"PAR1")


def _starts(path: Path, magic: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(magic)) == magic


def _hash_files(paths: Sequence[Path]) -> str:
    digest = hashlib.sha1()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha1").digest())
    return digest.hexdigest()[:8]
