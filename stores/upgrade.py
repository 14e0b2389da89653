"""Bring a store that an older version wrote up to date, where it lies.

Schema version 1 had one style vector a text, in a column `style`, and told of its encoders in the
tables' own metadata, which LanceDB does not let anybody change; version 2 tells of them in the
metadata of columns. Nothing is copied: columns get other names, and one is added. A step that was
cut off is done by the next call.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .generations import ENCODER_KEY, Generation
from .schema import METADATA_KEY, SCHEMA_VERSION, STAMP, TEXTS, TOPICS, USERS, about_table

if TYPE_CHECKING:
    from lancedb import AsyncConnection, AsyncTable

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
    if name != TEXTS and STAMP not in schema.names:
        await table.add_columns(_NO_STAMP)
    # Last: from here on the table counts as one of version 2.
    written = {
        "schema": SCHEMA_VERSION,
        "encoder": topic["version"],
        "dimension": topic["dimension"],
    }
    metadata = {METADATA_KEY.decode(): json.dumps(written, sort_keys=True)}
    await table.update_field_metadata({"path": "namespace", "metadata": metadata})
