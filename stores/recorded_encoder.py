"""The encoders that a store remembers having been filled with.

What counts, compacts or forgets needs to know their names and dimensions only, and does not have to
load a model for seconds.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from .errors import SchemaMismatch, StoreError
from .records import Vectors
from .schema import METADATA_KEY


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


def recorded_encoders(schema: pa.Schema) -> tuple[RecordedEncoder, RecordedEncoder]:
    """Return the style and topic encoder that a table's metadata names.

    Raises:
        SchemaMismatch: It is not a table of this store.
    """
    written = json.loads((schema.metadata or {}).get(METADATA_KEY, b"{}"))
    try:
        style, topic = (RecordedEncoder(**written[role]) for role in ("style", "topic"))
    except (KeyError, TypeError):
        raise SchemaMismatch(
            "the table `texts` there was not written by patlm: name a store made by `patlm ingest`"
        ) from None
    return style, topic
