"""Parse one object of JSON, exactly: nothing is lost that the parser of Python passes over.

The parser keeps the last of two values of one name, and refuses a line end inside a string, a
number of thousands of digits and a deep nesting by errors of several kinds.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ...values import Unreadable
from ..validation import Reject

Scan = Callable[[str, int], tuple[Any, int]]
"""Returns the value that begins at a place of a text, and the place behind it."""

_LONGEST_NUMBER = 4_000  # digits; Python reads 4,300


def _scanner(decoder: json.JSONDecoder) -> Scan:
    """Return `raw_decode` without the call in between, which would cost a tenth of the speed."""
    scan: Scan = decoder.scan_once  # type: ignore[attr-defined]
    return scan


SCAN = _scanner(json.JSONDecoder())
SCAN_RAW = _scanner(json.JSONDecoder(strict=False))
"""Reads strings that hold line ends, or other control characters, as they are."""

RAW = "Invalid control character"
"""Begins the parser's fault where a string holds a line end, or a tab, as it is."""

_NAMED_TWICE = Unreadable("named twice in the row, with different values")


def _with_names_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        found[name] = value if found.get(name, value) == value else _NAMED_TWICE
    return found


_SCAN_TWICE = _scanner(json.JSONDecoder(object_pairs_hook=_with_names_once, strict=False))


def check_names(value: dict[str, Any], text: str, begin: int, end: int) -> dict[str, Any]:
    """Return an object in which a name with two different values has one that can't be read.

    The parser keeps the last value and says nothing. So the names are counted, which is cheap; a
    quote and a colon inside a string count too, and then the object is parsed again.

    Args:
        value: The object as it was parsed.
        text: Where it stands.
        begin: Its first place there.
        end: The place behind it.
    """
    named = text.count('":', begin, end)
    if named == len(value) or named == _count_names(value):
        return value
    checked: dict[str, Any] = _SCAN_TWICE(text, begin)[0]
    return checked


def parse_row(text: str) -> dict[str, Any] | None:
    """Return the object that a line is; None if it is anything else, or has white space before it.

    `json.loads` takes half as long again.
    """
    try:
        row, end = SCAN(text, 0)
        if type(row) is dict and (end == len(text) or text[end:] in ("\n", "\r\n")):
            return check_names(row, text, 0, end)
    except (StopIteration, ValueError, RecursionError):
        pass
    return None


def _count_names(value: dict[str, Any] | list[Any]) -> int:
    """Return how many names there are in an object, or in the objects of a list, at any depth."""
    number, inner = (len(value), value.values()) if isinstance(value, dict) else (0, value)
    for each in inner:
        if type(each) is dict or type(each) is list:  # quicker than by `isinstance`
            number += _count_names(each)
    return number


def scan_long_numbers(*, strict: bool) -> Scan:
    """Return what reads numbers of any length, as floats."""
    return _scanner(json.JSONDecoder(parse_int=_parse_digits, strict=strict))


def _parse_digits(digits: str) -> float:
    return int(digits) if len(digits) < _LONGEST_NUMBER else float(digits)


def no_object(line: int, place: str = "") -> Reject:
    """Return the reject for a value that is not an object."""
    return Reject(line, "expected a JSON object", place, code="json")


def raw_character(line: int, place: str = "") -> Reject:
    """Return the reject for an object with a line end, or a tab, as it is inside a string."""
    reason = "broken JSON: a line end or another control character in a string is not escaped"
    return Reject(line, reason, place, code="json")


def beyond_bounds(line: int, place: str = "") -> Reject:
    """Return the reject for a number or a nesting that can't be read."""
    reason = "broken JSON: a number or a nesting beyond all bounds"
    return Reject(line, reason, place, code="json")
