"""Fragments are merged when there are too many: nothing in LanceDB does it by itself.

Every write leaves a fragment behind, and every search looks into each: 200 one-row writes make
a query five times slower. Merging rewrites the small fragments, so after a write it waits until
that pays: a quarter of the texts is new, or the fragments are very many.
"""

from __future__ import annotations

import logging
import time

from .errors import StoreBusy
from .filters import every_namespace
from .outcomes import Compacted
from .schema import TEXTS, TOPICS, USERS
from .tables import Tables

logger = logging.getLogger(__name__)

THRESHOLD = 16
"""Fragments of all tables from which `compact` has something to do."""

MANY, VERY_MANY = 100, 300
CHECK_EVERY = 8
"""Writes between two looks at the number of fragments."""


class Compactor:
    """Merges fragments of a store's tables; all of it only while `Tables.writing`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._writes = 0
        self._new_texts = 0

    async def compact(self, threshold: int) -> Compacted:
        """Merge fragments and bring indexes up to date, if there are `threshold` or more."""
        begin = time.perf_counter()
        before = after = await self._tables.fragments()
        pruned = 0
        if before >= threshold:
            for name in (TEXTS, USERS, TOPICS):
                pruned += await self._tables.optimize(name)
            after = await self._tables.fragments()
            self._new_texts = 0
        seconds = time.perf_counter() - begin
        return Compacted(before >= threshold, threshold, before, after, pruned, seconds)

    async def after_write(self, texts: int) -> None:
        """Compact after a write where it pays; a failure is told and leaves the write as is."""
        self._writes += 1
        self._new_texts += texts
        if self._writes % CHECK_EVERY:
            return
        total = await self._tables.count(TEXTS, every_namespace())
        threshold = MANY if self._new_texts * 4 >= total else VERY_MANY
        try:
            outcome = await self.compact(threshold)
        except StoreBusy as error:
            logger.warning("the texts are kept, but compaction failed: %s", error)
            return
        if outcome.compacted:
            logger.info("compacted: %s", outcome)
