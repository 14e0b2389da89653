"""The three tables, and which encoders a store was filled with.

`texts` holds what was written, `users` and `topics` what is summed up from it: both follow from
`texts` and are rebuilt from it where they do not add up. Sums are float64 and exact (see `sums`).

Title and body are kept uncompressed, so that a proof of forgetting can look into the files:
compressed, a search finds nothing even before the removal and proves nothing.

The columns that a store's opener sees, and those that lie on disk.

On disk a style vector's column bears the number of its encoder (see `generations`), a text's small
facts are one column (see `details`), and every row has the number of the write that last changed
it. Nobody else needs to know.

The small facts of a text, in one column.

A search reads few columns: each costs a third of a millisecond, however small it is. 48 bytes a
text, little-endian: rating (float64, NaN for none), timestamp (int64, the least for none), position
(int64), flags (1 byte), language (23 bytes of UTF-8).

The encoders that a store remembers having been filled with.

What counts, compacts or forgets needs to know their names and dimensions only, and does not have to
load a model for seconds.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ..errors import EncoderMismatch, SchemaMismatch, StoreError
from ..types import Encoder, Vectors
from .generations import Generation, current_generation, generations_of

LANGUAGE_BYTES = 23
FLAGS = ("target", "shared", "shared_id")
DETAILS = ("rating", "timestamp", "position", *FLAGS, "language")
"""The columns that are kept so."""

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
    """Return the columns `DETAILS` of some texts as one."""
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


def unpack(column: pa.ChunkedArray) -> dict[str, pa.Array]:
    """Return the columns `DETAILS` that `pack` made one of."""
    whole = column.combine_chunks()
    if whole.null_count:  # the store's own marker rows
        whole = whole.fill_null(b"\0" * LAYOUT.itemsize)
    packed = _records(whole)
    found = {
        "rating": pa.array(packed["rating"], pa.float64(), from_pandas=True),
        "timestamp": pa.array(packed["timestamp"], mask=packed["timestamp"] == _NO_TIME),
        "position": pa.array(packed["position"]),
        "language": pa.array(
            [value.decode() for value in packed["language"].tolist()], pa.string()
        ),
    }
    for bit, name in enumerate(FLAGS):
        found[name] = pa.array((packed["flags"] >> bit & 1).astype(np.bool_))
    return found


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
TEXTS, USERS, TOPICS = "texts", "users", "topics"
METADATA_KEY = b"patlm"
STAMP = "stamp"
"""Number of the write that last changed a row."""

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


def first_generation(style: Encoder) -> Generation:
    """Return the generation that a new store begins with: nothing is there yet to be embedded."""
    return Generation(1, style.version, style.dimension, filled=True)


def table_schemas(topic: Encoder, generation: Generation) -> dict[str, pa.Schema]:
    """Return the arrow schema of each table by name, as one style encoder's opener sees it."""
    about = {"schema": SCHEMA_VERSION, "encoder": topic.version, "dimension": topic.dimension}
    namespace = pa.field(
        "namespace", pa.string(), metadata={METADATA_KEY: json.dumps(about, sort_keys=True)}
    )
    users = [
        namespace,
        pa.field("user_id", pa.string()),
        pa.field("texts", pa.int64()),
        pa.field("shared", pa.int64()),
        generation.users_field(),
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
    texts = [namespace, *_text_fields(topic, generation)]
    return {TEXTS: pa.schema(texts), USERS: pa.schema(users), TOPICS: pa.schema(topics)}


def _text_fields(topic: Encoder, generation: Generation) -> list[pa.Field]:
    return [
        pa.field("text_id", pa.string()),
        pa.field("user_id", pa.string()),
        pa.field("topic_id", pa.string()),
        pa.field("title", pa.string(), metadata=READABLE),
        pa.field("body", pa.string(), metadata=READABLE),
        pa.field("shared", pa.bool_()),
        pa.field("details", TYPE),
        pa.field("terms", pa.list_(pa.uint32())),
        generation.texts_field(),
        pa.field("topic", pa.list_(pa.float32(), topic.dimension)),
        pa.field(STAMP, pa.int64()),
    ]


def check_schema(name: str, found: pa.Schema, expected: pa.Schema, uri: str) -> None:
    """Raise unless a table that exists was written by this store with this topic encoder.

    Args:
        name: The table's.
        found: Its schema.
        expected: What `table_schemas` says.
        uri: Where the store lies, for the command that mends it.

    Raises:
        SchemaMismatch: If it is not a table of this store, or of another schema version.
        EncoderMismatch: If its topic vectors were made by another encoder.
    """
    written, wanted = about_table(found), about_table(expected)
    if written.get("schema") != SCHEMA_VERSION:
        raise other_version(name, written.get("schema"), uri)
    keys = ("encoder", "dimension")
    if [written[key] for key in keys] != [wanted[key] for key in keys]:
        raise EncoderMismatch(
            f"this store's topic vectors were made by {_named(written)}, but it was opened with "
            f"{_named(wanted)}: open it with the former (PATLM_ENCODER), or ingest the texts "
            "again into a new store"
        )


def other_version(name: str, version: int | None, uri: str) -> SchemaMismatch:
    """Return the error of a table that another version of the store wrote, or somebody else."""
    repair = "open another place, or use the version of patlm that wrote it"
    if version is not None and version < SCHEMA_VERSION:
        repair = f"`patlm refit --store {uri}` brings it up to date where it lies, nothing is lost"
    return SchemaMismatch(
        f"table {name!r}: expected schema version {SCHEMA_VERSION}, found {version or 'none'}: "
        f"{repair}"
    )


def find_generation(users: pa.Schema, style: Encoder, uri: str) -> Generation:
    """Return the columns of a style encoder.

    Args:
        users: Schema of the table `users`.
        style: The encoder that the store is opened with.
        uri: Where it lies, for the command that mends it.

    Raises:
        EncoderMismatch: If the store has no vectors of this encoder, or not all of them yet.
    """
    generations = generations_of(users)
    asked = f"{style.version!r} ({style.dimension} dimensions)"
    for generation in generations:
        if (generation.encoder, generation.dimension) == (style.version, style.dimension):
            if generation.filled:
                return generation
            raise EncoderMismatch(
                f"embedding this store again by {asked} is under way or was cut off: "
                f"`patlm refit --store {uri}` finishes it, and the former encoder still serves"
            )
    filled = ", ".join(
        f"{each.encoder!r} ({each.dimension} dimensions)" for each in generations if each.filled
    )
    raise EncoderMismatch(
        f"this store's style vectors were made by {filled or 'nobody'}, but it was opened with "
        f"{asked}: open it with the former, or `patlm refit --store {uri}` embeds it again"
    )


def about_table(schema: pa.Schema) -> dict[str, Any]:
    """Return what a table says of itself: schema version, topic encoder, dimension.

    Empty where it says nothing; of schema version 1 only the version is told.
    """
    if "namespace" not in schema.names:
        return {}
    about = (schema.field("namespace").metadata or {}).get(METADATA_KEY)
    if about is not None:
        found: dict[str, Any] = json.loads(about)
        return found
    first = json.loads((schema.metadata or {}).get(METADATA_KEY, b"{}"))
    return {key: first[key] for key in ("schema",) if key in first}


def _named(about: dict[str, Any]) -> str:
    return f"{about['encoder']!r} ({about['dimension']} dimensions)"


STYLE, STYLE_SUM = "style", "style_sum"
_NAMESPACE, _DETAILS = "namespace", "details"


class Columns:
    """Translates columns for one style encoder.

    Args:
        topic: The topic encoder.
        generation: The style encoder's columns.
    """

    def __init__(self, topic: Encoder, generation: Generation) -> None:
        self.generation = generation
        self.on_disk = table_schemas(topic, generation)
        self._disk_names = {
            TEXTS: {STYLE: generation.texts_column},
            USERS: {STYLE_SUM: generation.users_column},
            TOPICS: {},
        }
        self.seen = {name: self._seen(name, schema) for name, schema in self.on_disk.items()}

    def asked(self, name: str, columns: Sequence[str] | None, namespace: str | None) -> list[str]:
        """Return what has to be read from disk.

        Args:
            name: The table's.
            columns: Those that are wanted; None: all that are seen.
            namespace: Which is then not read.
        """
        wanted = self.seen[name].names if columns is None else list(columns)
        if name == TEXTS and any(column in DETAILS for column in wanted):
            wanted = [*(column for column in wanted if column not in DETAILS), _DETAILS]
        if namespace is not None and len(wanted) > 1:
            wanted = [column for column in wanted if column != _NAMESPACE]
        renamed = self._disk_names[name]
        return [renamed.get(column, column) for column in wanted]

    def read(
        self, name: str, rows: pa.Table, columns: Sequence[str] | None, namespace: str | None
    ) -> pa.Table:
        """Return rows from disk as the columns that were wanted."""
        found = dict(zip(rows.column_names, rows.columns, strict=True))
        for own, disk in self._disk_names[name].items():
            if disk in found:
                found[own] = found[disk]
        if _DETAILS in found:
            found |= unpack(found[_DETAILS])
        if _NAMESPACE not in found and namespace is not None:
            found[_NAMESPACE] = pa.array([namespace] * rows.num_rows, pa.string())
        seen = self.seen[name]
        wanted = seen.names if columns is None else list(columns)
        schema = pa.schema([seen.field(column) for column in wanted])
        return pa.table([found[column] for column in wanted], schema=schema)

    def written(self, name: str, rows: pa.Table, stamp: int, live: pa.Schema) -> pa.Table:
        """Return rows as they go to disk.

        Args:
            name: The table's.
            rows: All columns that are seen.
            stamp: Number of this write.
            live: The table's schema as it is now: a refit may have added columns, whose cells in
                these rows are no longer what they were.
        """
        found = dict(zip(rows.column_names, rows.columns, strict=True))
        for own, disk in self._disk_names[name].items():
            found[disk] = found.pop(own)
        if name == TEXTS:
            found[_DETAILS] = pack(rows)
        found[STAMP] = pa.array([stamp] * rows.num_rows, pa.int64())
        schema = self.on_disk[name]
        written = pa.table([found[column] for column in schema.names], names=schema.names)
        if name == USERS:
            for other in generations_of(live):
                if other.number != self.generation.number:
                    empty = pa.nulls(rows.num_rows, pa.list_(pa.float64(), other.dimension))
                    written = written.append_column(other.users_column, empty)
        return written

    def _seen(self, name: str, schema: pa.Schema) -> pa.Schema:
        seen = {disk: own for own, disk in self._disk_names[name].items()}
        fields = []
        for field in schema:
            if field.name == _DETAILS:
                fields += _DETAIL_FIELDS
            elif field.name != STAMP and not (name == TEXTS and field.name == "shared"):
                fields.append(field.with_name(seen.get(field.name, field.name)).remove_metadata())
        return pa.schema(fields)


def seen_schemas(style: Encoder, topic: Encoder) -> dict[str, pa.Schema]:
    """Return the arrow schema of each table by name, as whoever opens a new store sees it."""
    return Columns(topic, first_generation(style)).seen


_DETAIL_FIELDS = [
    pa.field("rating", pa.float64()),
    pa.field("timestamp", pa.int64()),
    pa.field("position", pa.int64()),
    pa.field("language", pa.string()),
    pa.field("target", pa.bool_()),
    pa.field("shared", pa.bool_()),
    pa.field("shared_id", pa.bool_()),
]


@dataclass(frozen=True)
class RecordedEncoder:
    """Name and dimension of an encoder; can't encode."""

    version: str
    dimension: int

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Refuse.

        Raises:
            StoreError: Always: the store was opened without its models.
        """
        raise StoreError(
            f"the store was opened without its encoder {self.version!r}, to look at only: "
            "open it with `TextStore.open` to add or search"
        )


def recorded_encoders(users: pa.Schema, uri: str) -> tuple[RecordedEncoder, RecordedEncoder]:
    """Return the style encoder in use and the topic encoder that the table `users` names.

    Args:
        users: The table's schema.
        uri: Where the store lies, for the command that mends it.

    Raises:
        SchemaMismatch: It is not a table of this store, or of another version.
    """
    about = about_table(users)
    current = current_generation(generations_of(users))
    if about.get("schema") != SCHEMA_VERSION or current is None:
        if "schema" in about:
            raise other_version(USERS, about["schema"], uri)
        raise SchemaMismatch(
            "the tables there were not written by patlm: name a store made by `patlm ingest`"
        )
    style = RecordedEncoder(current.encoder, current.dimension)
    return style, RecordedEncoder(about["encoder"], about["dimension"])
