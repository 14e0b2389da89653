"""Forgets a user down to the bytes in the files, and proves it.

LanceDB keeps deleted rows: in the old version for seven days, and in the file itself where they
are a small share of a lone fragment, which no optimisation rewrites. So after the removal a
marker row is added: it makes a second fragment, merging the two rewrites the first, and then
every old version and index is erased.

The proof: every 20-character piece of the user's titles and bodies that no other text holds is
looked for in every byte of every file, before (where all must be found, or the search would
prove nothing) and after (where none may be).
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from .errors import NotForgotten
from .filters import all_but_user, within
from .inventory import store_files
from .outcomes import Receipt
from .pieces import PieceFinder, pieces_of
from .recount import COUNTED_COLUMNS
from .schema import TEXTS, TOPICS, USERS
from .snapshots import Snapshots
from .tables import Tables
from .tally import Tally
from .writing import Writer

ROUNDS = 6
"""Passes over one table at most. Three are usual: only fragments that are indexed alike are
merged, so the first indexes the marker, the second merges, the third finds nothing to do."""

PROVEN_COLUMNS = ("title", "body")
OTHER_COLUMNS = (*PROVEN_COLUMNS, "user_id", "topic_id")
"""Where a piece may stand for another reason than the user's texts."""


@dataclass(frozen=True)
class Forgetting:
    """Removes users from one store."""

    tables: Tables
    snapshots: Snapshots
    writer: Writer
    tally: Tally

    async def forget(self, namespace: str, user_id: str, *, dry_run: bool) -> Receipt:
        """Remove a user; see `TextStore.forget`."""
        begin = time.perf_counter()
        async with self.tables.writing():
            if not dry_run:
                # From here on, what a running `add` still holds of the user is dropped.
                self.writer.note_forgotten(namespace, user_id)
            async with self.tally.step():
                receipt = await self._remove(namespace, user_id, dry_run)
            self.snapshots.clear()
        receipt = replace(receipt, seconds=time.perf_counter() - begin)
        if receipt.bytes_found_after:
            raise NotForgotten(
                f"expected no piece of the user's texts in the files, found "
                f"{receipt.bytes_found_after} of {receipt.pieces}: stop whatever else works on "
                "this store, and forget the user again",
                receipt,
            )
        return receipt

    async def _remove(self, namespace: str, user_id: str, dry_run: bool) -> Receipt:
        rows = await self.tables.read(TEXTS, within(namespace, user=user_id), COUNTED_COLUMNS)
        topics = await self.tally.topics_without(namespace, rows)
        removed = {
            "texts": rows.num_rows,
            "vectors": 2 * rows.num_rows,
            "users": await self.tables.count(USERS, within(namespace, user=user_id)),
            "topics": sum(total.shared == 0 for total in topics.values()),
        }
        finder = await self._finder(namespace, user_id, rows)
        receipt = Receipt(
            user_id=user_id,
            dry_run=dry_run,
            removed=removed,
            pieces=len(finder),
            bytes_found_before=await self._found(finder),
        )
        if dry_run:
            return receipt
        await self.tables.delete(TEXTS, within(namespace, user=user_id))
        await self.tally.count_out(namespace, user_id, topics)
        return replace(receipt, bytes_found_after=await self._erase(finder))

    async def _finder(self, namespace: str, user_id: str, rows: pa.Table) -> PieceFinder:
        """Return a finder of the pieces that only this user's texts hold."""
        if not rows.num_rows:
            return PieceFinder(())
        others = await self.tables.read(TEXTS, all_but_user(namespace, user_id), OTHER_COLUMNS)

        def find_own() -> PieceFinder:
            texts = (text for name in PROVEN_COLUMNS for text in rows.column(name).to_pylist())
            finder = PieceFinder(pieces_of(texts))
            held = [finder.in_column(others.column(name)) for name in OTHER_COLUMNS]
            return finder.less(np.any(held, axis=0))

        return await asyncio.to_thread(find_own)

    async def _found(self, finder: PieceFinder) -> int | None:
        """Return how many pieces stand in the store's files; None where there are no files."""
        root = self.tables.root
        if root is None:
            return None
        found = await asyncio.to_thread(lambda: finder.in_files(store_files(root)))
        return int(found.sum())

    async def _erase(self, finder: PieceFinder) -> int | None:
        """Rewrite the tables without the deleted rows; return how many pieces are left."""
        for name in (TEXTS, USERS, TOPICS):
            await self.tables.mark_removed(name)
            for _ in range(ROUNDS):
                if not await self.tables.erase_old(name):
                    break
        return await self._found(finder)
