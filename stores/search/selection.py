"""Select texts of users in a given order, without near-copies, and draw matched random controls."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from itertools import islice

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..texts.arrow import PLAIN_COLUMNS, Places, starts_of, terms_of_rows, texts_of_rows
from ..texts.users import Users
from ..types import Hit, Text
from .duplicates import voices_among
from .threads import MANY_TERMS, are_many, in_thread_if
from .words import Terms, bare, terms_of

AUTHOR_COLUMNS = (*PLAIN_COLUMNS, "text_id", "terms")
SPARE_USERS = 4
"""Users fetched beyond k, for those all of whose texts are filtered out."""

MANY_ORDERED = 200_000
"""Users from which sorting them takes long."""

SORTED_AT_FIRST = 256
"""Sorting all 100,000 users of a large store takes 8 ms; few are needed."""

DRAWN_PER_TEXT = 16
"""Random candidates for each text, to find one of like length and rating."""

OTHER_RATING = 0.25
"""Distance of two ratings in matching: as much as a text that is 28% longer."""

Read = Callable[[list[str]], Awaitable[pa.Table]]
"""Returns rows of `AUTHOR_COLUMNS` of some users' texts that may be shown, best first."""

WithTerms = tuple[Hit, Terms]
"""A hit, and the terms of its title and body."""


def best_first(rows: Places, scores: NDArray[np.floating]) -> Iterator[int]:
    """Yield rows by score, highest first, ties in the order of the rows; sorts as few as it can.

    Args:
        rows: In ascending order, shape (n,).
        scores: Of each row, shape (n,).
    """
    begin, count = 0, SORTED_AT_FIRST
    while begin < len(rows):
        head = _best(rows, scores, count)
        yield from head[begin:]
        begin, count = len(head), 4 * count


def _best(rows: Places, scores: NDArray[np.floating], count: int) -> Places:
    if count >= len(rows):
        return rows[np.argsort(-scores, kind="stable")]
    least = np.partition(scores, len(rows) - count)[len(rows) - count]
    # All rows with the least score, so more than `count` of them where several tie.
    head = np.flatnonzero(scores >= least)
    return rows[head[np.argsort(-scores[head], kind="stable")]]


async def first_texts(
    users: Users, order: Iterator[int], k: int, read: Read, hit: Callable[[Text], Hit]
) -> list[Hit]:
    """Return one text of each of the first k users who have one that is no near-copy.

    Args:
        users: Of the namespace.
        order: Their rows, best first.
        k: How many texts.
        read: Reads the texts of some users; the first of each user's is taken.
        hit: Makes a hit of a text.
    """
    found: list[WithTerms] = []
    many, width = len(users.ids) > MANY_ORDERED, k + SPARE_USERS
    while len(found) < k:
        rows_ahead = await in_thread_if(many, list, islice(order, width))
        if not rows_ahead:
            break
        batch = [users.ids[row] for row in rows_ahead]
        rows = await read(batch)
        extend = partial(_extended, found, batch, rows, hit)
        terms = sum(len(terms) for _, terms in found)
        found = await in_thread_if(are_many(rows) or terms > MANY_TERMS, extend)
        width *= 2
    return [each for each, _ in found[:k]]


def _extended(
    found: list[WithTerms], batch: list[str], rows: pa.Table, hit: Callable[[Text], Hit]
) -> list[WithTerms]:
    first: dict[str, int] = {}
    for place, user in enumerate(rows.column("user_id").to_pylist()):
        first.setdefault(user, place)
    rows = rows.take(np.array([first[user] for user in batch if user in first], np.int64))
    terms, starts = terms_of_rows(rows)
    new = [
        (hit(text), terms[starts[place] : starts[place + 1]])
        for place, text in enumerate(texts_of_rows(rows))
    ]
    return without_copies([*found, *new])


def without_copies(found: Sequence[WithTerms]) -> list[WithTerms]:
    """Return hits less those whose text is a near-copy of an earlier one's."""
    starts = starts_of(np.array([len(terms) for _, terms in found], np.int64))
    everything = np.concatenate([np.zeros(0, np.uint32), *(terms for _, terms in found)])
    bodies = [bare(hit.text.body) for hit, _ in found]
    of_titles = np.array([len(terms_of(hit.text.title)) for hit, _ in found], np.int64)
    voices = voices_among(everything, starts, np.arange(len(found)), bodies, of_titles)
    _, first = np.unique(voices, return_index=True)
    return [found[place] for place in np.sort(first)]


def within_share(hits: Sequence[Hit], least_authors: int) -> list[Hit]:
    """Return hits of which no author has more than one in `least_authors`.

    The last ones of an author who has more are left out. One text of each author stays in any case.

    Args:
        hits: Best first.
        least_authors: From 1.
    """
    kept = list(hits)
    while kept:
        author, count = Counter(hit.text.user_id for hit in kept).most_common(1)[0]
        if count == 1 or count * least_authors <= len(kept):
            break
        del kept[max(at for at, hit in enumerate(kept) if hit.text.user_id == author)]
    return kept


def match_length_and_rating(wanted: Sequence[Text], candidates: Sequence[Hit]) -> list[Hit]:
    """Return for each wanted text the candidate most like it in length and rating.

    Each candidate is used once; where they run out, fewer come back. Ties go to the earlier one.
    """
    left = list(candidates)
    taken = []
    for text in wanted[: len(left)]:
        best = min(range(len(left)), key=lambda place: _distance(text, left[place].text))
        taken.append(left.pop(best))
    return taken


def _distance(one: Text, other: Text) -> float:
    lengths = [len(text.body.split()) + 1 for text in (one, other)]
    return abs(math.log(lengths[0] / lengths[1])) + OTHER_RATING * (one.rating != other.rating)
