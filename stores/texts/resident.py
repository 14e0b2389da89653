"""All texts of a namespace in memory.

An indexed read of a few rows takes 4-12 ms however small the table is, more than the search itself.
Only what has been written since is read again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..types import Vectors
from .arrow import Places, matrix, starts_of

RATIO = 4
"""A part has at least this many times the rows of the next; otherwise both are copied into one."""


@dataclass(frozen=True)
class _Coded:
    """Which of a column's values each row has.

    Attributes:
        code: A number for each value.
        codes: That of each row, shape (rows,).
        order: Places of the rows by number, ascending among equals.
        starts: Where each number's places begin in `order`, shape (values + 1,).
    """

    code: Mapping[str, int]
    codes: NDArray[np.int32]
    order: Places
    starts: Places

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> _Coded:
        encoded = column.combine_chunks().dictionary_encode()
        codes = encoded.indices.to_numpy()
        values = encoded.dictionary.to_pylist()
        starts = starts_of(np.bincount(codes, minlength=len(values)))
        code = {value: at for at, value in enumerate(values)}
        return cls(code, codes, np.argsort(codes, kind="stable"), starts)

    def places(self, value: str) -> Places:
        """Return the places of one value, ascending."""
        code = self.code.get(value)
        return _NONE if code is None else self.order[self.starts[code] : self.starts[code + 1]]

    def places_among(self, values: Sequence[str]) -> Places:
        """Return the places of some values, one value after the other."""
        return np.concatenate([_NONE, *map(self.places, values)])


_NONE = np.zeros(0, np.int64)


@dataclass(frozen=True)
class _Part:
    """Some of the texts; each column is contiguous.

    Attributes:
        rows: All columns of the table `texts`, vectors in half precision.
    """

    rows: pa.Table

    def __len__(self) -> int:
        return int(self.rows.num_rows)

    @cached_property
    def of_user(self) -> _Coded:
        """The user of each row."""
        return _Coded.of(self.rows.column("user_id"))

    @cached_property
    def of_topic(self) -> _Coded:
        """The topic of each row."""
        return _Coded.of(self.rows.column("topic_id"))

    @cached_property
    def shared(self) -> NDArray[np.bool_]:
        """Which texts may serve others."""
        shared: NDArray[np.bool_] = self.rows.column("shared").to_numpy()
        return shared

    @cached_property
    def style(self) -> NDArray[np.floating]:
        """Style vectors, shape (texts, dimension); a view."""
        column = self.rows.column("style")
        return matrix(column, column.type.list_size)

    @cached_property
    def _by_id(self) -> tuple[NDArray[np.bytes_], Places]:
        ids = np.array(self.rows.column("text_id").to_pylist(), np.bytes_)
        order = np.argsort(ids)
        return ids[order], order

    def places_of(self, text_ids: Sequence[str]) -> Places:
        """Return the places of the texts that are in this part."""
        ids, places = self._by_id
        wanted = np.array(text_ids, np.bytes_)
        at = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
        found: Places = places[at[ids[at] == wanted]]
        return found


@dataclass(frozen=True)
class Resident:
    """The texts of one namespace; frozen, `with_new` returns another.

    Attributes:
        parts: The texts, the most and oldest first.
    """

    parts: tuple[_Part, ...] = ()

    @classmethod
    def of(cls, rows: pa.Table) -> Resident:
        """Return texts that were read from the table, as they are."""
        return cls((_Part(rows.combine_chunks()),))

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def with_new(self, rows: pa.Table) -> Resident:
        """Return these texts and new ones; known texts among the new ones are ignored."""
        ids: list[str] = rows.column("text_id").to_pylist()
        known: set[str] = set()
        for part in self.parts:
            known |= set(part.rows.column("text_id").take(part.places_of(ids)).to_pylist())
        new = rows.filter(pa.array([text_id not in known for text_id in ids], pa.bool_()))
        if not new.num_rows:
            return self
        parts = [*self.parts, _Part(joined([halved(new)]))]
        while len(parts) > 1 and len(parts[-2]) < RATIO * len(parts[-1]):
            last = parts.pop()
            parts[-1] = _Part(joined([parts[-1].rows, last.rows]))
        return Resident(tuple(parts))

    # None of these is worth a thread: they copy the few rows that a request needs.

    def by_ids(self, text_ids: Sequence[str], columns: Sequence[str]) -> pa.Table:
        """Return the rows of some texts, less those that are unknown."""
        return self._taken(columns, lambda part: part.places_of(text_ids))

    def by_users(
        self, users: Sequence[str], columns: Sequence[str], *, shared: bool = False
    ) -> pa.Table:
        """Return the rows of some users; only the shared ones if `shared`."""

        def places(part: _Part) -> Places:
            found = part.of_user.places_among(users)
            return found[part.shared[found]] if shared else found

        return self._taken(columns, places)

    def by_topics(self, topics: Sequence[str], columns: Sequence[str]) -> pa.Table:
        """Return the rows of the shared texts on some topics."""

        def places(part: _Part) -> Places:
            found = part.of_topic.places_among(topics)
            return found[part.shared[found]]

        return self._taken(columns, places)

    def most_telling(
        self,
        wanted: Mapping[str, Vectors],
        topic_id: str | None,
        columns: Sequence[str],
        *,
        on_topic: bool,
        each: int | None,
    ) -> pa.Table:
        """Return the rows of some users' shared texts with the highest dot products.

        One user after the other, the highest first, ties by text id.

        Args:
            wanted: By user, what their texts' vectors are multiplied by, shape (dimension,).
            topic_id: A topic whose texts are left out; None: none is.
            columns: Of the rows, `text_id` among them.
            on_topic: Whether the topic's texts are the only ones instead.
            each: Texts of each user in a part at most; None: all.
        """
        users, directions = list(wanted), np.array(list(wanted.values()))
        tables, owners, products = [], [], []
        for part in self.parts:
            found = [part.of_user.places(user) for user in users]
            whose = np.repeat(np.arange(len(users)), [len(some) for some in found])
            at = np.concatenate([_NONE, *found])
            kept = part.shared[at]
            if topic_id:
                here = part.of_topic.codes[at] == part.of_topic.code.get(topic_id, -1)
                kept = kept & (here if on_topic else ~here)
            at, whose = at[kept], whose[kept]
            scores = np.einsum("ij,ij->i", part.style[at].astype(np.float32), directions[whose])
            order = np.lexsort((-scores, whose))
            # `whose` is sorted, so a row's distance to its owner's first row is its rank.
            first = order
            if each is not None:
                first = order[np.arange(len(order)) - np.searchsorted(whose, whose) < each]
            tables.append(part.rows.select(list(columns)).take(at[first]))
            owners.append(whose[first])
            products.append(scores[first])
        rows = tables[0] if len(tables) == 1 else pa.concat_tables(tables)
        ids = np.array(rows.column("text_id").to_pylist(), np.str_)
        order = np.lexsort((ids, -np.concatenate(products), np.concatenate(owners)))
        return rows.take(order)

    def _taken(self, columns: Sequence[str], places: Callable[[_Part], Places]) -> pa.Table:
        names = list(columns)
        found = [(part, places(part)) for part in self.parts]
        taken = [part.rows.select(names).take(at) for part, at in found if len(at)]
        if taken:
            return taken[0] if len(taken) == 1 else pa.concat_tables(taken)
        return self.parts[0].rows.select(names).slice(0, 0)


class ResidentBuilder:
    """Builds a `Resident` from batches of rows of the table `texts`, all columns."""

    def __init__(self) -> None:
        self._batches: list[pa.Table] = []

    def take(self, rows: pa.Table) -> None:
        """Add a batch; its vectors are kept in half precision."""
        self._batches.append(halved(rows))

    def build(self) -> Resident:
        """Return the texts of all batches, which are released."""
        return Resident((_Part(joined(self._batches)),))


def halved(rows: pa.Table) -> pa.Table:
    """Return rows with vectors in half precision, where that loses nothing (see `arrow`)."""
    for at, field in enumerate(rows.schema):
        if not pa.types.is_fixed_size_list(field.type):
            continue
        whole = rows.column(at).combine_chunks()
        flat = whole.flatten().to_numpy()
        half = flat.astype(np.float16)
        if flat.dtype == np.float32 and np.array_equal(half.astype(np.float32), flat):
            smaller = pa.FixedSizeListArray.from_arrays(pa.array(half), field.type.list_size)
            rows = rows.set_column(at, field.name, smaller)
    return rows


def joined(tables: list[pa.Table]) -> pa.Table:
    """Return one table with each column in one piece; the tables given are emptied.

    One column after the other, so that no more than one is held twice.
    """
    columns: dict[str, Any] = {}
    names = tables[0].column_names
    types = {table.schema for table in tables}
    for name in names:
        pieces = [table.select([name]) for table in tables]
        if len(types) > 1:  # a store of an earlier version has vectors that need all their bytes
            wide = max((piece.schema for piece in pieces), key=_width)
            pieces = [piece.cast(wide) for piece in pieces]
        columns[name] = pa.concat_tables(pieces).combine_chunks().column(0)
        tables[:] = [table.drop_columns([name]) for table in tables]
    return pa.table(columns)


def _width(schema: pa.Schema) -> int:
    kind = schema.types[0]
    return int(kind.value_type.bit_width) if pa.types.is_fixed_size_list(kind) else 0
