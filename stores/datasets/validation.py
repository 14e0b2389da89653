"""The validation of rows: each becomes a text or a reject.

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

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import InvalidOption, StoreError
from ..fields import (
    FIELD_READERS,
    Body,
    Language,
    Rating,
    Shared,
    SharedId,
    SourceId,
    Target,
    Timestamp,
    Title,
    TopicId,
    UserId,
)
from ..types import Text
from ..values import ReadingRules

_LONGEST_WORD = 20  # longer than names are, shorter than the ids of accounts


def is_display_name(user_id: str) -> bool:
    """Say whether an id is a name that several people may bear.

    Args:
        user_id: The id as it stands in the data.

    Returns:
        True for one plain word and for a first name with an initial.
    """
    if user_id.isalnum() and not user_id.isalpha():
        return False  # an account with a number: most are such, and this is quick
    words = [word.removesuffix(".") for word in user_id.split()]
    if len(words) == 1:
        return _is_plain(words[0])
    return len(words) == 2 and len(words[1]) == 1 and words[1].isalpha() and _is_plain(words[0])


def _is_plain(word: str) -> bool:
    """Say whether a word is letters only, in one of the three usual casings."""
    if not word.isalpha() or len(word) > _LONGEST_WORD:
        return False
    return word in (word.lower(), word.upper(), word.capitalize())


def say_left_out(code: str, count: int) -> str:
    """Return a sentence on texts that were kept without a value.

    Args:
        code: The field and why: `rating_zero`, `timestamp_unreadable` (see `ReadingRules.noted`).
        count: How many.
    """
    field, _, fault = code.partition("_")
    what = {"timestamp": "time"}.get(field, field)
    why = "is 0 and stands for none" if fault == "zero" else "cannot be read"
    return f"{count:,} texts are kept without their {what}, which {why}"


OUTSIDE_SCALE = "rating_scale"
"""Code of a reject whose rating is outside the scale."""


class FormatError(StoreError):
    """A file that cannot be read at all: missing, empty, or of another format."""

    code = "unreadable_file"


class WrongReading(FormatError, InvalidOption):
    """A format, a column, an encoding or a language that a file is to be read with, and can't."""

    code = "wrong_reading"


class BadRow(ValueError):
    """A row that cannot be a text; the message is the reason.

    Attributes:
        field: The field at fault, as `TextFields` names it; "" for the whole row.
        code: The reason's code: `FIELD_FAULT` for a field, otherwise one of a reader.
    """

    def __init__(self, reason: str, *, field: str = "", code: str = "row") -> None:
        super().__init__(reason)
        self.field, self.code = field, code


@dataclass(frozen=True)
class Reject:
    """A rejected row.

    Attributes:
        line: Its first line in the file, from 1.
        reason: The fault.
        place: Its path inside a JSON list in the syntax of `jq` (`.[3].profile[0]`), else "".
        code: The reason's code, for counting: `FIELD_FAULT` or one of a reader, as `csv`.
    """

    line: int
    reason: str
    place: str = ""
    code: str = "row"

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {key: value for key, value in asdict(self).items() if value != ""}


Row = Text | Reject


@dataclass(frozen=True)
class Defaults:
    """What the rows of one source have in common, and how their values are read.

    Attributes:
        namespace: The tenant.
        language: Language of the rows that name none.
        reading: The scale of the ratings, and what was left out of texts so far.
        source: Hash of the file's content, for the ids of people without a name; "" if no reader
            of the format needs it.
    """

    namespace: str = "default"
    language: str = "en"
    reading: ReadingRules = field(default_factory=ReadingRules)
    source: str = ""


class TextFields(BaseModel):
    """The fields of a text as any source has them: the one check that all texts pass.

    Values are read as `stores.fields` says; a field that is missing is None or "".
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    user_id: UserId = Field(description="The author.")
    body: Body = Field(description="The text itself.")
    topic_id: TopicId = Field("", description="What it is about.")
    title: Title = Field("", description="Its title.")
    rating: Rating = Field(None, description="The author's rating, on the scale of the source.")
    timestamp: Timestamp = Field(None, description="When it was written.")
    language: Language = Field("", description="Language tag; the source's where it is missing.")
    target: Target = Field(False, description="Whether a benchmark has to write it.")
    source_id: SourceId = Field(
        "", description="Id of the text in its source: a later text of the same id replaces it."
    )
    shared: Shared = Field(True, description="Whether it may serve as evidence for others.")
    shared_id: SharedId = Field(
        None, description="Whether several people use the author's id; by its form if missing."
    )


def validate(
    fields: Mapping[str, object],
    defaults: Defaults,
    *,
    position: int = 0,
    line: int = 0,
    place: str = "",
) -> Row:
    """Return a row's raw values as a text, or as a reject that says which field is wrong and why.

    Args:
        fields: Raw values by the names of `TextFields`; a missing one is left out or None.
        defaults: What the rows of the source have in common.
        position: The row's place in the file, from 0, in the order of the texts.
        line: Its line, for the reject.
        place: Its path inside a JSON list, for the reject.
    """
    try:
        return _read_text(fields, defaults, position)
    except BadRow as error:
        return Reject(line, str(error), place, error.code)


def build_text(defaults: Defaults, *, position: int = 0, **fields: object) -> Text:
    """Return the raw values of a row or of a call as a text.

    Args:
        defaults: What the rows of the source have in common.
        position: Its place in the file.
        fields: Values by the names of `TextFields`.

    Raises:
        BadRow: A field is missing, wrong or unknown; says which and why.
    """
    return _read_text(fields, defaults, position)


_UNSET: dict[str, Any] = {
    name: field.default
    for name, field in TextFields.model_fields.items()
    if not field.is_required()
}


def _read_text(fields: Mapping[str, object], defaults: Defaults, position: int) -> Text:
    reading = defaults.reading
    before = dict(reading.noted) if reading.noted else {}
    read = dict(_UNSET)
    try:
        for name, value in fields.items():
            read[name] = FIELD_READERS[name](value, reading)
        user_id, _ = read["user_id"], read["body"]
    except (KeyError, ValueError):
        fault = _fault_of(fields, reading)
        reading.noted.clear()  # what was left out of a row that is no text is not left out of one
        reading.noted.update(before)
        raise fault from None
    if read["shared_id"] is None:
        read["shared_id"] = is_display_name(user_id)
    read["language"] = read["language"] or defaults.language
    read["namespace"], read["position"] = defaults.namespace, position
    text = object.__new__(Text)
    # `Text(...)` sets the fields of a frozen class one by one, which takes as long as reading them.
    object.__setattr__(text, "__dict__", read)
    return text


def _fault_of(fields: Mapping[str, object], reading: ReadingRules) -> BadRow:
    """Return the first fault of fields that are no text, in the order of `TextFields`."""
    try:
        TextFields.model_validate({"user_id": None, "body": None, **fields}, context=reading)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        return BadRow(first["msg"], field=name, code=first["type"])
    raise AssertionError("fields that are no text, and have no fault")


def first_of(row: dict[str, Any], names: tuple[str, ...]) -> Any:
    """Return the value of the first of several names that the row has, or None."""
    return next((row[name] for name in names if row.get(name) is not None), None)
