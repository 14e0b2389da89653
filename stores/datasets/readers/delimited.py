"""Read delimited text: CSV and its kin, with a damaged record costing that record alone.

The csv module parses; this module finds out the dialect and keeps damage small. The delimiter is
the one that splits the first line into most columns. Quotes inside quoted texts are doubled or
escaped by a backslash, or mean nothing (tab-separated files): what reads the beginning of the file
with the fewest faults is taken.

A record that can't be read may be one line with a stray quote, a text whose closing quote is lost
(the lines below are other people's), or a text of several lines with a stray quote in it (the
lines below are the same person's, even where they look like rows). `_count_broken` tells these
apart, so that no line of one text is read as another person's row, and no row is lost in a text.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from ..validation import FormatError, Reject
from .decoding import TextFile
from .json_rows import PlainLines
from .rows import Advance, Item

Line = tuple[int, str]

DELIMITERS = ",;\t|"

_SAMPLE = 2_000  # lines by which the dialect is chosen
_AHEAD = 1_000  # lines after a broken record that are looked at
_A_FEW = 2  # faults in the sample
_SURELY_ROWS = 20  # lines in a row with the right number of columns are no text
_ESCAPED = re.compile(r"\\.")
_QUOTE = re.compile(r'(?<!")"(?!")')  # a single one; a doubled one is a quote in a text
_NULL = re.compile(r"(?:^|(?<=[,;\t|]))\\N(?=[,;\t|\r\n]|$)")  # of MySQL and Postgres
_RETURN = "\ud800"  # a carriage return inside a line, which the csv module takes for its end
_SEPARATOR = re.compile(r"sep=(.)\s*$", re.IGNORECASE)


@dataclass(frozen=True)
class CsvDialect:
    """How a file is delimited.

    Attributes:
        delimiter: Between two columns.
        escape: Whether a backslash escapes a quote inside quotes.
        quotes: Whether quotes hold a text together.
        skip_space: Whether a space after a delimiter belongs to it.
    """

    delimiter: str
    escape: bool = False
    quotes: bool = True
    skip_space: bool = False

    def reader(self, lines: Iterator[str]) -> Any:
        """Return a reader of the csv module, which raises where a quote stands wrongly."""
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            escapechar="\\" if self.escape else None,
            quoting=csv.QUOTE_MINIMAL if self.quotes else csv.QUOTE_NONE,
            skipinitialspace=self.skip_space,
            strict=True,  # a lost quote is an error instead of one long text of several people
        )

    def split(self, line: str) -> list[str]:
        """Return the columns of a line that is a record of its own; none if it is no record."""
        try:
            columns: list[str] = next(self.reader(iter([line])))
        except (csv.Error, StopIteration):
            return []
        return columns


class Delimited(PlainLines):
    """A file of delimited text (see `rows.DataFile`).

    Attributes:
        dialect: How it is delimited.
        names: The columns of its first line; these are the names if there is a header.
    """

    kind = "CSV"

    def __init__(self, text: TextFile) -> None:
        """Find out the dialect.

        Raises:
            FormatError: The first line is no row of two or more columns.
        """
        super().__init__(text)
        self._skipped = 0  # lines before the header
        sample = list(islice(self._lines(None), _SAMPLE))
        delimiters = DELIMITERS
        if sample and (separator := _SEPARATOR.match(sample[0][1])):
            self._skipped, delimiters = sample[0][0], separator[1]
            del sample[0]
        header = sample[0][1] if sample else ""
        widths = {each: len(CsvDialect(each).split(header)) for each in delimiters}
        delimiter = max(widths, key=lambda each: widths[each])
        if widths[delimiter] < 2:
            raise FormatError(f"{text.path.name} is not delimited text")
        loose = CsvDialect(delimiter, skip_space=f"{delimiter} " in header)
        self.dialect = _choose_dialect(sample, loose)
        self.names = tuple(name.strip() for name in self.dialect.split(header))
        if self.dialect.escape:
            self.notes.append("quotes in its texts are escaped by a backslash")
        twice = sorted({name for name in self.names if name and self.names.count(name) > 1})
        if twice:
            self.notes.append(f"columns named twice, the first is read: {', '.join(twice)}")

    def items(self, advance: Advance) -> Iterator[Item]:
        """Yield the records by column; a column without a name is not read."""
        records = read_records(self._lines(advance), self.dialect, len(self.names))
        next(records)  # the header
        columns = [
            (index, name)
            for index, name in enumerate(self.names)
            if name and self.names.index(name) == index
        ]
        for line, record in records:
            if isinstance(record, Reject):
                yield line, "", record
            else:
                yield line, "", {name: record[index] for index, name in columns if record[index]}

    def _lines(self, advance: Advance | None) -> Iterator[Line]:
        """Yield the lines as characters, from the header on."""
        for number, data in self.text.lines(advance):
            if number <= self._skipped:
                continue
            if isinstance(data, Reject):
                # Longer than the csv module lets a field be: the record is rejected there.
                yield number, "\x00" * (csv.field_size_limit() + 1)
            else:
                # Bad bytes become lone surrogates, which validation rejects.
                yield number, data.decode(errors="surrogateescape")


def read_records(
    lines: Iterator[Line], dialect: CsvDialect, width: int
) -> Iterator[tuple[int, list[str] | Reject]]:
    """Yield line and columns of each record, or a reject for one that can't be read.

    Args:
        lines: Number and content of the lines.
        dialect: How they are delimited.
        width: Number of columns that a record has.
    """
    feed = _Feed(lines, dialect)
    reader = dialect.reader(feed)
    while True:
        feed.taken.clear()
        feed.has_returns = False
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            reason, code = f"broken CSV: {error}", "csv"
        else:
            if len(record) == width:
                if feed.has_returns:
                    record = [column.replace(_RETURN, "\r") for column in record]
                yield feed.taken[0][0], record
                continue
            if not record:  # a blank line
                continue
            reason, code = f"the row has {len(record)} columns, the header {width}", "columns"
        line = feed.taken[0][0]
        broken = _count_broken(feed, dialect, width)
        feed.put_back(broken)
        yield line, Reject(line, reason, code=code)


class _Feed:
    """Lines for the csv module, which can be put back.

    Attributes:
        taken: Those of the present record.
        has_returns: Whether a carriage return stands inside one of them.
    """

    def __init__(self, lines: Iterator[Line], dialect: CsvDialect) -> None:
        self.taken: list[Line] = []
        self.has_returns = False
        self._lines, self._back = lines, deque[Line]()
        self._nulls = dialect.escape  # there `\N` would be read as the letter

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        line = self._back.popleft() if self._back else next(self._lines)
        self.taken.append(line)
        words = line[1]
        if "\r" in words and (inner := words.rstrip("\n").removesuffix("\r")) and "\r" in inner:
            self.has_returns = True
            words = inner.replace("\r", _RETURN) + words[len(inner) :]
        return _NULL.sub("", words) if self._nulls and "\\N" in words else words

    def put_back(self, kept: int) -> None:
        """Give back all lines taken but the first `kept`."""
        self._back.extendleft(reversed(self.taken[kept:]))


def _count_broken(feed: _Feed, dialect: CsvDialect, width: int) -> int:
    """Return how many of the lines from the broken record's first on belong to it.

    Where the first line leaves no quote open, it is alone. Otherwise the next line with a single
    quote decides: one that *opens* a text (after a delimiter) means that a closing quote was lost
    above; one that *closes* a text (before a delimiter) is the end of this text, and all lines up
    to it belong to it. With a lost quote, the rows begin behind the last line that has not as many
    columns as the header.
    """
    if not dialect.quotes or len(_single_quotes(feed.taken[0][1], dialect)) % 2 == 0:
        return 1
    first_row = 1  # behind the last line that can't be a row
    for index in range(1, _AHEAD):
        if index == len(feed.taken):
            try:
                next(feed)
            except StopIteration:
                break
        line = feed.taken[index][1]
        quotes = _single_quotes(line, dialect)
        if quotes and _opens(line, quotes[0], dialect):
            break
        if quotes and _closes(line, quotes[0], dialect):
            return first_row if index - first_row >= _SURELY_ROWS else index + 1
        if len(dialect.split(line)) != width:
            first_row = index + 1
    return first_row


def _single_quotes(line: str, dialect: CsvDialect) -> list[int]:
    """Return the places of the quotes of a line that are neither doubled nor escaped."""
    if '"' not in line:
        return []
    if dialect.escape:
        line = _ESCAPED.sub("..", line)
    return [found.start() for found in _QUOTE.finditer(line)]


def _opens(line: str, place: int, dialect: CsvDialect) -> bool:
    before = line[:place].rstrip(" ") if dialect.skip_space else line[:place]
    return not before or before.endswith(dialect.delimiter)


def _closes(line: str, place: int, dialect: CsvDialect) -> bool:
    behind = line[place + 1 :].strip("\r\n ") if dialect.delimiter != " " else line[place + 1 :]
    return not behind or behind.startswith(dialect.delimiter)


def _choose_dialect(sample: list[Line], usual: CsvDialect) -> CsvDialect:
    """Return the reading of quotes that has the fewest faults, then the most rows.

    Of two that are equal, the usual one.
    """
    faults, rows = _count_faults(sample, usual)
    if faults and any('\\"' in line for _, line in sample):
        escaped = replace(usual, escape=True)
        theirs, more = _count_faults(sample, escaped)
        if (theirs, -more) < (faults, -rows):
            return escaped
    # Without quotes a single lost one is no fault either: so only where many lines speak for it,
    # in the one kind of file that is published like this.
    if faults > _A_FEW and usual.delimiter == "\t":
        bare = replace(usual, quotes=False)
        if not _count_faults(sample, bare)[0]:
            return bare
    return usual


def _count_faults(sample: list[Line], dialect: CsvDialect) -> tuple[int, int]:
    """Return the number of faults of a reading, and that of rows."""
    width = len(dialect.split(sample[0][1]))
    if not width:
        return len(sample) + 1, 0
    faults = [
        isinstance(record, Reject) for _, record in read_records(iter(sample), dialect, width)
    ]
    if len(sample) == _SAMPLE and faults:
        faults.pop()  # the last record may go on behind the sample
    return sum(faults), len(faults) - sum(faults)
