"""Read Arrow's containers, data sets of its hub, and the files of a folder one after the other.

Rows are counted instead of lines. Where a part of a table is damaged, the other parts are read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ...values import Unreadable
from ..validation import FormatError, Reject
from .columns import list_names, make_plan
from .rows import Advance, Columns, DataFile, Item

HUB = "hf:"
"""Prefix of a data set of the Hugging Face hub: `hf:owner/name/configuration@split`."""

_ROWS = 256  # of a batch; a person with a profile has some hundred kilobytes


class ArrowRows:
    """A table of Arrow: parquet, or Arrow's stream and file formats (see `rows.DataFile`)."""

    kind = "parquet"

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            FormatError: It is damaged.
        """
        import pyarrow as pa

        self.path = path
        self.notes: list[str] = []
        try:
            with _open_table(path) as table:
                self.names: tuple[str, ...] = tuple(table.names)
        except (pa.ArrowException, OSError) as error:
            raise FormatError(
                f"{path.name} is a damaged table of Arrow: {error}", code="damaged_file"
            ) from None
        twice = sorted({name for name in self.names if self.names.count(name) > 1})
        if twice:
            self.notes.append(f"columns named twice, the first is read: {', '.join(twice)}")

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self.path.stat().st_size

    @property
    def content_hash(self) -> str:
        """Eight hex digits of the hash of the file's bytes."""
        with self.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha1").digest()
        return hashlib.sha1(digest).hexdigest()[:8]

    def lines(self, advance: Advance) -> Iterator[tuple[int, bytes | Reject]]:
        """Raise: there are no lines.

        Raises:
            FormatError: Always.
        """
        raise FormatError(f"{self.path.name} is a table of Arrow, and has no lines")

    def items(self, advance: Advance) -> Iterator[Item]:
        """Yield the rows, counted from 1; one reject for the rest of a damaged part."""
        import pyarrow as pa

        number = 0
        with _open_table(self.path) as table:
            for part, rows in enumerate(table.part_rows):
                begin = number
                try:
                    for batch in table.read_part(part):
                        for row in _rows_of(batch):
                            number += 1
                            yield number, "", row
                        advance(table.position(number))
                except (pa.ArrowException, OSError) as error:
                    lost = f"{begin + rows - number:,} rows" if rows else "the rows"
                    reason = f"the file is damaged: {lost} from here on cannot be read: {error}"
                    yield number + 1, "", Reject(number + 1, reason, code="damaged")
                number = begin + rows if rows else number


class _Parquet:
    """A parquet file; its parts are row groups.

    Attributes:
        names: Its columns.
        part_rows: The number of rows of each part; 0 if it is not known.
    """

    def __init__(self, path: Path) -> None:
        from pyarrow import parquet

        self._file = parquet.ParquetFile(path, page_checksum_verification=True)
        found = self._file.metadata
        self.names: list[str] = self._file.schema_arrow.names
        self.part_rows = [found.row_group(at).num_rows for at in range(found.num_row_groups)]
        self._bytes = path.stat().st_size
        self._rows: int = max(found.num_rows, 1)

    def read_part(self, part: int) -> Iterator[Any]:
        """Yield the batches of a part."""
        yield from self._file.iter_batches(batch_size=_ROWS, row_groups=[part])

    def position(self, rows: int) -> int:
        """Return about how many bytes a number of rows is."""
        return self._bytes * rows // self._rows

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class _Ipc:
    """A file in Arrow's stream or file format; the parts are batches, or the whole stream."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        from pyarrow import ipc

        self._source = pa.memory_map(str(path))
        opened = ipc.open_file if _starts(path, b"ARROW1") else ipc.open_stream
        self._reader = opened(self._source)
        self.names: list[str] = self._reader.schema.names
        self.part_rows = [0] * getattr(self._reader, "num_record_batches", 1)

    def read_part(self, part: int) -> Iterator[Any]:
        """Yield the batches of a part, cut into small ones."""
        one = hasattr(self._reader, "get_batch")
        for batch in [self._reader.get_batch(part)] if one else self._reader:
            for start in range(0, batch.num_rows, _ROWS):
                yield batch.slice(start, _ROWS)

    def position(self, rows: int) -> int:
        """Return how many bytes were read."""
        return int(self._source.tell())

    def close(self) -> None:
        """Close the file."""
        self._source.close()


@contextmanager
def _open_table(path: Path) -> Iterator[_Parquet | _Ipc]:
    table = _Parquet(path) if _starts(path, b"PAR1") else _Ipc(path)
    try:
        yield table
    finally:
        table.close()


class Several:
    """Files of one split, read one after the other (see `rows.DataFile`).

    Attributes:
        heads: The columns that each file has by its head and place; () if its rows name their own.
    """

    def __init__(
        self,
        path: Path,
        files: Sequence[DataFile],
        columns: Mapping[Path, Mapping[str, str]] | None = None,
        unread: Mapping[str, str] | None = None,
    ) -> None:
        """Take files.

        Args:
            path: The folder that holds them.
            files: The files.
            columns: The columns that all rows of a file have in common, by its path.
            unread: Files that can't be read, by name, and why: each is one reject.
        """
        self.path, self._columns = path, columns or {}
        self._files: tuple[DataFile, ...] = tuple(files)
        self._unread = dict(unread or {})
        self.kind = files[0].kind
        common = dict.fromkeys(name for each in self._columns.values() for name in each)
        self.names = tuple(dict.fromkeys((*files[0].names, *common))) if files[0].names else ()
        self.heads = [
            (*each.names, *self._columns.get(each.path, ())) if each.names else () for each in files
        ]
        self.notes = [f"{each.path.name}: {note}" for each in files for note in each.notes]
        if self._unread:
            self.notes.append(f"files that cannot be read: {list_names(self._unread)}")

    def leave_out_headless(self, columns: Columns) -> None:
        """Leave out the files whose first line names no column that is read.

        They are pieces of one file with the header in the first of them: this line is a row.

        Args:
            columns: Which columns are read as which field.
        """
        files = list(zip(self._files, self.heads, strict=True))
        kept = [each for each in files if not each[0].names or make_plan(each[0].names, columns)]
        without = [each[0].path.name for each in files if each not in kept]
        if not without or not kept:
            return
        self._files, self.heads = tuple(file for file, _ in kept), [head for _, head in kept]
        first = self._files[0].path.name
        why = f"its first line names no column: put the first line of {first} before it"
        self._unread |= dict.fromkeys(without, why)
        names = list_names(without)
        self.notes.append(f"files without a header, which are not read: {names}")

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
        """Yield the rows; the place of each begins with its file. Then the unread files."""
        done = 0
        for each in self._files:
            before = done

            def show(position: int, before: int = before) -> None:
                advance(before + position)

            common = self._columns.get(each.path)
            for line, place, row in each.items(show):
                where = f"{each.path.name}{place}"
                if isinstance(row, Reject):
                    row = Reject(row.line, row.reason, where, row.code)
                elif common:
                    row = {**common, **row}
                yield line, where, row
            done += each.size
        for name, why in self._unread.items():
            yield 1, name, Reject(1, f"the whole file is not read: {why}", name, code="damaged")

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
        number = 0
        # Arrow's own: as Python's, a number of single precision does not say that it is one.
        for table in self._rows.with_format("arrow").iter(batch_size=_ROWS):
            for batch in table.to_batches():
                for row in _rows_of(batch):
                    number += 1
                    yield number, "", row

    def lines(self, advance: Advance) -> Iterator[tuple[int, bytes | Reject]]:
        """Raise: there are no lines.

        Raises:
            FormatError: Always.
        """
        raise FormatError(f"{self.path.name} is a data set of a hub, and has no lines")


def is_arrow(path: Path) -> bool:
    """Say whether a file is one of Arrow's, by its first bytes."""
    return _starts(path, b"PAR1") or _starts(path, b"ARROW1") or _starts(path, b"\xff" * 4)


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

    A value that Python can't hold at all, as a time in the year 30,000, is `Unreadable`: the value
    can't be read, and not the file. Of columns of one name the first is read. Numbers of single
    precision that are too large to be exact stay numpy's, for an id that was such a number has lost
    digits (see `values.read_id`). Bytes are a string where they are UTF-8: Impala, Hive and Spark
    write strings so.
    """
    import pyarrow as pa

    names = batch.schema.names
    if len(set(names)) < len(names):
        batch = batch.select([names.index(name) for name in dict.fromkeys(names)])
    for index, column in enumerate(batch.schema):
        if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
            exact = pa.timestamp("us", column.type.tz)
            batch = batch.set_column(index, column.name, batch.column(index).cast(exact, False))
    rows = _values_of(batch)
    for name in [each.name for each in batch.schema if str(each.type) in _BYTES]:
        for row in rows:
            if type(row[name]) is bytes:
                with suppress(UnicodeDecodeError):  # a picture, say
                    row[name] = row[name].decode()
    return rows


_BYTES = ("binary", "large_binary", "binary_view")


def _values_of(batch: Any) -> list[dict[str, Any]]:
    try:
        if not any(map(_loses_digits, batch.columns)):
            rows: list[dict[str, Any]] = batch.to_pylist()
            return rows
    except (ValueError, OverflowError):  # UnicodeDecodeError among them
        pass
    columns = [[_plain_value(value) for value in column] for column in batch.columns]
    names = batch.schema.names
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


_SHORT_FLOATS = {"halffloat": ("float16", 2**11), "float": ("float32", 2**24)}
"""Short floats by Arrow's name: numpy's name, and from where on they are not exact."""


def _loses_digits(column: Any) -> bool:
    """Say whether there are floats in a column, or in its parts, that are too large to be exact."""
    import pyarrow as pa

    kind = column.type
    if str(kind) in _SHORT_FLOATS:
        _, limit = _SHORT_FLOATS[str(kind)]
        return bool((abs(column.to_numpy(zero_copy_only=False)) >= limit).any())
    if pa.types.is_struct(kind):
        return any(_loses_digits(column.field(at)) for at in range(kind.num_fields))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _loses_digits(column.values)
    return False


def _plain_value(value: Any) -> Any:
    """Return a value of Arrow as Python's, its parts one by one if it can't be had as a whole.

    A string that is not valid UTF-8 becomes one with lone surrogates, as in files of text: the row
    is rejected if it is read.
    """
    import numpy as np
    import pyarrow as pa

    kind = value.type
    if not value.is_valid:
        return None
    if str(kind) in _SHORT_FLOATS:
        return np.dtype(_SHORT_FLOATS[str(kind)][0]).type(value.as_py())
    if isinstance(value, pa.StructScalar):
        found: dict[str, Any] = {}
        for at, field in enumerate(kind):
            found.setdefault(field.name, _plain_value(value[at]))
        return found
    if isinstance(value, pa.ListScalar) and not isinstance(value, pa.MapScalar):
        return [_plain_value(each) for each in value.values]
    if isinstance(value, pa.TimestampScalar) and kind.unit == "ns":
        value = value.cast(pa.timestamp("us", kind.tz), safe=False)
    try:
        return value.as_py()
    except (ValueError, OverflowError):
        pass
    if isinstance(value, pa.StringScalar):  # large strings and views too
        return value.as_buffer().to_pybytes().decode("utf-8", "surrogateescape")
    if isinstance(value, pa.MapScalar):  # as a list of pairs
        return [_plain_value(each) for each in value.values]
    if isinstance(value, pa.DictionaryScalar | pa.ExtensionScalar):
        return _plain_value(value.value)
    return Unreadable(f"{kind} beyond Python's")


def _starts(path: Path, magic: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(magic)) == magic
