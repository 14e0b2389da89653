"""Go through users in an order until enough of them gave a text."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa

from .near_copies import copies_among, shingles_of
from .ragged import Places, starts_of
from .records import Hit
from .rows import PLAIN_COLUMNS
from .snapshots import Snapshots
from .unseen import Unseen
from .users import Users
from .words import bare, terms_of

AUTHOR_COLUMNS = (*PLAIN_COLUMNS, "text_id", "style", "terms")
SPARE_USERS = 4
"""Users fetched beyond k, for those all of whose texts are hidden from the requester."""

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


async def first_texts(
    snapshots: Snapshots, unseen: Unseen, users: Users, order: Order, k: int, pick: Pick
) -> list[Hit]:
    """Return a text of each of the first k users who give one; near-copies count once.

    Args:
        snapshots: Where texts are read.
        unseen: Who asks, and what is not to be shown.
        users: The namespace's.
        order: Which of them, those who come first in front.
        k: How many texts.
        pick: Called in a thread, with what may be shown.
    """
    hits: list[Hit] = []
    begin, width = 0, k + SPARE_USERS
    while len(hits) < k and begin < len(order):
        rows_ahead = await asyncio.to_thread(order.between, begin, begin + width)
        batch = [users.ids[row] for row in rows_ahead]
        rows = await snapshots.shared_texts(unseen.history.namespace, batch, AUTHOR_COLUMNS)
        hits = await asyncio.to_thread(_extended, hits, batch, rows, unseen, pick)
        begin, width = begin + width, width * 2
    return hits[:k]


def _extended(
    hits: list[Hit], batch: list[str], rows: pa.Table, unseen: Unseen, pick: Pick
) -> list[Hit]:
    found = pick(unseen.rows(rows.sort_by("text_id").combine_chunks()))
    return without_copies([*hits, *(found[user] for user in batch if user in found)])


def without_copies(hits: Sequence[Hit]) -> list[Hit]:
    """Return hits less those whose text is a near-copy of an earlier one's."""
    terms = [terms_of(f"{hit.text.title} {hit.text.body}") for hit in hits]
    starts = starts_of(np.array([len(each) for each in terms], np.int64))
    bodies = [bare(hit.text.body) for hit in hits]
    everything = np.concatenate([np.zeros(0, np.uint32), *terms])
    shingles = shingles_of(everything, starts)
    copies = copies_among(shingles, starts, np.arange(len(hits)), bodies)
    kept: list[int] = []
    for place in range(len(hits)):
        if not copies[place, kept].any():
            kept.append(place)
    return [hits[place] for place in kept]
