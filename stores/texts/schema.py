"""The three tables, their columns as callers see them and as they lie on disk, their encoders.

`texts` holds what was written; `users` and `topics` hold sums over it and are counted again where
they do not add up. Sums are float64 and exact (see `arrow`). On disk the column of style vectors
bears a number (`StyleColumn`), the small fields of a text are packed into one column (each column
that a search reads costs a third of a millisecond), and every row has the number of the write that
last changed it (`stamp`). `Columns` translates.

Title and body are kept uncompressed, so that a proof of forgetting can search the files: in
compressed ones it finds nothing even before the removal.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ..errors import EncoderMismatch, SchemaMismatch, StoreError, shortened
from ..types import Encoder, Vectors

LANGUAGE_BYTES = 23
FLAGS = ("target", "shared", "shared_id")
DETAILS = ("rating", "timestamp", "position", *FLAGS, "language")
"""Fields of a text that are packed into the column `details`."""

LAYOUT = np.dtype(
    [
        ("rating", "<f8"),
        ("timestamp", "<i8"),
        ("position", "<i8"),
        ("flags", "u1"),
        ("language", f"S{LANGUAGE_BYTES}"),
    ]
)
TYPE = pa.binary(LAYOUT.itemsize)
_NO_TIME = np.iinfo(np.int64).min


def pack(rows: pa.Table) -> pa.Array:
    """Return the columns `DETAILS` of some texts as one: 48 bytes a text, little-endian."""
    packed = np.zeros(rows.num_rows, LAYOUT)
    packed["rating"] = _numbers(rows, "rating", np.nan)
    packed["timestamp"] = _numbers(rows, "timestamp", _NO_TIME)
    packed["position"] = _numbers(rows, "position", 0)
    for bit, name in enumerate(FLAGS):
        packed["flags"] |= _numbers(rows, name, False).astype(np.uint8) << bit
    languages = [(value or "").encode() for value in rows.column("language").to_pylist()]
    packed["language"] = np.array(languages, f"S{LANGUAGE_BYTES}")
    buffers = [None, pa.py_buffer(packed.tobytes())]
    return pa.FixedSizeBinaryArray.from_buffers(TYPE, rows.num_rows, buffers)


def unpack(column: pa.ChunkedArray, names: Collection[str] = DETAILS) -> dict[str, pa.Array]:
    """Return the columns of these names, all among `DETAILS`, of a column that `pack` made."""
    whole = column.combine_chunks()
    if whole.null_count:  # the store's own marker rows
        whole = whole.fill_null(b"\0" * LAYOUT.itemsize)
    packed = _records(whole)
    return {name: _unpacked(packed, name) for name in names}


def _unpacked(packed: NDArray[np.void], name: str) -> pa.Array:
    if name in FLAGS:
        return pa.array((packed["flags"] >> FLAGS.index(name) & 1).astype(np.bool_))
    values = packed[name]
    if name == "rating":
        return pa.array(values, pa.float64(), from_pandas=True)
    if name == "timestamp":
        return pa.array(values, mask=values == _NO_TIME)
    if name == "language":
        return pa.array([value.decode() for value in values.tolist()], pa.string())
    return pa.array(values)


def _records(whole: pa.FixedSizeBinaryArray) -> NDArray[np.void]:
    size = LAYOUT.itemsize
    begin = whole.offset * size
    content = memoryview(whole.buffers()[1])[begin : begin + len(whole) * size]
    return np.frombuffer(content, LAYOUT)


def _numbers(rows: pa.Table, name: str, missing: float | bool) -> NDArray[np.generic]:
    column = rows.column(name)
    filled = pc.fill_null(column, pa.scalar(missing, column.type))
    numbers: NDArray[np.generic] = filled.to_numpy()
    return numbers


SCHEMA_VERSION = 2
NORMAL = "normal"
"""Key of a table's metadata: ids are in normal form, ratings finite (see `repair`)."""

TEXTS, USERS, TOPICS = "texts", "users", "topics"
METADATA_KEY = b"patlm"
ENCODER_KEY = b"patlm-encoder"
STAMP = "stamp"
"""Number of the write that last changed a row."""

SOURCE_ID = pa.field("source_id", pa.string())
"""The column of source ids, which stores of earlier versions do not have."""

STYLE, STYLE_SUM = "style", "style_sum"
NAMESPACE, PACKED = "namespace", "details"

READABLE = {b"lance-encoding:compression": b"none"}

KEYS = {TEXTS: ["text_id"], USERS: ["namespace", "user_id"], TOPICS: ["namespace", "topic_id"]}
"""Columns that name a row, by table."""

SCALAR_INDEXES = {
    TEXTS: ("user_id", "topic_id", "text_id", STAMP),
    USERS: ("user_id",),
    TOPICS: ("topic_id",),
}
"""Columns with a B-tree, by table."""

NAMESPACE_INDEX = "namespace"
"""Has a bitmap in every table: a namespace may hold all rows, and a B-tree would list them."""


@dataclass(frozen=True)
class RecordedEncoder:
    """Name and dimension of an encoder as a store records them; can't encode."""

    version: str
    dimension: int

    def __str__(self) -> str:
        """Return name and dimension."""
        return f"{shortened(self.version)} ({self.dimension} dimensions)"

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Refuse.

        Raises:
            StoreError: Always: the store was opened without its models.
        """
        raise StoreError(
            f"the store was opened without its encoder {self.version!r}, for reading only: "
            "open it with `TextStore.open` to add or search",
            code="read_only_store",
        )


@dataclass(frozen=True)
class StyleColumn:
    """The columns of a style encoder's vectors (`style_3`) and of their sums (`style_sum_3`).

    The number goes up whenever the store is embedded again: a process that opened it before then
    asks for a column that is gone and fails, instead of reading another encoder's vectors.

    Attributes:
        number: From 1.
        encoder: Which encoder made the vectors.
    """

    number: int
    encoder: RecordedEncoder

    @property
    def in_texts(self) -> str:
        """Name of the column in the table `texts`."""
        return f"{STYLE}_{self.number}"

    @property
    def in_users(self) -> str:
        """Name of the column in the table `users`."""
        return f"{STYLE_SUM}_{self.number}"

    def texts_field(self) -> pa.Field:
        """Return the column in the table `texts`, whose metadata names the encoder."""
        metadata = {ENCODER_KEY: json.dumps({"encoder": self.encoder.version}).encode()}
        kind = pa.list_(pa.float32(), self.encoder.dimension)
        return pa.field(self.in_texts, kind, metadata=metadata)

    def users_field(self) -> pa.Field:
        """Return the column in the table `users`."""
        return pa.field(self.in_users, pa.list_(pa.float64(), self.encoder.dimension))


def style_columns(schemas: Mapping[str, pa.Schema]) -> list[StyleColumn]:
    """Return the style columns of a store's tables, usually one.

    Stores of patlm 0.1 named their encoders in the table `users`, and could have several.

    Args:
        schemas: Of the tables that are there, by name.
    """
    for table, prefix in ((TEXTS, f"{STYLE}_"), (USERS, f"{STYLE_SUM}_")):
        found = []
        for field in schemas.get(table, ()):
            version = _metadata(field, ENCODER_KEY).get("encoder")
            number = field.name.removeprefix(prefix)
            vectors = number.isdecimal() and pa.types.is_fixed_size_list(field.type)
            if field.name.startswith(prefix) and vectors and isinstance(version, str):
                encoder = RecordedEncoder(version, field.type.list_size)
                found.append(StyleColumn(int(number), encoder))
        if found:
            return sorted(found, key=lambda column: column.number)
    return []


def recorded_topic(schemas: Mapping[str, pa.Schema]) -> RecordedEncoder:
    """Return the topic encoder that a store's tables name.

    Args:
        schemas: Of the tables that are there, by name.

    Raises:
        SchemaMismatch: One of them is not a table of this store, or of another schema version.
    """
    about: dict[str, Any] = {}
    for name, schema in schemas.items():
        about = about_table(schema)
        named = isinstance(about.get("encoder"), str) and isinstance(about.get("dimension"), int)
        if about.get("schema") != SCHEMA_VERSION or not named:
            raise SchemaMismatch(
                f"table {name!r}: expected schema version {SCHEMA_VERSION} and an encoder, found "
                f"{shortened(about or 'none')}: name a store made by `patlm ingest`, or ingest the "
                "texts again into a new one"
            )
    return RecordedEncoder(about["encoder"], about["dimension"])


def recorded_style(schemas: Mapping[str, pa.Schema], uri: str) -> StyleColumn:
    """Return the style column of a store.

    Args:
        schemas: Of the tables that are there, by name.
        uri: Where the store lies, for the command that repairs it.

    Raises:
        SchemaMismatch: There is none, or vectors of several encoders.
    """
    columns = style_columns(schemas)
    if len(columns) == 1:
        return columns[0]
    if columns:
        raise SchemaMismatch(
            f"the store at {uri} holds style vectors of {len(columns)} encoders, as an earlier "
            f"version of patlm kept them: `patlm reembed --store {uri}` brings it up to date",
            code="reembed_needed",
        )
    raise SchemaMismatch(
        f"the tables at {uri} name no style encoder: name a store made by `patlm ingest`, or put "
        "back the table that is missing"
    )


def check_encoders(
    schemas: Mapping[str, pa.Schema], style: Encoder, topic: Encoder, uri: str
) -> StyleColumn:
    """Return the style column of a store that is opened with two encoders.

    Args:
        schemas: Of the tables that are there, by name; none: a new store.
        style: The style encoder that the store is opened with.
        topic: The topic encoder.
        uri: Where it lies, for the command that repairs it.

    Raises:
        SchemaMismatch: If a table was not written by this version of the store.
        EncoderMismatch: If the vectors were made by other encoders.
    """
    asked = RecordedEncoder(style.version, style.dimension)
    if not schemas:
        return StyleColumn(1, asked)
    recorded, wanted = recorded_topic(schemas), RecordedEncoder(topic.version, topic.dimension)
    column = recorded_style(schemas, uri)
    if recorded != wanted:
        raise EncoderMismatch(
            f"this store's topic vectors were made by {recorded}, but it was opened with "
            f"{wanted}: open it with the former (PATLM_ENCODER), or ingest the texts again into a "
            "new store"
        )
    if column.encoder != asked:
        raise EncoderMismatch(
            f"this store's style vectors were made by {column.encoder}, but it was opened with "
            f"{asked}: open it with the former, or `patlm reembed --store {uri}` embeds it again"
        )
    return column


def about_table(schema: pa.Schema) -> dict[str, Any]:
    """Return what a table records: schema version, topic encoder, dimension; or nothing."""
    if NAMESPACE not in schema.names:
        return {}
    return _metadata(schema.field(NAMESPACE), METADATA_KEY)


def _metadata(field: pa.Field, key: bytes) -> dict[str, Any]:
    """Return the JSON object that a column's metadata holds; empty where it holds none."""
    try:
        found = json.loads((field.metadata or {}).get(key, b"{}"))
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {}


def _table_schemas(topic: Encoder, style: StyleColumn) -> dict[str, pa.Schema]:
    """Return the arrow schema of each table on disk by name."""
    about = {
        "schema": SCHEMA_VERSION,
        "encoder": topic.version,
        "dimension": topic.dimension,
        NORMAL: True,
    }
    metadata = {METADATA_KEY: json.dumps(about, sort_keys=True)}
    namespace = pa.field(NAMESPACE, pa.string(), metadata=metadata)
    texts = [
        namespace,
        pa.field("text_id", pa.string()),
        pa.field("user_id", pa.string()),
        pa.field("topic_id", pa.string()),
        pa.field("title", pa.string(), metadata=READABLE),
        pa.field("body", pa.string(), metadata=READABLE),
        pa.field("shared", pa.bool_()),
        pa.field(PACKED, TYPE),
        pa.field("terms", pa.list_(pa.uint32())),
        style.texts_field(),
        pa.field("topic", pa.list_(pa.float32(), topic.dimension)),
        pa.field(STAMP, pa.int64()),
        SOURCE_ID,  # last, as in stores that got it later
    ]
    users = [
        namespace,
        pa.field("user_id", pa.string()),
        pa.field("texts", pa.int64()),
        pa.field("shared", pa.int64()),
        style.users_field(),
        pa.field("edge_topics", pa.list_(pa.string())),
        pa.field("edge_texts", pa.list_(pa.int64())),
        pa.field("edge_rating_sums", pa.list_(pa.float64())),
        pa.field("edge_ratings", pa.list_(pa.int64())),
        pa.field(STAMP, pa.int64()),
    ]
    topics = [
        namespace,
        pa.field("topic_id", pa.string()),
        pa.field("shared", pa.int64()),
        pa.field("vector_sum", pa.list_(pa.float64(), topic.dimension)),
        pa.field(STAMP, pa.int64()),
    ]
    return {TEXTS: pa.schema(texts), USERS: pa.schema(users), TOPICS: pa.schema(topics)}


_DETAIL_FIELDS = [
    pa.field("rating", pa.float64()),
    pa.field("timestamp", pa.int64()),
    pa.field("position", pa.int64()),
    pa.field("language", pa.string()),
    pa.field("target", pa.bool_()),
    pa.field("shared", pa.bool_()),
    pa.field("shared_id", pa.bool_()),
]


class Columns:
    """Translates between the columns that callers see and those on disk.

    Args:
        topic: The topic encoder.
        style: The column of the style encoder.

    Attributes:
        on_disk: Schema of each table as it lies on disk.
        seen: Schema of each table as callers see it.
    """

    def __init__(self, topic: Encoder, style: StyleColumn) -> None:
        self.style = style
        self.on_disk = _table_schemas(topic, style)
        self._disk_names = {
            TEXTS: {STYLE: style.in_texts},
            USERS: {STYLE_SUM: style.in_users},
            TOPICS: {},
        }
        self.seen = {name: self._seen(name, schema) for name, schema in self.on_disk.items()}

    def asked(self, name: str, columns: Sequence[str] | None, namespace: str | None) -> list[str]:
        """Return the columns that have to be read from disk.

        Args:
            name: The table's.
            columns: Those that are wanted; None: all that are seen.
            namespace: All rows' namespace, which is then not read; None: several.
        """
        wanted = self.seen[name].names if columns is None else list(columns)
        if name == TEXTS and any(column in DETAILS for column in wanted):
            wanted = [*(column for column in wanted if column not in DETAILS), PACKED]
        if namespace is not None and len(wanted) > 1:
            wanted = [column for column in wanted if column != NAMESPACE]
        renamed = self._disk_names[name]
        return [renamed.get(column, column) for column in wanted]

    def read(
        self, name: str, rows: pa.Table, columns: Sequence[str] | None, namespace: str | None
    ) -> pa.Table:
        """Return rows from disk with the columns that were wanted."""
        found = dict(zip(rows.column_names, rows.columns, strict=True))
        for seen, disk in self._disk_names[name].items():
            if disk in found:
                found[seen] = found[disk]
        schema = self.seen[name]
        wanted = schema.names if columns is None else list(columns)
        if PACKED in found:
            found |= unpack(found[PACKED], [column for column in wanted if column in DETAILS])
        if NAMESPACE in wanted and NAMESPACE not in found and namespace is not None:
            found[NAMESPACE] = pa.array([namespace] * rows.num_rows, pa.string())
        schema = pa.schema([schema.field(column) for column in wanted])
        return pa.table([found[column] for column in wanted], schema=schema)

    def written(self, name: str, rows: pa.Table, stamp: int) -> pa.Table:
        """Return rows with all columns that are seen as they go to disk.

        Args:
            name: The table's.
            rows: All columns that are seen.
            stamp: Number of this write.
        """
        found = dict(zip(rows.column_names, rows.columns, strict=True))
        for seen, disk in self._disk_names[name].items():
            found[disk] = found.pop(seen)
        if name == TEXTS:
            found[PACKED] = pack(rows)
        found[STAMP] = pa.array([stamp] * rows.num_rows, pa.int64())
        names = self.on_disk[name].names
        return pa.table([found[column] for column in names], names=names)

    def _seen(self, name: str, schema: pa.Schema) -> pa.Schema:
        seen = {disk: own for own, disk in self._disk_names[name].items()}
        fields = []
        for field in schema:
            if field.name == PACKED:
                fields += _DETAIL_FIELDS
            elif field.name != STAMP and not (name == TEXTS and field.name == "shared"):
                fields.append(field.with_name(seen.get(field.name, field.name)).remove_metadata())
        return pa.schema(fields)


def seen_schemas(style: Encoder, topic: Encoder) -> dict[str, pa.Schema]:
    """Return the arrow schema of each table by name, as callers see it in a new store."""
    return Columns(topic, StyleColumn(1, RecordedEncoder(style.version, style.dimension))).seen
