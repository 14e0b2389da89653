"""Read JSON: an object a line, a list of objects, or documents that hold the rows somewhere.

Lines are read one by one, so that a broken one costs itself. Everything else is a stream, of which
`json_values` reads one row at a time.
"""

from __future__ import annotations

import ast
import codecs
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

from ..validation import FormatError, Reject
from .decoding import LONGEST_LINE, TextFile, damage_reject
from .json_parsing import (
    RAW,
    beyond_bounds,
    check_names,
    no_object,
    parse_row,
    raw_character,
)
from .json_values import (
    TOO_LARGE,
    BrokenJsonError,
    Pages,
    Rows,
    Window,
    read_window,
    take_value,
)
from .rows import Advance, Item

_DEEPEST = 3  # objects around a list of rows
_PYTHON = (b"{'", b"{u'")  # how some sets of 2014 are written
_LOOK_AT = 100  # rows, one of which has to be an object


class PlainLines:
    """A file of lines that are no rows of any container (see `rows.DataFile`)."""

    kind = "text"
    names: tuple[str, ...] = ()

    def __init__(self, text: TextFile) -> None:
        self.path: Path = text.path
        self.text, self.notes = text, text.notes

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self.text.size

    @property
    def content_hash(self) -> str:
        """Eight hex digits of the hash of the content."""
        return self.text.content_hash

    def lines(self, advance: Advance) -> Iterator[tuple[int, bytes | Reject]]:
        """Yield number and bytes of each line."""
        return self.text.lines(advance)

    def items(self, advance: Advance) -> Iterator[Item]:
        """Yield nothing."""
        yield from ()


class JsonLines(PlainLines):
    """A file of one JSON object a line."""

    kind = "JSON lines"

    def items(self, advance: Advance) -> Iterator[Item]:
        """Yield the object of each line; blank lines are skipped."""
        for line, data in self.text.lines(advance):
            if isinstance(data, Reject):
                yield line, "", data
            elif data.strip():
                yield line, "", _parse_line(line, data)


class JsonStream(JsonLines):
    """A file of JSON lists, of objects over several lines, or of such that hold the rows."""

    def __init__(
        self, text: TextFile, kind: str, rows: Callable[[], Rows] = Rows, *, by_line: bool = False
    ) -> None:
        """Take a file.

        Args:
            text: The file.
            kind: `a JSON list` or `a JSON document`.
            rows: Makes the reader of its rows.
            by_line: Whether each line stands for itself.
        """
        super().__init__(text)
        self.kind = kind
        self._rows, self._by_line = rows, by_line

    def items(self, advance: Advance) -> Iterator[Item]:
        """Yield the rows with the lines they begin on, and what is wrong."""
        rows = self._rows()
        if self._by_line:
            for line, data in self.text.lines(advance):
                if isinstance(data, Reject):
                    yield line, "", data
                else:
                    yield from read_window(rows, Window(BytesIO(data.rstrip()), line), what="line")
            return
        with self.text.open() as (stream, position, damage):
            window = Window(stream)
            for item in read_window(rows, window, damage):
                yield item
                advance(position())
            if damage():
                yield window.line, "", damage_reject(window.line, damage())

    def check_not_empty(self) -> None:
        """Make sure that the file holds something.

        Raises:
            FormatError: It is empty.
        """
        if next(self.items(lambda position: None), None) is None:
            raise FormatError(
                f"{self.path} is empty: its JSON list holds nothing", code="empty_file"
            )


class Frames(Rows):
    """Reads the rows of data frames as pandas writes them, by columns or split."""

    def items(self, window: Window) -> Iterator[Item]:
        """Yield the rows; an object that is no data frame is a reject.

        Raises:
            BrokenJsonError: It is broken, and the next object is not found by itself.
        """
        for line, place, value in super().items(window):
            rows = None if isinstance(value, Reject) else unwrap(value)
            if isinstance(value, Reject):
                yield line, place, value
            elif rows is None:
                yield line, place, Reject(line, "the object is no data frame", place, code="json")
            else:
                for index, row in enumerate(rows):
                    where = f".[{index}]"
                    yield line, where, row if row is not None else no_object(line, where)


def unwrap(value: dict[str, Any]) -> list[dict[str, Any] | None] | None:
    """Return the rows of a data frame as pandas writes it, or None if an object is none.

    It is by columns (`{"text": {"0": ...}}`) or split (`{"columns": [...], "data": [[...]]}`). A
    row that has not as many values as there are columns is None.
    """
    columns, data = value.get("columns"), value.get("data")
    if isinstance(columns, list) and isinstance(data, list):
        named = [str(column) for column in columns]
        return [
            dict(zip(named, row, strict=True))
            if isinstance(row, list) and len(row) == len(named)
            else None
            for row in data
        ]
    by_column = [each for each in value.values() if isinstance(each, dict)]
    if len(by_column) == len(value) >= 2 and len({tuple(each) for each in by_column}) == 1:
        return [{name: column[index] for name, column in value.items()} for index in by_column[0]]
    return None


def is_json(head: bytes) -> bool:
    """Say whether a file is JSON, by its beginning; its first line may be broken."""
    if head.lstrip()[:1] in (b"{", b"["):
        return True
    lines = [line for line in head.splitlines()[:_LOOK_AT] if line.strip()]
    return len(lines) > 1 and _is_row(lines[1])


def open_json(text: TextFile) -> JsonLines:
    """Return a JSON file as what it is, by its beginning."""
    head = text.head()
    first, *others = _first_lines(text, head)
    listed = first.startswith(b"[")
    if (not listed and _is_row(first)) or _is_broken_row(first, others):
        return JsonLines(text)
    if listed:
        return JsonStream(text, "a JSON list")
    whole = JsonStream(text, "a JSON document")
    fault = _fault_of_first(text)
    inner = open_wrapped(whole) if fault else None
    if inner is None or (fault != TOO_LARGE and _quality(whole) <= _quality(inner)):
        return whole
    return inner


def open_wrapped(file: JsonLines) -> JsonLines | None:
    """Return the rows inside the objects of a file, or None if there are none."""
    readers: list[tuple[str, Callable[[], Rows]]] = [
        ("a JSON list", partial(Pages, depth)) for depth in range(1, _DEEPEST + 1)
    ]
    for kind, rows in (*readers, ("a JSON document", Frames)):
        found = JsonStream(file.text, kind, rows, by_line=type(file) is JsonLines)
        if _quality(found)[0] == 0:
            return found
    return None


def _first_lines(text: TextFile, head: bytes) -> list[bytes]:
    """Return the first lines that are not blank; one that is very long is cut, and is the last."""
    head = head.lstrip()
    if b"\n" not in head and head.startswith(b"{"):
        with text.open() as (stream, _, _):
            head = stream.read(LONGEST_LINE)
    return [line for line in head.split(b"\n", _LOOK_AT) if line.strip()][:3]


def _is_row(line: bytes) -> bool:
    return len(line) < LONGEST_LINE and isinstance(_parse_line(0, line), dict)


def _is_broken_row(first: bytes, others: list[bytes]) -> bool:
    """Say whether a first line is a broken row of a file with a row on each line.

    So it is if the next line is a whole object, with no comma behind it, and another one follows.
    """
    if first.startswith(b"["):
        begun = first[1:].strip()
        if not begun or _is_row(begun):
            return False  # a list without commas
        with suppress(ValueError, RecursionError):
            json.loads(first.decode())
            return False  # a whole list
    return any(map(_is_row, others[:1])) and all(
        line.lstrip().startswith(b"{") for line in others[1:]
    )


def _fault_of_first(text: TextFile) -> str:
    """Return what is wrong with the first object, as that it is larger than a line; "" if none."""
    with text.open() as (stream, _, _):
        window = Window(stream)
        window.grow(LONGEST_LINE)
        window.next_sign()
        try:
            take_value(window, largest=LONGEST_LINE // 2)
        except BrokenJsonError as error:
            return error.fault
    return ""


def _quality(file: JsonLines) -> tuple[int, int]:
    """Return how well the beginning of a file can be read: whether no row can, and the faults."""
    rows = [row for _, _, row in islice(file.items(lambda position: None), _LOOK_AT)]
    faults = sum(isinstance(row, Reject) for row in rows)
    return int(faults == len(rows)), faults


def _parse_line(line: int, data: bytes) -> dict[str, Any] | Reject:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return Reject(line, "the line is not valid UTF-8", code="encoding")
    row = parse_row(text)
    return _parse_odd_line(line, data, text) if row is None else row


def _parse_odd_line(line: int, data: bytes, text: str) -> dict[str, Any] | Reject:
    """Return the object of a line that is not one alone, or the reason why there is none."""
    try:
        found = json.loads(text)
        if isinstance(found, dict):
            return check_names(found, text, text.index("{"), len(text))
    except json.JSONDecodeError as error:
        if data.startswith(codecs.BOM_UTF8):  # where files were joined
            return _parse_line(line, data.removeprefix(codecs.BOM_UTF8))
        if data.lstrip().startswith(_PYTHON):
            return _parse_python(line, data)
        if error.msg.startswith(RAW):
            return raw_character(line)
        return Reject(line, f"broken JSON: {error.msg} at column {error.colno}", code="json")
    except (ValueError, RecursionError):  # a number of 5,000 digits, 10,000 brackets
        return beyond_bounds(line)
    return no_object(line)


def _parse_python(line: int, data: bytes) -> dict[str, Any] | Reject:
    """Return an object that is written as Python writes it, with single quotes."""
    try:
        row = ast.literal_eval(data.decode().strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return Reject(line, "broken JSON: it is neither JSON nor a Python dictionary", code="json")
    return row if isinstance(row, dict) else no_object(line)
