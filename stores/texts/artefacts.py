"""What is learnt from a store's texts and kept with them: encoders, the graph's weights.

Artefacts lie in a table of the store, so that a store in a bucket has them too. Each is one row, so
a reader never sees half of one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ..errors import StoreError
from .connection import WriteLock, connected, local_root

if TYPE_CHECKING:
    from lancedb import AsyncConnection

ARTEFACTS = "artefacts"

_SCHEMA = pa.schema(
    [
        pa.field("name", pa.string()),
        pa.field("about", pa.string()),
        pa.field("file_names", pa.list_(pa.string())),
        pa.field("file_bytes", pa.list_(pa.large_binary())),
    ]
)


@dataclass(frozen=True)
class Artefact:
    """Something learnt, in files.

    Attributes:
        name: Its name in the store.
        about: What it was made from and how good it is; plain data for JSON.
        files: Contents by relative path.
    """

    name: str
    about: Mapping[str, Any]
    files: Mapping[str, bytes]


class Artefacts:
    """The artefacts of one store; written only while `Tables.writing`."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def find(self, name: str) -> Artefact | None:
        """Return the artefact of that name, or None.

        Raises:
            StoreError: What is kept there was not written by `keep`.
        """
        if ARTEFACTS not in (await self._connection.list_tables()).tables:
            return None
        table = await self._connection.open_table(ARTEFACTS)
        rows = await table.query().to_list()  # a handful, and names need no escaping so
        for row in rows:
            if row["name"] == name:
                return _artefact(row)
        return None

    async def keep(self, artefact: Artefact) -> None:
        """Keep an artefact; it replaces one of the same name."""
        row = {
            "name": artefact.name,
            "about": json.dumps(dict(artefact.about), sort_keys=True),
            "file_names": list(artefact.files),
            "file_bytes": list(artefact.files.values()),
        }
        table = await self._connection.create_table(ARTEFACTS, schema=_SCHEMA, exist_ok=True)
        merge = table.merge_insert(["name"]).when_matched_update_all()
        await merge.when_not_matched_insert_all().execute(pa.Table.from_pylist([row], _SCHEMA))


async def find_artefact(uri: str, name: str) -> Artefact | None:
    """Return an artefact of the store at a place, without opening that store."""
    async with connected(uri) as connection:
        return await Artefacts(connection).find(name)


async def keep_artefact(uri: str, artefact: Artefact) -> None:
    """Keep an artefact at a place where there may be no store yet."""
    async with connected(uri) as connection, WriteLock(local_root(uri)).held():
        await Artefacts(connection).keep(artefact)


def _artefact(row: Mapping[str, Any]) -> Artefact:
    try:
        about = json.loads(row["about"])
        files = dict(zip(row["file_names"], row["file_bytes"], strict=True))
    except (ValueError, TypeError) as error:
        raise StoreError(
            f"the artefact {row['name']!r} in this store is damaged ({error}): make it again with "
            "the command that made it",
            code="damaged_artefact",
        ) from error
    return Artefact(row["name"], about, files)
