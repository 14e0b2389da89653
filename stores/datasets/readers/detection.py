"""Find the encoding of a file without a byte order mark, by its bytes.

A pass over all of them counts what is UTF-8 and what is not, and keeps lines that show more:
those around bytes that are no UTF-8, and those with codes by which ASCII spells other letters
(ISO-2022, HZ, UTF-7). What such lines are in is found by charset-normalizer, or by decoding them.
"""

from __future__ import annotations

import codecs
import hashlib
import re
import unicodedata
from functools import partial

from ..validation import WrongReading

HEAD = 65_536
"""Bytes of the beginning by which a container is recognised."""

_MOST_FAULTS = 1_000  # bytes that are no UTF-8: enough to know
_AROUND = 200  # bytes of context for the detection of an encoding
_COMMONEST = "cp1252"
_BY_CHANCE = 1 / 3
"""Bytes like UTF-8 per byte that is not: no other encoding has as many (GB 18030: 0.1)."""

_FEW_LETTERS = 20
_ALIKE = 0.2
"""Difference of two coherences that says nothing where only a few letters are not ASCII."""

_SELDOM = ("mac_roman", "cp850")
"""Encodings of which a few letters are no proof."""

_RIVAL = 0.02
"""Difference of two disorders that says little."""

_ENCODINGS = [
    *(_COMMONEST, "cp1250", "cp1251", "koi8_r", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257"),
    *("mac_roman", "cp850", "cp932", "euc_jp", "euc_kr", "gb18030", "big5"),
]
_OF_JAVA = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]|\xc0\x80")
"""Halves of a surrogate pair, and a NUL, as Java and some data bases write them: nearly UTF-8."""

_MOST_SHOWN = 20_000  # bytes of lines that are looked at
_CODES = {
    "escapes": re.compile(rb"\x1b\$[@AB()]|\x1b\([IJ]|~\{[!-~]{2}"),
    "plus": re.compile(rb"\+"),
}
"""What begins letters that are no ASCII where all bytes are: in ISO-2022 and HZ, and in UTF-7."""

_SIGNS = ((b"\x1b", b"~{"), (b"+",))

_OF_ESCAPES = ("iso2022_jp_2", "iso2022_jp_2004", "iso2022_jp_ext", "iso2022_kr", "hz")
_OF_PLUS = re.compile(rb"\+([A-Za-z0-9+/]*)(-?)")
_LEAST_WORDS = 2
_ONE_SCRIPT = {
    **dict.fromkeys(("CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "FULLWIDTH"), "EAST"),
    **dict.fromkeys(("HALFWIDTH", "IDEOGRAPHIC", "BOPOMOFO"), "EAST"),
}


def _holds(chunk: bytes, sign: bytes) -> bool:
    """Say whether bytes are in a chunk; 40 times as fast as `in` where the first is rare."""
    first, at = sign[:1], chunk.find(sign[0])
    while at >= 0 and not chunk.startswith(sign, at):
        at = chunk.find(first, at + 1)
    return at >= 0


class Scan:
    """What a pass over all bytes of a file tells."""

    def __init__(self) -> None:
        self.digest = hashlib.sha1()
        self.head = b""
        self.has_line_feed = self.has_return = False
        self.several = 0  # bytes of UTF-8 characters beyond their first
        self.faults = 0  # bytes that are no UTF-8
        self.around = b""  # what stands around these
        self.kept: list[bytes] = []  # all of them, if they are few and were unpacked
        self.coded = dict.fromkeys(_CODES, b"")  # lines in which ASCII may spell other letters
        self._rest = b""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes."""
        self.digest.update(chunk)
        if len(self.head) < HEAD:
            self.head += chunk[: HEAD - len(self.head)]
        self.has_line_feed = self.has_line_feed or b"\n" in chunk
        self.has_return = self.has_return or b"\r" in chunk
        self._look_for_codes(chunk)
        if self.faults < _MOST_FAULTS and (self._rest or not chunk.isascii()):
            self._check(self._rest + chunk)

    def _look_for_codes(self, chunk: bytes) -> None:
        for (name, begins), signs in zip(_CODES.items(), _SIGNS, strict=True):
            if len(self.coded[name]) >= _MOST_SHOWN or not any(map(partial(_holds, chunk), signs)):
                continue
            shown = 0
            for found in begins.finditer(chunk):
                if found.start() >= shown and len(self.coded[name]) < _MOST_SHOWN:
                    line, shown = _line_at(chunk, found.start())
                    if not chunk.startswith(b"\n", shown):
                        line = line.rpartition(b" ")[0]  # the end may lie within a code
                    self.coded[name] += line + b"\n"

    def _check(self, data: bytes) -> None:
        view, start, shown = memoryview(data), 0, 0
        while self.faults < _MOST_FAULTS:
            try:
                text, used = codecs.utf_8_decode(view[start:], "strict", False)
            except UnicodeDecodeError as error:
                good = data[start : start + error.start]
                self.several += len(good) - len(good.decode())
                self.faults += 1
                at = start + error.start
                if len(self.around) < _MOST_SHOWN and at >= shown:
                    line = _line_at(data, at)
                    self.around, shown = self.around + line[0] + b"\n", line[1]
                nearly = _OF_JAVA.match(data, at)
                self.several += len(nearly[0]) if nearly else 0
                start = nearly.end() if nearly else start + error.end
            else:
                self.several += used - len(text)
                self._rest = data[start + used :]
                return


def _line_at(data: bytes, at: int) -> tuple[bytes, int]:
    """Return the line around a place, and its end; of a long line what is nearest.

    A line is whole, because half a character of two bytes would speak against its encoding.
    """
    start, end = data.rfind(b"\n", 0, at) + 1, data.find(b"\n", at)
    end = len(data) if end < 0 else end
    if end - start > 20 * _AROUND:
        start, end = max(0, at - _AROUND), at + _AROUND
    return data[start:end], end


def detect(scan: Scan, name: str) -> tuple[str, list[str]]:
    """Return the encoding of bytes without a mark, and others that fit them as well.

    Bytes that continue a character of UTF-8 are counted, and bytes that are no UTF-8. A one-byte
    encoding has next to none of the first, one of two bytes has some by chance. Damaged UTF-8 has
    at least as many of the first as of the second. What lies between may be either, and is asked
    for: one guess would garble texts, the other one reject them.

    Raises:
        WrongReading: It can't be told.
    """
    head = scan.head[:4096]
    zeros_first, zeros_second = head[0::2].count(0), head[1::2].count(0)
    if max(zeros_first, zeros_second) > len(head) // 5 > 4 * min(zeros_first, zeros_second):
        return "utf-16-be" if zeros_first > zeros_second else "utf-16-le", []
    if not scan.several and not scan.faults and (coded := _find_code(scan)):
        return coded, []
    if scan.several >= scan.faults:
        return "utf-8", []
    if scan.several > _BY_CHANCE * scan.faults:
        raise WrongReading(
            f"{name} may be damaged UTF-8 ({scan.several:,} of its bytes say so) or in another "
            f"encoding ({scan.faults:,} are no UTF-8): say --encoding utf-8, and the damaged rows "
            f"are rejected, or its own, as --encoding {_guess(scan.around)[0]}",
            code="encoding_unclear",
        )
    return _guess(scan.around)


def _find_code(scan: Scan) -> str:
    """Return the encoding in which the ASCII of a file spells other letters; "" if it does not."""
    if escapes := scan.coded["escapes"]:
        for encoding in _OF_ESCAPES:
            try:
                found = codecs.getincrementaldecoder(encoding)().decode(escapes)
            except UnicodeDecodeError:
                continue
            if not found.isascii():
                return encoding
    return "utf-7" if _is_utf7(scan.coded["plus"]) else ""


def _is_utf7(shown: bytes) -> bool:
    """Say whether what stands behind each plus of some lines is UTF-7, of letters of one script.

    Some plus of a file that is mere ASCII is always none: one before a space, or before a word
    whose length or last letter no encoder would write.
    """
    found = ""
    words = [letters for letters, end in _OF_PLUS.findall(shown) if letters or not end]
    try:
        for word in words:
            if not word:  # a plus as such is written as +-
                return False
            found += (b"+" + word + b"-").decode("utf-7")
        found.encode()
    except UnicodeError:
        return False
    names = {sign: unicodedata.name(sign, "").partition(" ")[0] for sign in found}
    scripts = {_ONE_SCRIPT.get(name, name) for sign, name in names.items() if sign.isalpha()}
    known = all(names.values()) and len(scripts) <= 1
    return known and len(words) >= _LEAST_WORDS and not found.isascii()


def _guess(around: bytes) -> tuple[str, list[str]]:
    """Return the encoding that charset-normalizer finds, and others that fit as well.

    Short texts fit several alike: then it is the commonest. The code pages of Windows have most
    letters in common, and are no others of each other.
    """
    from charset_normalizer import from_bytes

    matches = list(from_bytes(around, cp_isolation=_ENCODINGS))
    if not matches:
        return _COMMONEST, ["another"]
    chosen = matches[0]
    name = chosen.encoding
    letters = sum(byte > 0x7F for byte in around)
    least = chosen.coherence - (_ALIKE if letters < _FEW_LETTERS else 0)
    for match in matches:
        as_good = match.chaos <= matches[0].chaos and match.coherence >= least
        if as_good and _COMMONEST in match.could_be_from_charset:
            chosen, name = match, _COMMONEST
            break
    if letters < _FEW_LETTERS and name in _SELDOM and _fits(around, _COMMONEST):
        return _COMMONEST, [name]
    rivals = [match.encoding for match in matches if match.chaos <= chosen.chaos + _RIVAL]
    pages = name.startswith("cp12")
    return name, [each for each in rivals if each != name and not (pages and each[:4] == "cp12")]


def _fits(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
