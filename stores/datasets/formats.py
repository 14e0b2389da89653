"""Open a file of texts in any of the formats, and recognise the format.

    for row in read_texts(Path("reviews.jsonl")):
        ...  # a Text, or a Reject that says where and why

`FORMATS` holds one `Format` for each. A file is checked before it is read in full: one of the wrong
format gives a single `FormatError`, a bad row in a good file gives a `Reject`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from ..values import FIVE_STARS, RatingScale, ReadingRules
from .benchmarks import BENCHMARKS, load_list, read_items
from .tables import TABLES, is_text_row, read_json_lines
from .validation import Defaults, Format, FormatError, Head, Row

FORMATS: dict[str, Format] = {each.name: each for each in (*TABLES, *BENCHMARKS)}
"""All formats by name; of several that fit a file, the last one is taken."""

_LOOK_AT = 50  # rows: one of them has to be of the format
_GZIP = b"\x1f\x8b"


class RowFile:
    """The rows of one file, read anew by each loop over it.

    Attributes:
        path: The file.
        format: Name of its format, as given or as recognised.
        language: Language of the rows that name none.
        scale: The scale that the ratings are read on.
        scale_known: Whether the caller or the format says so; otherwise it is taken for 1-5, and
            `ingest.check_scale` looks whether it can be.
        noted: What the latest loop left out of texts (ratings, times) that were kept, by code.
        size: Bytes of the file.
        position: How far the latest loop has come, in bytes.
    """

    def __init__(
        self, path: Path, format: Format, defaults: Defaults, *, scale_known: bool = False
    ) -> None:
        """Take a file that is known to be of the format; `read_texts` makes sure of that."""
        self.path = path
        self.format = format.name
        self.language = defaults.language
        self.scale = defaults.reading.scale
        self.scale_known = scale_known
        self.noted = defaults.reading.noted
        self.size = path.stat().st_size
        self.position = 0
        self._read, self._defaults = format.read, defaults

    def __iter__(self) -> Iterator[Row]:
        """Yield a `Text` or a `Reject` a row."""
        self.noted.clear()
        return self._read(self.path, self._defaults, self._advance)

    def _advance(self, position: int) -> None:
        self.position = position


def read_texts(
    path: Path,
    *,
    format: str = "auto",
    namespace: str = "default",
    language: str | None = None,
    scale: RatingScale | None = None,
) -> RowFile:
    """Check a file and return its rows, which are read when looped over.

    Args:
        path: The file.
        format: A name of `FORMATS`, or `auto`.
        namespace: The tenant that the texts belong to.
        language: Language of the texts that name none; None: that of the format.
        scale: The scale of the ratings; None: that of the format, or 1 to 5.

    Raises:
        FormatError: There is no such file, it is empty, or it is of another format.
    """
    if format != "auto" and format not in FORMATS:
        raise FormatError(f"unknown format {format!r}: one of auto, {', '.join(FORMATS)}")
    found = _find_formats(path)
    if format != "auto" and FORMATS[format] not in found:
        looks = f"; it looks like {found[0].name}" if found else ""
        raise FormatError(
            f"{path.name} is not {format}: expected {FORMATS[format].expected}{looks}"
        )
    if not found:
        expected = "; ".join(f"{each.name}: {each.expected}" for each in FORMATS.values())
        raise FormatError(f"cannot tell the format of {path.name}: expected one of {expected}")
    chosen = found[0] if format == "auto" else FORMATS[format]
    chosen.check(path)
    known = scale or chosen.scale
    defaults = Defaults(
        namespace, language or chosen.language(path), ReadingRules(known or FIVE_STARS)
    )
    return RowFile(path, chosen, defaults, scale_known=known is not None)


def _find_formats(path: Path) -> list[Format]:
    """Return the formats that a file can be read as, the most special first."""
    _check_readable(path)
    content = load_list(path)
    if content is None:
        lines = islice(read_json_lines(path), _LOOK_AT)
        rows = [row for _, row in lines if isinstance(row, dict)]
        return _fitting(path, rows, listed=False)
    items = list(islice(read_items(content), _LOOK_AT))
    if not items:
        raise FormatError(f"{path} is empty: its JSON list holds nothing")
    rows = [item for _, _, item in items if isinstance(item, dict)]
    found = _fitting(path, rows, listed=True)
    if not found and rows and is_text_row(rows[0]):
        raise FormatError(
            f"{path.name} is a JSON list of texts: put one a line (jq -c '.[]' {path.name})"
        )
    return found


def _fitting(path: Path, rows: list[dict[str, Any]], *, listed: bool) -> list[Format]:
    """Return the formats of the first row that is of any."""
    for row in rows or (None,):
        head = Head(path, listed, row)
        found = [each for each in reversed(FORMATS.values()) if each.fits(head)]
        if found:
            return found
    return []


def _check_readable(path: Path) -> None:
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
