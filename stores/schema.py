"""The three tables, and which encoders a store was filled with.

`texts` holds what was written, `users` and `topics` what is summed up from it: both follow from
`texts` and are rebuilt from it where they do not add up. Sums are float64 and exact (see `sums`).

Title and body are kept uncompressed, so that a proof of forgetting can look into the files:
compressed, a search finds nothing even before the removal and proves nothing.
"""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from .errors import EncoderMismatch, SchemaMismatch
from .records import Encoder

SCHEMA_VERSION = 1
TEXTS, USERS, TOPICS = "texts", "users", "topics"
METADATA_KEY = b"patlm"
READABLE = {b"lance-encoding:compression": b"none"}

KEYS = {TEXTS: ["text_id"], USERS: ["namespace", "user_id"], TOPICS: ["namespace", "topic_id"]}
"""Columns that name a row, by table."""

SCALAR_INDEXES = {
    TEXTS: ("user_id", "topic_id", "text_id"),
    USERS: ("user_id",),
    TOPICS: ("topic_id",),
}
"""Columns with a B-tree, by table."""

NAMESPACE_INDEX = "namespace"
"""Has a bitmap in every table: a namespace may hold all rows, and a B-tree would list them."""

FULL_TEXT_INDEXES = ("title", "body")


def encoder_metadata(style: Encoder, topic: Encoder) -> dict[bytes, bytes]:
    """Return the metadata every table bears: schema version, encoders and dimensions."""
    described = {
        "schema": SCHEMA_VERSION,
        "style": {"version": style.version, "dimension": style.dimension},
        "topic": {"version": topic.version, "dimension": topic.dimension},
    }
    return {METADATA_KEY: json.dumps(described, sort_keys=True).encode()}


def table_schemas(style: Encoder, topic: Encoder) -> dict[str, pa.Schema]:
    """Return the arrow schema of each table by name."""
    metadata = encoder_metadata(style, topic)
    users = [
        pa.field("namespace", pa.string()),
        pa.field("user_id", pa.string()),
        pa.field("texts", pa.int64()),
        pa.field("shared", pa.int64()),
        pa.field("style_sum", pa.list_(pa.float64(), style.dimension)),
        pa.field("edge_topics", pa.list_(pa.string())),
        pa.field("edge_texts", pa.list_(pa.int64())),
        pa.field("edge_rating_sums", pa.list_(pa.float64())),
        pa.field("edge_ratings", pa.list_(pa.int64())),
    ]
    topics = [
        pa.field("namespace", pa.string()),
        pa.field("topic_id", pa.string()),
        pa.field("shared", pa.int64()),
        pa.field("vector_sum", pa.list_(pa.float64(), topic.dimension)),
    ]
    fields = {TEXTS: _text_fields(style, topic), USERS: users, TOPICS: topics}
    return {name: pa.schema(columns, metadata=metadata) for name, columns in fields.items()}


def _text_fields(style: Encoder, topic: Encoder) -> list[pa.Field]:
    return [
        pa.field("namespace", pa.string()),
        pa.field("text_id", pa.string()),
        pa.field("user_id", pa.string()),
        pa.field("topic_id", pa.string()),
        pa.field("title", pa.string(), metadata=READABLE),
        pa.field("body", pa.string(), metadata=READABLE),
        pa.field("rating", pa.float64()),
        pa.field("timestamp", pa.int64()),
        pa.field("position", pa.int64()),
        pa.field("language", pa.string()),
        pa.field("target", pa.bool_()),
        pa.field("shared", pa.bool_()),
        pa.field("shared_id", pa.bool_()),
        pa.field("terms", pa.list_(pa.uint32())),
        pa.field("style", pa.list_(pa.float32(), style.dimension)),
        pa.field("topic", pa.list_(pa.float32(), topic.dimension)),
    ]


def check_schema(name: str, found: pa.Schema, expected: pa.Schema) -> None:
    """Raise unless a table that exists was written by this store with these encoders.

    Raises:
        SchemaMismatch: If it is not a table of this store, or of another schema version.
        EncoderMismatch: If its vectors were made by another encoder.
    """
    written = json.loads((found.metadata or {}).get(METADATA_KEY, b"{}"))
    wanted = json.loads(expected.metadata[METADATA_KEY])
    if written.get("schema") != wanted["schema"]:
        raise SchemaMismatch(
            f"table {name!r}: expected schema version {wanted['schema']}, "
            f"found {written.get('schema', 'none')}: open another place, or ingest the texts "
            "again into a new store"
        )
    for role in ("style", "topic"):
        if written[role] != wanted[role]:
            raise EncoderMismatch(
                f"this store's {role} vectors were made by {_named(written[role])}, but it was "
                f"opened with {_named(wanted[role])}: open it with the former, or ingest the "
                "texts again into a new store"
            )


def _named(encoder: dict[str, Any]) -> str:
    return f"{encoder['version']!r} ({encoder['dimension']} dimensions)"
