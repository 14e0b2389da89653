"""Open a file of texts in any of the formats, and recognise the format.

    for row in read_texts(Path("reviews.jsonl")):
        ...  # a Text, or a Reject that says where and why

Two things are told apart: the container (JSON lines, a JSON list, CSV, parquet, packed or not) and
the format, that is which columns hold what. `FORMATS` holds one `Format` for each of these. A file
is checked before it is read in full: one of the wrong format gives a single `FormatError`, a bad
row in a good file gives a `Reject`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic_core import PydanticCustomError

from ..errors import shortened
from ..times import lacks_zone
from ..values import FIVE_STARS, RatingScale, ReadingRules, read_language
from .benchmarks import BENCHMARKS, REFUSED
from .readers import arrow_rows, json_rows
from .readers.columns import (
    all_columns,
    find_forms,
    list_names,
    make_plan,
    missing_columns,
    nearest_first,
    read_table,
    settle_identity,
    with_map,
)
from .readers.decoding import open_text
from .readers.delimited import Delimited
from .readers.folders import FileSet, find_set
from .readers.rows import Advance, DataFile, Format, Head, Raw
from .tables import GENERIC, TABLES
from .validation import (
    OUTSIDE_SCALE,
    Defaults,
    FormatError,
    Reject,
    Row,
    WrongReading,
    validate,
)

FORMATS: dict[str, Format] = {each.name: each for each in (*TABLES, *BENCHMARKS)}
"""All formats by name; of several that fit a file, the last one is taken."""

MAPPED = "mapped"
"""The name of the format of a file of which the caller names the columns."""

_LOOK_AT = 1_000  # rows: one of them has to be of the format
_COLUMNS_OF = 200  # rows, of which the columns are listed


class RowFile:
    """The rows of one file, read anew by each loop over it.

    Attributes:
        path: The file.
        format: Name of its format, as given or as recognised.
        container: What holds the rows: `JSON lines`, `CSV`.
        language: Language of the rows that name none.
        scale: The scale that the ratings are read on.
        scale_asked: Whether the caller says so.
        scale_known: Whether the caller or the format says so; otherwise it is taken for 1-5, and
            `ingest.check_scale` looks whether it can be.
        has_ratings: Whether rows may have a rating. Where rows name their own columns, as in JSON,
            any row may, whatever the first ones have.
        rated: Whether a row has a rating; None: nobody has looked yet (see `find_ratings`).
        noted: What the latest loop left out of texts (ratings, times) that were kept, by code.
        columns: The columns that are read, by field; empty for a format of people.
        unread: The other columns of the first rows.
        notes: What has to be said of the file: a detected encoding, columns that are not read.
        size: Bytes of the file.
        position: How far the latest loop has come, in bytes.
    """

    def __init__(
        self, file: DataFile, format: Format, defaults: Defaults, *, asked: bool = False
    ) -> None:
        """Take a file that is known to be of the format; `read_texts` makes sure of that.

        Args:
            file: The file.
            format: How it is read.
            defaults: What its rows have in common.
            asked: Whether their scale is the caller's.
        """
        shapes = [] if format.columns is None else _shapes_of(file)
        seen = list(dict.fromkeys(name for shape in shapes for name in shape if name))
        if format.columns is not None:
            format = replace(format, columns=settle_identity(format.columns, shapes))
        self.path = file.path
        self.format = format.name
        self.container = file.kind
        self.language = defaults.language
        self.scale = defaults.reading.scale
        self.scale_asked, self.scale_known = asked, asked or format.scale is not None
        self.noted = defaults.reading.noted
        self.columns, self.unread = _look_at_columns(seen, format)
        late = not all(_heads_of(file)) and bool((format.columns or {}).get("rating"))
        self.has_ratings = format.columns is None or "rating" in self.columns or late
        self.rated = None if self.has_ratings else False
        raw = _read(file, format, lambda position: None)
        reading, forms = find_forms(raw, format.columns or {}, defaults.reading, _LOOK_AT)
        defaults = replace(defaults, reading=reading)
        self.notes = (*file.notes, *_notes_of(format, self.columns, self.unread), *forms)
        self.size = file.size
        self.position = 0
        self._file, self._format, self._defaults = file, format, defaults

    def find_ratings(self) -> bool:
        """Say whether any row has a rating, be it outside the scale; reads up to the first one."""
        if self.rated is None:
            # Not by a loop over `self`: one may be under way, whose position and counts these are.
            reading = replace(self._defaults.reading, noted=Counter())
            defaults = replace(self._defaults, reading=reading)
            raw = _read(self._file, self._format, lambda position: None)
            self.rated = any(
                is_rated(validate(row.fields, defaults))
                for row in raw
                if isinstance(row, Raw) and row.fields.get("rating") is not None
            )
        return self.rated

    def times_without_zone(self) -> int:
        """Return how many of the first rows have a time without a zone, which is read as UTC."""
        raw = islice(_read(self._file, self._format, lambda position: None), _COLUMNS_OF)
        return sum(lacks_zone(row.fields.get("timestamp")) for row in raw if isinstance(row, Raw))

    def __iter__(self) -> Iterator[Row]:
        """Yield a `Text` or a `Reject` a row."""
        self.noted.clear()
        return self._validated()

    def _validated(self) -> Iterator[Row]:
        for position, row in enumerate(_read(self._file, self._format, self._advance)):
            if isinstance(row, Reject):
                yield row
                continue
            line, fields, place, part = row
            read = validate(fields, self._defaults, position=position, line=line, place=place)
            if part and isinstance(read, Reject):
                read = replace(read, reason=f"{part}: {read.reason}")
            yield read

    def _advance(self, position: int) -> None:
        self.position = position


def is_rated(row: Row) -> bool:
    """Say whether a row has a rating, be it outside the scale."""
    return row.code == OUTSIDE_SCALE if isinstance(row, Reject) else row.rating is not None


def read_texts(
    path: Path,
    *,
    format: str = "auto",
    namespace: str = "default",
    language: str | None = None,
    scale: RatingScale | None = None,
    columns: Mapping[str, str] | None = None,
    encoding: str | None = None,
) -> RowFile:
    """Check a file and return its rows, which are read when looped over.

    Args:
        path: The file, a folder of the `datasets` library, or `hf:owner/name` for its hub.
        format: A name of `FORMATS`, or `auto`.
        namespace: The tenant that the texts belong to.
        language: Language of the texts that name none; None: that of the format.
        scale: The scale of the ratings; None: that of the format, or 1 to 5.
        columns: The column of each field that the caller names (`readers.columns.parse_map`).
        encoding: The file's encoding; None: it is detected.

    Raises:
        FormatError: There is no such file, it is empty, or it is of another format.
        WrongReading: There is no such format, column, encoding or language.
    """
    try:
        language = read_language(language) if language else None
    except PydanticCustomError as error:
        raise WrongReading(f"language: {error.message()}", code="invalid_language") from None
    if format != "auto" and format not in FORMATS:
        raise WrongReading(
            f"unknown format {shortened(format)}: one of auto, {', '.join(FORMATS)}",
            code="no_such_format",
        )
    file = open_data(path, encoding)
    chosen, file = _choose(file, format, columns or {})
    chosen.check(path)
    if isinstance(file, arrow_rows.Several) and chosen.columns is not None:
        file.leave_out_headless(chosen.columns)
    reading = ReadingRules(scale or chosen.scale or FIVE_STARS)
    defaults = Defaults(namespace, language or chosen.language(path), reading)
    return RowFile(file, chosen, defaults, asked=scale is not None)


def open_data(path: Path, encoding: str | None = None) -> DataFile:
    """Open a file, a folder or a data set of the hub as the container that it is.

    Raises:
        FormatError: It is missing, empty or damaged.
    """
    if str(path).startswith(arrow_rows.HUB):
        return arrow_rows.HubRows(str(path))
    if path.is_file():
        return _open_file(path, encoding)
    if path.exists() and not path.is_dir():
        raise FormatError(
            f"{path} is a pipe or a device, which gives its content once; it is read twice, first "
            "to check it: write it to a file and name that",
            code="no_file",
        )
    found = find_set(path)
    if found.pieces:
        return _open_file(path, encoding, tuple(found.paths))
    return _open_shards(path, found, encoding)


def _open_shards(path: Path, found: FileSet, encoding: str | None) -> DataFile:
    """Open the files of a set; those that are empty hold no row of it, damaged ones are told.

    Raises:
        FormatError: All are empty or damaged.
    """
    files: list[DataFile] = []
    empty: list[str] = []
    unread: dict[str, str] = {}
    damaged: FormatError | None = None
    for each in found.paths:
        try:
            files.append(_open_file(each, encoding))
        except FormatError as error:
            if error.code == "empty_file":
                empty.append(each.name)
            elif error.code in ("damaged_file", "not_text"):  # its first bytes may be lost, too
                damaged, unread[each.name] = damaged or error, str(error)
            else:
                raise
    rowless = [file for file in files if type(file) is json_rows.PlainLines]
    if len(rowless) < len(files):
        files = [file for file in files if file not in rowless]
        unread |= {file.path.name: "it holds no rows of any container" for file in rowless}
    if damaged is not None and not files:
        raise damaged
    if not files:
        raise FormatError(f"{path} is empty: all of its files are", code="empty_file")
    whole = arrow_rows.Several(path, files, found.columns, unread)
    if empty:
        whole.notes.append(f"empty files: {list_names(empty)}")
    return whole


def _open_file(path: Path, encoding: str | None, pieces: tuple[Path, ...] = ()) -> DataFile:
    if not pieces and arrow_rows.is_arrow(path):
        return arrow_rows.ArrowRows(path)
    text = open_text(path, encoding, pieces)
    head = text.head()
    if json_rows.is_json(head):
        return json_rows.open_json(text)
    try:
        return Delimited(text)
    except FormatError:
        return json_rows.PlainLines(text)


def _choose(file: DataFile, format: str, columns: Mapping[str, str]) -> tuple[Format, DataFile]:
    """Return the format of a file, and the file as it has to be read.

    Raises:
        FormatError: It is of no format, of another one than is asked for, or of a refused one.
    """
    found, first = _find_formats(file)
    inner, row = None, None
    if isinstance(file, json_rows.JsonLines):
        lacks = _lacks(file, columns)
        inner = json_rows.open_wrapped(file) if lacks or not (columns or found) else None
        formats, row = ([], None) if inner is None else _find_formats(inner)
        if inner is not None and (
            len(_lacks(inner, columns)) < len(lacks)  # a name may be wrong, in either of them
            if columns
            else formats or first is None or not first.columns
        ):
            file, found, first = inner, formats, row
    if columns:
        return _map_columns(file, found, format, columns), file
    if format == "auto":
        if not found:
            unused = row if inner is not None and file is not inner else None
            raise FormatError(_say_unknown(file, first, unused), code="unknown_format")
        return found[0], file
    asked = FORMATS[format]
    if asked in found or (not found and first is not None and file.kind in asked.containers):
        return asked, file
    looks = f"; it looks like {found[0].name}" if found else ""
    raise WrongReading(
        f"{file.path.name} is not {format}: expected {asked.expected}{looks}{_say_columns(first)}",
        code="other_format",
    )


def _lacks(file: DataFile, columns: Mapping[str, str]) -> list[str]:
    """Return the columns that the caller names and the rows of a file do not have."""
    if not columns:
        return []
    return missing_columns(columns, all_columns(file.names, _first_rows(file)))


def _find_formats(file: DataFile) -> tuple[list[Format], Head | None]:
    """Return the formats that a file can be read as, the most special first, and a first row.

    Raises:
        FormatError: It is empty, or a data set that is not read.
    """
    first: Head | None = None
    for row in _first_rows(file):
        head = Head(file.path, file.kind, row, file.names)
        first = first or head
        for refused in REFUSED:
            if refused.fits(head):
                raise FormatError(
                    f"{file.path.name} is {refused.name}: {refused.reason}", code="refused_set"
                )
        found = [each for each in reversed(FORMATS.values()) if each.fits(head)]
        if found:
            return found, head
    if isinstance(file, json_rows.JsonStream):
        file.check_not_empty()
    head = first or Head(file.path, file.kind, None, file.names)
    found = [each for each in reversed(FORMATS.values()) if each.fits(head)]
    return found, head if first or file.names else None


def _first_rows(file: DataFile) -> Iterator[dict[str, Any]]:
    for _, _, row in islice(file.items(lambda position: None), _LOOK_AT):
        if isinstance(row, dict):
            yield row


def _map_columns(
    file: DataFile, found: list[Format], format: str, mapped: Mapping[str, str]
) -> Format:
    """Return the format of a file whose columns the caller names.

    Raises:
        WrongReading: The file has no columns, or lacks one of these.
    """
    base = FORMATS[format] if format != "auto" else found[0] if found else None
    if base is not None and base.columns is None:
        raise WrongReading(
            f"--map is for files of one text a row; {base.name} is read as its publisher says",
            code="invalid_map",
        )
    seen = all_columns(file.names, _first_rows(file))
    if missing := missing_columns(mapped, seen):
        near = list_names(nearest_first(missing[0], seen)) or "none"
        raise WrongReading(
            f"{file.path.name} has no column {list_names(missing)}: its columns are {near}",
            code="no_such_column",
        )
    columns = with_map(GENERIC if base is None else base.columns or GENERIC, mapped)
    if base is not None:
        return replace(base, columns=columns)
    return Format(MAPPED, "columns named by --map", lambda head: True, columns=columns)


def _read(file: DataFile, format: Format, advance: Advance) -> Iterator[Raw | Reject]:
    if format.columns is None:
        return format.read(file, advance)
    return read_table(
        file,
        format.columns,
        advance,
        absent=format.absent,
        crowds=format.crowds,
        markup=format.markup,
    )


def _shapes_of(file: DataFile) -> list[tuple[str, ...]]:
    """Return the columns of each head, or of the first rows, in their order, each kind once."""
    heads = _heads_of(file)
    if not all(heads):
        heads = [tuple(row) for row in islice(_first_rows(file), _COLUMNS_OF)]
    return list(dict.fromkeys(heads))


def _heads_of(file: DataFile) -> list[tuple[str, ...]]:
    """Return the columns that the head of each file of a folder names; () if rows do."""
    return file.heads if isinstance(file, arrow_rows.Several) else [file.names]


def _look_at_columns(seen: list[str], format: Format) -> tuple[dict[str, list[str]], list[str]]:
    """Return the columns that are read, by field, and those that are not."""
    if format.columns is None:
        return {}, []
    plan = make_plan(seen, format.columns)
    read = {
        field: [key if isinstance(key, str) else ".".join(key) for key in keys]
        for field, keys in plan
    }
    used = {name.split(".")[0] for names in read.values() for name in names} | {
        name for names in read.values() for name in names
    }
    return read, [name for name in seen if name not in used]


def _notes_of(format: Format, columns: dict[str, list[str]], unread: list[str]) -> list[str]:
    notes = [format.note] if format.note else []
    if unread:
        notes.append(f"columns not read: {list_names(unread)}")
    if format.columns is not None and "topic_id" not in columns:
        notes.append("no text has a topic: there is no such column (--map topic=COLUMN)")
    return notes


def _say_unknown(file: DataFile, head: Head | None, inner: Head | None) -> str:
    """Return what is known of a file of no format, and of the rows inside of its objects."""
    start = f"cannot tell the format of {file.path.name} ({file.kind})"
    if head is None or not head.columns:
        known = "; ".join(f"{each.name}: {each.expected}" for each in FORMATS.values())
        row = next((row for _, _, row in file.items(lambda position: None)), None)
        fault = f"; line {row.line}: {row.reason}" if isinstance(row, Reject) else ""
        return f"{start}{fault}: expected one of {known}"
    late = f", or name the format if texts come later than in row {_LOOK_AT:,}"
    inside = _say_columns(inner, "those of the list inside")
    return (
        f"{start}{_say_columns(head)}{inside}; say which is which (--map user=COLUMN,text=COLUMN)"
        f"{late if not file.names else ''}; known formats: {', '.join(FORMATS)}"
    )


def _say_columns(head: Head | None, whose: str = "its columns") -> str:
    if head is None or not head.columns:
        return ""
    names = head.names if head.row is None else all_columns((), [head.row])
    return f"; {whose} are {list_names(names)}"
