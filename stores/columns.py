"""The columns that a store's opener sees, and those that lie on disk.

On disk a style vector's column bears the number of its encoder (see `generations`), a text's small
facts are one column (see `details`), and every row has the number of the write that last changed
it. Nobody else needs to know.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from . import details
from .details import DETAILS
from .generations import Generation, generations_of
from .records import Encoder
from .schema import STAMP, TEXTS, TOPICS, USERS, first_generation, table_schemas

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
            found |= details.unpack(found[_DETAILS])
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
            found[_DETAILS] = details.pack(rows)
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
