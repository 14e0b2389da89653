"""Files of text as UTF-8 lines: unpacked, whatever their encoding and their line ends are.

A file is scanned once when it is opened. The scan says whether its bytes are UTF-8 to the last,
which line ends it has, and what its content's hash is; a file that is not UTF-8 is read in the
encoding that charset-normalizer finds, and this is said. All readers work on UTF-8 lines.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from ...errors import shortened
from ..validation import FormatError, Reject, WrongReading
from .detection import HEAD, Scan, detect
from .packings import Packing, Unpacked, find_packing, open_bytes, other_kind
from .rows import Advance

LONGEST_LINE = 4_000_000
"""Bytes; 100,000 characters take 1.2 million at the most, as `\\ud83d\\ude00`."""

_CHUNK = 1 << 20
_MOST_KEPT = 32_000_000  # bytes of a packed file's content: unpacking it anew takes the most time
_LINE_END = re.compile(rb"\r*\n|\r")
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (b"+/v8-", "utf-7"),
)


@dataclass
class TextFile:
    """A file of text, ready to be read as UTF-8.

    Attributes:
        path: The file, or the folder of its pieces.
        packing: How it is compressed; None if it is not.
        encoding: Python's name of its encoding.
        mark: Bytes of the byte order mark.
        carriage_returns: Whether its lines end in CR alone.
        content_hash: Eight hex digits of the hash of the unpacked content.
        notes: What has to be said of it.
        pieces: The files that it was split into, if it was.
        content: What it holds unpacked, where that is not much; None otherwise.
    """

    path: Path
    packing: Packing | None = None
    encoding: str = "utf-8"
    mark: int = 0
    carriage_returns: bool = False
    content_hash: str = ""
    notes: list[str] = field(default_factory=list)
    pieces: tuple[Path, ...] = ()
    content: bytes | None = field(default=None, repr=False)

    @property
    def size(self) -> int:
        """Bytes that are read: of the file, of its pieces, or of the content that is kept."""
        if self.content is not None:
            return len(self.content)
        return sum(path.stat().st_size for path in self.pieces or (self.path,))

    @contextmanager
    def open(self) -> Iterator[tuple[IO[bytes], Callable[[], int], Callable[[], str]]]:
        """Open a stream of UTF-8 bytes.

        Yields:
            The stream, a function that returns the position in the file in bytes, and one that
            returns the damage by which a packed file ended too early; "" for none.
        """
        kept = self.content
        with open_bytes(self.path, self.pieces) if kept is None else io.BytesIO(kept) as file:
            source: Any = file
            if self.packing is not None and kept is None:
                source = Unpacked(file, self.packing)
            unpacked = source
            _skip(source, self.mark)
            if self.encoding != "utf-8" or self.carriage_returns:
                source = _AsUtf8(source, self.encoding, self.carriage_returns)
            if source is not file:
                source = io.BufferedReader(source, _CHUNK)
            yield source, file.tell, lambda: "" if unpacked is file else unpacked.damage

    def head(self) -> bytes:
        """Return the first bytes as UTF-8."""
        with self.open() as (stream, _, _):
            return stream.read(HEAD)

    def lines(self, advance: Advance | None = None) -> Iterator[tuple[int, bytes | Reject]]:
        """Yield number and bytes of each line, with its end.

        A line of more than `LONGEST_LINE` bytes is a reject and takes no more memory than that; so
        is the place from which a packed file is damaged, and the line that breaks off there.
        """
        number = 0
        with self.open() as (stream, position, damage):
            while True:
                data = stream.readline(LONGEST_LINE)
                whole = data.endswith(b"\n")
                if not whole:
                    whole = _skip_line(stream, data)
                    if not data or (whole and damage()):
                        break
                number += 1
                if whole:
                    yield number, data
                else:
                    reason = f"the line has more than {LONGEST_LINE:,} bytes"
                    yield number, Reject(number, reason, code="line_length")
                if advance is not None:
                    advance(position())
            if damage():
                yield number + 1, damage_reject(number + 1, damage())


def damage_reject(line: int, damage: str) -> Reject:
    """Return the reject for the end of a damaged file."""
    return Reject(line, f"the file is damaged from here to its end: {damage}", code="damaged")


def open_text(path: Path, encoding: str | None = None, pieces: tuple[Path, ...] = ()) -> TextFile:
    """Scan a file and return it, ready to be read.

    Args:
        path: The file, or the folder of its pieces.
        encoding: Its encoding, if it is known; None: it is detected.
        pieces: The files that it was split into, in their order.

    Raises:
        FormatError: It is missing, empty, no text, or damaged from the beginning.
        WrongReading: The encoding is unknown, or the file can't be in it.
    """
    if encoding is not None:
        encoding = _known_encoding(encoding)
    packing = find_packing(path, pieces)
    with open_bytes(path, pieces) as file:
        scan = _scan(path, file if packing is None else Unpacked(file, packing))
    text = TextFile(path, packing, content_hash=scan.digest.hexdigest()[:8], pieces=pieces)
    text.content = b"".join(scan.kept) if scan.kept else None
    _choose_encoding(text, scan, encoding)
    if text.encoding == encoding:
        _try_encoding(text)
    text.carriage_returns = scan.has_return and _ends_in_returns(text.head())
    return text


def _ends_in_returns(head: bytes) -> bool:
    """Say whether lines end in CR alone; there may be LF inside of their texts, or at the end."""
    found = _LINE_END.search(head)
    alone = found is not None and found[0] == b"\r"
    return alone and head.count(b"\r") - head.count(b"\r\n") >= head.count(b"\n")


def _known_encoding(given: str) -> str:
    """Return Python's name of an encoding of text; `hex` and `zlib` are codecs, but none."""
    try:
        found = codecs.lookup(given)
    except (LookupError, ValueError):  # ValueError: a NUL in the name
        found = None
    if found is None or not getattr(found, "_is_text_encoding", True):
        raise WrongReading(
            f"unknown encoding {shortened(given)}: expected one as utf-8, cp1252",
            code="unknown_encoding",
        )
    return found.name


def _try_encoding(text: TextFile) -> None:
    """Raise if a file can't be read at all in the encoding that the caller names."""
    if text.encoding in ("utf-16", "utf-32"):  # one with a mark is read as that says
        reason = f"it has no byte order mark; say {text.encoding}-le or {text.encoding}-be"
    else:
        try:
            text.head()
            return
        except (UnicodeError, LookupError):  # as `idna`, which cannot go on after a wrong byte
            reason = "say one as utf-8, cp1252"
    raise WrongReading(
        f"{text.path.name} cannot be read as {text.encoding}: {reason}", code="unknown_encoding"
    )


def _scan(path: Path, stream: Any) -> Scan:
    scan, size, packed = Scan(), 0, isinstance(stream, Unpacked)
    while chunk := stream.read(_CHUNK):
        size += len(chunk)
        if packed and size <= _MOST_KEPT:
            scan.kept.append(chunk)
        else:
            scan.kept.clear()
        first = not scan.head
        scan.feed(chunk)
        if first and (what := other_kind(scan.head, path)):
            raise FormatError(f"{path.name} is {what}", code="not_text")
    if isinstance(stream, Unpacked) and stream.damage:
        scan.kept.clear()  # where it is damaged is found by reading up to there
    if isinstance(stream, Unpacked) and stream.damage and not scan.head:
        name = stream.packing.name
        raise FormatError(
            f"{path.name} is packed with {name} and damaged ({stream.damage}): get it anew",
            code="damaged_file",
        )
    if not scan.head.strip(b" \t\r\n\x00\xef\xbb\xbf\xff\xfe"):
        raise FormatError(f"{path} is empty", code="empty_file")
    return scan


def _choose_encoding(text: TextFile, scan: Scan, given: str | None) -> None:
    for mark, name in _BYTE_ORDER_MARKS:
        if scan.head.startswith(mark):
            text.encoding, text.mark = name, len(mark)
            break
    else:
        text.encoding, rivals = (given, []) if given else detect(scan, text.path.name)
        if rivals:
            others = " or ".join(rivals)
            said = f"detected, but it may be {others}: look at its texts, and name it: --encoding"
        else:
            said = "detected; otherwise: --encoding"
    if text.mark:
        said = "as its byte order mark says"
    if text.encoding != "utf-8" and (text.mark or given is None):
        text.notes.append(f"read as {text.encoding} ({said})")
    elif text.encoding == "utf-8" and scan.faults:
        text.notes.append("some rows have bytes that are not UTF-8: they are rejected")


def _skip(stream: Any, size: int) -> None:
    while size:
        size -= len(stream.read(size)) or size


def _skip_line(stream: IO[bytes], read: bytes) -> bool:
    """Go behind a line of which some was read, and return whether that was all."""
    rest = read
    while len(rest) == LONGEST_LINE and not rest.endswith(b"\n"):
        rest = stream.readline(LONGEST_LINE)
    return rest is read


_LOST = "patlm-lost"
"""Name of what is done about bytes that are none of an encoding."""


def _lost(error: UnicodeError) -> tuple[str, int]:
    """Return half of a pair for such bytes; `surrogateescape` stops at those that are ASCII."""
    assert isinstance(error, UnicodeDecodeError)
    return "\udcff", error.end


class _AsUtf8(io.RawIOBase):
    """A stream in another encoding, or with other line ends, as UTF-8 with line feeds.

    Bytes that are none of the encoding become such that are no UTF-8 either, so that the row they
    stand in is rejected.
    """

    def __init__(self, source: Any, encoding: str, carriage_returns: bool) -> None:
        wide = encoding.startswith(("utf-16", "utf-32"))
        codecs.register_error(_LOST, _lost)
        errors = "surrogatepass" if wide else _LOST
        self._decode = codecs.getincrementaldecoder(encoding)(errors).decode
        self._source, self._returns = source, carriage_returns
        self._ready, self._ended = b"", False

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; 0 at the end."""
        while not self._ready and not self._ended:
            chunk = self._source.read(_CHUNK)
            self._ended = not chunk
            try:
                text = self._decode(chunk, self._ended)
            except UnicodeDecodeError:  # half a character at the end of the file
                text, self._ended = "\udcff", True
            if self._returns:
                text = text.replace("\r", "\n")
            self._ready = text.encode("utf-8", "surrogatepass")
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size
