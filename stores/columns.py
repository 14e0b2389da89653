"""The columns that a store's opener sees, and those that lie on disk.

On disk a style vector's column bears the number of its encoder (see `generations`), and rows of
`users` and `topics` the number of the write that last changed them; nobody else needs to know.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from .generations import Generation, generations_of
from .records import Encoder
from .schema import STAMP, TEXTS, USERS, table_schemas

STYLE, STYLE_SUM = "style", "style_sum"


class Columns:
    """Renames columns for one style encoder.

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
        }
        self.seen = {name: self._seen(name, schema) for name, schema in self.on_disk.items()}

    def asked(self, name: str, columns: Sequence[str] | None) -> list[str]:
        """Return what columns are called on disk; None: all that are seen."""
        renamed = self._disk_names.get(name, {})
        wanted = self.seen[name].names if columns is None else columns
        return [renamed.get(column, column) for column in wanted]

    def read(self, name: str, rows: pa.Table) -> pa.Table:
        """Return rows from disk under the names that are seen."""
        seen = {disk: own for own, disk in self._disk_names.get(name, {}).items()}
        return rows.rename_columns([seen.get(column, column) for column in rows.column_names])

    def written(self, name: str, rows: pa.Table, stamp: int, live: pa.Schema) -> pa.Table:
        """Return rows as they go to disk.

        Args:
            name: The table's.
            rows: All columns that are seen.
            stamp: Number of this write.
            live: The table's schema as it is now: a refit may have added columns, whose cells in
                these rows are no longer what they were.
        """
        rows = rows.rename_columns(self.asked(name, rows.column_names)).replace_schema_metadata()
        if name == TEXTS:
            return rows
        rows = rows.append_column(STAMP, pa.array([stamp] * rows.num_rows, pa.int64()))
        if name == USERS:
            for other in generations_of(live):
                if other.number != self.generation.number:
                    empty = pa.nulls(rows.num_rows, pa.list_(pa.float64(), other.dimension))
                    rows = rows.append_column(other.users_column, empty)
        return rows

    def _seen(self, name: str, schema: pa.Schema) -> pa.Schema:
        seen = {disk: own for own, disk in self._disk_names.get(name, {}).items()}
        fields = [
            field.with_name(seen.get(field.name, field.name))
            for field in schema
            if field.name != STAMP
        ]
        return pa.schema(fields)
