"""The style encoders that a store's vectors were made by, one pair of columns each.

Texts have their style vectors in `style_1`, users the sums of theirs in `style_sum_1`; a refit adds
`style_2` and `style_sum_2` beside them. Whoever opened the store with the former encoder goes on in
its columns, and an empty cell means: not embedded by this encoder yet. Who reads one embeds it
(see `unembedded`), so that nobody misses what somebody with the other encoder has written.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

ENCODER_KEY = b"patlm-encoder"
_TEXTS_COLUMN, _USERS_COLUMN = "style_", "style_sum_"


@dataclass(frozen=True)
class Generation:
    """One style encoder's columns.

    Attributes:
        number: From 1, later ones are higher.
        encoder: Version of the encoder.
        dimension: Of its vectors.
        filled: Whether every text and user had its cell filled once; before, a refit is under
            way or was cut off.
    """

    number: int
    encoder: str
    dimension: int
    filled: bool

    @property
    def texts_column(self) -> str:
        """Name of the column in the table `texts`."""
        return f"{_TEXTS_COLUMN}{self.number}"

    @property
    def users_column(self) -> str:
        """Name of the column in the table `users`."""
        return f"{_USERS_COLUMN}{self.number}"

    def texts_field(self) -> pa.Field:
        """Return the column in the table `texts`."""
        return pa.field(self.texts_column, pa.list_(pa.float32(), self.dimension))

    def users_field(self) -> pa.Field:
        """Return the column in the table `users`, which says of whom it is and how far."""
        metadata = {ENCODER_KEY: self.as_metadata().encode()}
        return pa.field(self.users_column, pa.list_(pa.float64(), self.dimension), True, metadata)

    def as_metadata(self) -> str:
        """Return what the users' column bears."""
        return json.dumps({"encoder": self.encoder, "filled": self.filled}, sort_keys=True)


def generations_of(users: pa.Schema) -> list[Generation]:
    """Return the generations that the table `users` has columns of, the earliest first."""
    found = []
    for field in users:
        if not field.name.startswith(_USERS_COLUMN) or not field.metadata:
            continue
        about = json.loads(field.metadata.get(ENCODER_KEY, b"{}"))
        if about:
            number = int(field.name.removeprefix(_USERS_COLUMN))
            found.append(Generation(number, dimension=field.type.list_size, **about))
    return sorted(found, key=lambda generation: generation.number)


def current_generation(generations: Sequence[Generation]) -> Generation | None:
    """Return the latest that was filled: the one that a store is opened with by default."""
    filled = [generation for generation in generations if generation.filled]
    return filled[-1] if filled else None
