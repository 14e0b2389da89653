"""The fields of a text and of a request as types for pydantic models, and ratings.

Every way in uses them: rows of files (`datasets.validation`), calls (`Personalizer.add`), requests
(`nodes.state`) and feedback. So an id is the same id everywhere.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BeforeValidator, ValidationInfo

from .times import read_time
from .values import (
    MISSING_NUMBERS,
    STRICT,
    RatingScale,
    Reading,
    bad_value,
    leave_out,
    plain,
    quoted,
    read_id,
    read_language,
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


def read_rating(value: object, reading: Reading = STRICT) -> float | None:
    """Return a rating on the scale, None where there is none.

    Read are numbers and their digits, with a decimal comma too, `4/5`, `4.0 out of 5 stars`, and
    stars.

    Raises:
        PydanticCustomError: It lies outside the scale, or (`strict`) can't be read.
    """
    value, scale = plain(value), reading.scale
    if value is None or (isinstance(value, str) and value.strip() in MISSING_NUMBERS):
        return None
    number = _read_rating_number(value, scale)
    if number is None:
        return leave_out("rating", f"rating {quoted(value)} is not a number", reading)
    if math.isnan(number):
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


def read_target(value: object, reading: Reading = STRICT) -> bool:
    """Return whether a text is a benchmark's target: only true and false count.

    Numbers don't: a column called target is a class label more often.

    Raises:
        PydanticCustomError: It is neither (`strict`).
    """
    value = plain(value)
    word = value.strip().lower() if isinstance(value, str) else value
    if isinstance(word, bool) or word in ("true", "false"):
        return word in (True, "true")
    if word is not None and value not in MISSING_NUMBERS:
        leave_out("target", f"target {quoted(value)} is not true or false", reading)
    return False


def _needed(name: str, read: Literal["id", "text"]) -> BeforeValidator:
    def validate(value: object) -> str:
        found = read_id(name, value) if read == "id" else read_text(name, value)
        if not found:
            raise bad_value(name, "missing", f"no {name}")
        return found

    return BeforeValidator(validate)


def _reading_of(info: ValidationInfo) -> Reading:
    return info.context if isinstance(info.context, Reading) else STRICT


def _validate_rating(value: object, info: ValidationInfo) -> float | None:
    return read_rating(value, _reading_of(info))


_ANY_SCALE = Reading(RatingScale(0.0, 1000.0), strict=True)


def _validate_time(value: object, info: ValidationInfo) -> int | None:
    return read_time(value, _reading_of(info))


def _validate_target(value: object, info: ValidationInfo) -> bool:
    return read_target(value, _reading_of(info))


UserId = Annotated[str, _needed("user", "id")]
TopicId = Annotated[str, BeforeValidator(lambda value: read_id("topic", value))]
SourceId = Annotated[str, BeforeValidator(lambda value: read_id("source_id", value))]
Body = Annotated[str, _needed("text", "text")]
Title = Annotated[str, BeforeValidator(read_title)]
Rating = Annotated[float | None, BeforeValidator(_validate_rating)]
Timestamp = Annotated[int | None, BeforeValidator(_validate_time)]
Language = Annotated[str, BeforeValidator(read_language)]
EditedText = Annotated[
    str | None, BeforeValidator(lambda value: read_text("edited", value) or None)
]
RequestRating = Annotated[
    float | None, BeforeValidator(lambda value: read_rating(value, _ANY_SCALE))
]
"""A rating of a request: on the store's scale, which is known where the request is answered."""

RequestLanguage = Annotated[str, BeforeValidator(lambda value: read_language(value) or "en")]
Target = Annotated[bool, BeforeValidator(_validate_target)]
SharedId = Annotated[bool | None, BeforeValidator(lambda value: read_truth("shared_id", value))]
Shared = Annotated[bool, BeforeValidator(lambda value: bool(read_truth("shared", value)))]
