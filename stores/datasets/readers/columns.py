"""Columns of tables: which of them is read as which field of a text.

A format names its columns by field; `--map` replaces those of a field by one that the caller names.
Names are compared in small letters, if none is the same to the letter. A dot leads into an object:
`user.name`. A name that the caller gives and the file does not have is refused: else the field
would be missing in all texts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from difflib import get_close_matches
from typing import Any

from ...errors import shortened
from ...fields import decimal_mark
from ...times import date_order
from ...values import DateOrder, DecimalMark, ReadingRules
from ..cleaning import without_markup
from ..validation import Reject, WrongReading
from .rows import Advance, Columns, DataFile, Raw

FIELDS = {
    "user": "user_id",
    "text": "body",
    "topic": "topic_id",
    "title": "title",
    "rating": "rating",
    "time": "timestamp",
    "language": "language",
    "target": "target",
    "shared_id": "shared_id",
    "id": "source_id",
}
"""Fields of a text by the words that `--map` takes."""

_NEEDED = ("user_id", "body")
IDENTITY = ("user_id", "source_id")
"""Fields whose value is never taken from another column where it is missing in a row: that would be
another person (the author of the book that is reviewed), or another text."""

_DEEPEST = 4  # objects in objects whose names are listed
_LONGEST_NAME = 30  # of a column in a message: one that is longer is somebody's text
_MOST_NAMES = 20
_PLANS = 1_000  # different sets of columns in one file that are remembered

Plan = list[tuple[str, tuple[str | tuple[str, ...], ...]]]
"""By field: the keys to look up in a row, one after the other; a tuple is a way into objects."""


def parse_map(given: Iterable[str]) -> dict[str, str]:
    """Return the column of each field that `--map` names.

    Args:
        given: Parts as `user=author,text=body`; an empty column leaves the field out. What stands
            behind a comma and has no `=` belongs to the name before it.

    Raises:
        WrongReading: A part is not of this form, or names an unknown field or one that has been
            named, or leaves out the user or the text.
    """
    found: dict[str, str] = {}
    for part in (part for each in given for part in _split_map(each)):
        word, equals, column = (piece.strip() for piece in part.partition("="))
        field = FIELDS.get(word.lower())
        if not equals or field is None:
            raise WrongReading(
                f"--map {shortened(part.strip())} is not FIELD=COLUMN: the fields are "
                f"{', '.join(nearest_first(word, FIELDS))}",
                code="invalid_map",
            )
        if field in found:
            raise WrongReading(
                f"--map names {word} twice, as {shortened(found[field])} and as "
                f"{shortened(column)}: name each field once",
                code="invalid_map",
            )
        if not column and field in _NEEDED:
            raise WrongReading(
                f"--map leaves out {word}, which every text needs: name its column",
                code="invalid_map",
            )
        found[field] = column
    return found


def _split_map(given: str) -> list[str]:
    """Return the parts of one `--map`; the name of a column can have commas in it."""
    parts: list[str] = []
    for part in given.split(","):
        if "=" in part or not parts or "=" not in parts[-1]:
            parts.append(part)
        else:
            parts[-1] += f",{part}"
    return parts


def nearest_first(wanted: str, names: Iterable[str]) -> list[str]:
    """Return names in their order, but those first that look like the wanted one."""
    written = {name.lower(): name for name in names if len(name) <= 10 * _LONGEST_NAME}
    near = get_close_matches(wanted.lower()[: 10 * _LONGEST_NAME], written, n=3, cutoff=0.6)
    return list(dict.fromkeys([*(written[name] for name in near), *names]))


def list_names(names: Iterable[str]) -> str:
    """Return names of columns for a line; one that is long may be somebody's text."""
    short = [name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..." for name in names]
    shown = [name if name.isprintable() else repr(name) for name in short]
    more = ", ..." if len(shown) > _MOST_NAMES else ""
    return ", ".join(shown[:_MOST_NAMES]) + more


def missing_columns(mapped: Mapping[str, str], seen: Iterable[str]) -> list[str]:
    """Return the columns that the caller names and a file does not have.

    Args:
        mapped: The column of each field; "" leaves the field out.
        seen: The columns of the file, as `all_columns` gives them.
    """
    lower = {each.strip().lower() for each in seen}
    return [column for column in mapped.values() if column and column.lower() not in lower]


def all_columns(names: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the columns of a file in their order, with dots also those inside of its objects.

    Args:
        names: The columns that its head names; () if rows name their own.
        rows: Its first rows.
    """
    seen = dict.fromkeys(name for name in names if name)
    for row in rows:
        seen.update(dict.fromkeys(_paths(row)))
    return list(seen)


def _paths(row: Mapping[str, Any], before: str = "", depth: int = 1) -> Iterator[str]:
    """Yield the names of the columns of a row, with dots those inside of its objects."""
    for key, value in row.items():
        yield f"{before}{key}"
        if isinstance(value, Mapping) and depth < _DEEPEST:
            yield from _paths(value, f"{before}{key}.", depth + 1)


def settle_identity(columns: Columns, shapes: Iterable[Iterable[str]]) -> Columns:
    """Return columns without those that mean something else than a field of `IDENTITY`.

    Args:
        columns: Which columns are read as which field.
        shapes: The columns of the file's heads, or of each of its first rows.
    """
    lower = [frozenset(name.strip().lower() for name in each) for each in shapes]
    own = {field: settle_names(columns[field], lower) for field in IDENTITY if field in columns}
    return {**columns, **own}


def settle_names(names: tuple[str, ...], shapes: Iterable[Collection[str]]) -> tuple[str, ...]:
    """Return the names of a field less those that stand beside an earlier one: these mean others.

    Where a review has a user and an author, it is about the author's book; where it has an author
    alone, that is who wrote it. A column that comes later than the first rows may be either.

    Args:
        names: Names of columns, the first that a row has is read.
        shapes: The columns of a file's heads or first rows.
    """
    seen: set[str] = set()
    beside: set[str] = set()
    for shape in shapes:
        here = [name for name in names if name.lower() in shape or name in shape]
        seen.update(here)
        beside.update(here[1:])
    return tuple(name for name in names if name not in beside and (name in seen or not seen))


def with_map(columns: Columns, mapped: Mapping[str, str]) -> Columns:
    """Return columns in which those of the mapped fields are the caller's."""
    own = {field: (name,) if name else () for field, name in mapped.items()}
    return {**columns, **own}


def read_table(
    file: DataFile,
    columns: Columns,
    advance: Advance,
    *,
    absent: Mapping[str, frozenset[str]] | None = None,
    crowds: re.Pattern[str] | None = None,
    markup: bool = False,
) -> Iterator[Raw | Reject]:
    """Yield the values of each row, or the reject that it is.

    Args:
        file: The file.
        columns: Which columns are read as which field.
        advance: Called with the bytes read so far.
        absent: Values that stand for a missing one, by field, in small letters.
        crowds: How user ids look that stand for several people.
        markup: Whether texts and titles have marks of pages, which are replaced.
    """
    plans: dict[tuple[str, ...], Plan] = {}
    missing = tuple((absent or {}).items())
    for line, place, row in file.items(advance):
        if isinstance(row, Reject):
            yield row
            continue
        keys = tuple(row)
        plan = plans.get(keys)
        if plan is None:
            if len(plans) == _PLANS:
                plans.clear()
            plan = plans[keys] = make_plan(keys, columns)
        fields = read_fields(row, plan)
        for field, words in missing:
            if _is_among(fields.get(field), words):
                del fields[field]
        if markup:
            _replace_markup(fields)
        if crowds is not None:
            user = fields.get("user_id")
            if isinstance(user, str) and crowds.search(user):
                fields["shared_id"] = True
        yield Raw(line, fields, place)


def _replace_markup(fields: dict[str, object]) -> None:
    for field, line_end in (("body", "\n"), ("title", " ")):
        words = fields.get(field)
        if isinstance(words, str):
            fields[field] = without_markup(words, line_end)


def find_forms(
    rows: Iterable[Raw | Reject], columns: Columns, reading: ReadingRules, most: int
) -> tuple[ReadingRules, list[str]]:
    """Return how the dates and ratings of a file are written, and what has to be said of it.

    Args:
        rows: The rows of the file from the first one on; they are read once for both.
        columns: Which columns are read as which field.
        reading: How its values are read otherwise.
        most: First rows that decide; later ones do only where these have values that may be read in
            two ways, and none of them shows in which.
    """
    dates = _Forms("timestamp", date_order, frozenset({"day", "month"}))
    ratings = _Forms("rating", decimal_mark, frozenset({",", "."}))
    looked_for = [each for each in (dates, ratings) if columns.get(each.field)]
    if not looked_for:
        return reading, []
    open_ones = looked_for
    for number, row in enumerate(rows, start=1):
        if isinstance(row, Raw):
            for each in open_ones:
                each.look_at(row.fields)
        if number >= most:
            open_ones = [each for each in open_ones if each.is_open]
            if not open_ones:
                break
    said: list[str] = []
    if dates in looked_for:
        order, said = _tell_date_order(dates.found)
        reading = replace(reading, date_order=order)
    if ratings in looked_for:
        mark, of_ratings = _tell_decimal_mark(ratings.found)
        reading, said = replace(reading, decimal_mark=mark), [*said, *of_ratings]
    return reading, said


@dataclass
class _Forms:
    """What the values of a field show of their form.

    Attributes:
        field: The field.
        show: Returns what a value shows; None for nothing.
        proofs: What settles how the others are read.
        found: All that values showed.
    """

    field: str
    show: Callable[[object], str | None]
    proofs: frozenset[str]
    found: set[str] = dataclass_field(default_factory=set)

    def look_at(self, fields: Mapping[str, object]) -> None:
        """Take a row into account."""
        value = fields.get(self.field)
        shown = None if value is None else self.show(value)
        if shown is not None:
            self.found.add(shown)

    @property
    def is_open(self) -> bool:
        """Whether there are values that may be read in two ways, and none shows in which."""
        return bool(self.found) and self.found.isdisjoint(self.proofs)


def _tell_date_order(found: set[str]) -> tuple[DateOrder, list[str]]:
    """Return how the dates such as 05/01/2024 of a file are read, and what has to be said of it.

    Where the order is not known, none of them is read: else a column would lose the days 1 to 12 of
    each month, and the times that are left would be wrong as a whole.
    """
    proven = found & {"day", "month"}
    if len(proven) == 1:
        order: DateOrder = "day" if "day" in proven else "month"
        return order, [f"dates such as 05/01/2024 are read with the {order} first, as rows show"]
    if not found:  # no date of this form, or only in later rows
        return "unknown", []
    why = "some rows have the day first, some the month" if proven else "no row shows it"
    return "unknown", [
        f"which of day and month comes first is not known ({why}): NO date such as 05/01/2024 is "
        "read; write them with the year first, as 2024-01-05"
    ]


def _tell_decimal_mark(found: set[str]) -> tuple[DecimalMark, list[str]]:
    """Return how the ratings such as 1,234 of a file are read, and what has to be said of it."""
    proven = found - {"unknown"}
    known: dict[frozenset[str], DecimalMark] = {frozenset(","): ",", frozenset("."): "."}
    mark = known.get(frozenset(proven), "unknown")
    if "unknown" not in found:
        return mark, []
    if mark != "unknown":
        meant = "1.234" if mark == "," else "1234"
        return mark, [f"ratings such as 1,234 are read as {meant}, by the other ratings"]
    why = "some rows have a decimal comma, some a point" if proven else "no row shows it"
    return mark, [
        f"whether commas stand before decimals or between thousands is not known ({why}): NO "
        "rating such as 1,234 is read; write it as 1.234 or 1234"
    ]


def _is_among(value: object, words: frozenset[str]) -> bool:
    """Say whether a value is one of some words; an object, a list or a long text is none."""
    return isinstance(value, str) and len(value) < 100 and value.strip().lower() in words


def make_plan(keys: Iterable[str], columns: Columns) -> Plan:
    """Return what to look up in a row that has these keys; one key for a field of `IDENTITY`."""
    backwards = list(keys)[::-1]
    written = {key.strip().lower(): key for key in backwards}
    exact = {key.strip(): key for key in backwards}
    plan: Plan = []
    for field, names in columns.items():
        found: list[str | tuple[str, ...]] = []
        for name in names:
            first, *inner = name.split(".")
            whole = exact.get(name, written.get(name.lower()))
            outer = exact.get(first, written.get(first.lower()))
            if whole is not None:
                found.append(whole)
            elif inner and outer is not None:
                found.append((outer, *inner))
        if found:
            plan.append((field, tuple(found[:1] if field in IDENTITY else found)))
    return plan


def read_fields(row: Mapping[str, Any], plan: Plan) -> dict[str, object]:
    """Return the first value that is not empty for each field."""
    fields: dict[str, object] = {}
    for field, keys in plan:
        for key in keys:
            value = row[key] if type(key) is str else _look_into(row, key)
            if value is not None and value != "":
                fields[field] = value
                break
    return fields


def columns_read(keys: Iterable[str], columns: Columns) -> dict[str, list[str]]:
    """Return the columns of a row that are read, by field."""
    return {
        field: [key if isinstance(key, str) else ".".join(key) for key in found]
        for field, found in make_plan(keys, columns)
    }


def _look_into(row: Mapping[str, Any], way: tuple[str, ...] | str) -> Any:
    value: Any = row
    for key in way:
        if not isinstance(value, Mapping):
            return None
        if key not in value:  # names are compared in small letters, inside of objects too
            small = key.lower()
            key = next((each for each in value if str(each).lower() == small), key)
        value = value.get(key)
    return value
