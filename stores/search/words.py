"""Normalise texts for comparison: hashed terms, and bare bodies.

Terms are 32-bit hashes (CRC-32) of folded words. They are computed once, when a text is stored, so
that BM25 over a topic is array work and a request never splits a text. There is no stemming and no
stop-word list: a store may hold several languages, and BM25 gives common words little weight.
"""

from __future__ import annotations

import re
import unicodedata
import zlib

import numpy as np
from numpy.typing import NDArray

Terms = NDArray[np.uint32]

_WORD = re.compile(r"\w+")


def folded(text: str) -> str:
    """Return the text in one case and without accents."""
    if text.isascii():
        return text.lower()
    split = unicodedata.normalize("NFKD", text.casefold())
    return "".join(sign for sign in split if not unicodedata.combining(sign))


def terms_of(text: str) -> Terms:
    """Return the hashed words of a text in their order, shape (words,)."""
    words = _WORD.findall(folded(text))
    return np.fromiter((zlib.crc32(word.encode()) for word in words), np.uint32, len(words))


def bare(body: str) -> str:
    """Return a body by which two texts count as the same: one case, single spaces."""
    return " ".join(body.split()).casefold()
