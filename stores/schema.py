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

from . import details
from .errors import EncoderMismatch, SchemaMismatch
from .generations import Generation, generations_of
from .records import Encoder

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
        pa.field("details", details.TYPE),
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
