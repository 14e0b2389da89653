"""Cells that are empty because somebody with another style encoder wrote them (see `generations`).

They are filled when they are read, by the encoder that the store was opened with: there are as
many as the others have written since the refit began, usually none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..types import Encoder
from .arrow import exact_sum, on_grid, vector_column, vectors_of
from .filters import Filter, within
from .schema import STYLE, STYLE_SUM, TEXTS


class Readable(Protocol):
    """The part of `Tables` that is read from here."""

    async def read(self, name: str, where: Filter, columns: list[str]) -> pa.Table:
        """Return the rows that meet the filter."""


def embed_missing(rows: pa.Table, encoder: Encoder) -> pa.Table:
    """Return rows of the table `texts` with every style vector there; may block for long.

    Args:
        rows: With the columns `style` and `body`.
        encoder: The style encoder that the store was opened with.
    """
    missing = np.flatnonzero(pc.is_null(rows.column(STYLE)).to_numpy())
    if not len(missing):
        return rows
    made = on_grid(encoder.encode(rows.column("body").take(missing).to_pylist()))
    return _filled(rows, STYLE, missing, made)


async def sum_missing(tables: Readable, rows: pa.Table, without: Collection[str] = ()) -> pa.Table:
    """Return rows of the table `users` with every sum of style vectors there.

    Args:
        tables: Where the texts of users without a sum are read.
        rows: With the columns `namespace`, `user_id` and `style_sum`.
        without: Ids of texts that do not count yet.
    """
    missing = np.flatnonzero(pc.is_null(rows.column(STYLE_SUM)).to_numpy())
    if not len(missing):
        return rows
    whose = rows.select(["namespace", "user_id"]).take(missing).to_pylist()
    sums: dict[tuple[str, str], np.ndarray] = {}
    for namespace in sorted({each["namespace"] for each in whose}):
        users = [each["user_id"] for each in whose if each["namespace"] == namespace]
        where = within(namespace, users=users, shared=True)
        texts = await tables.read(TEXTS, where, ["text_id", "user_id", "body", STYLE])
        texts = texts.filter(
            pc.invert(pc.is_in(texts["text_id"], pa.array(list(without), pa.string())))
        )
        authors = np.array(texts.column("user_id").to_pylist(), object)
        vectors = vectors_of(texts, STYLE)
        for user in users:
            sums[namespace, user] = exact_sum(vectors[authors == user])
    made = np.array([sums[each["namespace"], each["user_id"]] for each in whose])
    return await asyncio.to_thread(_filled, rows, STYLE_SUM, missing, made)


def _filled(rows: pa.Table, column: str, missing: np.ndarray, made: np.ndarray) -> pa.Table:
    place = rows.column_names.index(column)
    dimension = rows.schema.field(column).type.list_size
    there = np.setdiff1d(np.arange(rows.num_rows), missing)
    whole = np.zeros((rows.num_rows, dimension), made.dtype)
    if len(there):
        known = rows.column(column).take(there).combine_chunks().flatten()
        whole[there] = known.to_numpy(zero_copy_only=False).reshape(-1, dimension)
    whole[missing] = made
    return rows.set_column(place, rows.schema.field(column), vector_column(whole))
