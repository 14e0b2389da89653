"""The bytes of a file: packed or not, whole or in pieces; and what files are that hold no text.

A file is known by its first bytes, not by its name. Damage is told, and what stands before it read.
"""

from __future__ import annotations

import bz2
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ..validation import FormatError

_CHUNK = 1 << 20
_LARGEST_WINDOW = 1 << 31  # of zstd; Reddit's dumps need it
_STEP = 2_048  # packed bytes: even blank ones are some 64 million bytes of content at the most
_AT_ONCE = 1 << 16  # bytes of content
_UNPACK = "unpack it, and name the file in it"
_AS_TABLE = "save it as parquet, CSV or JSON lines"
_WEB_PAGE = "a web page, not the data: download the file itself, after a login where it needs one"
_PICKLE = f"a Python pickle, which may run code: where you trust it, load it and {_AS_TABLE}"
_POINTER = "a pointer of Git LFS, not the data: fetch that with git lfs pull"


def _start_zstd() -> Any:
    import zstandard

    return zstandard.ZstdDecompressor(max_window_size=_LARGEST_WINDOW).decompressobj(_AT_ONCE)


@dataclass(frozen=True)
class Packing:
    """A way in which files are compressed.

    Attributes:
        name: As people call it.
        magic: The first bytes of a file.
        start: Returns what unpacks one stream; a file may hold several.
    """

    name: str
    magic: bytes
    start: Callable[[], Any]


PACKINGS = (
    Packing("gzip", b"\x1f\x8b", lambda: zlib.decompressobj(16 + zlib.MAX_WBITS)),
    Packing("zstd", b"\x28\xb5\x2f\xfd", _start_zstd),
    Packing("bzip2", b"BZh", bz2.BZ2Decompressor),
    Packing("xz", b"\xfd7zXZ\x00", lzma.LZMADecompressor),
)


def damages() -> tuple[type[Exception], ...]:
    """Return the errors that a damaged packed file raises."""
    import zstandard

    return (EOFError, OSError, zlib.error, lzma.LZMAError, zstandard.ZstdError)


def open_bytes(path: Path, pieces: tuple[Path, ...]) -> Any:
    """Open a file, or its pieces as one, for reading."""
    return io.BufferedReader(_Joined(pieces), _CHUNK) if pieces else path.open("rb")


def find_packing(path: Path, pieces: tuple[Path, ...]) -> Packing | None:
    """Return how a file is packed; None if it is not.

    Raises:
        FormatError: It can't be opened.
    """
    try:
        with open_bytes(path, pieces) as file:
            start = file.read(16)
    except FileNotFoundError:
        raise FormatError(f"no such file: {path}", code="no_such_file") from None
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror}") from None
    return next((each for each in PACKINGS if start.startswith(each.magic)), None)


class Unpacked(io.RawIOBase):
    """The content of a packed file; one that is damaged ends there.

    Attributes:
        packing: How it is packed.
        damage: What is wrong with it, as far as it was read; "" for nothing.
    """

    def __init__(self, file: IO[bytes], packing: Packing) -> None:
        self.packing, self.damage = packing, ""
        self._file, self._stream = file, packing.start()
        self._packed = self._ready = b""
        self._ended = False

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; 0 at the end."""
        if not self._ready:
            self._unpack()
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size

    def _unpack(self) -> None:
        """Unpack so much as is worth a call, one step at a time: damage costs no more than that."""
        found, size = [], 0
        while size < _AT_ONCE and not self._ended:
            try:
                found.append(self._unpack_step())
            except damages() as error:
                self.damage, self._ended = str(error) or type(error).__name__, True
            else:
                size += len(found[-1])
        self._ready = b"".join(found)

    def _unpack_step(self) -> bytes:
        """Return the next content; Python's own classes take damage between streams for an end.

        Raises:
            EOFError: The file ends inside a stream.
            Exception: Any of `damages`.
        """
        packed = self._packed or self._file.read(_STEP)
        self._packed = b""
        if not packed:
            self._ended = True
            if not self._stream.eof:
                raise EOFError("it breaks off")
            return b""
        if self._stream.eof:
            packed = packed.lstrip(b"\x00")  # padding
            if not packed:
                return b""
            self._stream = self.packing.start()
        content: bytes = self._stream.decompress(packed)
        if self._stream.eof:
            self._packed = self._stream.unused_data
        return content


class _Joined(io.RawIOBase):
    """The pieces of a file that was split, one behind the other."""

    def __init__(self, pieces: tuple[Path, ...]) -> None:
        self._pieces = iter(pieces)
        self._file: Any = io.BytesIO()
        self._place = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; 0 at the end."""
        while not (size := self._file.readinto(buffer)):
            following = next(self._pieces, None)
            if following is None:
                return 0
            self._file.close()
            self._file = following.open("rb")
        self._place += size
        return int(size)

    def tell(self) -> int:
        """Return the number of bytes read."""
        return self._place

    def close(self) -> None:
        """Close the piece that is read."""
        self._file.close()
        super().close()


def _in_zip(path: Path) -> str:
    """Return what a zip archive is: sheets are archives, too."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile):  # packed once more, or damaged
        names = []
    if "xl/workbook.xml" in names or "xl/workbook.bin" in names:
        return "an Excel workbook: save the sheet as CSV (UTF-8)"
    if "mimetype" in names and "content.xml" in names:
        return "an OpenDocument file: save the sheet as CSV (UTF-8)"
    return f"a zip archive: {_UNPACK}"


_KINDS: tuple[tuple[re.Pattern[bytes], str | Callable[[Path], str]], ...] = tuple(
    (re.compile(pattern, re.DOTALL), what)
    for pattern, what in (
        (rb"PK(\x03\x04|\x05\x06)", _in_zip),
        (rb".{257}ustar", f"a tar archive: {_UNPACK}"),
        (rb"Rar!\x1a", f"a RAR archive: {_UNPACK}"),
        (rb"7z\xbc\xaf", f"a 7z archive: {_UNPACK}"),
        (rb"\x04\x22\x4d\x18", "packed with lz4: unpack it (lz4 -d)"),
        (rb"\xff\x06\x00\x00sNaPpY", "packed with snappy: unpack it"),
        (rb"\x1f\x9d", "packed with compress: unpack it (uncompress)"),
        (rb"ORC[^ -~\r\n\t]", f"an ORC table: read it with pyarrow.orc and {_AS_TABLE}"),
        (rb"Obj\x01", f"an Avro file: {_AS_TABLE}"),
        (rb"FEA1", "a Feather file of version 1: save it as parquet"),
        (rb"PARE[^ -~\r\n\t]", "an encrypted parquet file: save it without encryption"),
        (rb"\x93NUMPY", f"an array of NumPy: {_AS_TABLE}"),
        (rb"\x89HDF", f"an HDF5 file: {_AS_TABLE}"),
        (rb"\x80[\x02-\x05]", _PICKLE),
        (rb"RD[AX][23]\n|X\n\x00\x00", f"a file of R: {_AS_TABLE}"),
        (rb"\$FL[23]@", f"an SPSS file: {_AS_TABLE}"),
        (rb"<stata_dta>", f"a Stata file: {_AS_TABLE}"),
        (rb"SQLite format 3", "an SQLite data base: export the table as CSV"),
        (rb"%PDF", "a PDF document, not a table of texts"),
        (rb"\xd0\xcf\x11\xe0", "an old Excel or Word document: save it as CSV (UTF-8)"),
        (rb"(?i)(\xef\xbb\xbf)?\s*<(!doctype html|html)", _WEB_PAGE),
        (rb"(\xef\xbb\xbf)?\s*<\?xml", f"an XML document: {_AS_TABLE}"),
        (rb"version https://git-lfs", _POINTER),
    )
)


def other_kind(head: bytes, path: Path) -> str:
    """Return what a file is and what to do with it, by its first bytes; "" if it may be text.

    Args:
        head: The first bytes, unpacked; 512 tell all.
        path: The file.
    """
    for pattern, what in _KINDS:
        if pattern.match(head):
            return what if isinstance(what, str) else what(path)
    return ""
