"""What readers work with: a file's rows before validation, and the description of a format."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from ...values import RatingScale
from ..validation import FormatError, Reject

Advance = Callable[[int], None]
"""Called after each row with the position in the file, in bytes."""

PROFILE = "profile"
"""The column of a benchmark's person that holds what the person wrote."""

Item = tuple[int, str, dict[str, Any] | Reject]
"""Line, place (`.[3]` in a JSON list, else "") and columns of one row of a file."""


class Raw(NamedTuple):
    """The values of one text as the file has them; `validate` reads them.

    Attributes:
        line: Its first line in the file, from 1.
        fields: Values by the names of `TextFields`.
        place: Its path inside a JSON list, else "".
        part: What it is of the row, for the reason of a reject: `target`; "" for the row itself.
    """

    line: int
    fields: dict[str, object]
    place: str = ""
    part: str = ""


Columns = Mapping[str, tuple[str, ...]]
"""Names of columns, in small letters, by field: the first that a row has a value for is read."""


class DataFile(Protocol):
    """A file, a folder or a data set of a hub, opened by `containers.open_data`.

    Attributes:
        path: Where it lies.
        kind: The container, in words: `JSON lines`, `CSV`.
        names: The columns that its head names, as they are written; () if rows name their own.
        notes: What was found out about it and has to be said, as a detected encoding.
        size: Bytes.
    """

    path: Path
    kind: str
    names: tuple[str, ...]
    notes: list[str]

    @property
    def size(self) -> int:
        """Bytes, for the progress."""

    @property
    def content_hash(self) -> str:
        """Eight hex digits of the hash of the content."""

    def items(self, advance: Advance) -> Iterator[Item]:
        """Yield the rows, read anew by each call."""

    def lines(self, advance: Advance) -> Iterator[tuple[int, bytes | Reject]]:
        """Yield number and bytes (UTF-8, with the line's end) of the lines of a text file."""


@dataclass(frozen=True)
class Head:
    """The beginning of a file, by which its format is recognised.

    Attributes:
        path: The file.
        kind: Its container (see `DataFile.kind`).
        row: One of its first rows by column; None where there is none.
        names: The names of the head's columns as they are written, where the file has a head.
    """

    path: Path
    kind: str
    row: Mapping[str, Any] | None
    names: tuple[str, ...] = ()

    @cached_property
    def columns(self) -> frozenset[str]:
        """Names of the columns that hold single values, in small letters."""
        row = self.row or {}
        single = [name for name, value in row.items() if not isinstance(value, dict | list)]
        empty = [name for name in self.names if name not in row]  # in this row, but not in all
        return frozenset(name.strip().lower() for name in single + empty)

    @property
    def is_person(self) -> bool:
        """Whether the row is a person with a profile."""
        return isinstance((self.row or {}).get(PROFILE), list)

    def has(self, *names: str) -> bool:
        """Say whether the row or the head has all of these columns, and is no person's."""
        return self.columns.issuperset(names) and not self.is_person


def _always_english(path: Path) -> str:
    return "en"


def _no_check(path: Path) -> None:
    """Most formats are one file, which reading checks."""


def _read_nothing(file: DataFile, advance: Advance) -> Iterator[Raw | Reject]:
    raise FormatError(f"{file.path.name} has no reader")


@dataclass(frozen=True)
class Format:
    """A format of files of texts; the one place for all facts about it.

    Attributes:
        name: As `--format` takes it.
        expected: What a file of it holds, for messages.
        fits: Says whether a file is of the format.
        read: Yields the values of each text, or a reject; not used where there are `columns`.
        columns: For one text a row: which columns are read as which field.
        containers: The kinds of container that may be read as this format when it is asked for by
            name although none of the first rows fits; () for any.
        absent: Values that stand for a missing one, by field, in small letters.
        crowds: How user ids look that stand for several people.
        markup: Whether its texts and titles are parts of pages, with `<br />` and `&quot;`.
        language: Returns the language of texts that name none.
        check: Raises `FormatError` where a file that belongs to this one can't be read.
        scale: The scale of its ratings; None: that of the file has to be told or looked for.
        note: What everybody who reads such a file should know; "" for nothing.
    """

    name: str
    expected: str
    fits: Callable[[Head], bool]
    read: Callable[[DataFile, Advance], Iterator[Raw | Reject]] = _read_nothing
    columns: Columns | None = None
    containers: tuple[str, ...] = ()
    absent: Mapping[str, frozenset[str]] | None = None
    crowds: re.Pattern[str] | None = None
    markup: bool = False
    language: Callable[[Path], str] = _always_english
    check: Callable[[Path], object] = _no_check
    scale: RatingScale | None = None
    note: str = ""
