"""Go through users in an order until enough of them gave a text."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pyarrow as pa

from .ragged import Places
from .records import Hit
from .rows import PLAIN_COLUMNS
from .snapshots import Snapshots
from .users import Users

AUTHOR_COLUMNS = (*PLAIN_COLUMNS, "text_id", "style")
SPARE_USERS = 4
"""Users fetched beyond k, for those all of whose texts are hidden from the requester."""

Pick = Callable[[pa.Table], Mapping[str, Hit]]
"""Takes rows of `AUTHOR_COLUMNS` and returns a text of each author who may give one."""


async def first_texts(
    snapshots: Snapshots, namespace: str, users: Users, order: Places, k: int, pick: Pick
) -> list[Hit]:
    """Return a text of each of the first k users who give one.

    Args:
        snapshots: Where texts are read.
        namespace: The tenant.
        users: Its users.
        order: Their rows, those who come first in front.
        k: How many texts.
        pick: Called in a thread.
    """
    hits: list[Hit] = []
    begin, width = 0, k + SPARE_USERS
    while len(hits) < k and begin < len(order):
        batch = [users.ids[row] for row in order[begin : begin + width]]
        rows = await snapshots.shared_texts(namespace, batch, AUTHOR_COLUMNS)
        found = await asyncio.to_thread(pick, rows.sort_by("text_id").combine_chunks())
        hits.extend(found[user] for user in batch if user in found)
        begin, width = begin + width, width * 2
    return hits[:k]
