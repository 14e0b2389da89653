"""Go through users in an order until enough of them gave a text.

The best of very many, in order: sorted as far as somebody looks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..texts.arrow import PLAIN_COLUMNS, Places, starts_of, terms_of_rows
from ..texts.users import Users
from ..types import Hit
from .duplicates import Unseen, copies_among, shingles_of
from .threads import MANY_ROWS, beside
from .words import Terms, bare

AUTHOR_COLUMNS = (*PLAIN_COLUMNS, "text_id", "terms")
SPARE_USERS = 4
"""Users fetched beyond k, for those all of whose texts are hidden from the requester."""

MANY_ORDERED = 200_000
"""Users from which to find those who come first is long."""

Read = Callable[[list[str]], Awaitable[pa.Table]]
"""Returns rows of `AUTHOR_COLUMNS` of some users' shared texts, each one's best first."""

Pick = Callable[[pa.Table], Mapping[str, Hit]]
"""Takes rows of `AUTHOR_COLUMNS` and returns a text of each author who may give one."""


class Order(Protocol):
    """Users in the order in which they are to give a text."""

    def __len__(self) -> int:
        """How many."""

    def between(self, begin: int, end: int) -> Places:
        """Return the rows of the users at the places from `begin` up to `end`."""


@dataclass(frozen=True)
class AsDrawn:
    """The order in which a control drew them."""

    rows: Places

    def __len__(self) -> int:
        return len(self.rows)

    def between(self, begin: int, end: int) -> Places:
        """Return the rows at the places from `begin` up to `end`."""
        return self.rows[begin:end]


@dataclass(frozen=True)
class Told:
    """A hit, and the terms of its text (of title and body)."""

    hit: Hit
    terms: Terms


async def first_texts(
    read: Read, unseen: Unseen, users: Users, order: Order, k: int, pick: Pick
) -> list[Hit]:
    """Return a text of each of the first k users who give one; near-copies count once.

    Args:
        read: Asked for the texts of some users at a time.
        unseen: Who asks, and what is not to be shown.
        users: The namespace's.
        order: Which of them, those who come first in front.
        k: How many texts.
        pick: Called with what may be shown.
    """
    hits: list[Told] = []
    begin, width = 0, k + SPARE_USERS
    while len(hits) < k and begin < len(order):
        many = len(order) > MANY_ORDERED
        rows_ahead = await beside(many, order.between, begin, begin + width)
        batch = [users.ids[row] for row in rows_ahead]
        rows = await read(batch)
        hits = await beside(len(rows) > MANY_ROWS, _extended, hits, batch, rows, unseen, pick)
        begin, width = begin + width, width * 2
    return [told.hit for told in hits[:k]]


def _extended(
    hits: list[Told], batch: list[str], rows: pa.Table, unseen: Unseen, pick: Pick
) -> list[Told]:
    rows = unseen.rows(rows)
    found = pick(rows)
    place = {text_id: at for at, text_id in enumerate(rows.column("text_id").to_pylist())}
    terms, starts = terms_of_rows(rows)
    new = [found[user] for user in batch if user in found]
    at = [place[hit.text.text_id] for hit in new]
    told = [Told(hit, terms[starts[n] : starts[n + 1]]) for hit, n in zip(new, at, strict=True)]
    return without_copies([*hits, *told])


def without_copies(hits: Sequence[Told]) -> list[Told]:
    """Return hits less those whose text is a near-copy of an earlier one's."""
    starts = starts_of(np.array([len(told.terms) for told in hits], np.int64))
    everything = np.concatenate([np.zeros(0, np.uint32), *(told.terms for told in hits)])
    bodies = [bare(told.hit.text.body) for told in hits]
    shingles = shingles_of(everything, starts)
    copies = copies_among(shingles, starts, np.arange(len(hits)), bodies)
    kept: list[int] = []
    for place in range(len(hits)):
        if not copies[place, kept].any():
            kept.append(place)
    return [hits[place] for place in kept]


HEAD = 256
"""So many are sorted at first; all 100,000 users of a large store take 8 ms."""


class BestFirst:
    """Rows by their scores, the highest first, equal ones in the order of the rows.

    Args:
        rows: In ascending order, shape (n,).
        scores: Of each row, shape (n,).
    """

    def __init__(self, rows: Places, scores: NDArray[np.floating]) -> None:
        self._rows, self._scores = rows, scores
        self._sorted = np.zeros(0, np.int64)

    def __len__(self) -> int:
        return len(self._rows)

    def between(self, begin: int, end: int) -> Places:
        """Return the rows that come at the places from `begin` up to `end`."""
        if len(self._sorted) < min(end, len(self)):
            self._sorted = self._best(max(HEAD, 2 * end))
        return self._sorted[begin:end]

    def _best(self, count: int) -> Places:
        if count >= len(self):
            return self._rows[np.argsort(-self._scores, kind="stable")]
        least = np.partition(self._scores, len(self) - count)[len(self) - count]
        # More than `count` where several have the least score: whole, so that ties go by row.
        head = np.flatnonzero(self._scores >= least)
        return self._rows[head[np.argsort(-self._scores[head], kind="stable")]]
