"""Texts that say one another again: near-copies, by the runs of words that they share.

A shingle is a run of three words (folded, as `words` has them). Two texts are near-copies if they
share at least 60% of the different shingles of the one that has fewer, and at least twelve
(containment: Broder 1997, "On the resemblance and containment of documents"). So a text that was
cut or prolonged is still a copy, and a phrase that everybody uses makes none.

What a request must not be shown: the requester's own texts, the target, the request's own text.

In short and rating tasks the text itself stands in the request. Whoever else posted it again would
hand back what is asked for, or give four pieces of evidence that say what is known already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..texts.arrow import Places, take, terms_of_rows
from ..types import History
from .words import Terms, bare, terms_of

Shingles = NDArray[np.uint64]
Mask = NDArray[np.bool_]
Counts = NDArray[np.int64]

WORDS = 3
"""Words of a shingle."""

COPIED = 0.6
"""Share of the shorter text's shingles from which two texts are near-copies."""

LEAST_SHARED = 12
"""Shared shingles of near-copies at least: fourteen words in a row, or more in pieces."""

_FACTORS = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], np.uint64)
_TABLE_BITS = 16


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


def copies_among(shingles: Shingles, starts: Places, texts: Places, bodies: Sequence[str]) -> Mask:
    """Return which of some texts say each other again, shape (n, n); of itself none does.

    Args:
        shingles: Of all texts, as `shingles_of` returns them.
        starts: Where each text begins, shape (all texts + 1,).
        texts: The n texts to be compared.
        bodies: Their bare bodies: equal ones are copies however short.
    """
    at, begins = take(starts, texts)
    owner = np.repeat(np.arange(len(texts)), np.diff(begins))
    found = shingles[at]
    order = np.lexsort((owner, found))
    order = order[found[order] > 0]
    found, owner = found[order], owner[order]
    first = np.ones(len(order), np.bool_)
    first[1:] = (np.diff(found) > 0) | (np.diff(owner) > 0)
    found, owner = found[first], owner[first]
    sizes = np.bincount(owner, minlength=len(texts))
    shared = np.zeros((len(texts), len(texts)), np.int64)
    # Holders of one shingle stand side by side: only they can have it in common.
    for apart in range(1, len(texts)):
        same = np.flatnonzero(found[apart:] == found[:-apart])
        if not len(same):
            break
        np.add.at(shared, (owner[same], owner[same + apart]), 1)
    shared += shared.T
    least = np.minimum(sizes[:, None], sizes[None, :])
    _, alike = np.unique(np.array(bodies), return_inverse=True)
    copies: Mask = _enough(shared, least) | (alike[:, None] == alike[None, :])
    np.fill_diagonal(copies, False)
    return copies


def _enough(shared: Counts, least: Counts) -> Mask:
    return (shared >= LEAST_SHARED) & (shared >= COPIED * least)


def _different(shingles: Shingles) -> Shingles:
    return np.unique(shingles[shingles > 0])


def _bits(shingles: Shingles) -> NDArray[np.uint64]:
    return shingles >> np.uint64(64 - _TABLE_BITS)


@dataclass(frozen=True)
class Unseen:
    """Tells for one request which texts may be shown.

    Attributes:
        history: The requester, whose own texts are left out as are copies of their targets.
        text: The request's own text; "" where it has none (a title is no text to be copied).
    """

    history: History
    text: str = ""

    @cached_property
    def terms(self) -> Terms:
        """Terms of the request's own text."""
        return terms_of(self.text)

    @cached_property
    def _hidden(self) -> frozenset[str]:
        return self.history.hidden_bodies | ({bare(self.text)} - {""})

    def shown(self, users: Sequence[str], bodies: Sequence[str]) -> Mask:
        """Return which texts are neither the requester's own nor the same as a hidden one.

        Args:
            users: Author of each text.
            bodies: Bare body of each text.
        """
        own, hidden = self.history.user_id, self._hidden
        pairs = zip(users, bodies, strict=True)
        return np.fromiter((u != own and b not in hidden for u, b in pairs), bool, len(users))

    def rows(self, rows: pa.Table) -> pa.Table:
        """Return those rows of the table `texts` that may be shown.

        Args:
            rows: With the columns `user_id`, `body` and `terms`.
        """
        bodies = [bare(body) for body in rows.column("body").to_pylist()]
        shown = self.shown(rows.column("user_id").to_pylist(), bodies)
        if self.text and rows.num_rows:
            terms, starts = terms_of_rows(rows)
            shown &= ~copies_of(self.terms, shingles_of(terms, starts), starts)
        return rows if shown.all() else rows.filter(pa.array(shown))
