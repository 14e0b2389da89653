"""Ratings and times as people have them, and the fields of texts and requests as types.

Every way in uses them: rows of files (`datasets.validation`), calls (`Personalizer.add`), requests
(`nodes.state`) and feedback. So an id is the same id everywhere.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationInfo

from .errors import InvalidFilter
from .texts.filters import checked_namespace
from .values import (
    MISSING_NUMBERS,
    STRICT,
    RatingScale,
    ReadingRules,
    bad_value,
    cannot_be_id,
    leave_out,
    plain,
    quoted,
    read_id,
    read_language,
    read_string,
    read_text,
    read_title,
    read_truth,
)

_RATING = re.compile(
    r"(?P<given>[-+]?\d+(?:[.,]\d+)?(?:e[-+]?\d+)?)"
    r"(?:\s*(?:/|out of|of|von|de|sur|su|di)\s*(?P<most>\d+))?"
    r"\s*(?:stars?|sternen?|estrellas?|estrelas?|étoiles?|stelle)?",
    re.IGNORECASE,
)

_DIGITS = re.compile(r"\d{1,3}(?:\.\d{1,3})?", re.ASCII)


def read_rating(value: object, reading: ReadingRules = STRICT) -> float | None:
    """Return a rating on the scale, None where there is none.

    Read are numbers and their digits, with a decimal comma too, `4/5`, `4.0 out of 5 stars`, and
    stars.

    Raises:
        PydanticCustomError: It lies outside the scale, or (`strict`) can't be read.
    """
    scale = reading.scale
    if type(value) is str and _DIGITS.fullmatch(value):  # most are such
        value = float(value)
    if (type(value) is float or type(value) is int) and scale.low <= value <= scale.high:
        return float(value)
    value = plain(value)
    if value is None or (isinstance(value, str) and value.strip() in MISSING_NUMBERS):
        return None
    number = _read_rating_number(value, scale)
    if number is None:
        leave_out("rating", f"rating {quoted(value)} is not a number", reading)
        return None
    if number == 0 < scale.low and not reading.strict:
        reading.noted["rating_zero"] += 1
        return None
    if not scale.low <= number <= scale.high:
        raise bad_value(
            "rating", "scale", f"rating {number:g} is outside {scale.low:g} to {scale.high:g}"
        )
    return number


def _read_rating_number(value: object, scale: RatingScale) -> float | None:
    """Return a rating as a number, None where it is none."""
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, str):
        return None
    words = value.strip()
    if words.lower().lstrip("+-") in ("inf", "infinity"):
        return math.inf
    if words and not words.strip("★☆"):
        return float(words.count("★"))
    found = _RATING.fullmatch(words)
    if found is None:
        return None
    if found["most"] and float(found["most"]) != scale.high:
        raise bad_value(
            "rating",
            "scale",
            f"rating {quoted(words)} is not on the scale {scale.low:g} to {scale.high:g}",
        )
    return float(found["given"].replace(",", "."))


_SECOND_MS = 1000
_RANGES = (  # magnitude of the number: from 1973 to 2286 in each unit, and nothing between them
    (1e8, 1e10, 1000.0),  # seconds
    (1e11, 1e13, 1.0),  # milliseconds
    (1e14, 1e16, 1e-3),  # microseconds
    (1e17, 1e19, 1e-6),  # nanoseconds
)
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d*)?(?:[eE]\+?\d+)?")
_COMPACT = {4: "%Y", 6: "%Y%m", 8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_FIRST_YEAR, _LAST_YEAR = 1900, 2100
_FIRST_MS, _END_MS = -62_135_596_800_000, 253_402_300_800_000  # the years 1 to 9999, in UTC


def read_time(value: object, reading: ReadingRules = STRICT) -> int | None:
    """Return a time in milliseconds since 1970, None where there is none.

    Read are numbers (seconds, milliseconds, microseconds and nanoseconds since 1970, told apart by
    their size; years; dates without separators as 20240501, also where the digits could be
    milliseconds of 1976), dates and times in ISO form and as people write them. The number 0 counts
    as none, for programs write it for a missing time; in a row it is noted. A time without a zone
    is UTC: local time would depend on the machine. A date whose day and month can be exchanged
    (05/01/2024) is not read.

    Raises:
        PydanticCustomError: It can't be read (`strict`).
    """
    if type(value) is str and len(value) in (10, 13) and value.isascii() and value.isdigit():
        digits = int(value)
    else:
        digits = value if type(value) is int else 0
    if 10**12 <= digits < 10**13:  # milliseconds, and no compact date
        return digits
    if 10**9 <= digits < 10**10:  # seconds
        return digits * _SECOND_MS
    value = plain(value)
    if value is None or (isinstance(value, str) and value.strip() in MISSING_NUMBERS):
        return None
    try:
        if isinstance(value, date):
            return _milliseconds(value)
        number = _as_number(value)
        if number == 0:
            if not reading.strict:
                reading.noted["timestamp_zero"] += 1
            return None
        moment = _read_words(str(value)) if number is None else _read_moment(number)
    except (ValueError, OverflowError):
        moment = None
    if moment is None:
        message = f"timestamp {quoted(value)} is no time that can be told"
        leave_out("timestamp", message, reading)
    return moment


def _as_number(value: object) -> float | None:
    """Return a number, or a string that is one, as a float; None for anything else."""
    if isinstance(value, bool):
        raise ValueError("a truth value is no time")
    if isinstance(value, int | float | Decimal):
        return float(value)
    if not isinstance(value, str):
        raise ValueError("neither a number nor a string")
    words = value.strip()
    return float(words) if _NUMBER.fullmatch(words) else None


def _read_moment(number: float) -> int | None:
    """Return the milliseconds of a number, by its size."""
    digits = str(int(number))
    form = _COMPACT.get(len(digits)) if number == int(number) else None
    if form is not None and _FIRST_YEAR <= int(digits[:4]) <= _LAST_YEAR:
        try:
            return _milliseconds(datetime.strptime(digits, form))
        except ValueError:  # 20240532 is no date
            if len(digits) != 12:
                return None
    for least, most, factor in _RANGES:
        if least <= abs(number) < most:
            return round(number * factor)
    return None


def _read_words(words: str) -> int | None:
    """Return the milliseconds of a date or time as people write it."""
    words = words.strip()
    try:
        return _milliseconds(datetime.fromisoformat(words))
    except ValueError:
        pass
    if not 6 <= len(words) <= 64 or re.search(r"\d{4}", words) is None:
        return None  # a year has to be said
    return _parse_date(words)


_OFFSET = re.compile(
    r"(?<=[\dmM.])\s*(?:\s|GMT|UTC)\s*([+-])(\d\d?)(?::?(\d\d))?"
    r"(?:(?=\s\d{4}$)|(?:\s*\([^()]*\)|\s[A-Z]{3,5})?$)"
)
"""A zone as browsers write it, `GMT+0200 (Central European Summer Time)`, or as `UTC+3`: this is
west of Greenwich to dateutil, and a comment to the parser of mails."""

_HOURS = {  # those of RFC 822, and names that one zone alone has
    **{"Z": 0, "UT": 0, "UTC": 0, "GMT": 0, "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7},
    **{"MDT": -6, "PST": -8, "PDT": -7, "AKST": -9, "AKDT": -8, "HST": -10, "BRT": -3, "WET": 0},
    **{"WEST": 1, "CET": 1, "CEST": 2, "MEZ": 1, "MESZ": 2, "EET": 2, "EEST": 3, "MSK": 3},
    **{"HKT": 8, "JST": 9, "KST": 9, "AEST": 10, "AEDT": 11, "NZST": 12, "NZDT": 13},
}


def _seconds_of(name: str | None, offset: int | None) -> int | None:
    """Return the seconds from UTC of a zone; dateutil would take the machine's, or none.

    Args:
        name: Its name, None without one.
        offset: Its figures; None without these.

    Raises:
        ValueError: It has a name that is not known, or stands for several zones.
    """
    if offset is not None or name is None:
        return offset
    if name not in _HOURS:
        raise ValueError("an unknown zone")
    return _HOURS[name] * 3600


def _parse_date(words: str) -> int | None:
    """Return the milliseconds of a date that is not in ISO form.

    Parsed in several ways: where the answers differ, the date is not said (a part of it came from
    the default, or day and month can be exchanged). A zone that has no name here is not guessed.
    """
    from email.utils import parsedate_to_datetime

    from dateutil import parser

    words = _OFFSET.sub(lambda zone: f" {zone[1]}{zone[2]:0>2}{zone[3] or '00'}", words)
    try:  # the forms of mails and of C
        moment = parsedate_to_datetime(words)
    except ValueError:
        pass
    else:
        if moment.tzinfo is not None:  # otherwise its zone may have another name
            return _milliseconds(moment)
    if re.fullmatch(r"\d{1,2} \d{1,2}, \d{4}", words):  # Amazon's reviewTime: the month first
        return _milliseconds(datetime.strptime(words, "%m %d, %Y"))
    year_month = re.fullmatch(r"(\d{4})[-/.](\d{1,2})", words)
    if year_month is not None:
        return _milliseconds(datetime(int(year_month[1]), int(year_month[2]), 1))
    year_first = re.match(r"\d{4}\D", words) is not None
    readings = {
        parser.parse(
            words, default=default, dayfirst=day_first, yearfirst=year_first, tzinfos=_seconds_of
        )
        for default in (datetime(2000, 1, 1), datetime(2001, 2, 2))
        for day_first in ((False,) if year_first else (False, True))
    }
    return _milliseconds(readings.pop()) if len(readings) == 1 else None


def _milliseconds(moment: date) -> int:
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    milliseconds = round(moment.timestamp() * _SECOND_MS)
    if not _FIRST_MS <= milliseconds < _END_MS:  # rounded up, or by its zone
        raise ValueError("beyond the calendar")
    return milliseconds


_CLOCK = re.compile(r"\d:\d\d")
_ZONE = re.compile(r"(?:\s[+-]\d{4}\s+\d{4}|[+-]\d\d:?(?:\d\d)?|[A-Za-z])\s*\)?\s*$|GMT|UTC")


def lacks_zone(value: object) -> bool:
    """Say whether a time has hours and no zone; `read_time` takes it for one in UTC."""
    if isinstance(value, datetime):
        return value.tzinfo is None
    words = value if isinstance(value, str) else ""
    spoken = re.sub(r"\s*[ap]\.?m\.?\s*$", "", words, flags=re.IGNORECASE)
    return _CLOCK.search(words) is not None and _ZONE.search(spoken) is None


def read_target(value: object, reading: ReadingRules = STRICT) -> bool:
    """Return whether a text is a benchmark's target: only true and false count.

    Numbers don't: a column called target is a class label more often.

    Raises:
        PydanticCustomError: It is neither (`strict`).
    """
    if value is True or value is False:
        return value
    value = plain(value)
    word = value.strip().lower() if isinstance(value, str) else value
    if isinstance(word, bool) or word in ("true", "false"):
        return word in (True, "true")
    if word is not None and not (isinstance(value, str) and value.strip() in MISSING_NUMBERS):
        leave_out("target", f"target {quoted(value)} is not true or false", reading)
    return False


def _needed(name: str, found: str) -> str:
    if not found:
        raise bad_value(name, "missing", f"no {name}")
    return found


FIELD_READERS: dict[str, Callable[[object, ReadingRules], Any]] = {
    "user_id": lambda value, reading: _needed("user", read_id("user", value)),
    "body": lambda value, reading: _needed("text", read_text("text", value)),
    "topic_id": lambda value, reading: read_id("topic", value),
    "title": lambda value, reading: read_title(value),
    "rating": read_rating,
    "timestamp": read_time,
    "language": lambda value, reading: read_language(value),
    "target": read_target,
    "source_id": lambda value, reading: read_id("source_id", value),
    "shared": lambda value, reading: bool(read_truth("shared", value)),
    "shared_id": lambda value, reading: read_truth("shared_id", value),
}
"""What reads each field of a text. The types below call it; rows of files do so without pydantic,
which takes as long as all of these together (`datasets.validation`)."""


def _reader(name: str) -> BeforeValidator:
    read = FIELD_READERS[name]

    def validate(value: object, info: ValidationInfo) -> Any:
        return read(value, info.context if isinstance(info.context, ReadingRules) else STRICT)

    return BeforeValidator(validate)


def _validate_namespace(value: object) -> str:
    words = read_string("namespace", value)
    if cannot_be_id(words):
        message = "namespace has a NUL character or a unit separator"
        raise bad_value("namespace", "nul", message)
    try:
        return checked_namespace(words)
    except InvalidFilter as error:
        raise bad_value("namespace", "missing", str(error)) from None


Namespace = Annotated[str, BeforeValidator(_validate_namespace)]
"""The name of a tenant; it is taken as it is."""

UserId = Annotated[str, _reader("user_id")]
Body = Annotated[str, _reader("body")]
TopicId = Annotated[str, _reader("topic_id")]
Title = Annotated[str, _reader("title")]
Rating = Annotated[float | None, _reader("rating")]
Timestamp = Annotated[int | None, _reader("timestamp")]
Language = Annotated[str, _reader("language")]
Target = Annotated[bool, _reader("target")]
SourceId = Annotated[str, _reader("source_id")]
Shared = Annotated[bool, _reader("shared")]
SharedId = Annotated[bool | None, _reader("shared_id")]

EditedText = Annotated[
    str | None, BeforeValidator(lambda value: read_text("edited", value) or None)
]
_ANY_SCALE = ReadingRules(RatingScale(0.0, 1e15), strict=True)
RequestRating = Annotated[
    float | None, BeforeValidator(lambda value: read_rating(value, _ANY_SCALE))
]
"""A rating of a request: on the store's scale, which is known where the request is answered."""

RequestLanguage = Annotated[str, BeforeValidator(lambda value: read_language(value) or "en")]
