"""Texts as rows of a table, and back."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .ragged import Places, starts_of
from .records import Text, Vectors
from .words import Terms, terms_of

PLAIN_COLUMNS = (
    "namespace",
    "user_id",
    "topic_id",
    "title",
    "body",
    "rating",
    "timestamp",
    "position",
    "language",
    "target",
    "shared",
    "shared_id",
)
"""The columns that make a `Text`."""


def vector_column(vectors: NDArray[np.floating]) -> pa.FixedSizeListArray:
    """Return rows of vectors, shape (n, dimension), as one arrow column."""
    flat = pa.array(np.ascontiguousarray(vectors).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])


def matrix(column: pa.ChunkedArray, dimension: int) -> NDArray[np.floating]:
    """Return one arrow column of vectors as a matrix, shape (n, dimension)."""
    flat: NDArray[np.floating] = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(-1, dimension)


def vectors_of(rows: pa.Table, column: str) -> Vectors:
    """Return a column of vectors as float32, shape (rows, dimension)."""
    dimension = rows.schema.field(column).type.list_size
    return matrix(rows.column(column), dimension).astype(np.float32)


def rows_of_texts(
    texts: Sequence[Text], style: Vectors, topic: Vectors, schema: pa.Schema
) -> pa.Table:
    """Return texts and their vectors as rows of the table `texts`."""
    plain = zip(*(attrgetter(*PLAIN_COLUMNS)(text) for text in texts), strict=True)
    columns = {name: pa.array(values) for name, values in zip(PLAIN_COLUMNS, plain, strict=True)}
    columns["text_id"] = pa.array([text.text_id for text in texts])
    columns["terms"] = pa.array(
        [terms_of(f"{text.title} {text.body}") for text in texts], pa.list_(pa.uint32())
    )
    columns["style"] = vector_column(style)
    columns["topic"] = vector_column(topic)
    arrays = [columns[field.name].cast(field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def terms_of_rows(rows: pa.Table) -> tuple[Terms, Places]:
    """Return the terms of some texts one after another, and where each text's begin."""
    import pyarrow.compute as pc

    lists = rows.column("terms").combine_chunks()
    return lists.flatten().to_numpy(), starts_of(pc.list_value_length(lists).to_numpy())


def texts_of_rows(rows: pa.Table) -> list[Text]:
    """Return the texts that rows of the table `texts` hold, in the same order."""
    columns = [rows.column(name).to_pylist() for name in PLAIN_COLUMNS]
    return [
        Text(**dict(zip(PLAIN_COLUMNS, values, strict=True)))
        for values in zip(*columns, strict=True)
    ]
