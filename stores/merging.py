"""Rows that have changed put among those that have not, in the order of their ids."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .ragged import Places


@dataclass(frozen=True)
class Merge:
    """Which rows to take, of the old ones and then of the fresh ones, and in which order.

    Attributes:
        ids: Of the merged rows, sorted.
        kept: Old rows that have not changed.
        order: For each merged row its place among the kept rows and the fresh ones after them.
    """

    ids: tuple[str, ...]
    kept: Places
    order: Places

    @classmethod
    def of(cls, old: Sequence[str], changed: Collection[str], fresh: Sequence[str]) -> Merge:
        """Return the merge of sorted ids.

        Args:
            old: Ids of the old rows.
            changed: Ids of which an old row is out of date.
            fresh: Ids of the rows in their place; one that changed may have none.
        """
        gone = set(changed)
        kept = [row for row, name in enumerate(old) if name not in gone]
        names = np.array([*(old[row] for row in kept), *fresh], object)
        # Two sorted runs: what numpy takes for stable sorting of objects joins them in one pass.
        order = np.argsort(names, kind="stable")
        return cls(tuple(names[order].tolist()), np.array(kept, np.int64), order)

    def rows(self, old: NDArray[Any], fresh: NDArray[Any]) -> NDArray[Any]:
        """Return one array of the merged rows."""
        if len(self.kept) == len(old) and not len(fresh):
            return old
        return np.concatenate([old[self.kept], fresh])[self.order]

    def ragged(
        self, old: Places, fresh: Places
    ) -> tuple[Places, Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]]]:
        """Return the starts of merged rows of unequal length, and what merges their contents.

        Args:
            old: Where each old row begins, shape (old rows + 1,).
            fresh: Where each fresh row begins.
        """
        begins = np.concatenate([old[:-1][self.kept], fresh[:-1] + old[-1]])
        ends = np.concatenate([old[1:][self.kept], fresh[1:] + old[-1]])
        lengths = (ends - begins)[self.order]
        starts = np.concatenate([[0], np.cumsum(lengths)])
        places = np.arange(starts[-1]) + np.repeat(begins[self.order] - starts[:-1], lengths)

        def merge(old_flat: NDArray[Any], fresh_flat: NDArray[Any]) -> NDArray[Any]:
            merged: NDArray[Any] = np.concatenate([old_flat, fresh_flat])[places]
            return merged

        return starts.astype(np.int64), merge
