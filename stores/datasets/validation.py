"""Formats, and the validation of rows: each becomes a text or a reject.

A reject names the place of its row and the fault, but does not hold the row: rejects go to a file
that `forget` does not know, and the row is still in the source file.

User ids can be display names, which several people may bear. Two of the PGraphRAG sets have them:
`Anonymous` wrote 113 texts there and `John` 49. An id counts as a display name where it is one
plain word (`John`, `dave`, `PAM`) or a first name and an initial (`Angela H`, `Kristy H.`); such
ids hold 97% of the same-author pairs of the `gap` set. Digits, underscores, inner capitals
(`Natalie1021`, `BestBuyFan`) and the length of a hash speak for an account. Longer display names
(`Tamara Anderson`) are rare and seldom shared, so they are taken for one person.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import StoreError
from ..types import Text

_LONGEST_WORD = 20  # longer than names are, shorter than the ids of accounts


def is_display_name(user_id: str) -> bool:
    """Say whether an id is a name that several people may bear.

    Args:
        user_id: The id as it stands in the data.

    Returns:
        True for one plain word and for a first name with an initial.
    """
    words = [word.removesuffix(".") for word in user_id.split()]
    if len(words) == 1:
        return _is_plain(words[0])
    return len(words) == 2 and _is_plain(words[0]) and len(words[1]) == 1 and words[1].isalpha()


def _is_plain(word: str) -> bool:
    """Say whether a word is letters only, in one of the three usual casings."""
    usual = (word.lower(), word.upper(), word.capitalize())
    return word.isalpha() and len(word) <= _LONGEST_WORD and word in usual


MAX_CHARACTERS = 100_000
"""Longest text, title or id; nobody writes more, a file with a lost quote does."""

_LEAST_MILLISECONDS = 100_000_000_000  # the year 5138 as seconds, 1973 as milliseconds
_MOST_MILLISECONDS = 253_402_300_800_000  # the year 10000
_LONGEST_QUOTE = 16  # of a wrong value in a reason: enough to find it, too little to be a text
_TRUTHS: dict[object, bool] = {
    True: True, "true": True, "1": True, "yes": True,
    False: False, "false": False, "0": False, "no": False, "": False, None: False,
}  # fmt: skip
_KINDS = {bool: "a truth value", int: "a number", float: "a number", list: "a list"}


class FormatError(StoreError):
    """A file that cannot be read at all: missing, empty, or of another format."""


class BadRow(ValueError):
    """A row that cannot be a text; the message is the reason."""


@dataclass(frozen=True)
class Reject:
    """A rejected row.

    Attributes:
        line: Its first line in the file, from 1.
        reason: The fault.
        place: Its path inside a JSON list in the syntax of `jq` (`.[3].profile[0]`), else "".
    """

    line: int
    reason: str
    place: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {key: value for key, value in asdict(self).items() if value != ""}


Row = Text | Reject

Advance = Callable[[int], None]
"""Called after each row with the position in the file, in bytes."""


@dataclass(frozen=True)
class Defaults:
    """Values for rows that do not have their own."""

    namespace: str = "default"
    language: str = "en"


@dataclass(frozen=True)
class Head:
    """The beginning of a file, by which its format is recognised.

    Attributes:
        path: The file.
        listed: Whether it is one JSON list; otherwise it is read line by line.
        row: One of its first JSON objects; None where there is none.
    """

    path: Path
    listed: bool
    row: Mapping[str, Any] | None


def _always_english(path: Path) -> str:
    return "en"


def _no_check(path: Path) -> None:
    """Most formats are one file, which reading checks."""


@dataclass(frozen=True)
class Format:
    """A format of files of texts; the one place for all facts about it.

    Attributes:
        name: As `--format` takes it.
        expected: What a file of it holds, for messages.
        fits: Says whether a file is of the format.
        read: Yields a text or a reject for each row, and calls back after each.
        language: Returns the language of texts that name none.
        check: Raises `FormatError` where a file that belongs to this one can't be read.
    """

    name: str
    expected: str
    fits: Callable[[Head], bool]
    read: Callable[[Path, Defaults, Advance], Iterator[Row]]
    language: Callable[[Path], str] = _always_english
    check: Callable[[Path], object] = _no_check


def build_text(
    defaults: Defaults,
    *,
    user_id: object,
    body: object,
    topic_id: object = None,
    title: object = None,
    rating: object = None,
    timestamp: object = None,
    language: object = None,
    target: object = None,
    shared_id: object = None,
    position: int = 0,
) -> Text:
    """Return a row's fields as a text.

    Args:
        defaults: The namespace, and the language where the row has none.
        user_id: A string or an integer.
        body: The text; its white space is kept.
        topic_id: A string, an integer or nothing.
        title: A string or nothing.
        rating: From 1 to 5, as a number or its digits, or nothing.
        timestamp: Seconds or milliseconds since 1970, an ISO date or time, or nothing.
        language: An ISO 639-1 code or nothing.
        target: Whether it is a benchmark's target: a truth value or nothing.
        shared_id: Whether several people share the id; nothing: decided by `is_display_name`.
        position: Its place in the file.

    Raises:
        BadRow: A field is missing or wrong; says which and why.
    """
    user = _read_id("user", user_id)
    if not user:
        raise BadRow("no user")
    words = _read_string("text", body)
    if not words.strip():
        raise BadRow("no text")
    by_looks = shared_id is None or shared_id == ""
    return Text(
        user_id=user,
        body=words,
        topic_id=_read_id("topic", topic_id),
        title=_read_string("title", title),
        rating=_read_rating(rating),
        timestamp=_read_time(timestamp),
        position=position,
        language=_read_string("language", language).strip() or defaults.language,
        target=_read_truth("target", target),
        shared_id=is_display_name(user) if by_looks else _read_truth("shared_id", shared_id),
        namespace=defaults.namespace,
    )


def first_of(row: dict[str, Any], names: tuple[str, ...]) -> Any:
    """Return the value of the first of several names that the row has, or None."""
    return next((row[name] for name in names if row.get(name) is not None), None)


def _read_id(name: str, value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    words = _read_string(name, value).strip()
    if "\x00" in words:
        raise BadRow(f"{name} has a NUL character")
    return words


def _read_string(name: str, value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadRow(f"{name} is {_KINDS.get(type(value), 'an object')}, not a string")
    if len(value) > MAX_CHARACTERS:
        raise BadRow(f"{name} has {len(value):,} characters, more than {MAX_CHARACTERS:,}")
    try:  # bytes that are no UTF-8 arrive as lone surrogates, and JSON can spell them as \ud800
        value.encode()
    except UnicodeEncodeError:
        raise BadRow(f"{name} is not valid UTF-8") from None
    return value


def _read_rating(value: object) -> float | None:
    rating = _read_number("rating", value)
    if rating is not None and not 1 <= rating <= 5:
        raise BadRow(f"rating {rating:g} is outside 1 to 5")
    return rating


def _read_time(value: object) -> int | None:
    """Return milliseconds; a number too small for milliseconds since 1973 is taken for seconds."""
    moment = _read_date(value)
    if moment is not None:
        return moment
    number = _read_number("timestamp", value)
    if number is None:
        return None
    milliseconds = number if abs(number) >= _LEAST_MILLISECONDS else number * 1000
    if abs(milliseconds) > _MOST_MILLISECONDS:
        raise BadRow(f"timestamp {number:g} is no time in seconds or milliseconds since 1970")
    return round(milliseconds)


def _read_date(value: object) -> int | None:
    """Return the milliseconds of an ISO date, or None for anything else."""
    if not isinstance(value, str) or "-" not in value[1:]:  # digits alone are a number
        return None
    try:
        moment = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    if moment.tzinfo is None:  # local time would depend on the machine
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def _read_number(name: str, value: object) -> float | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise BadRow(f"{name} is {_KINDS.get(type(value), 'an object')}, not a number")
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise BadRow(f"{name} {_quote(value)} is not a number") from None
    if not math.isfinite(number):
        raise BadRow(f"{name} {_quote(value)} is not a number")
    return number


def _read_truth(name: str, value: object) -> bool:
    word = value.strip().lower() if isinstance(value, str) else value
    if not isinstance(word, str | bool | int | None) or word not in _TRUTHS:
        raise BadRow(f"{name} {_quote(value)} is not true or false")
    return _TRUTHS[word]


def _quote(value: object) -> str:
    words = str(value)
    return repr(words if len(words) <= _LONGEST_QUOTE else words[: _LONGEST_QUOTE - 3] + "...")
