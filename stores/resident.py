"""All texts of a small namespace in memory: most are small, and disk costs more than search.

An indexed read of a few rows takes 4-12 ms, one of 5,000 whole texts about 20 ms: below that size a
request that comes after every single write still loses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from .ragged import Places, starts_of

RESIDENT_TEXTS = 5_000
"""Texts up to which a namespace is kept in memory whole (about 2.5 KB each)."""


@dataclass(frozen=True)
class Resident:
    """The texts of one namespace.

    Attributes:
        rows: All rows and columns of the table `texts`.
        of_user: Places of each user's rows.
        of_topic: Places of each topic's rows.
    """

    rows: pa.Table
    of_user: Mapping[str, Places]
    of_topic: Mapping[str, Places]

    def __len__(self) -> int:
        return int(self.rows.num_rows)

    # None of these is worth a thread: they copy what a request is about, a few rows of 5,000.

    def by_users(
        self, users: Sequence[str], columns: Sequence[str], *, shared: bool = False
    ) -> pa.Table:
        """Return the rows of some users; only the shared ones if `shared`."""
        return self._taken(self.of_user, users, columns, shared)

    def by_topics(
        self, topics: Sequence[str], columns: Sequence[str], *, shared: bool = False
    ) -> pa.Table:
        """Return the rows on some topics; only the shared ones if `shared`."""
        return self._taken(self.of_topic, topics, columns, shared)

    def _taken(
        self,
        places: Mapping[str, Places],
        keys: Sequence[str],
        columns: Sequence[str],
        shared: bool,
    ) -> pa.Table:
        import pyarrow.compute as pc

        none = np.zeros(0, np.int64)
        wanted = np.concatenate([none, *(places.get(key, none) for key in keys)])
        rows = self.rows.select(list(columns)).take(wanted)
        return rows.filter(pc.field("shared")) if shared else rows


def resident_of_rows(rows: pa.Table) -> Resident:
    """Return what all rows of one namespace make."""
    rows = rows.combine_chunks()
    return Resident(rows, places_by(rows.column("user_id")), places_by(rows.column("topic_id")))


def places_by(column: pa.ChunkedArray) -> dict[str, Places]:
    """Return the places of each value of a column."""
    encoded = column.combine_chunks().dictionary_encode()
    codes = encoded.indices.to_numpy()
    order = np.argsort(codes, kind="stable")
    values = encoded.dictionary.to_pylist()
    starts = starts_of(np.bincount(codes, minlength=len(values)))
    return {value: order[starts[at] : starts[at + 1]] for at, value in enumerate(values)}
