"""Rows of the tables as `Text`s and arrays, exact sums of vectors, and merges of sorted rows.

Sums are exact so that a share can be taken out of them without a trace. A topic's vector must leave
out what the requester wrote on it; in floating point (S + u) - u differs from S in its last bits,
in a way that depends on u: the requester's target would show through the scores. So vectors are
rounded to half precision when they are stored, whose values below 1 are multiples of 2⁻²⁴, and
summed in float64: sums of up to 2²⁸ texts are exact, the same in every order, and (S + u) - u = S
bit for bit. Cosines differ from those of the encoder's own vectors by 10⁻⁵ usually and by 2⁻¹¹ at
most.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ..errors import EncoderMismatch, InvalidText, shortened
from ..search.words import Terms, bare, terms_of
from ..source_ids import stored_form
from ..types import Encoder, History, Sums, Text, Vectors
from ..values import cannot_be_id, normal_id
from .filters import RESERVED_NAMESPACE
from .schema import LANGUAGE_BYTES

Places = NDArray[np.int64]


def starts_of(lengths: NDArray[np.integer]) -> Places:
    """Return where each row of a flat array begins, and the end of the last, shape (rows + 1,).

    Row i of unequal lengths is `flat[starts[i]:starts[i + 1]]`.
    """
    starts = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=starts[1:])
    return starts


def take(starts: Places, rows: Places) -> tuple[Places, Places]:
    """Return the places in `flat` that the rows cover, and the new `starts` of these rows."""
    lengths = starts[rows + 1] - starts[rows]
    begins = starts_of(lengths)
    places = np.arange(begins[-1]) + np.repeat(starts[rows] - begins[:-1], lengths)
    return places, begins


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
"""The columns of a `Text`."""


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
    columns["source_id"] = pa.array([stored_form(text.source_ids) for text in texts], pa.string())
    columns["terms"] = pa.array(
        [terms_of(f"{text.title} {text.body}") for text in texts], pa.list_(pa.uint32())
    )
    columns["style"] = vector_column(style)
    columns["topic"] = vector_column(topic)
    return cast_columns(columns, schema)


def cast_columns(columns: Mapping[str, pa.Array], schema: pa.Schema) -> pa.Table:
    """Return columns by name as a table of a schema."""
    arrays = [columns[field.name].cast(field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def terms_of_rows(rows: pa.Table) -> tuple[Terms, Places]:
    """Return the terms of some texts one after another, and where each text's begin."""
    lists = rows.column("terms").combine_chunks()
    return lists.flatten().to_numpy(), starts_of(pc.list_value_length(lists).to_numpy())


def texts_of_rows(rows: pa.Table) -> list[Text]:
    """Return the texts that rows of the table `texts` hold, in the same order."""
    columns = [rows.column(name).to_pylist() for name in PLAIN_COLUMNS]
    return [
        Text(**dict(zip(PLAIN_COLUMNS, values, strict=True)))
        for values in zip(*columns, strict=True)
    ]


def on_grid(vectors: NDArray[np.floating]) -> Vectors:
    """Return vectors rounded to half precision, as float32, same shape."""
    return vectors.astype(np.float16).astype(np.float32)


def encode(encoder: Encoder, texts: Sequence[str]) -> Vectors:
    """Return texts' vectors as they are stored, shape (texts, dimension); may block for long.

    Raises:
        EncoderMismatch: The encoder returned another shape.
    """
    if not texts:
        return np.zeros((0, encoder.dimension), np.float32)
    vectors = encoder.encode(texts)
    check_shape(encoder, vectors, len(texts))
    return on_grid(vectors)


def check_shape(encoder: Encoder, vectors: Vectors, texts: int) -> None:
    """Raise `EncoderMismatch` unless vectors are of an encoder's shape, one a text."""
    if vectors.shape != (texts, encoder.dimension):
        raise EncoderMismatch(
            f"encoder {encoder.version!r}: expected vectors of shape "
            f"({texts}, {encoder.dimension}), got {vectors.shape}: correct what makes them",
            code="wrong_vectors",
        )


def exact_sum(vectors: Vectors) -> Sums:
    """Return the sum over rows of rounded vectors, shape (dimension,)."""
    total: Sums = vectors.sum(axis=0, dtype=np.float64)
    return total


def unit(sums: NDArray[np.floating]) -> Vectors:
    """Return rows of unit length, float32, same shape; a row of zeros stays one."""
    lengths = np.linalg.norm(sums, axis=-1, keepdims=True)
    units: Vectors = np.zeros(sums.shape, np.float32)
    np.divide(sums, lengths, out=units, where=lengths > 0, casting="same_kind")
    return units


@dataclass(frozen=True)
class Merge:
    """How changed rows replace old ones in arrays that are sorted by id.

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
            fresh: Ids of the rows that replace them; one that changed may have none.
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


HISTORY_COLUMNS = (*PLAIN_COLUMNS, "text_id", "style", "topic")


def history_of_rows(rows: pa.Table, namespace: str, user_id: str, topic_id: str | None) -> History:
    """Return the history that all of one user's rows of the table `texts` make.

    Args:
        rows: All of the user's rows.
        namespace: The tenant.
        user_id: The requester.
        topic_id: What the request is about; None or "" where that is not known.
    """
    texts = texts_of_rows(rows)
    style, topic = vectors_of(rows, "style"), vectors_of(rows, "topic")
    hidden = frozenset(bare(text.body) for text in texts if text.target) - {""}
    own = [
        place
        for place, text in enumerate(texts)
        if not text.target
        and not (topic_id and text.topic_id == topic_id)
        and bare(text.body) not in hidden
    ]
    ids = rows.column("text_id").to_pylist()
    own.sort(key=lambda place: (*_time(texts[place]), ids[place]), reverse=True)
    return History(
        namespace=namespace,
        user_id=user_id,
        texts=tuple(texts[place] for place in own),
        style=style[own],
        topic_vectors=topic[own],
        contributed=_contributed(texts, topic),
        hidden_bodies=hidden,
    )


def _time(text: Text) -> tuple[float, int]:
    """Order texts by time where it is given, else by place; texts with a time come later."""
    timestamp = float("-inf") if text.timestamp is None else float(text.timestamp)
    return (timestamp, text.position)


def _contributed(texts: list[Text], vectors: Vectors) -> dict[str, tuple[Sums, int]]:
    rows: dict[str, list[int]] = {}
    for place, text in enumerate(texts):
        if text.shared and text.topic_id:
            rows.setdefault(text.topic_id, []).append(place)
    return {topic: (exact_sum(vectors[at]), len(at)) for topic, at in rows.items()}


def with_changes(rows: pa.Table, text: Text) -> pa.Table:
    """Return a text's row with the fields that its id does not cover.

    Args:
        rows: The one row.
        text: Gives the time, the language, the ids in the source, and whether it is shared.
    """
    ids = stored_form(text.source_ids)
    changed = {"timestamp": text.timestamp, "language": text.language, "source_id": ids}
    for name, value in {**changed, "shared": text.shared}.items():
        place = rows.schema.get_field_index(name)
        rows = rows.set_column(place, name, pa.array([value], rows.schema.field(place).type))
    return rows


def check_texts(texts: Sequence[Text]) -> None:
    """Raise `InvalidText` unless all texts can be kept."""
    for text in texts:
        _check(text)


def _check(text: Text) -> None:
    if not text.user_id or not text.namespace or text.namespace == RESERVED_NAMESPACE:
        raise InvalidText(
            f"expected a user and a namespace, got user {shortened(text.user_id)} in namespace "
            f"{shortened(text.namespace)}: name both ({RESERVED_NAMESPACE!r} is the store's own)"
        )
    ids = text.user_id + text.topic_id + text.source_id + text.namespace
    if not (ids.isascii() and ids.isalnum()):  # letters and digits alone are in order
        _check_ids(text, ids)
    if text.rating is not None and not math.isfinite(text.rating):
        raise InvalidText(
            f"expected a finite rating or None, got {text.rating!r} in a text of user "
            f"{shortened(text.user_id)}: read it by `stores.datasets.validation`"
        )
    if len(text.language.encode()) > LANGUAGE_BYTES:
        raise InvalidText(
            f"expected a language of at most {LANGUAGE_BYTES} bytes, got "
            f"{shortened(text.language)}: give its code, as en or pt-BR"
        )
    try:
        _ = text.text_id
    except UnicodeEncodeError as error:
        raise InvalidText(
            f"expected Unicode text, got a lone surrogate in a text of user "
            f"{shortened(text.user_id)}: read the source as UTF-8"
        ) from error


def _check_ids(text: Text, ids: str) -> None:
    if cannot_be_id(ids):
        raise InvalidText(
            "expected ids without NUL characters and unit separators (U+001F), got "
            f"{shortened(ids)}: remove them"
        )
    for given in (text.user_id, text.topic_id, text.source_id):
        if normal_id(given) != given:
            raise InvalidText(
                f"expected an id in its normal form ({shortened(normal_id(given))}), got "
                f"{shortened(given)}: read it by `stores.datasets.validation`"
            )
