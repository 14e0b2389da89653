"""Read JSON: an object a line, a list of objects, or documents that hold the rows somewhere.

Lists and documents are read one object at a time, so that a truncated file keeps all objects
before its end and a large one takes the memory of one object. Every file is read to its end: what
stands behind a list is read if it is like it, and is a reject otherwise.
"""

from __future__ import annotations

import ast
import codecs
import json
import re
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import IO, Any

from ...errors import shortened
from ..validation import FormatError, Reject
from .decoding import TextFile, damage_reject
from .rows import Advance, Item

LARGEST_OBJECT = 64_000_000
"""Characters of one object of a list or document; the largest of LaMP have some ten million."""

_CHUNK = 1 << 18
_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"\s*")
_LIST = re.compile(r"\[\s*(\S)")
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
    """A file of JSON lists, or of objects around one: `{"reviews": [...]}`; mostly there is one."""

    kind = "a JSON list"

    def __init__(self, text: TextFile, *, wrapped: bool = False) -> None:
        """Take a file whose lists stand alone, or are wrapped in objects."""
        super().__init__(text)
        self._wrapped = wrapped

    def items(self, advance: Advance) -> Iterator[Item]:
        """Yield the objects of the lists."""
        yield from _read(self.text, advance, _wrapped_lists if self._wrapped else _lists)

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
    """A file of JSON objects over several lines, or of one data frame."""

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
        for line, place, value in _read(self.text, advance, _documents):
            rows = None if isinstance(value, Reject) else unwrap(value)
            if not self._unwrapped or rows is None:
                yield line, place, value
            else:
                yield from ((line, f".[{index}]", row) for index, row in enumerate(rows))


def open_json(text: TextFile, head: bytes) -> JsonLines:
    """Return a JSON file as what it is, by its beginning.

    The first line decides: a whole object is a row, and one that is still open at the line's end is
    a document, whatever the lines in it look like.
    """
    if head.lstrip().startswith(b"["):
        return JsonList(text)
    first = next(
        (line for _, line in text.lines() if isinstance(line, Reject) or line.strip()), b""
    )
    if isinstance(first, bytes):
        if isinstance(_parse_line(0, first), dict):
            return JsonLines(text)
        rest = head.lstrip().splitlines()[1:50]
        if not _is_open(first) and any(isinstance(_parse_line(0, line), dict) for line in rest):
            return JsonLines(text)  # its first line is broken
    if _ENVELOPE.match(head.decode(errors="replace")):
        return JsonList(text, wrapped=True)
    return JsonDocument(text)


def _is_open(line: bytes) -> bool:
    """Say whether a line is the beginning of an object, and breaks off between two signs of it."""
    text = line.decode(errors="replace").rstrip()
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return error.pos >= len(text)
    except (ValueError, RecursionError):
        return False
    return False


def open_wrapped(file: JsonLines) -> JsonLines | None:
    """Return the rows inside the objects of a file, or None if there are none."""
    lists = JsonList(file.text, wrapped=True)
    for _, place, value in lists.items(lambda position: None):
        if isinstance(value, dict):
            return lists
        if not place:  # this object holds no list; a place is that of a list which is not read
            break
    whole = JsonDocument(file.text, unwrapped=True)
    first = next(whole.items(lambda position: None), None)
    return whole if first is not None and isinstance(first[2], dict) and first[1] else None


def unwrap(value: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Return the rows of a data frame as pandas writes it, or None if an object is none.

    It is by columns (`{"text": {"0": ...}}`) or split (`{"columns": [...], "data": [[...]]}`).
    """
    columns, data = value.get("columns"), value.get("data")
    if isinstance(columns, list) and isinstance(data, list):
        named = [str(column) for column in columns]
        return [dict(zip(named, row, strict=False)) for row in data if isinstance(row, list)]
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

    def __init__(self, stream: IO[bytes]) -> None:
        self.text, self.at, self.ended = "", 0, False
        self._line, self._counted = 1, 0
        self._stream = stream
        # Bad bytes become lone surrogates: the text they stand in is rejected, not the whole file.
        self._decode = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode

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

    def first_in_list(self) -> str:
        """Return the first sign in the list that begins here, as "]"; "" if none begins."""
        while self.next_sign() == "[":
            if found := _LIST.match(self.text, self.at):
                return found[1]
            if self.ended:
                break
            self.grow()
        return ""


class _BrokenJsonError(Exception):
    """The JSON of a file is broken, so that nothing behind this place is read.

    Attributes:
        reject: Says so.
    """

    def __init__(self, reject: Reject) -> None:
        super().__init__(reject.reason)
        self.reject = reject


def _read(
    text: TextFile, advance: Advance, rows_of: Callable[[_Window], Iterator[Item]]
) -> Iterator[Item]:
    """Yield the objects of a file with the lines they begin on, and what is wrong with its end."""
    with text.open() as (stream, position, damage):
        window = _Window(stream)
        try:
            for item in rows_of(window):
                yield item
                advance(position())
        except _BrokenJsonError as error:
            yield error.reject.line, error.reject.place, error.reject
        if damage():
            yield window.line, "", damage_reject(window.line, damage())


def _documents(window: _Window) -> Iterator[Item]:
    """Yield the objects of a file that holds one behind the other."""
    while window.next_sign():
        line = window.line
        value = _take_value(window)
        yield line, "", value if isinstance(value, dict) else _no_object(line)


def _lists(window: _Window) -> Iterator[Item]:
    """Yield the objects of a list, and of the lists behind it."""
    number = 0
    while window.next_sign() == "[":
        number = yield from _objects(window, number)
    yield from _reject_rest(window)


def _wrapped_lists(window: _Window) -> Iterator[Item]:
    """Yield the objects of the first list in an object, and of that of its name in each behind it.

    Other lists of objects are rejects, and so is an object without a list.
    """
    number = 0
    rows: str | None = None
    while window.next_sign() == "{":
        line, read, found = window.line, False, False
        for name in _names(window):
            first = window.first_in_list()
            if not read and (first if name == rows else rows is None and first == "{"):
                rows, read = name, True
                number = yield from _objects(window, number)
                continue
            found = found or first == "]"
            for item in _unread_lists(window, name):
                yield item
                found = True
        if not (read or found):
            what = "list of rows" if rows is None else f"list {shortened(rows)}"
            yield line, "", Reject(line, f"the object holds no {what}", code="json")
    yield from _reject_rest(window)


def _objects(window: _Window, number: int) -> Generator[Item, None, int]:
    """Yield the objects of the list at the place, counted from a number on; return the next one."""
    window.at += 1
    if window.next_sign() == "]":
        window.at += 1
        return number
    while True:
        window.next_sign()
        line, place = window.line, f".[{number}]"
        value = _take_value(window, place)
        yield line, place, value if isinstance(value, dict) else _no_object(line, place)
        number += 1
        sign = window.next_sign()
        if sign not in ("]", ","):
            reason = "the JSON list breaks off after this object"
            raise _BrokenJsonError(Reject(line, reason, place, code="json"))
        window.at += 1
        if sign == "]":
            return number


def _names(window: _Window) -> Iterator[str]:
    """Yield the names in the object at the place; its reader goes behind the value of each."""
    window.at += 1
    sign = "" if window.next_sign() == "}" else ","
    while sign == ",":
        name = _take_value(window)
        if not isinstance(name, str) or window.next_sign() != ":":
            raise _BrokenJsonError(_broken_value(window, window.line, ""))
        window.at += 1
        yield name
        sign = window.next_sign()
        if sign not in ("}", ","):
            raise _BrokenJsonError(_broken_value(window, window.line, f".{name}"))
        window.at += sign == ","
    window.at += 1


def _unread_lists(window: _Window, name: str) -> Iterator[Item]:
    """Go behind a value, and yield a reject for each list of objects in it: it is not read."""
    window.next_sign()
    line = window.line
    if window.first_in_list() == "{":  # it may be as large as the file
        found = [(f".{name}", sum(1 for _ in _objects(window, 0)))]
    else:
        found = _find_lists(_take_value(window, f".{name}"), f".{name}")
    for place, number in found:
        reason = (
            f"a second list of rows, {shortened(place[1:])}, is not read (rows: {number:,}): "
            "make a file of each list"
        )
        yield line, place, Reject(line, reason, place, code="json")


def _find_lists(value: Any, place: str) -> list[tuple[str, int]]:
    """Return the places of the lists of objects inside a value, and how many objects each has."""
    found: list[tuple[str, int]] = []
    left = [(place, value)]
    while left:
        place, value = left.pop()
        if isinstance(value, dict):
            left += [(f"{place}.{name}", each) for name, each in value.items()]
        elif isinstance(value, list):
            if number := sum(isinstance(each, dict) for each in value):
                found.append((place, number))
            else:
                left += [(f"{place}.[{index}]", each) for index, each in enumerate(value)]
    return found


def _reject_rest(window: _Window) -> Iterator[Item]:
    """Yield one reject if something stands behind what was read."""
    if window.next_sign():
        line, rest = window.line, shortened(window.text[window.at : window.at + 200])
        reason = f"from here to its end the file is no JSON as before, and is not read: {rest}"
        yield line, "", Reject(line, reason, code="json")


def _take_value(window: _Window, place: str = "") -> Any:
    """Return the value at the window's place and go behind it.

    Raises:
        _BrokenJsonError: There is none.
    """
    window.next_sign()
    line, broken = window.line, False
    while not broken:
        try:
            value, end = _DECODER.raw_decode(window.text, window.at)
            if end < len(window.text) or window.ended:
                window.at = end
                return value
        except RecursionError:
            broken = True
        except ValueError:
            broken = window.ended or len(window.text) - window.at > LARGEST_OBJECT
        if not broken:
            window.grow()
    raise _BrokenJsonError(_broken_value(window, line, place))


def _broken_value(window: _Window, line: int, place: str) -> Reject:
    if not window.ended:
        reason = f"broken JSON from here on, or an object of more than {LARGEST_OBJECT:,} bytes"
    else:
        reason = "broken JSON from here to the end of the file"
    return Reject(line, reason, place, code="json")
