"""Read delimited text: CSV and its kin, with a damaged record costing that record alone.

The csv module parses; this module finds out the dialect and keeps damage small. The delimiter is
the one by which most rows have as many columns as the first line. Quotes inside quoted texts are
doubled or escaped by a backslash, or mean nothing (tab-separated files): what reads the beginning
of the file with the fewest faults is taken. A backslash that escapes nothing is one of the text.

A record that can't be read may be one line with a stray quote, a text whose closing quote is lost
(the lines below are other people's), or a text of several lines with a stray quote in it (the
lines below are the same person's, even where they look like rows). `_count_broken` tells these
apart, so that no line of one text is read as another person's row, and no row is lost in a text.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from ..validation import FormatError, Reject
from .decoding import LONGEST_LINE, TextFile
from .json_rows import PlainLines
from .rows import Advance, Item

Line = tuple[int, str | Reject]

DELIMITERS = ",;\t|"

_SAMPLE = 2_000  # lines by which the dialect is chosen
_AHEAD = 1_000  # lines after a broken record that are looked at
_A_FEW = 2  # faults in the sample
_SURELY_ROWS = 20  # lines in a row with the right number of columns are no text
_WRAPPED = 10  # fields in quotes for each fault: more of them, and quotes mean something
_ESCAPED = re.compile(r"\\.")
_LITERAL = {  # escapes or a backslash of a text, by whether the writer escapes these, too
    True: re.compile(r'\\([\\"\r\n])?'),
    False: re.compile(r'\\(\\*(?="))?'),
}
_LONE = re.compile(r'\\(?:[\\"\r\nN0]|(.))')  # `\N` and `\0` are written by MySQL, which escapes
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
        pairs: Where it does, whether a backslash of a text is written as two.
        quotes: Whether quotes hold a text together.
        skip_space: Whether a space after a delimiter belongs to it.
    """

    delimiter: str
    escape: bool = False
    pairs: bool = True
    quotes: bool = True
    skip_space: bool = False

    def reader(self, lines: Iterator[str]) -> Any:
        """Return a reader of the csv module, which raises where a quote stands wrongly."""
        # The module's own limit, 131,072 characters, is one of the process: it is raised only.
        if csv.field_size_limit() < LONGEST_LINE:
            csv.field_size_limit(LONGEST_LINE)
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
            FormatError: The first line that is not blank is no row of two or more columns.
        """
        super().__init__(text)
        self._skipped = 0  # lines before the header
        self._doubled = False  # whether the lines end in CR CR LF
        sample = list(islice(self._lines(None), _SAMPLE))
        delimiters = DELIMITERS
        if sample and (separator := _SEPARATOR.match(_words(sample[0]))):
            self._skipped, delimiters = sample[0][0], separator[1]
            del sample[0]
        while sample and _is_blank(sample[0], delimiters):  # empty rows above a sheet's header
            self._skipped = sample.pop(0)[0]
        if not sample:
            raise FormatError(f"{text.path.name} is not delimited text: its rows are blank")
        header = _words(sample[0])
        if header.endswith("\r\r\n"):  # CRLF, written by a program that made CRLF of every LF
            self._doubled = True
            self.notes.append("its lines end in CR CR LF: each of these is read as one line end")
            sample = list(islice(self._lines(None), _SAMPLE))
        self.dialect = _choose_dialect(text.path, sample, delimiters)
        self._header = self.dialect.split(_words(sample[0]))
        self.names = tuple(name.strip() for name in self._header)
        if self.dialect.escape:
            self.notes.append("quotes in its texts are escaped by a backslash")
        twice = sorted({name for name in self.names if name and self.names.count(name) > 1})
        if twice:
            self.notes.append(f"columns named twice, the first is read: {', '.join(twice)}")

    def items(self, advance: Advance) -> Iterator[Item]:
        """Yield the records by column; a column without a name is not read.

        A header that comes again, as in files that were put one behind the other, is a reject, and
        says the order of the columns below it.
        """
        records = read_records(self._lines(advance), self.dialect, len(self.names))
        next(records)  # the header
        columns, known = _columns_of(self.names), sorted(self.names)
        one, two, *_ = sorted(self._header, key=len, reverse=True)  # a mark may stand before one
        for line, record in records:
            if isinstance(record, Reject):
                yield line, "", record
            elif (one in record or two in record) and (names := _as_header(record, known)):
                columns = _columns_of(names)
                reason = "the header comes again: files were put one behind the other"
                yield line, "", Reject(line, reason, code="header")
            else:
                yield line, "", {name: record[index] for index, name in columns if record[index]}

    def _lines(self, advance: Advance | None) -> Iterator[Line]:
        """Yield the lines as characters, from the header on."""
        for number, data in self.text.lines(advance):
            if number <= self._skipped:
                continue
            if isinstance(data, Reject):
                yield number, data
            else:
                # Bad bytes become lone surrogates, which validation rejects.
                words = data.decode(errors="surrogateescape")
                doubled = self._doubled and words.endswith("\r\r\n")
                yield number, words[:-3] + "\r\n" if doubled else words


def _words(line: Line) -> str:
    """Return the characters of a line; "" of one that can't be read."""
    return line[1] if isinstance(line[1], str) else ""


def _is_blank(line: Line, delimiters: str) -> bool:
    """Return whether a line holds nothing between its delimiters."""
    return isinstance(line[1], str) and not line[1].strip(delimiters + ' "\r\n\ufeff')


def _columns_of(names: Sequence[str]) -> list[tuple[int, str]]:
    """Return place and name of the columns that are read: the first of each name."""
    return [(at, name) for at, name in enumerate(names) if name and names.index(name) == at]


def _as_header(record: list[str], known: list[str]) -> list[str] | None:
    """Return the names of the columns if a record has these alone, in any order; else None."""
    names = [name.strip().removeprefix("\ufeff") for name in record]
    return names if sorted(names) == known else None


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
        except _UnreadLine as unread:
            yield unread.reject.line, unread.reject
            continue
        except csv.Error as error:
            reason, code = f"broken CSV: {_say_error(error)}", "csv"
        else:
            if not any(record):  # a blank line, or one of an empty row of a sheet
                continue
            if len(record) == width:
                if feed.has_returns:
                    record = [column.replace(_RETURN, "\r") for column in record]
                yield feed.taken[0][0], record
                continue
            reason, code = f"the row has {len(record)} columns, the header {width}", "columns"
        line = feed.taken[0][0]
        broken = _count_broken(feed, dialect, width)
        feed.put_back(broken)
        yield line, Reject(line, reason, code=code)


def _say_error(error: csv.Error) -> str:
    if "field limit" in str(error):
        return f"a column of more than {csv.field_size_limit():,} characters"
    return str(error)


class _UnreadLine(Exception):
    """Goes through the csv module where a line can't be read, as the damaged end of a file."""

    def __init__(self, reject: Reject) -> None:
        self.reject = reject


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
        self._literal = _LITERAL[dialect.pairs] if dialect.escape else None

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        line = self._back.popleft() if self._back else next(self._lines)
        words = line[1]
        if isinstance(words, Reject):
            if self.taken:  # a record is open: it ends here, and the line is one of its own
                self._back.appendleft(line)
                raise StopIteration
            raise _UnreadLine(words)
        self.taken.append(line)
        if "\r" in words and (inner := words.rstrip("\n").removesuffix("\r")) and "\r" in inner:
            self.has_returns = True
            words = inner.replace("\r", _RETURN) + words[len(inner) :]
        if self._literal is not None and words.count("\\") != words.count('\\"'):
            # The csv module would drop a backslash that is one of the text.
            words = self._literal.sub(_keep_backslash, _NULL.sub("", words))
        return words

    def put_back(self, kept: int) -> None:
        """Give back all lines taken but the first `kept`."""
        self._back.extendleft(reversed(self.taken[kept:]))


def _keep_backslash(found: re.Match[str]) -> str:
    """Return an escape as it is, a backslash of a text as an escaped one."""
    return "\\\\" if found[1] is None else found[0]


def _count_broken(feed: _Feed, dialect: CsvDialect, width: int) -> int:
    """Return how many of the lines from the broken record's first on belong to it.

    Where the first line leaves no quote open, it is alone. Otherwise the next line with a single
    quote decides: one that *opens* a text (after a delimiter) means that a closing quote was lost
    above; one that *closes* a text (before a delimiter) is the end of this text, and all lines up
    to it belong to it. With a lost quote, the rows begin behind the last line that has not as many
    columns as the header.
    """
    if not dialect.quotes or len(_single_quotes(_words(feed.taken[0]), dialect)) % 2 == 0:
        return 1
    first_row = 1  # behind the last line that can't be a row
    for index in range(1, _AHEAD):
        if index == len(feed.taken):
            try:
                next(feed)
            except StopIteration:
                break
        line = _words(feed.taken[index])
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


def _choose_dialect(path: Path, sample: list[Line], delimiters: str) -> CsvDialect:
    """Return the delimiter, and the reading of quotes, that have the fewest faults.

    Of two that are equal, the delimiter of more columns, and the usual reading of quotes.

    Raises:
        FormatError: No delimiter splits the first line.
    """
    header = _words(sample[0]) if sample else ""
    found = []
    for each in delimiters:
        usual = CsvDialect(each, skip_space=f"{each} " in header)
        width = len(usual.split(header) or replace(usual, quotes=False).split(header))
        if width > 1:
            reading, faults = _choose_quotes(sample, usual)
            if len(reading.split(header)) > 1:
                found.append((faults, -width, reading))
    if not found:
        raise FormatError(f"{path.name} is not delimited text")
    return min(found, key=lambda each: each[:2])[2]


def _choose_quotes(sample: list[Line], usual: CsvDialect) -> tuple[CsvDialect, float]:
    """Return the reading of quotes that has the fewest faults, then the most rows.

    Returns:
        The reading, and the share of the records that are faults in it.
    """
    escaped, theirs, more = usual, 0, 0
    if any('\\"' in _words(line) for line in sample):
        pairs = not any(found[1] for line in sample for found in _LONE.finditer(_words(line)))
        escaped = replace(usual, escape=True, pairs=pairs)
        theirs, more = _count_faults(sample, escaped)
        if not theirs and any(_find_faults(sample, usual)):  # no need to look at all of these
            return escaped, 0.0
    faults, rows = _count_faults(sample, usual)
    if faults and escaped.escape and (theirs, -more) < (faults, -rows):
        return escaped, theirs / max(theirs + more, 1)
    # Without quotes a single lost one is no fault either: so only where many lines speak for it,
    # in the one kind of file that is published like this.
    if faults > _A_FEW and usual.delimiter == "\t":
        bare = replace(usual, quotes=False)
        theirs, more = _count_faults(sample, bare)
        if faults - theirs > _count_quoted(sample, bare):
            return bare, theirs / max(theirs + more, 1)
    return usual, faults / max(faults + rows, 1)


def _count_quoted(sample: list[Line], bare: CsvDialect) -> float:
    """Return how many faults the fields of a sample outweigh that are quoted as they should be.

    One in quotes may be a title that somebody put in quotes; a doubled quote in it is no accident.
    """
    wrapped = doubled = 0
    for line in sample:
        for column in bare.split(_words(line)):
            if len(column) > 1 and column[0] == column[-1] == '"':
                wrapped += 1
                doubled += '""' in column[1:-1]
    return max(doubled, wrapped / _WRAPPED)


def _count_faults(sample: list[Line], dialect: CsvDialect) -> tuple[int, int]:
    """Return the number of faults of a reading, and that of rows."""
    if (rows := _count_plain_rows(sample, dialect)) is not None:
        return 0, rows
    faults = list(_find_faults(sample, dialect))
    return sum(faults), len(faults) - sum(faults)


def _count_plain_rows(sample: list[Line], dialect: CsvDialect) -> int | None:
    """Return how many rows a sample has if all are in order, as most are; None otherwise.

    The csv module alone counts them: there is nothing to be put back, and no mark to be kept.
    """
    lines = [line[1] for line in sample]
    words = [line for line in lines if isinstance(line, str)]
    whole = "".join(words)
    if dialect.escape or len(words) < len(lines) or whole.count("\r") > whole.count("\r\n"):
        return None
    try:
        records = [record for record in dialect.reader(iter(words)) if any(record)]
    except csv.Error:
        return None
    width = len(dialect.split(words[0])) if words else 0
    if not width or any(len(record) != width for record in records):
        return None
    return len(records) - (len(sample) == _SAMPLE)  # the last one may go on behind the sample


def _find_faults(sample: list[Line], dialect: CsvDialect) -> Iterator[bool]:
    """Yield whether each record of a reading is a fault."""
    width = len(dialect.split(_words(sample[0])))
    if not width:
        yield from [True] * (len(sample) + 1)
        return
    found = (isinstance(record, Reject) for _, record in read_records(iter(sample), dialect, width))
    if len(sample) < _SAMPLE:
        yield from found
        return
    before = next(found, None)
    for each in found:  # the last record may go on behind the sample, and is not told
        yield bool(before)
        before = each
