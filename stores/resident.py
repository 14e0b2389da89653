"""All texts of a namespace that is not very large in memory: disk costs more than search.

An indexed read of a few rows takes 4-12 ms however small the table is. What others write is taken
in as it comes: after the first request nothing is read twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from .ragged import Places, starts_of

RESIDENT_TEXTS = 100_000
"""Texts up to which a namespace is kept in memory whole (about 3 KB each)."""

MOST_CHUNKS = 32
"""Pieces that the rows may lie in, one for each write: beyond, they are copied into one."""


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

    @cached_property
    def of_id(self) -> Mapping[str, int]:
        """Place of each text by its id; made when first asked for."""
        return {text_id: at for at, text_id in enumerate(self.rows.column("text_id").to_pylist())}

    def with_new(self, rows: pa.Table) -> Resident:
        """Return these texts and new ones; a text that is here already may come again."""
        known = [self._has(row) for row in rows.select(["user_id", "text_id"]).to_pylist()]
        new = rows.filter(pa.array([not each for each in known], pa.bool_()))
        if not new.num_rows:
            return self
        together = pa.concat_tables([self.rows, new])
        if together.column("text_id").num_chunks > MOST_CHUNKS:
            together = together.combine_chunks()
        begin = len(self)
        of_user = _extended(self.of_user, new.column("user_id"), begin)
        return Resident(together, of_user, _extended(self.of_topic, new.column("topic_id"), begin))

    def _has(self, row: Mapping[str, str]) -> bool:
        places = self.of_user.get(row["user_id"])
        if places is None:
            return False
        return row["text_id"] in self.rows.column("text_id").take(places).to_pylist()

    def by_ids(self, text_ids: Sequence[str], columns: Sequence[str]) -> pa.Table:
        """Return the rows of some texts, those that are here."""
        places = [self.of_id[text_id] for text_id in text_ids if text_id in self.of_id]
        return self.rows.select(list(columns)).take(np.array(places, np.int64))

    # None of these is worth a thread: they copy what a request is about, a few rows of many.

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


def _extended(
    known: Mapping[str, Places], column: pa.ChunkedArray, begin: int
) -> Mapping[str, Places]:
    """Return the places of each value of a column, further rows among them."""
    places = dict(known)
    for value, new in places_by(column).items():
        places[value] = np.concatenate([places.get(value, np.zeros(0, np.int64)), new + begin])
    return places


def places_by(column: pa.ChunkedArray) -> dict[str, Places]:
    """Return the places of each value of a column."""
    encoded = column.combine_chunks().dictionary_encode()
    codes = encoded.indices.to_numpy()
    order = np.argsort(codes, kind="stable")
    values = encoded.dictionary.to_pylist()
    starts = starts_of(np.bincount(codes, minlength=len(values)))
    return {value: order[starts[at] : starts[at + 1]] for at, value in enumerate(values)}
