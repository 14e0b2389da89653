"""Read files of one text a row: JSON lines (our own and Amazon's) and CSV.

Rows are streamed, so a file of any size takes the memory of one row. The first column found of each
line below is read, other columns are ignored:

    user       user_id, user, author                  needed
    text       text, body                             needed
    topic      topic_id, topic, product               (Amazon: parent_asin, asin)
    title      title
    rating     rating                                 1 to 5
    time       timestamp, time                        seconds or milliseconds since 1970, ISO date
    language   language                               ISO 639-1 code
    target     target                                 whether a benchmark has to write it
    shared id  shared_id                              whether several people share the user's id
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..types import Text
from .validation import (
    Advance,
    BadRow,
    Defaults,
    Format,
    FormatError,
    Head,
    Reject,
    Row,
    build_text,
    first_of,
)

USER = ("user_id", "user", "author")
BODY = ("text", "body")
TOPIC = ("topic_id", "topic", "product", "parent_asin", "asin")
AMAZON_TOPIC = frozenset({"parent_asin", "asin"})

_LONGEST_LINE = 4_000_000  # bytes; 100,000 characters take 1.2 million at the most, as \ud83d\ude00
_DELIMITERS = ",;\t"
_MARK = b"\xef\xbb\xbf"  # the byte order mark of spreadsheets


def read_table_row(row: dict[str, Any], defaults: Defaults, position: int) -> Text:
    """Return one row of a table as a text.

    Raises:
        BadRow: It cannot be one.
    """
    return build_text(
        defaults,
        user_id=first_of(row, USER),
        body=first_of(row, BODY),
        topic_id=first_of(row, TOPIC),
        title=row.get("title"),
        rating=row.get("rating"),
        timestamp=first_of(row, ("timestamp", "time")),
        language=row.get("language"),
        target=row.get("target"),
        shared_id=row.get("shared_id"),
        position=position,
    )


def read_table(
    lines: Iterable[tuple[int, dict[str, Any] | Reject]], defaults: Defaults
) -> Iterator[Row]:
    """Yield a text or a reject for each row of `read_json_lines` or `read_csv`."""
    for position, (line, row) in enumerate(lines):
        if isinstance(row, Reject):
            yield row
            continue
        try:
            yield read_table_row(row, defaults, position)
        except BadRow as error:
            yield Reject(line, str(error), code=error.code)


def read_json_lines(
    path: Path, advance: Advance | None = None
) -> Iterator[tuple[int, dict[str, Any] | Reject]]:
    """Yield the number and the object of each line; blank lines are skipped.

    Args:
        path: The file.
        advance: Called with the bytes read so far.
    """
    for line, data, whole in _read_lines(path, advance):
        if not data.strip():
            continue
        if not whole:
            yield line, Reject(line, f"the line has more than {_LONGEST_LINE:,} bytes")
            continue
        yield line, _parse_line(line, data)


def read_csv(
    path: Path, advance: Advance | None = None
) -> Iterator[tuple[int, dict[str, Any] | Reject]]:
    """Yield the number of the first line and the columns by name of each record.

    Args:
        path: The file; its first record names the columns.
        advance: Called with the bytes read so far.
    """
    header, delimiter = read_csv_header(path)
    # strict: a lost quote is an error, instead of one long text out of several people's.
    records = csv.reader(_decode(path, advance), delimiter=delimiter, strict=True)
    next(records)
    while True:
        line = records.line_num + 1
        try:
            values = next(records)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, Reject(line, f"broken CSV: {error}")
            continue
        if not values:
            continue  # a blank line
        if len(values) != len(header):
            reason = f"the row has {len(values)} columns, the header {len(header)}"
            yield line, Reject(line, reason)
            continue
        yield line, {name: value for name, value in zip(header, values, strict=True) if value}


def read_csv_header(path: Path) -> tuple[list[str], str]:
    """Return the names of the columns and the delimiter (comma, semicolon or tab).

    Raises:
        FormatError: The first record names no user or no text.
    """
    for delimiter in _DELIMITERS:
        try:
            names = next(csv.reader(_decode(path, None), delimiter=delimiter, strict=True), [])
        except csv.Error:
            continue
        names = [name.strip().lower() for name in names]
        if set(names) & set(USER) and set(names) & set(BODY):
            return names, delimiter
    raise FormatError(
        f"{path.name} is not csv: expected a first line that names the columns, "
        f"one of {', '.join(USER)} and one of {', '.join(BODY)} among them"
    )


def _parse_line(line: int, data: bytes) -> dict[str, Any] | Reject:
    try:
        row = json.loads(data.decode())
    except UnicodeDecodeError:
        return Reject(line, "the line is not valid UTF-8")
    except json.JSONDecodeError as error:
        return Reject(line, f"broken JSON: {error.msg} at column {error.colno}")
    except (ValueError, RecursionError):  # a number of 5,000 digits, 10,000 brackets
        return Reject(line, "broken JSON: a number or a nesting beyond all bounds")
    if not isinstance(row, dict):
        return Reject(line, "expected a JSON object")
    return row


def _decode(path: Path, advance: Advance | None) -> Iterator[str]:
    for _, data, _ in _read_lines(path, advance):
        # Bad bytes become lone surrogates, which `build_text` rejects.
        yield data.decode(errors="surrogateescape")


def _read_lines(path: Path, advance: Advance | None) -> Iterator[tuple[int, bytes, bool]]:
    """Yield number, bytes and whether they are the whole line; never hold more than the limit."""
    number = 0
    with path.open("rb") as file:
        while data := file.readline(_LONGEST_LINE):
            number += 1
            rest = data
            while len(rest) == _LONGEST_LINE and not rest.endswith(b"\n"):
                rest = file.readline(_LONGEST_LINE)
            whole = rest is data
            yield number, data.removeprefix(_MARK) if number == 1 else data, whole
            if advance is not None:
                advance(file.tell())


def _read_lines_as_table(path: Path, defaults: Defaults, advance: Advance) -> Iterator[Row]:
    return read_table(read_json_lines(path, advance), defaults)


def _read_csv_as_table(path: Path, defaults: Defaults, advance: Advance) -> Iterator[Row]:
    return read_table(read_csv(path, advance), defaults)


def is_text_row(row: Mapping[str, Any] | None) -> bool:
    """Say whether a JSON object names a user and a text, and is no person with a profile."""
    return (
        row is not None
        and bool(set(row) & set(USER) and set(row) & set(BODY))
        and not isinstance(row.get("profile"), list)
    )


def _is_csv(head: Head) -> bool:
    if head.listed or head.row is not None:
        return False
    try:
        read_csv_header(head.path)
    except FormatError:
        return False
    return True


def _is_amazon(head: Head) -> bool:
    row = head.row or {}
    if head.listed or not is_text_row(row):
        return False
    return "user_id" in row and not AMAZON_TOPIC.isdisjoint(row)


TABLES = (
    Format(
        "jsonl",
        "one JSON object a line with user_id and text",
        lambda head: not head.listed and is_text_row(head.row),
        _read_lines_as_table,
    ),
    Format(
        "csv",
        "a first line that names the columns, user_id and text among them",
        _is_csv,
        _read_csv_as_table,
    ),
    Format(
        "amazon",
        "one JSON object a line with user_id, text and parent_asin or asin",
        _is_amazon,
        _read_lines_as_table,
    ),
)
