"""What is looked for in copies of texts, and the reading of files in which it may be.

A text is found by its words: the 20-character pieces that no other text of the store has (see
`texts.forget`). Files are read as what they are: strings of JSON are unescaped, columns of parquet
and Arrow are unpacked, compressed files too. Other files are searched as they lie on disk.
"""

from __future__ import annotations

import gzip
import html
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..files import load_object
from ..forgotten import recorded_user

if TYPE_CHECKING:
    import pyarrow as pa

    from ..texts.forget import PieceFinder

_JOINED = 1 << 20
"""Characters that are searched together."""

_COLUMNS = {".parquet", ".arrow"}
_PACKED = {".gz": gzip.open}


@dataclass(frozen=True)
class Sought:
    """What of a person, or of single texts, is looked for.

    Attributes:
        namespace: The tenant.
        user_id: The person.
        finder: Finds the pieces of the texts; None where they have none.
        text_ids: Ids of the texts.
        bodies: Their bodies, which requests of the person may repeat.
        everything: Whether all that names the person is looked for; else only the texts.
        by_id: Whether the person's id counts: in places that were made of the store. Elsewhere
            another person may have it.
        keeps_own: Whether records of the person's own runs stay: the texts are only private.
    """

    namespace: str
    user_id: str
    finder: PieceFinder | None = None
    text_ids: frozenset[str] = frozenset()
    bodies: tuple[str, ...] = ()
    everything: bool = True
    by_id: bool = True
    keeps_own: bool = False

    def has_words(self, value: object) -> bool:
        """Return whether a JSON value has words of the texts."""
        return self.words_in(strings_of(value))

    def words_in(self, strings: Iterable[str]) -> bool:
        """Return whether any string has words of the texts."""
        if self.finder is None or not len(self.finder):
            return False
        data = "\x00".join(strings).encode("utf-8", "surrogatepass")
        return self.finder.in_data(data)

    def in_value(self, value: object) -> bool:
        """Return whether a JSON value names the person or a text, or has words of a text."""
        return self._names(value) or self.has_words(value)

    def _names(self, value: object) -> bool:
        if isinstance(value, str):
            return value in self.text_ids
        if isinstance(value, dict):
            if self.everything and self.by_id and "user_id" in value:
                if recorded_user(value["user_id"]) == self.user_id:
                    return True
            return any(self._names(each) for each in value.values())
        return isinstance(value, list) and any(self._names(each) for each in value)

    def in_file(self, path: Path) -> bool:
        """Return whether a file has words of the texts or, where ids count, names the person.

        Raises:
            OSError: It can't be read.
        """
        if path.suffix not in _COLUMNS and path.suffix not in _PACKED and self.finder is not None:
            if len(self.finder) and self.finder.in_files([path]).any():
                return True
        token = self._token
        for part in parts_of(path):
            if self.words_in([part]) or (token is not None and token.search(part)):
                return True
        return False

    @property
    def _token(self) -> re.Pattern[str] | None:
        if not (self.everything and self.by_id):
            return None
        return re.compile(rf"(?<![\w-]){re.escape(self.user_id)}(?![\w-])")

    def in_bytes(self, data: bytes) -> bool:
        """Return whether bytes have words of the texts, or the id of one."""
        if any(each.encode() in data for each in self.text_ids):
            return True
        return self.finder is not None and bool(len(self.finder)) and self.finder.in_data(data)


def strings_of(value: object) -> Iterator[str]:
    """Yield all strings of a JSON value, names of fields too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, each in value.items():
            yield str(name)
            yield from strings_of(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from strings_of(each)


def parts_of(path: Path) -> Iterator[str]:
    """Yield what a file says, in parts.

    Raises:
        OSError: It can't be read.
    """
    if path.suffix in _COLUMNS:
        for batch in _batches(path):
            yield from joined(strings_of(batch.to_pylist()))
        return
    opened = _PACKED.get(path.suffix, open)
    try:
        with opened(path, "rb") as file:
            yield from joined(_said(path, file))
    except (gzip.BadGzipFile, EOFError, zlib.error):  # not packed, or cut: as it lies there
        with path.open("rb") as file:
            yield from joined(line.decode("utf-8", "replace") for line in file)


def _said(path: Path, lines: Iterable[bytes]) -> Iterator[str]:
    names = {suffix.lower() for suffix in path.suffixes}
    if ".json" in names:
        whole = b"".join(lines)
        try:
            yield from strings_of(json.loads(whole))
        except (ValueError, RecursionError):
            yield whole.decode("utf-8", "replace")
        return
    for line in lines:
        record = load_object(line) if ".jsonl" in names else None
        if record is not None:
            yield from strings_of(record)
        else:
            said = line.decode("utf-8", "replace")
            yield html.unescape(said) if ".html" in names else said


def joined(strings: Iterable[str]) -> Iterator[str]:
    """Yield strings together, up to some length, with a mark between that no text has."""
    waiting, size = list[str](), 0
    for each in strings:
        waiting.append(each)
        size += len(each)
        if size >= _JOINED:
            yield "\x00".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield "\x00".join(waiting)


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if path.suffix == ".parquet":
            yield from pq.ParquetFile(path).iter_batches()
        else:
            with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as reader:
                yield from reader  # a stream, as `datasets` writes it
    except pa.ArrowInvalid as error:
        raise OSError(f"{path} is damaged: {error}") from error
