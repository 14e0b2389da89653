"""The encoders that a store remembers having been filled with.

What counts, compacts or forgets needs to know their names and dimensions only, and does not have to
load a model for seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from .errors import SchemaMismatch, StoreError
from .generations import current_generation, generations_of
from .records import Vectors
from .schema import SCHEMA_VERSION, USERS, about_table, other_version


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
