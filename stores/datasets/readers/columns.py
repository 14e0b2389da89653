"""Columns of tables: which of them is read as which field of a text.

A format names its columns by field; `--map` replaces those of a field by one that the caller names.
Names are compared in small letters. A dot leads into an object: `user.name`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..validation import FormatError, Reject
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

_PLANS = 1_000  # different sets of columns in one file that are remembered

Plan = list[tuple[str, tuple[str | tuple[str, ...], ...]]]
"""By field: the keys to look up in a row, one after the other; a tuple is a way into objects."""


def parse_map(given: Iterable[str]) -> dict[str, str]:
    """Return the column of each field that `--map` names.

    Args:
        given: Parts as `user=author,text=body`; an empty column leaves the field out.

    Raises:
        FormatError: A part is not of this form, or names an unknown field.
    """
    found: dict[str, str] = {}
    for part in (part for each in given for part in each.split(",")):
        word, equals, column = (piece.strip() for piece in part.partition("="))
        if not equals or word.lower() not in FIELDS:
            raise FormatError(
                f"--map {part.strip()!r} is not FIELD=COLUMN: the fields are {', '.join(FIELDS)}",
                code="invalid_map",
            )
        found[FIELDS[word.lower()]] = column
    return found


def with_map(columns: Columns, mapped: Mapping[str, str]) -> Columns:
    """Return columns in which those of the mapped fields are the caller's."""
    own = {field: (name.lower(),) if name else () for field, name in mapped.items()}
    return {**columns, **own}


def read_table(
    file: DataFile,
    columns: Columns,
    advance: Advance,
    *,
    absent: Mapping[str, frozenset[str]] | None = None,
    crowds: frozenset[str] = frozenset(),
) -> Iterator[Raw | Reject]:
    """Yield the values of each row, or the reject that it is.

    Args:
        file: The file.
        columns: Which columns are read as which field.
        advance: Called with the bytes read so far.
        absent: Values that stand for a missing one, by field.
        crowds: User ids that stand for several people.
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
            if fields.get(field) in words:
                del fields[field]
        if crowds and fields.get("user_id") in crowds:
            fields["shared_id"] = True
        yield Raw(line, fields, place)


def make_plan(keys: Iterable[str], columns: Columns) -> Plan:
    """Return what to look up in a row that has these keys."""
    written = {key.strip().lower(): key for key in reversed(list(keys))}
    plan: Plan = []
    for field, names in columns.items():
        found: list[str | tuple[str, ...]] = []
        for name in names:
            if name in written:
                found.append(written[name])
            elif "." in name and name.split(".")[0] in written:
                first, *inner = name.split(".")
                found.append((written[first], *inner))
        if found:
            plan.append((field, tuple(found)))
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
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
