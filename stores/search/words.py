"""Normalise words for comparison: hashed terms, bare bodies, and ids that look alike.

Terms are 32-bit hashes (CRC-32) of folded words. They are computed once, when a text is stored, so
that BM25 over a topic is array work and a request never splits a text. There is no stemming and no
stop-word list: a store may hold several languages, and BM25 gives common words little weight.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Iterable
from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray

Terms = NDArray[np.uint32]

_WORD = re.compile(r"\w+")
_ASCII_WORDS = bytes(ord(chr(at).lower()) if _WORD.match(chr(at)) else 32 for at in range(128)) * 2
"""Makes small letters of ASCII, and a space of what stands in no word."""


def folded(text: str) -> str:
    """Return the text in one case and without accents."""
    if text.isascii():
        return text.lower()
    split = unicodedata.normalize("NFKD", text.casefold())
    return "".join(sign for sign in split if not unicodedata.combining(sign))


def terms_of(text: str) -> Terms:
    """Return the hashed words of a text in their order, shape (words,)."""
    if text.isascii():
        words = text.encode().translate(_ASCII_WORDS).split()
    else:
        words = [word.encode() for word in _WORD.findall(folded(text))]
    return np.fromiter(map(zlib.crc32, words), np.uint32, len(words))


def bare(body: str) -> str:
    """Return a body by which two texts count as the same: one case, single spaces."""
    return " ".join(body.split()).casefold()


_COMPARED_IDS = 20_000


def similar_ids(wanted: str, ids: Iterable[str], most: int) -> tuple[str, ...]:
    """Return the ids that look like the wanted one: those that differ in form alone, if any do.

    Args:
        wanted: The id that was looked for.
        ids: The ids that are there.
        most: How many at most.
    """
    key = _without_form(wanted)
    folded = {each: _without_form(each) for each in ids if each != wanted}
    same = sorted(each for each, form in folded.items() if form == key)
    if same:
        return tuple(same[:most])
    # Comparing letter by letter is slow: only with ids of about the same length.
    close = [each for each, form in folded.items() if abs(len(form) - len(key)) < 3]
    by_form = {folded[each]: each for each in close[:_COMPARED_IDS]}
    return tuple(by_form[form] for form in get_close_matches(key, by_form, n=most))


def _without_form(user_id: str) -> str:
    """Return an id without case, accents, spaces and punctuation."""
    composed = unicodedata.normalize("NFKD", user_id).casefold()
    return "".join(sign for sign in composed if sign.isalnum())
