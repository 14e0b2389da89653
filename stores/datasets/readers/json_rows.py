"""Read JSON: an object a line, a list of objects, or documents that hold the rows somewhere.

Lists and documents are read one object at a time, so that a truncated file keeps all objects
before its end and a large one takes the memory of one object.
"""

from __future__ import annotations

import ast
import codecs
import json
import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import IO, Any

from ..validation import FormatError, Reject
from .decoding import TextFile, damage_reject
from .rows import Advance, Item

LARGEST_OBJECT = 64_000_000
"""Characters of one object of a list or document; the largest of LaMP have some ten million."""

_CHUNK = 1 << 18
_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"\s*")
_ENVELOPE = re.compile(r'\s*\{\s*"(?:[^"\\]|\\.)*"\s*:\s*(?=\[\s*\{)')  # {"reviews": [{
_PYTHON = (b"{'", b"{u'")  # how some sets of 2014 are written


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
        return self.path.stat().st_size

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


class JsonList(JsonLines):
    """A file of one JSON list, or of a list in an object: `{"reviews": [...]}`."""

    kind = "a JSON list"

    def __init__(self, text: TextFile, start: int = 0) -> None:
        """Take a file whose list begins behind a number of characters."""
        super().__init__(text)
        self._start = start

    def items(self, advance: Advance) -> Iterator[Item]:
        """Yield the objects of the list."""
        yield from _read_values(self.text, advance, self._start, listed=True)

    def check_not_empty(self) -> None:
        """Make sure that the list holds something.

        Raises:
            FormatError: It is empty.
        """
        if next(self.items(lambda position: None), None) is None:
            raise FormatError(
                f"{self.path} is empty: its JSON list holds nothing", code="empty_file"
            )


class JsonDocument(JsonLines):
    """A file of JSON objects over several lines, or of one object that holds all rows."""

    kind = "a JSON document"

    def __init__(self, text: TextFile, *, unwrapped: bool = False) -> None:
        """Take a file.

        Args:
            text: The file.
            unwrapped: Whether the rows stand in the object, as a data frame is written.
        """
        super().__init__(text)
        self._unwrapped = unwrapped

    def items(self, advance: Advance) -> Iterator[Item]:
        """Yield the objects, or the rows in them."""
        for line, place, value in _read_values(self.text, advance, 0, listed=False):
            rows = None if isinstance(value, Reject) else unwrap(value)
            if not self._unwrapped or rows is None:
                yield line, place, value
            else:
                yield from ((line, f".[{index}]", row) for index, row in enumerate(rows))


def open_json(text: TextFile, head: bytes) -> JsonLines:
    """Return a JSON file as what it is, by its beginning."""
    if head.lstrip().startswith(b"["):
        return JsonList(text)
    for line in head.splitlines()[:50]:
        if isinstance(_parse_line(0, line), dict):
            return JsonLines(text)
    if envelope := _ENVELOPE.match(head.decode(errors="replace")):
        return JsonList(text, envelope.end())
    return JsonDocument(text)


def open_wrapped(file: JsonLines) -> JsonLines | None:
    """Return the rows inside the one object of a file, or None if there are none."""
    head = file.text.head().decode(errors="replace")
    if envelope := _ENVELOPE.match(head):
        return JsonList(file.text, envelope.end())
    whole = JsonDocument(file.text, unwrapped=True)
    first = next(whole.items(lambda position: None), None)
    return whole if first is not None and isinstance(first[2], dict) and first[1] else None


def unwrap(value: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Return the rows that an object holds, or None if it holds none.

    It may be an object around one list of objects, or a data frame as pandas writes it: by columns
    (`{"text": {"0": ...}}`) or split (`{"columns": [...], "data": [[...]]}`).
    """
    columns, data = value.get("columns"), value.get("data")
    if isinstance(columns, list) and isinstance(data, list):
        named = [str(column) for column in columns]
        return [dict(zip(named, row, strict=False)) for row in data if isinstance(row, list)]
    lists = [each for each in value.values() if isinstance(each, list) and each]
    if len(lists) == 1 and all(isinstance(each, dict) for each in lists[0]):
        return lists[0]
    by_column = [each for each in value.values() if isinstance(each, dict)]
    if len(by_column) == len(value) >= 2 and len({tuple(each) for each in by_column}) == 1:
        return [{name: column[index] for name, column in value.items()} for index in by_column[0]]
    return None


def _parse_line(line: int, data: bytes) -> dict[str, Any] | Reject:
    try:
        row = json.loads(data.decode())
    except UnicodeDecodeError:
        return Reject(line, "the line is not valid UTF-8", code="encoding")
    except json.JSONDecodeError as error:
        if data.lstrip().startswith(_PYTHON):
            return _parse_python(line, data)
        return Reject(line, f"broken JSON: {error.msg} at column {error.colno}", code="json")
    except (ValueError, RecursionError):  # a number of 5,000 digits, 10,000 brackets
        return _beyond_bounds(line)
    return row if isinstance(row, dict) else _no_object(line)


def _parse_python(line: int, data: bytes) -> dict[str, Any] | Reject:
    """Return an object that is written as Python writes it, with single quotes."""
    try:
        row = ast.literal_eval(data.decode().strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return Reject(line, "broken JSON: it is neither JSON nor a Python dictionary", code="json")
    return row if isinstance(row, dict) else _no_object(line)


def _no_object(line: int, place: str = "") -> Reject:
    return Reject(line, "expected a JSON object", place, code="json")


def _beyond_bounds(line: int) -> Reject:
    return Reject(line, "broken JSON: a number or a nesting beyond all bounds", code="json")


class _Window:
    """A part of a stream as characters: what was read and is not used yet.

    Attributes:
        text: The characters.
        at: The place in them up to which they are used.
        ended: Whether the stream has no more.
    """

    def __init__(self, stream: IO[bytes], start: int = 0) -> None:
        self.text, self.at, self.ended = "", 0, False
        self._line, self._counted = 1, 0
        self._stream = stream
        # Bad bytes become lone surrogates: the text they stand in is rejected, not the whole file.
        self._decode = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode
        while len(self.text) < start and not self.ended:
            self.grow()
        self.at = start

    @property
    def line(self) -> int:
        """The line of the place."""
        self._line += self.text.count("\n", self._counted, self.at)
        self._counted = self.at
        return self._line

    def grow(self) -> None:
        """Read as much again as is not used, so that a large object is tried a few times only."""
        _ = self.line  # counts the lines that are dropped
        self.text = self.text[self.at :]
        self.at = self._counted = 0
        data = self._stream.read(max(_CHUNK, len(self.text)))
        self.ended = not data
        self.text += self._decode(data, self.ended)

    def next_sign(self) -> str:
        """Go to the next character that is no white space and return it; "" at the end."""
        while True:
            found = _SPACE.match(self.text, self.at)
            self.at = found.end() if found else self.at
            if self.at < len(self.text):
                return self.text[self.at]
            if self.ended:
                return ""
            self.grow()


def _read_values(text: TextFile, advance: Advance, start: int, *, listed: bool) -> Iterator[Item]:
    """Yield the objects of a list, or of a row of documents, with the lines they begin on."""
    with text.open() as (stream, position, damage):
        window = _Window(stream, start)
        for line, place, value in _values_of(window, listed=listed):
            yield line, place, value
            advance(position())
        if damage():
            yield window.line, "", damage_reject(window.line, damage())


def _values_of(window: _Window, *, listed: bool) -> Iterator[Item]:
    if listed and window.next_sign() == "[":
        window.at += 1
    if listed and window.next_sign() == "]":
        return
    for number in count():
        if not window.next_sign() and not listed:
            return
        place = f".[{number}]" if listed else ""
        line = window.line
        value = _decode_value(window)
        if value is _BROKEN:
            yield line, place, _broken_value(window, line, place)
            return
        yield line, place, value if isinstance(value, dict) else _no_object(line, place)
        if not listed:
            continue
        sign = window.next_sign()
        if sign == "]":
            window.at += 1
            yield from _second_list(window)
            return
        if sign != ",":
            reason = "the JSON list breaks off after this object"
            yield line, place, Reject(line, reason, place, code="json")
            return
        window.at += 1


def _second_list(window: _Window) -> Iterator[Item]:
    """Yield a reject if another list of objects follows in the object: it is not read."""
    while window.next_sign() == ",":
        window.at += 1
        window.next_sign()
        name = _decode_value(window)
        if window.next_sign() != ":":
            return
        window.at += 1
        if window.next_sign() != "[":
            _decode_value(window)
            continue
        window.at += 1
        if window.next_sign() == "{":
            reason = f"a second list of rows, {name!r}, is not read: make a file of each list"
            yield window.line, f".{name}", Reject(window.line, reason, f".{name}", code="json")
        return


_BROKEN = object()


def _decode_value(window: _Window) -> Any:
    """Return the value at the window's place and go behind it; `_BROKEN` if there is none."""
    while True:
        try:
            value, end = _DECODER.raw_decode(window.text, window.at)
            if end < len(window.text) or window.ended:
                window.at = end
                return value
        except RecursionError:
            return _BROKEN
        except ValueError:
            if window.ended or len(window.text) - window.at > LARGEST_OBJECT:
                return _BROKEN
        window.grow()


def _broken_value(window: _Window, line: int, place: str) -> Reject:
    if not window.ended:
        reason = f"broken JSON from here on, or an object of more than {LARGEST_OBJECT:,} bytes"
    else:
        reason = "broken JSON from here to the end of the file"
    return Reject(line, reason, place, code="json")
