"""Times as people have them, in numbers and in words.

A date in words is taken apart here rather than by a parser of mails or of anything: those take PM
for a zone, exchange the sign of GMT+2, or read a zone that they do not know as UTC or as that of
the machine. What is not known in full is not read.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import NamedTuple

from .values import MISSING_NUMBERS, STRICT, DateOrder, ReadingRules, leave_out, plain, quoted

_SECOND_MS = 1000
_RANGES = (  # magnitude of the number: from 1973 to 2286 in each unit, and nothing between them
    (1e8, 1e10, 1000.0),  # seconds
    (1e11, 1e13, 1.0),  # milliseconds
    (1e14, 1e16, 1e-3),  # microseconds
    (1e17, 1e19, 1e-6),  # nanoseconds
)
_ISO = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d*)?(?:[eE]\+?\d+)?")
_COMPACT = {4: "%Y", 6: "%Y%m", 8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_FIRST_YEAR, _LAST_YEAR = 1900, 2100
_OF_PROGRAMS = (-62_135_596_800_000, -2_208_988_800_000)  # the first moments of 1 and of 1900
_FIRST_MS, _END_MS = -62_135_596_800_000, 253_402_300_800_000  # the years 1 to 9999, in UTC


def read_time(value: object, reading: ReadingRules = STRICT) -> int | None:
    """Return a time in milliseconds since 1970, None where there is none.

    Read are numbers (seconds, milliseconds, microseconds and nanoseconds since 1970, told apart by
    their size; years; dates without separators as 20240501, also where the digits could be
    milliseconds of 1976), dates and times in ISO form and as people write them. The number 0 counts
    as none, for programs write it for a missing time, and so do the first moments of 1970, of 1900
    and of the year 1 in words; in a row it is noted. A time without a zone
    is UTC: local time would depend on the machine; one with the name of a zone is read if
    one zone alone has it (PDT, CEST). A date whose day and month can be exchanged (05/01/2024)
    is read only where `reading` says in which order they stand.

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
    if type(value) is str and _ISO.match(value) and "." not in value:  # most times in words
        with suppress(ValueError):
            told = _milliseconds(datetime.fromisoformat(value))
            if told and told not in _OF_PROGRAMS:
                return told
    value = plain(value)
    if value is None or (isinstance(value, str) and value.strip() in MISSING_NUMBERS):
        return None
    try:
        number = None if isinstance(value, date) else _as_number(value)
        if isinstance(value, date):
            moment: int | None = _milliseconds(value)
        elif number is None:
            moment = _read_words(str(value), reading.date_order)
        else:
            moment = _read_moment(number) if number else 0
    except (ValueError, OverflowError):
        number = moment = None
    if moment == 0 or (number is None and moment in _OF_PROGRAMS):
        if not reading.strict:
            reading.noted["timestamp_zero"] += 1
        return None
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


def _read_words(words: str, order: DateOrder) -> int | None:
    """Return the milliseconds of a date or time as people write it."""
    words = words.strip()
    if "." not in words or _DOTTED.search(words) is None:
        with suppress(ValueError):
            return _milliseconds(datetime.fromisoformat(words))
    usual = _OF_C.fullmatch(words)
    if usual is not None and usual[1] in _SHORT_MONTHS:
        return _read_usual(usual)
    found = _split_words(words)
    day = None if found is None else _read_day(found.day, order)
    if found is None or day is None:
        return None
    return _milliseconds(
        datetime(day.year, day.month, day.day, tzinfo=timezone(found.offset or timedelta()))
        + found.clock
    )


def _read_usual(found: re.Match[str]) -> int:
    """Return the milliseconds of a time as C writes it; `_split_words` would, but slower."""
    day, hour, minute, second, east, east_minutes, year = map(int, found.group(2, 3, 4, 5, 7, 8, 9))
    moment = datetime(year, _SHORT_MONTHS[found[1]], day, hour, minute, second, tzinfo=UTC)
    offset = timedelta(hours=east, minutes=east_minutes)
    return _milliseconds(moment + offset if found[6] == "-" else moment - offset)


_OF_C = re.compile(  # Fri Aug 25 13:55:02 -0700 2017: Goodreads has millions of them
    r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) (\d\d) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)([0-5]\d) (\d{4})"
)
_SHORT_MONTHS = {
    name: number
    for number, name in enumerate(
        "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), start=1
    )
}
_DOTTED = re.compile(r"[^\d:]\d\d\.\d")  # 10.30: Python takes 30 for a fraction
_LONGEST_TIME = 100  # characters
_CLOCK = re.compile(  # 17:01, 17:01:00.5, 17h01, 10.30, 5:01 PM, 5 p.m.
    r"(?<![\d.:])(?P<hour>\d{1,2})"
    r"(?:(?P<mark>[:.]|\s?h\s?)(?P<minute>\d\d)"
    r"(?:(?P=mark)(?P<second>\d\d)(?P<fraction>[.,]\d{1,9})?)?)?(?![:.]?\d)"
    r"(?(minute)|(?=\s*[ap]\.?\s?m\b))(?:\s*(?P<half>[ap])\.?\s?m\b\.?)?",
    re.IGNORECASE,
)
_ZONES = {  # hours of those of RFC 822, and of names that one zone alone has
    **{"Z": 0, "UT": 0, "UTC": 0, "GMT": 0, "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7},
    **{"MDT": -6, "PST": -8, "PDT": -7, "AKST": -9, "AKDT": -8, "HST": -10, "BRT": -3, "WET": 0},
    **{"WEST": 1, "CET": 1, "CEST": 2, "MEZ": 1, "MESZ": 2, "EET": 2, "EEST": 3, "MSK": 3},
    **{"HKT": 8, "JST": 9, "KST": 9, "AEST": 10, "AEDT": 11, "NZST": 12, "NZDT": 13},
}
_ZONE_WORDS = (
    r"(?:(?:(?:utc?|gmt)\s?)?(?P<sign>[+-])(?P<hours>\d{1,2})(?::?(?P<minutes>[0-5]\d))?"
    rf"|(?P<name>{'|'.join(sorted(_ZONES, key=len, reverse=True))}))(?![\w.:/-])"
)
_ZONE = re.compile(rf"\s*{_ZONE_WORDS}", re.IGNORECASE)
_ZONE_AT_END = re.compile(rf"(?<=\s){_ZONE_WORDS}\s*$", re.IGNORECASE)
_BESIDE_HOURS = re.compile(r"\s[A-Z]{3,5}\s*")  # +0000 UTC, as Go writes it
_COMMENT = re.compile(r"\s*[(\[](?P<words>[^()\[\]]*)[)\]]$")  # (CEST), [Europe/Berlin]


class _Words(NamedTuple):
    """The parts of a time in words: the rest that has to be its day, the time of day, the zone."""

    day: str
    clock: timedelta
    offset: timedelta | None
    has_clock: bool


def _split_words(words: str) -> _Words | None:
    """Take the time of day and the zone out of a time in words; None where they can't be told.

    Raises:
        ValueError: There is no such time of day.
    """
    if not 6 <= len(words) <= _LONGEST_TIME:
        return None
    comment = _COMMENT.search(words)
    if comment is not None:
        words = words[: comment.start()]
    words = words.replace("\N{MINUS SIGN}", "-")
    found = _CLOCK.search(words)
    if found is None:
        return _Words(words, timedelta(), None, False) if comment is None else None
    before, after = words[: found.start()], words[found.end() :]
    zone = _ZONE.match(after)
    if zone is not None:
        after = after[zone.end() :]
        if zone["sign"] and _BESIDE_HOURS.fullmatch(after):
            after = ""
    else:
        zone = _ZONE_AT_END.search(after)
        if zone is not None:
            after = after[: zone.start()]
        elif comment is not None:  # the zone itself, not its name beside its hours
            zone = _ZONE.fullmatch(comment["words"])
            if zone is None:
                return None
    return _Words(
        f"{before} {after}", _read_clock(found), None if zone is None else _read_zone(zone), True
    )


def _read_clock(found: re.Match[str]) -> timedelta:
    hour, minute, second = (int(found[name] or 0) for name in ("hour", "minute", "second"))
    if found["half"]:
        if hour > 12:
            raise ValueError("an hour beyond 12 with AM or PM")
        hour = hour % 12 + (12 if found["half"] in "pP" else 0)
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError("no time of day")
    return timedelta(
        hours=hour, minutes=minute, seconds=second + float(f"0.{(found['fraction'] or '.0')[1:]}")
    )


def _read_zone(found: re.Match[str]) -> timedelta:
    if found["name"]:
        return timedelta(hours=_ZONES[found["name"].upper()])
    offset = timedelta(hours=int(found["hours"]), minutes=int(found["minutes"] or 0))
    return -offset if found["sign"] == "-" else offset


_MONTHS = {
    word: number
    for number, name in enumerate(
        "january february march april may june july august september october november "
        "december".split(),
        start=1,
    )
    for word in (name, name[:3])
} | {"sept": 9}
_WEEKDAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
_BESIDE = frozenset(  # words that say nothing of the day
    [*_WEEKDAYS, *(name[:3] for name in _WEEKDAYS)]
    + "tues weds thur thurs st nd rd th of on at t".split()
)
_DAY = re.compile(r"(?:[^\W_]|[\s,./'-])+")
_PARTS = re.compile(r"\d+|[^\W\d_]+")
_AMAZON = re.compile(r"(\d{1,2}) (\d{1,2}), (\d{4})")  # its reviewTime: the month first
_MONTHS_OF_YEAR, _DAYS_OF_MONTH = 12, 31


class _Parts(NamedTuple):
    """The numbers of a day as they are written, and the months that it names."""

    numbers: list[str]
    months: list[int]

    @property
    def ends_with_year(self) -> bool:
        """Whether it is a date such as 13.06.2024."""
        lengths = [len(number) for number in self.numbers]
        return len(lengths) == 3 and lengths[2] == 4 and max(lengths[:2]) <= 2 and not self.months


def _take_apart(words: str) -> _Parts | None:
    """Return the parts of a day; None where words are in it that belong to none."""
    if _DAY.fullmatch(words) is None:
        return None
    parts = _Parts([], [])
    for part in _PARTS.findall(words.lower()):
        if part[0].isdigit():
            parts.numbers.append(part)
        elif part in _MONTHS:
            parts.months.append(_MONTHS[part])
        elif part not in _BESIDE:
            return None
    return parts


def _read_day(words: str, order: DateOrder) -> date | None:
    """Return the day that is said by its month's name or in numbers; None if it can't be told.

    Raises:
        ValueError: There is no such day.
    """
    words = words.strip()
    parts = _take_apart(words)
    if parts is None:
        return None
    values = [int(number) for number in parts.numbers]
    lengths = [len(number) for number in parts.numbers]
    if parts.ends_with_year:
        first, second, year = values
        if _AMAZON.fullmatch(words):
            order = "month"
        elif order == "alone":
            order = _order_of(first, second)
        if order == "unknown":
            return None
        return date(year, second, first) if order == "day" else date(year, first, second)
    if len(parts.months) == 1 and sorted(lengths) in ([1, 4], [2, 4]):
        year = lengths.index(4)
        return date(values[year], parts.months[0], values[1 - year])
    if not parts.months and lengths[:1] == [4] and len(lengths) in (2, 3) and max(lengths[1:]) <= 2:
        return date(values[0], values[1], values[2] if len(values) == 3 else 1)
    return None


def _order_of(first: int, second: int) -> DateOrder:
    """Return which of two numbers before a year is the day, as far as they say so."""
    if first == second:
        return "alone"
    if first > _MONTHS_OF_YEAR:
        return "day"
    return "month" if second > _MONTHS_OF_YEAR else "unknown"


def date_order(value: object) -> DateOrder | None:
    """Return which order a date such as 13.06.2024 shows, "day" or "month" first.

    Returns:
        "unknown" where both can be exchanged, "alone" where that makes no difference (05/05/2024),
        None where it is no date of this form.
    """
    if type(value) is not str or value.isdigit():
        return None
    words = value.strip()
    if words[:4].isdecimal():  # the year comes first, as in most files
        return None
    try:
        found = _split_words(words)
    except ValueError:
        return None
    words = "" if found is None else found.day.strip()
    parts = _take_apart(words)
    if parts is None or not parts.ends_with_year or _AMAZON.fullmatch(words):
        return None
    first, second = (int(number) for number in parts.numbers[:2])
    if min(first, second) > _MONTHS_OF_YEAR or max(first, second) > _DAYS_OF_MONTH:
        return None
    return _order_of(first, second)


def _milliseconds(moment: date) -> int:
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    milliseconds = round(moment.timestamp() * _SECOND_MS)
    if not _FIRST_MS <= milliseconds < _END_MS:  # rounded up, or by its zone
        raise ValueError("beyond the calendar")
    return milliseconds


def lacks_zone(value: object) -> bool:
    """Say whether a time has hours and no zone; `read_time` takes it for one in UTC."""
    if isinstance(value, datetime):
        return value.tzinfo is None
    if not isinstance(value, str):
        return False
    try:
        found = _split_words(value.strip())
    except ValueError:
        return False
    return found is not None and found.has_clock and found.offset is None
