"""Read rows out of a stream of JSON, one at a time, so that a file of any size takes little memory.

Every stream is read to its end. Where it is broken, reading goes on at the next line that begins
as the rows before it, and what is not read is told: by one reject for each broken place. Commas
that lack between rows, or are too many, cost nothing.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any

from ...errors import shortened
from ..validation import Reject
from .json_parsing import (
    RAW,
    SCAN,
    SCAN_RAW,
    beyond_bounds,
    check_names,
    no_object,
    raw_character,
    scan_long_numbers,
)
from .rows import PROFILE, Item

LARGEST_OBJECT = 64_000_000
"""Characters of one object of a list or document; the largest of LaMP have some ten million."""

TOO_LARGE = "an object beyond all bounds"
"""The fault of an object that has more characters than it may have."""

_CHUNK = 1 << 18
_SPACE = re.compile(r"[\s\ufeff]*")  # a byte order mark stands where files were joined
_LIST = re.compile(r"\[\s*(\S)")
_LONGEST_SIGN = 32  # characters that are one to the parser: `-Infinity`, a pair of surrogates
_OF_PANDAS = ".schema.fields"  # the columns of a table that `orient="table"` wrote, no rows


class BrokenJsonError(Exception):
    """The JSON at a place is broken.

    Attributes:
        line: The line.
        place: The place of the value in the file, else "".
        fault: What is wrong; "" for broken JSON as such.
    """

    def __init__(self, line: int, place: str = "", fault: str = "") -> None:
        super().__init__(fault)
        self.line, self.place, self.fault = line, place, fault


class Window:
    """A part of a stream as characters: what was read and is not used yet.

    Attributes:
        text: The characters.
        at: The place in them up to which they are used.
        ended: Whether the stream has no more.
        begins: How the line begins at the latest sign, with the line end before: by this other rows
            are found; "" if something else stands before the sign on its line.
        skipped: How many characters `skip_to` left out before the end, if it found nothing.
    """

    def __init__(self, stream: IO[bytes], line: int = 1) -> None:
        """Take a stream of UTF-8 that begins on a line."""
        self.text, self.at, self.ended, self.begins = "", 0, False, ""
        self.skipped = 0
        self._line, self._counted, self._stream = line, 0, stream
        self._before = "\n"
        # Bad bytes become lone surrogates: the text they stand in is rejected, not the whole file.
        self._decode = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode

    @property
    def line(self) -> int:
        """The line of the place."""
        self._line += self.text.count("\n", self._counted, self.at)
        self._counted = self.at
        return self._line

    def grow(self, least: int = _CHUNK) -> None:
        """Read as much again as is not used, so that a large object is tried a few times only."""
        _ = self.line  # counts the lines that are dropped
        self.text = self.text[self.at :]
        self.at = self._counted = 0
        data = self._stream.read(max(least, len(self.text)))
        self.ended = not data
        self.text += self._decode(data, self.ended)

    def next_sign(self) -> str:
        """Go to the next character that is no white space and return it; "" at the end."""
        text, at = self.text, self.at
        if not self._before and at < len(text) and "!" <= text[at] <= "~":  # mostly it is so
            self.begins = ""
            return text[at]
        space, self._before = self._before, ""
        while True:
            found = _SPACE.match(self.text, self.at)
            end = found.end() if found else self.at
            if end > self.at:
                space += self.text[self.at : end]
                self.at = end
            if end < len(self.text):
                self.begins = space[space.rindex("\n") :] if "\n" in space else ""
                return self.text[end]
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

    def skip_to(self, start: str) -> bool:
        """Go on to the next line that begins in a way, behind its white space, or to the end.

        Args:
            start: A line end, white space and a sign; "": there is none, go to the end.

        Returns:
            Whether there is such a line.
        """
        first = self.at
        while True:
            found = self.text.find(start, first) if start else -1
            if found >= 0:
                self.at, self._before = found + len(start) - 1, start[:-1]
                self.skipped = 0
                return True
            if self.ended:
                self.skipped += len(self.text) - self.at
                self.at = len(self.text)
                return False
            before, self.at = self.at, max(first, len(self.text) - len(start))
            self.skipped += self.at - before
            self.grow()
            first = 0


def take_value(window: Window, place: str = "", largest: int = LARGEST_OBJECT) -> Any:
    """Return the value at the window's place and go behind it.

    Args:
        window: The window, at the first sign of the value.
        place: The place of the value in the file, for the message.
        largest: The most characters that the value may have, about.

    Returns:
        The value; the reject of one that has a number of too many digits, or a line end as it is
        in a string: such a value is known to its end, and costs no other.

    Raises:
        BrokenJsonError: There is none, and the window stays where it is.
    """
    scan, reject, raw = SCAN, None, ""
    while True:
        fault, at = "", len(window.text)
        try:
            value, end = scan(window.text, window.at)
            if end < at or window.ended:
                if reject is not None:
                    value = reject
                elif type(value) is dict:
                    value = check_names(value, window.text, window.at, end)
                window.at = end
                return value
        except StopIteration as nothing:
            fault, at = "no value", nothing.value
        except RecursionError:
            raise BrokenJsonError(window.line, place, "a nesting beyond all bounds") from None
        except json.JSONDecodeError as error:
            if not raw and error.msg.startswith(RAW):
                scan, reject, raw = SCAN_RAW, raw_character(window.line, place), error.msg
                continue
            fault, at = error.msg, error.pos
        except ValueError:
            scan = scan_long_numbers(strict=not raw)
            reject = beyond_bounds(window.line, place)
            continue
        if window.ended or _is_final(fault, len(window.text) - at):
            raise BrokenJsonError(window.line, place, raw or fault)
        if len(window.text) - window.at > largest:
            raise BrokenJsonError(window.line, place, TOO_LARGE)
        window.grow()


def _is_final(fault: str, left: int) -> bool:
    """Say whether JSON with characters left behind its fault stays broken whatever follows."""
    return left > _LONGEST_SIGN and not fault.startswith("Unterminated string")


class Rows:
    """Reads the rows of lists, and objects that stand between them or alone.

    Attributes:
        start: How a line begins from which reading may go on where it is broken; "" for none.
    """

    def __init__(self) -> None:
        self.start = ""
        self._number = 0

    def items(self, window: Window) -> Iterator[Item]:
        """Yield the rows from the window's place on.

        Raises:
            BrokenJsonError: It is broken, and the next row is not found by itself.
        """
        start = ""
        while sign := window.next_sign():
            self._note_start(window, sign)
            if sign == "[":
                yield from self.list_rows(window)
            elif sign == "{":
                start = start or (window.begins and f"{window.begins}{{")
                line = window.line
                try:
                    value = take_value(window)
                except BrokenJsonError as error:
                    value = _leave_out(window, start, error)
                yield line, "", value
            elif sign == ",":
                window.at += 1
            else:
                raise BrokenJsonError(window.line, "", "neither an object nor a list")

    def _note_start(self, window: Window, sign: str) -> None:
        if window.begins and sign in "[{":
            self.start = f"{window.begins}{sign}"

    def list_rows(self, window: Window) -> Iterator[Item]:
        """Yield the rows of the list at the place; they are counted over all lists."""
        window.at += 1
        start, line = "", window.line
        sign = window.next_sign()
        while sign != "]":
            if not sign:
                fault = "the JSON list breaks off after this object"
                raise BrokenJsonError(line, f".[{max(0, self._number - 1)}]", fault)
            if not start and window.begins and sign == "{":
                start = f"{window.begins}{{"
            line, place = window.line, f".[{self._number}]"
            try:
                value = take_value(window, place)
            except BrokenJsonError as error:
                value = _leave_out(window, start, error)
            known = type(value) is dict or isinstance(value, Reject)
            yield line, place, value if known else no_object(line, place)
            self._number += 1
            sign = window.next_sign()
            if sign == ",":
                window.at += 1
                sign = window.next_sign()
            elif sign and sign not in "]{":
                line, fault = window.line, "no comma behind this row"
                yield line, place, _leave_out(window, start, BrokenJsonError(line, place, fault))
                sign = window.next_sign()
        window.at += 1


def _leave_out(window: Window, start: str, error: BrokenJsonError) -> Reject:
    """Go to the next row that begins in a way, and return the reject for what stands before it.

    Raises:
        BrokenJsonError: There is none.
    """
    if start and window.skip_to(start):
        return _say_left_out(error)
    raise error


class Pages(Rows):
    """Reads the rows of the first list of objects in an object, as `{"reviews": [...]}`.

    In the objects behind it the rows are the list of that name. All other lists of objects are
    rejects, and so is an object without a list. The objects may stand in a list themselves.
    """

    def __init__(self, depth: int = 1) -> None:
        """Take the number of objects around the list, as 2 for `{"data": {"reviews": [...]}}`."""
        super().__init__()
        self._depth = depth
        self._name: str | None = None
        self._read = self._found = False
        self._around = 0  # lists that are open around the objects

    def items(self, window: Window) -> Iterator[Item]:
        """Yield the rows from the window's place on.

        Raises:
            BrokenJsonError: It is broken.
        """
        while sign := window.next_sign():
            self._note_start(window, sign)
            if sign == "{":
                line, self._read, self._found = window.line, False, False
                yield from self._page(window, "", self._depth)
                if not self._read and not self._found:
                    yield line, "", Reject(line, self._say_empty(), code="json")
            elif sign == "[" or (self._around and sign in "],"):
                self._around += {"[": 1, "]": -1, ",": 0}[sign]
                window.at += 1
            else:
                raise BrokenJsonError(window.line, "", "not an object with a list of rows")
        if self._around:
            self._around = 0
            raise BrokenJsonError(window.line, "", "the JSON list breaks off here")

    def _say_empty(self) -> str:
        what = "list of rows" if self._name is None else f"list {shortened(self._name)}"
        return f"the object holds no {what}"

    def _page(self, window: Window, before: str, depth: int) -> Iterator[Item]:
        for inner in _names(window):
            name = f"{before}{inner}"
            first = window.first_in_list()
            if depth > 1 and window.next_sign() == "{":
                yield from self._page(window, f"{name}.", depth - 1)
            elif first and not self._read and self._holds_rows(name, inner, first):
                self._name, self._read = name, True
                yield from self.list_rows(window)
            else:
                self._found = self._found or first == "]"
                for item in _unread_lists(window, name):
                    yield item
                    self._found = True

    def _holds_rows(self, name: str, inner: str, first: str) -> bool:
        """Say whether a list holds rows; that of a person is what the person wrote."""
        if self._name is not None:
            return name == self._name
        return first == "{" and inner != PROFILE


def read_window(
    rows: Rows, window: Window, damage: Callable[[], str] = lambda: "", what: str = "file"
) -> Iterator[Item]:
    """Yield all rows of a window, and one reject for each place where it is broken.

    Args:
        rows: The reader.
        window: The window.
        damage: Returns what made the stream end too early; then its end is no fault of its own.
        what: What ends with the window, for messages.
    """
    while True:
        try:
            yield from rows.items(window)
            return
        except BrokenJsonError as error:
            if window.skip_to(rows.start):
                yield error.line, error.place, _say_left_out(error)
                continue
            if not damage():
                yield error.line, error.place, _say_unread(error, window, what)
            return


def _say_left_out(error: BrokenJsonError) -> Reject:
    reason = f"broken JSON, left out up to the next row: {error.fault}"
    return Reject(error.line, reason, error.place, code="json")


def _say_unread(error: BrokenJsonError, window: Window, what: str) -> Reject:
    lines = f"lines {error.line:,} to {window.line:,}, " if window.line > error.line else ""
    reason = (
        f"broken JSON from here to the end of the {what} ({lines}characters: {window.skipped:,}), "
        f"not read: {error.fault}"
    )
    return Reject(error.line, reason, error.place, code="json")


def _names(window: Window) -> Iterator[str]:
    """Yield the names in the object at the place; its reader goes behind the value of each."""
    window.at += 1
    sign = "" if window.next_sign() == "}" else ","
    while sign == ",":
        window.next_sign()
        name = take_value(window)
        if not isinstance(name, str) or window.next_sign() != ":":
            raise BrokenJsonError(window.line, "", "no name and colon")
        window.at += 1
        yield name
        sign = window.next_sign()
        if not sign or sign not in "},":
            raise BrokenJsonError(window.line, f".{name}", "no comma behind this value")
        window.at += sign == ","
    window.at += 1


def _unread_lists(window: Window, name: str) -> Iterator[Item]:
    """Go behind a value, and yield a reject for each list of objects in it: it is not read."""
    line = window.line
    found: Iterable[tuple[str, int]]
    if window.first_in_list() == "{":  # it may be as large as the file
        found = [(f".{name}", sum(1 for _ in Rows().list_rows(window)))]
    else:
        found = _find_lists(take_value(window, f".{name}"), f".{name}")
    for place, number in found:
        reason = (
            f"a second list of rows, {shortened(place[1:])}, is not read (rows: {number:,}): "
            "make a file of each list"
        )
        yield line, place, Reject(line, reason, place, code="json")


def _find_lists(value: Any, place: str) -> Iterator[tuple[str, int]]:
    """Yield the places of the lists of objects inside a value, and how many objects each has."""
    left = [(place, value)]
    while left:
        place, value = left.pop()
        if isinstance(value, dict):
            left += [(f"{place}.{name}", each) for name, each in value.items()]
        elif isinstance(value, list):
            if number := sum(isinstance(each, dict) for each in value):
                if place != _OF_PANDAS:
                    yield place, number
            else:
                left += [(f"{place}.[{index}]", each) for index, each in enumerate(value)]
