"""Find near-copies by shared words, and filter out what a request must not be shown.

A shingle is a run of three folded words (`words`). Two texts are near-copies if they share at least
60% of the different shingles of the one that has fewer, and at least twelve (containment: Broder
1997, "On the resemblance and containment of documents"). So a text that was cut or extended is
still a copy, and a common phrase makes none.

Among pieces of evidence, texts are near-copies as well if they have 60% of all different words of
their bodies in common (resemblance, ibid.): a retouched text, in another order or with typing
errors, is one more voice of the same author at most.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..texts.arrow import Places, take, terms_of_rows
from .request import SearchRequest
from .words import Terms, bare, terms_of

Shingles = NDArray[np.uint64]
Mask = NDArray[np.bool_]
Counts = NDArray[np.int64]
ShinglesAndStarts = tuple[Shingles, Places]

WORDS = 3
"""Words of a shingle."""

COPIED = 0.6
"""Share of the shorter text's shingles from which two texts are near-copies."""

ALIKE = 0.6
"""Share of all different words of two bodies from which they are near-copies (Jaccard)."""

LEAST_SHARED = 12
"""Shared shingles of near-copies at least: fourteen words in a row, or more in pieces."""

_FACTORS = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], np.uint64)
_TABLE_BITS = 16
_AT_ONCE = 1 << 16  # different values: some megabytes for a hundred texts


def shingles_of(terms: Terms, starts: Places) -> Shingles:
    """Return the hashed shingle that begins at each term, shape (terms,); 0: the text ends first.

    Args:
        terms: Terms of all texts, one after another.
        starts: Where each text begins in `terms`, shape (texts + 1,).
    """
    shingles = np.zeros(len(terms), np.uint64)
    whole = max(0, len(terms) - WORDS + 1)
    for place, factor in enumerate(_FACTORS):
        shingles[:whole] ^= terms[place : place + whole].astype(np.uint64) * factor
        shingles[:whole] ^= shingles[:whole] >> np.uint64(29)
    shingles |= np.uint64(1)
    for back in range(1, WORDS):
        ends = starts[1:] - back
        shingles[ends[ends >= starts[:-1]]] = 0
    return shingles


def copies_of(request: Terms, shingles: Shingles, starts: Places) -> Mask:
    """Return which texts are near-copies of a request's own words, shape (texts,).

    Args:
        request: Terms of the request, shape (words,).
        shingles: Of all texts, as `shingles_of` returns them.
        starts: Where each text begins, shape (texts + 1,).
    """
    copies = np.zeros(len(starts) - 1, np.bool_)
    wanted = _different(shingles_of(request, np.array([0, len(request)])))
    if len(wanted) < LEAST_SHARED:
        return copies
    # A table of bits first: it passes few of the shingles on to be compared.
    table = np.zeros(1 << _TABLE_BITS, np.bool_)
    table[_bits(wanted)] = True
    met = np.flatnonzero(table[_bits(shingles)])
    met = met[np.isin(shingles[met], wanted)]
    shared = np.bincount(np.searchsorted(starts, met, side="right") - 1, minlength=len(copies))
    for text in np.flatnonzero(shared >= LEAST_SHARED):
        own = _different(shingles[starts[text] : starts[text + 1]])
        both = np.array(len(np.intersect1d(own, wanted)))
        copies[text] = _enough(both, np.array(min(len(own), len(wanted))))
    return copies


def copies_among(
    terms: Terms, starts: Places, texts: Places, bodies: Sequence[str], of_titles: Places
) -> Mask:
    """Return which of some texts are near-copies of each other, shape (n, n); none of itself.

    Args:
        terms: Of all texts, one after another, those of a title before those of its body.
        starts: Where each text begins in `terms`, shape (all texts + 1,).
        texts: The n texts to be compared.
        bodies: Their bare bodies: equal ones are copies however short.
        of_titles: How many terms the title of each has, shape (n,).
    """
    at, begins = take(starts, texts)
    words = terms[at]
    owner = np.repeat(np.arange(len(texts)), np.diff(begins))
    shingles = shingles_of(words, begins)
    whole = shingles > 0
    shared, sizes = _shared(shingles[whole], owner[whole], len(texts))
    copies = _enough(shared, np.minimum(sizes[:, None], sizes[None, :]))
    in_body = np.arange(len(words)) >= (begins[:-1] + of_titles)[owner]
    shared, sizes = _shared(words[in_body], owner[in_body], len(texts))
    either = sizes[:, None] + sizes[None, :] - shared
    copies |= shared > ALIKE * either
    number = {body: place for place, body in enumerate(bodies)}
    alike = np.array([number[body] for body in bodies], np.int64)
    copies |= alike[:, None] == alike[None, :]
    np.fill_diagonal(copies, False)
    return copies


def voices_among(
    terms: Terms, starts: Places, texts: Places, bodies: Sequence[str], of_titles: Places
) -> Places:
    """Return a number for each text, the same for near-copies and for near-copies of those.

    Who retouches one text many times makes pairs that are far from each other, each near to others.
    The arguments are those of `copies_among`.
    """
    copies = copies_among(terms, starts, texts, bodies, of_titles)
    voices = np.arange(len(texts))
    while copies.any():
        # The least number among a text and its near-copies, until no number changes.
        least = np.where(copies, voices, len(texts)).min(axis=1)
        if (least >= voices).all():
            break
        voices = np.minimum(voices, least)
    return voices


def _shared(
    values: NDArray[np.unsignedinteger], owner: Places, texts: int
) -> tuple[Counts, Counts]:
    """Return how many different values each two texts share, and how many each has.

    Args:
        values: Of all texts.
        owner: The text of each value.
        texts: How many texts there are.
    """
    different, columns = np.unique(values, return_inverse=True)
    shared = np.zeros((texts, texts), np.int64)
    for begin in range(0, len(different), _AT_ONCE):
        here = (columns >= begin) & (columns < begin + _AT_ONCE)
        held = np.zeros((texts, min(_AT_ONCE, 64 * (len(different) // 64 + 1))), np.bool_)
        held[owner[here], columns[here] - begin] = True
        # As bits, some texts at a time: a product of matrices is slower, and BLAS keeps cores busy.
        bits = np.packbits(held, axis=1).view(np.uint64)
        step = max(1, _AT_ONCE // bits.size)
        for first in range(0, texts, step):
            some = slice(first, first + step)
            both = np.bitwise_count(bits[some, None] & bits)
            shared[some] += both.sum(axis=2, dtype=np.int64)
    return shared, shared.diagonal()


def _enough(shared: Counts, least: Counts) -> Mask:
    return (shared >= LEAST_SHARED) & (shared >= COPIED * least)


def _different(shingles: Shingles) -> Shingles:
    return np.unique(shingles[shingles > 0])


def _bits(shingles: Shingles) -> NDArray[np.uint64]:
    return shingles >> np.uint64(64 - _TABLE_BITS)


class EvidenceFilter:
    """Filters out the requester's own texts, copies of a target, and copies of the request.

    In short and rating tasks the text itself stands in the request: whoever posted it again would
    hand back what is asked for.
    """

    def __init__(self, request: SearchRequest) -> None:
        """Take the request; its `text` is "" where it has none (a title is not compared)."""
        self._own = request.history.user_id
        self._hidden = request.history.hidden_bodies | ({bare(request.text)} - {""})
        self._text = terms_of(request.text)

    def allowed(
        self, users: Sequence[str], bodies: Sequence[str], shingles: Callable[[], ShinglesAndStarts]
    ) -> Mask:
        """Return which texts may be shown, shape (texts,).

        Args:
            users: Author of each text.
            bodies: Bare body of each text (see `words.bare`).
            shingles: Returns the shingles of all texts, and where each text begins in them; called
                where the request has a text.
        """
        own, hidden = self._own, self._hidden
        pairs = zip(users, bodies, strict=True)
        allowed = np.fromiter((u != own and b not in hidden for u, b in pairs), bool, len(users))
        if len(self._text) and len(users):
            allowed &= ~copies_of(self._text, *shingles())
        return allowed

    def allowed_rows(self, rows: pa.Table) -> pa.Table:
        """Return those rows of the table `texts` that may be shown.

        Args:
            rows: With the columns `user_id`, `body` and `terms`.
        """

        def shingles() -> ShinglesAndStarts:
            terms, starts = terms_of_rows(rows)
            return shingles_of(terms, starts), starts

        bodies = [bare(body) for body in rows.column("body").to_pylist()]
        allowed = self.allowed(rows.column("user_id").to_pylist(), bodies, shingles)
        return rows if allowed.all() else rows.filter(pa.array(allowed))
