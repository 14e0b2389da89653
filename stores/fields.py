"""Ratings as people have them, and the fields of texts and requests as types.

Every way in uses them: rows of files (`datasets.validation`), calls (`Personalizer.add`), requests
(`nodes.state`) and feedback. So an id is the same id everywhere.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationInfo

from .errors import InvalidFilter
from .texts.filters import checked_namespace
from .times import read_time
from .values import (
    MISSING_NUMBERS,
    STRICT,
    DecimalMark,
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
    r"\s*(?:stars?|stern(?:en?)?|estrellas?|estrelas?|étoiles?|stell[ae])?",
    re.IGNORECASE,
)

_DIGITS = re.compile(r"\d{1,3}(?:\.\d\d?)?", re.ASCII)
_GROUP = re.compile(r"[-+]?[1-9]\d{0,2}([.,])\d{3}", re.ASCII)
"""A number whose mark may stand before decimals, or between thousands."""

_THOUSAND = 1000


def read_rating(value: object, reading: ReadingRules = STRICT) -> float | None:
    """Return a rating on the scale, None where there is none.

    Read are numbers and their digits, with a decimal comma too, `4/5`, `4.0 out of 5 stars`, and
    stars. `1,234` is read by `reading.decimal_mark`, and where that is not known it can't be.

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
    number = _read_rating_number(value, reading)
    if number is None:
        unclear = decimal_mark(value) == "unknown"
        why = "has a mark of decimals or of thousands" if unclear else "is not a number"
        leave_out("rating", f"rating {quoted(value)} {why}", reading)
        return None
    if number == 0 < scale.low and not reading.strict:
        reading.noted["rating_zero"] += 1
        return None
    if not scale.low <= number <= scale.high:
        raise bad_value(
            "rating", "scale", f"rating {number:g} is outside {scale.low:g} to {scale.high:g}"
        )
    return number


def _read_rating_number(value: object, reading: ReadingRules) -> float | None:
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
    scale = reading.scale
    if found["most"] and float(found["most"]) != scale.high:
        raise bad_value(
            "rating",
            "scale",
            f"rating {quoted(words)} is not on the scale {scale.low:g} to {scale.high:g}",
        )
    grouped = _group_of(found)
    if grouped is None:
        return float(found["given"].replace(",", "."))
    if reading.decimal_mark == "unknown" and grouped == ",":
        return None
    is_decimal = reading.decimal_mark in (grouped, "unknown")  # of programs, 1.234 is a decimal
    return float(found["given"].replace(grouped, "." if is_decimal else ""))


def _group_of(found: re.Match[str]) -> str | None:
    """Return the mark of a rating that may stand between thousands; not in `1,234 out of 5`."""
    grouped = _GROUP.fullmatch(found["given"])
    most = found["most"]
    return None if grouped is None or (most and float(most) < _THOUSAND) else grouped[1]


def decimal_mark(value: object) -> DecimalMark | None:
    """Return what a rating shows of the mark before decimals.

    Returns:
        "unknown" where it is a comma that may stand between thousands (1,234), None where there is
        no mark, or a point that may: `1.234` is a decimal unless other ratings have commas.
    """
    found = _RATING.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        return None
    grouped = _group_of(found)
    if grouped is not None:
        return "unknown" if grouped == "," else None
    given = found["given"]
    return "," if "," in given else "." if "." in given else None


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
