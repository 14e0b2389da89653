"""Bring a store that an older version wrote up to date, where it lies.

Schema version 1 had one style vector a text, in a column `style`, and told of its encoders in the
tables' own metadata, which LanceDB does not let anybody change; version 2 tells of them in the
metadata of columns, and keeps a text's small facts in one. Nothing but those is copied: columns get
other names. A step that was cut off is done by the next call.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from . import details
from .generations import ENCODER_KEY, Generation
from .schema import KEYS, METADATA_KEY, SCHEMA_VERSION, STAMP, TEXTS, TOPICS, USERS, about_table

if TYPE_CHECKING:
    from lancedb import AsyncConnection, AsyncTable

BATCH_TEXTS = 16_384
"""Texts whose small facts are packed at once."""

_NO_STAMP = {STAMP: "CAST(0 AS BIGINT)"}


async def upgrade(connection: AsyncConnection) -> bool:
    """Bring the tables of schema version 1 to version 2; return whether there was any.

    Only while the write lock is held.
    """
    upgraded = False
    for name in (TOPICS, USERS, TEXTS):
        table = await connection.open_table(name)
        if about_table(await table.schema()).get("schema") == 1:
            await _upgrade_table(name, table)
            upgraded = True
    return upgraded


async def _upgrade_table(name: str, table: AsyncTable) -> None:
    schema = await table.schema()
    about: dict[str, Any] = json.loads(schema.metadata[METADATA_KEY])
    style, topic = about["style"], about["topic"]
    first = Generation(1, style["version"], style["dimension"], filled=True)
    renamed = {
        TEXTS: ("style", first.texts_column),
        USERS: ("style_sum", first.users_column),
    }.get(name)
    if renamed is not None and renamed[0] in schema.names:
        await table.alter_columns({"path": renamed[0], "rename": renamed[1]})
    if name == USERS:
        metadata = {ENCODER_KEY.decode(): first.as_metadata()}
        await table.update_field_metadata({"path": first.users_column, "metadata": metadata})
    if STAMP not in schema.names:
        await table.add_columns(_NO_STAMP)
    if name == TEXTS:
        await _pack_details(table)
    # Last: from here on the table counts as one of version 2.
    written = {
        "schema": SCHEMA_VERSION,
        "encoder": topic["version"],
        "dimension": topic["dimension"],
    }
    metadata = {METADATA_KEY.decode(): json.dumps(written, sort_keys=True)}
    await table.update_field_metadata({"path": "namespace", "metadata": metadata})


async def _pack_details(table: AsyncTable) -> None:
    """Put the small facts of each text into one column, and take the old columns away."""
    if "details" not in (await table.schema()).names:
        await table.add_columns(pa.schema([pa.field("details", details.TYPE)]))
    query = table.query().where("details IS NULL").select(["text_id", *details.DETAILS])
    if set(details.DETAILS) <= set((await table.schema()).names):
        async for batch in await query.to_batches(max_batch_length=BATCH_TEXTS):
            rows = pa.Table.from_batches([batch])
            made = pa.table([rows["text_id"], details.pack(rows)], names=["text_id", "details"])
            await table.merge_insert(KEYS[TEXTS]).when_matched_update_all().execute(made)
        await table.drop_columns([name for name in details.DETAILS if name != "shared"])
