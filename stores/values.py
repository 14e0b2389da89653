"""Read single values as people have them: ids, texts, titles, languages, truth values.

With `fields` the one place that says what a value means, for files, for
`Personalizer.add`, and for requests. A value that can't be read raises `PydanticCustomError`, whose
type is `FIELD_FAULT` (`FAULTS` lists the faults) and whose message says what came. Spreadsheets and
data frames spell a missing value as a word, and turn numbers into floats; `MISSING` and `read_id`
undo that.
"""

from __future__ import annotations

import math
import re
import sys
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from typing import Any, Literal
from uuid import UUID

from pydantic_core import PydanticCustomError

from .errors import shortened

MAX_CHARACTERS = 100_000
"""Longest text or title; nobody writes more, a file with a lost quote does."""

MAX_ID_CHARACTERS = 1_000
"""Longest id: it stands in each row, index, filter and record, and is compared with others."""

SEPARATOR = "\x1f"
"""Joins ids and other fields where a key is made of them; no id has it in it."""

MISSING = frozenset(
    ("", "nan", "NaN", "-nan", "NAN", "None", "null", "NULL", "<NA>", "<na>")
    + ("NaT", "nil", "undefined", "\\N", "#N/A", "<null>", "(null)", "[null]")
    + ("[deleted]", "[removed]")
)
"""What programs write for a missing value, Reddit's among them; `Null` and `Nan` are names."""

MISSING_IDS = MISSING | {"NA", "N/A", "n/a", "none", "NONE"}
MISSING_NUMBERS = MISSING_IDS | {"na", "-", "--", "?", "Null", "Nan"}
"""Also no number; but somebody may answer `N/A`, `none` or `-` with a text."""

FAULTS = {
    "missing": "the value is missing, or a word that stands for a missing value",
    "type": "the value is of another type",
    "inexact": "a number too large for the format it went through: its last digits are lost",
    "nul": "the id has a NUL character or a unit separator",
    "encoding": "the value is not valid UTF-8",
    "length": f"the value has more than {MAX_CHARACTERS:,} characters, or the id more than "
    f"{MAX_ID_CHARACTERS:,}",
    "scale": "the rating is outside the scale, or not finite",
    "unreadable": "the value cannot be read",
}
"""The faults of a value by name."""

_LONGEST_QUOTE = 16  # of a wrong value in a reason: enough to find it, too little to be a text
_KINDS = {bool: "a truth value", int: "a number", float: "a number", list: "a list", bytes: "bytes"}
_INVISIBLE = "\ufeff\u200b\u2060\u00ad\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e"
_INVISIBLE += "\u2066\u2067\u2068\u2069"
_AT_ENDS = _INVISIBLE + "".join(filter(str.isspace, map(chr, range(0x3001))))
"""All white space, and marks that stand around words which were copied from a page or a chat."""

_LONGEST_MISSING = max(map(len, MISSING))
_CLEAN_ID = re.compile(r"[A-Za-z_](?:[ -~]{0,253}[!-~])?|[0-9]{1,255}")
"""Ids that no rule changes or refuses, if they are not `MISSING_IDS`: most are such."""

_WHOLE = re.compile(r"-?\d+\.0+", re.ASCII)
_ROUNDED = re.compile(r"-?\d(?:[.,]\d+[eE]\+?|[eE]\+)\d{2,}", re.ASCII)
"""A rounded number as programs write it; `1e10` is rather a hash, or a number to the base of 36."""

_EXACT_FLOAT = 2**53
"""From here on two whole numbers may be one float: 2**53 + 1 is rounded to 2**53."""

_LANGUAGE = re.compile(r"([a-z]{2,3})((?:[-_][a-z0-9]{2,8})*)(?:\.[a-z0-9-]+)?", re.IGNORECASE)
_LANGUAGE_BYTES = 23
_TRUTHS: dict[object, bool] = {
    True: True, "true": True, "1": True, "1.0": True, "yes": True,
    False: False, "false": False, "0": False, "0.0": False, "no": False,
}  # fmt: skip


_END = r"(\d+(?:\.\d+)?(?:e[+-]?\d+)?)"
_ENDS = re.compile(rf"\s*{_END}\s*(?:-|to|\.\.)\s*{_END}\s*")


def _digits(number: float) -> str:
    """Return a number in all its digits, without an exponent."""
    return format(Decimal(repr(number)), "f").removesuffix(".0")


@dataclass(frozen=True)
class RatingScale:
    """The least and the highest rating of a source, as `1-5` or `0-10`.

    Where 0 lies below the scale, a rating of 0 stands for none, as Amazon and Goodreads use it.
    """

    low: float = 1.0
    high: float = 5.0

    @staticmethod
    def parse(given: str) -> RatingScale:
        """Return a scale from its two ends.

        Raises:
            ValueError: They are not two numbers, the lower one first.
        """
        ends = _ENDS.fullmatch(given)
        if ends is None or not float(ends[1]) < float(ends[2]) < math.inf:
            raise ValueError(
                f"expected a scale as its least and its highest rating, 1-5 or 0-10, got "
                f"{shortened(given)}"
            )
        return RatingScale(float(ends[1]), float(ends[2]))

    def __str__(self) -> str:
        """Return the two ends as `parse` reads them."""
        return f"{_digits(self.low)}-{_digits(self.high)}"

    @property
    def span(self) -> float:
        """The largest difference of two ratings."""
        return self.high - self.low


FIVE_STARS = RatingScale()


DateOrder = Literal["alone", "day", "month", "unknown"]
"""How dates such as 05/01/2024 are read: each for itself, so where it has but one meaning; with the
day or with the month first; or not at all, because a file does not say which."""

DecimalMark = Literal[",", ".", "unknown"]
"""What stands before the decimals of a file's ratings. Where it is not known, 1,234 may be little
more than one or more than a thousand."""


@dataclass(frozen=True)
class ReadingRules:
    """How values are read; pydantic's validation context.

    Attributes:
        scale: The scale of the ratings.
        strict: Whether a rating or a time that can't be read is a fault. Otherwise the text is kept
            without it, and `noted` counts it: no text is lost for a field that it can do without.
        noted: What was left out of texts that were kept, by `FIELD_FAULT`.
        date_order: How dates in numbers that end with the year are read.
        decimal_mark: How ratings are read whose mark may stand before decimals or thousands.
    """

    scale: RatingScale = FIVE_STARS
    strict: bool = False
    noted: Counter[str] = field(default_factory=Counter, compare=False)
    date_order: DateOrder = "alone"
    decimal_mark: DecimalMark = "unknown"


STRICT = ReadingRules(strict=True)
"""How the values of a call are read: nothing is left out in silence."""


def bad_value(name: str, fault: str, message: str) -> PydanticCustomError:
    """Return the error of a value.

    Args:
        name: The field in plain words: user, text, topic, title, rating, timestamp.
        fault: One of `FAULTS`.
        message: What came; says no more of the value than `quoted` does.
    """
    # A dictionary, because the message may hold braces.
    return PydanticCustomError(f"{name}_{fault}", "{message}", {"message": message})


def quoted(value: object) -> str:
    """Return the beginning of a value in quotes, too short to be somebody's text."""
    words = str(value)
    return repr(words if len(words) <= _LONGEST_QUOTE else words[: _LONGEST_QUOTE - 3] + "...")


class Unreadable:
    """A value of a file that can't be had: no field takes it.

    Args:
        reason: Why, as the end of a sentence about the value.
    """

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def __str__(self) -> str:
        return self._reason


_BITS_OF_FLOATS = 1023


def plain(value: object) -> object:
    """Return the plain Python value of a scalar of numpy or pandas; others are left alone.

    A whole number beyond every float is an infinite one, and NaN is None.
    """
    if (type(value) is float and value != value) or (type(value) is Decimal and value.is_nan()):
        return None
    if type(value) is int and value.bit_length() > _BITS_OF_FLOATS:
        return math.copysign(math.inf, -1 if value < 0 else 1)
    if value is None or type(value) in (str, int, float, bool):
        return value
    # Only a program that has imported them can hand over their values.
    pandas, numpy = sys.modules.get("pandas"), sys.modules.get("numpy")
    if pandas is not None and (value is pandas.NA or value is pandas.NaT):
        return None
    if numpy is not None and isinstance(value, numpy.generic):
        if isinstance(value, numpy.datetime64):
            return _plain_moment(value)
        if isinstance(value, numpy.timedelta64):
            return value  # of nanoseconds its item is a mere number
        scalar = value.item()  # of a long double it is the value itself
        return plain(float(value) if isinstance(scalar, numpy.floating) else scalar)
    if isinstance(value, str):
        return str.__str__(value)  # of an enumeration: its value, not its name
    if isinstance(value, Enum) and isinstance(value, int):
        return int(value)
    return value


def _plain_moment(moment: Any) -> object:
    """Return a moment of numpy as a date or a time; one beyond Python's calendar as it is.

    In another unit than its own it would be another moment: numpy says nothing where it overflows.
    """
    found = moment.item()
    if isinstance(found, int) and sys.modules["numpy"].datetime_data(moment)[0] in _FINE_UNITS:
        found = moment.astype("datetime64[us]").item()
    return moment if isinstance(found, int) else found


_FINE_UNITS = ("ns", "ps", "fs", "as")
"""Units of numpy whose moments all lie within Python's calendar, and are none of its types."""


def read_id(name: str, value: object) -> str:
    """Return an id as it is stored and looked up: a string in normal form, "" where it is missing.

    White space and invisible marks at the ends go, Unicode is composed (NFC), and a number is
    written without `.0`: 123, 123.0 and "123.0" are one id.

    Raises:
        PydanticCustomError: It is no string and no whole number, or a rounded one.
    """
    if type(value) is str and _CLEAN_ID.fullmatch(value):
        return "" if value in MISSING_IDS else value
    exact = _exact_below(value)
    value = plain(value)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float | Decimal):
        return _read_numeric_id(name, value, exact)
    given = read_string(name, value, MAX_ID_CHARACTERS)
    words = normal_id(given)
    if cannot_be_id(words):
        raise bad_value(name, "nul", f"{name} has a NUL character or a unit separator")
    if _ROUNDED.fullmatch(words) or _is_rounded(given.strip()):
        raise _inexact(name, words)
    return "" if words in MISSING_IDS else words


def cannot_be_id(words: str) -> bool:
    """Say whether a string has a character that no id and no namespace may have."""
    return "\x00" in words or SEPARATOR in words


def id_to_find(name: str, value: object) -> str:
    """Return an id to look up in a store: as `read_id`, but a word for a missing value is itself.

    A store of an earlier version may hold texts of a user called `nan`, or by a longer name, and
    they can be forgotten.

    Raises:
        PydanticCustomError: As `read_id`.
    """
    if type(value) is str and (SEPARATOR in value or len(value) > MAX_ID_CHARACTERS):
        return normal_id(read_string(name, value))
    return read_id(name, value) or normal_id(read_string(name, value))


def normal_id(words: str) -> str:
    """Return the normal form of an id that is a string; that of a normal form is itself."""
    if not words or _CLEAN_ID.fullmatch(words):
        return words
    words = words.strip() if words.isascii() else words.strip(_AT_ENDS)
    if not words.isascii():
        words = unicodedata.normalize("NFC", words)
    return words.partition(".")[0] if _WHOLE.fullmatch(words) else words


def _exact_below(value: object) -> int:
    """Return the number from which two ids may have become one float of this value's type."""
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.floating):
        bits = int(numpy.finfo(type(value)).nmant) + 1
        return min(1 << bits, _EXACT_FLOAT)
    return _EXACT_FLOAT


def _is_rounded(words: str) -> bool:
    """Say whether digits are those of a float, `9007199254740992.0`, too large to be exact."""
    return _WHOLE.fullmatch(words) is not None and abs(int(words.partition(".")[0])) >= _EXACT_FLOAT


def _read_numeric_id(name: str, value: float | Decimal, exact: int) -> str:
    if not math.isfinite(value):
        raise bad_value(name, "type", f"{name} is a number that is not finite")
    if value != int(value):
        raise bad_value(name, "type", f"{name} {quoted(value)} is a fraction, not an id")
    if isinstance(value, float) and abs(value) >= exact:
        raise _inexact(name, value)
    return str(int(value))


def _inexact(name: str, value: object) -> PydanticCustomError:
    return bad_value(
        name,
        "inexact",
        f"{name} {quoted(value)} is a number whose last digits are lost: export ids as text",
    )


def read_string(name: str, value: object, most: int = MAX_CHARACTERS) -> str:
    """Return a string as it is; "" for None and NaN.

    Args:
        name: Of the field, in plain words.
        value: The value.
        most: Characters at most.

    Raises:
        PydanticCustomError: It is something else, too long, or not valid UTF-8.
    """
    if type(value) is str and len(value) <= most and value.isascii():
        return value
    value = plain(value)
    if value is None:
        return ""
    if isinstance(value, Unreadable):
        raise bad_value(name, "unreadable", f"{name} is {value}")
    if not isinstance(value, str):
        kind = _KINDS.get(type(value), "an object")
        raise bad_value(name, "type", f"{name} is {kind}, not a string")
    if len(value) > most:
        message = f"{name} has {len(value):,} characters, more than {most:,}"
        raise bad_value(name, "length", message)
    if not value.isascii():
        try:  # bytes that are no UTF-8 arrive as lone surrogates, and JSON can spell them as \ud800
            value.encode()
        except UnicodeEncodeError:
            raise bad_value(name, "encoding", f"{name} is not valid UTF-8") from None
    return value


def read_text(name: str, value: object) -> str:
    """Return a text with its white space, "" where it is missing, or nothing of it can be seen.

    Raises:
        PydanticCustomError: As `read_string`.
    """
    words = read_string(name, value)
    stripped = words.strip() if words.isascii() else words.strip(_AT_ENDS)
    missing = len(stripped) <= _LONGEST_MISSING and stripped in MISSING
    return "" if missing else words


def read_title(value: object) -> str:
    """Return a title; one that is a number, as `1917`, as its digits.

    Raises:
        PydanticCustomError: As `read_string`.
    """
    if type(value) is not str:
        value = plain(value)
        number = None if isinstance(value, bool) else value
        if isinstance(number, int | float | Decimal) and math.isfinite(number):
            return normal_id(format(number, "f") if isinstance(number, Decimal) else str(number))
    return read_text("title", value)


def read_language(value: object) -> str:
    """Return a language tag as `en` or `pt-BR`, "" where it is missing.

    Raises:
        PydanticCustomError: It is no tag.
    """
    words = read_string("language", value).strip()
    if words in MISSING_IDS:
        return ""
    found = _LANGUAGE.fullmatch(words)
    if found is None or len(words) > _LANGUAGE_BYTES:
        raise bad_value(
            "language",
            "unreadable",
            f"language {quoted(words)} is no tag: expected one as en, pt-BR or zh-Hans",
        )
    parts = found[2].replace("_", "-").split("-")[1:]
    return "-".join([found[1].lower(), *map(_cased, parts)])


def _cased(part: str) -> str:
    """Return a region in capitals, a script capitalised, as tags are written."""
    return {2: part.upper(), 4: part.capitalize()}.get(len(part), part.lower())


def read_truth(name: str, value: object) -> bool | None:
    """Return a truth value, None where it is missing.

    Raises:
        PydanticCustomError: It is neither true nor false.
    """
    value = plain(value)
    if value is None or (isinstance(value, str) and value.strip() in MISSING_NUMBERS):
        return None
    word = value.strip().lower() if isinstance(value, str) else value
    if not isinstance(word, str | bool | int | float | Decimal) or word not in _TRUTHS:
        raise bad_value(name, "type", f"{name} {quoted(value)} is not true or false")
    return _TRUTHS[word]


def leave_out(name: str, message: str, reading: ReadingRules) -> None:
    """Raise the error of a value that can't be read (`strict`), or count it.

    Raises:
        PydanticCustomError: If nothing may be left out.
    """
    if reading.strict:
        raise bad_value(name, "unreadable", message)
    reading.noted[f"{name}_unreadable"] += 1
