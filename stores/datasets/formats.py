"""Open a file of texts in any of the formats, and tell which it is.

    for row in read_texts(Path("reviews.jsonl")):
        ...  # a Text, or a Reject that says where and why

The formats of one text a row are described in `read_tables`, those of one person a row in
`read_benchmarks`. A file is looked at before anything is read for good: one of the wrong format
gives a single `FormatError`, a bad row in a good file gives a `Reject`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Literal, get_args

from .benchmarks import (
    find_lamp_outputs,
    read_items,
    read_lamp,
    read_lamp_outputs,
    read_longlamp,
    read_pgraphrag,
)
from .tables import AMAZON_TOPIC, BODY, USER, read_csv, read_csv_header, read_json_lines, read_table
from .validation import Defaults, FormatError, Reject, Row

Format = Literal["jsonl", "csv", "pgraphrag", "amazon", "lamp", "longlamp"]
FORMATS: tuple[Format, ...] = get_args(Format)

_EXPECTED: dict[str, str] = {
    "jsonl": "one JSON object a line with user_id and text",
    "csv": "a first line that names the columns, user_id and text among them",
    "pgraphrag": 'a JSON list of {"id", "profile": [{"rating", "title", "text", "pid"}]}',
    "amazon": "one JSON object a line with user_id, text and parent_asin or asin",
    "lamp": 'a JSON list of {"id", "input", "profile": [...]}, a *_questions.json',
    "longlamp": 'a JSON list, or a line each, of {"input", "output", "profile": [...]}',
}
_LOOK_AT = 50  # rows: one of them has to be of the format
_GZIP = b"\x1f\x8b"


class RowFile:
    """The rows of one file, read anew by each loop over it.

    Attributes:
        path: The file.
        format: Its format, as asked for or as found.
        language: Language of the rows that name none.
        size: How far `position` goes.
        position: How far the latest loop has come, for progress bars.
    """

    def __init__(self, path: Path, format: Format, defaults: Defaults) -> None:
        """Take a file that is known to be of the format; `read_texts` makes sure of that."""
        self.path = path
        self.format = format
        self.language = defaults.language
        self.size = path.stat().st_size
        self.position = 0
        self._defaults = defaults

    def __iter__(self) -> Iterator[Row]:
        """Yield a `Text` or a `Reject` a row."""
        if self.format in ("jsonl", "amazon"):
            return read_table(read_json_lines(self.path, self._advance), self._defaults)
        if self.format == "csv":
            return read_table(read_csv(self.path, self._advance), self._defaults)
        if self.format == "pgraphrag":
            return read_pgraphrag(self._read_items(), self._defaults)
        if self.format == "lamp":
            beside = find_lamp_outputs(self.path)
            outputs = None if beside is None else read_lamp_outputs(beside)
            return read_lamp(self._read_items(), self._defaults, outputs)
        return read_longlamp(self._read_items(), self._defaults)

    def _read_items(self) -> Iterator[tuple[int, str, dict[str, Any] | Reject]]:
        content = _load_list(self.path)
        if content is not None:
            self.size = len(content)
            return read_items(content, self._advance)
        return ((line, "", row) for line, row in read_json_lines(self.path, self._advance))

    def _advance(self, position: int) -> None:
        self.position = position


def read_texts(
    path: Path,
    *,
    format: str = "auto",
    namespace: str = "default",
    language: str | None = None,
) -> RowFile:
    """Look at a file and return its rows, which are read when looped over.

    Args:
        path: The file.
        format: One of `FORMATS`, or `auto`.
        namespace: The tenant that the texts belong to.
        language: Language of the texts that name none; None: `pt` for PGraphRAG's b2w, else `en`.

    Raises:
        FormatError: There is no such file, it is empty, or it is of another format.
    """
    if format != "auto" and format not in FORMATS:
        raise FormatError(f"unknown format {format!r}: one of auto, {', '.join(FORMATS)}")
    found = _find_formats(path)
    if format != "auto" and format not in found:
        looks = f"; it looks like {found[0]}" if found else ""
        raise FormatError(f"{path.name} is not {format}: expected {_EXPECTED[format]}{looks}")
    if not found:
        raise FormatError(
            f"cannot tell the format of {path.name}: expected "
            f"{_EXPECTED['jsonl']}, or one of csv, pgraphrag, amazon, lamp, longlamp"
        )
    chosen = found[0] if format == "auto" else next(each for each in found if each == format)
    if language is None:
        portuguese = chosen == "pgraphrag" and path.name.startswith("b2w")
        language = "pt" if portuguese else "en"
    if chosen == "lamp" and (beside := find_lamp_outputs(path)) is not None:
        read_lamp_outputs(beside)  # a broken one has to be known before anything is written
    return RowFile(path, chosen, Defaults(namespace=namespace, language=language))


def detect(path: Path) -> Format:
    """Return the format of a file by what is in it.

    Raises:
        FormatError: There is no such file, it is empty, or of none of the formats.
    """
    return read_texts(path).format


def _find_formats(path: Path) -> tuple[Format, ...]:
    """Return the formats that a file can be read as, the most fitting first."""
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except FileNotFoundError:
        raise FormatError(f"no such file: {path}") from None
    except IsADirectoryError:
        raise FormatError(f"{path} is a folder: name the file in it") from None
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror}") from None
    if not head.strip():
        raise FormatError(f"{path} is empty")
    if head.startswith(_GZIP):
        raise FormatError(f"{path.name} is packed: unpack it first (gunzip)")
    content = _load_list(path)
    if content is not None:
        return _find_in_list(path, content)
    lines = islice(read_json_lines(path), _LOOK_AT)
    rows = [row for _, row in lines if isinstance(row, dict)]
    if rows:
        return _formats_of(rows, listed=False)
    try:
        read_csv_header(path)
    except FormatError:
        return ()
    return ("csv",)


def _find_in_list(path: Path, content: str) -> tuple[Format, ...]:
    items = list(islice(read_items(content), _LOOK_AT))
    if not items:
        raise FormatError(f"{path} is empty: its JSON list holds nothing")
    rows = [item for _, _, item in items if isinstance(item, dict)]
    if rows and _formats_of(rows[:1], listed=False)[-1:] == ("jsonl",):
        raise FormatError(
            f"{path.name} is a JSON list of texts: put one a line (jq -c '.[]' {path.name})"
        )
    return _formats_of(rows, listed=True)


def _formats_of(rows: list[dict[str, Any]], *, listed: bool) -> tuple[Format, ...]:
    """Return the formats of the first row that is of any."""
    return next(filter(None, (_formats_of_row(row, listed) for row in rows)), ())


def _formats_of_row(row: dict[str, Any], listed: bool) -> tuple[Format, ...]:
    if isinstance(row.get("profile"), list):
        if "input" in row and "output" in row:
            return ("longlamp", "lamp") if listed else ("longlamp",)
        if "input" in row and listed:
            return ("lamp",)
        return ("pgraphrag",) if "id" in row and listed else ()
    if listed or not set(row) & set(USER) or not set(row) & set(BODY):
        return ()
    if "user_id" in row and set(row) & set(AMAZON_TOPIC):
        return ("amazon", "jsonl")
    return ("jsonl",)


def _load_list(path: Path) -> str | None:
    """Return the content of a file that holds one JSON list, or None for any other."""
    with path.open("rb") as file:
        if not file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"["):
            return None
    # Bad bytes become lone surrogates: the text they stand in is rejected, not the whole file.
    return path.read_bytes().decode("utf-8-sig", errors="surrogateescape")
