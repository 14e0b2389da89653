"""Every text's style vector in memory, in half precision: which of an author's texts to read.

An author of ten texts gives one as evidence. To read all ten costs a tenth of a millisecond each,
wherever they lie on disk; to find the most telling ones here costs next to nothing. About 600 bytes
a text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from .ragged import Places
from .records import Vectors
from .resident import places_by
from .rows import vectors_of

STYLE_ROWS_COLUMNS = ("text_id", "user_id", "topic_id", "body", "style")
"""What this is made of; the body for texts that are not embedded yet (see `unembedded`)."""

MOST_PARTS = 8
"""Parts that are looked through before the later ones are joined."""


@dataclass(frozen=True)
class _Part:
    """Texts that came together.

    Attributes:
        rows: Their `text_id`, `user_id` and `topic_id`.
        vectors: Their style vectors, shape (texts, dimension).
    """

    rows: pa.Table
    vectors: NDArray[np.float16]

    def __len__(self) -> int:
        return int(self.rows.num_rows)

    @cached_property
    def of_user(self) -> Mapping[str, Places]:
        """Places of each user's texts."""
        return places_by(self.rows.column("user_id"))


@dataclass(frozen=True)
class StyleRows:
    """The shared texts of a namespace; frozen, `with_new` returns another."""

    parts: tuple[_Part, ...] = ()

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def with_new(self, rows: pa.Table) -> StyleRows:
        """Return these texts and new ones; a text that is here already may come again."""
        parts = [*self.parts, _part(rows)]
        if len(parts) > MOST_PARTS:
            parts = [parts[0], _joined(parts[1:])]
        return StyleRows(tuple(parts))

    def most_telling(
        self,
        wanted: Mapping[str, Vectors],
        topic_id: str | None,
        *,
        on_topic: bool,
        each: int,
    ) -> list[str]:
        """Return the ids of some users' texts with the highest dot products.

        Args:
            wanted: By user, what their texts' vectors are multiplied by, shape (dimension,).
            topic_id: A topic whose texts are left out; None: none is.
            on_topic: Whether the topic's texts are the only ones instead.
            each: Texts of each user at most.
        """
        users = list(wanted)
        directions = np.array([wanted[user] for user in users])
        near: dict[str, tuple[int, float]] = {}
        for part in self.parts:
            near |= _near(part, users, directions, topic_id, on_topic)
        of_user: list[list[tuple[float, str]]] = [[] for _ in users]
        for text_id, (user, score) in near.items():
            of_user[user].append((-score, text_id))
        return [text_id for some in of_user for _, text_id in sorted(some)[:each]]


class StyleRowsBuilder:
    """Makes `StyleRows` of batches of rows of `STYLE_ROWS_COLUMNS`."""

    def __init__(self) -> None:
        self._parts: list[_Part] = []

    def take(self, rows: pa.Table) -> None:
        """Take in a batch, of which half the vectors' bytes are kept."""
        if rows.num_rows:
            self._parts.append(_part(rows))

    def build(self) -> StyleRows:
        """Return what all batches make."""
        return StyleRows((_joined(self._parts),) if self._parts else ())


def _near(
    part: _Part, users: Sequence[str], directions: Vectors, topic_id: str | None, on_topic: bool
) -> dict[str, tuple[int, float]]:
    """Return the texts of some users by id: whose (an index into `users`), and how near."""
    none = np.zeros(0, np.int64)
    places = [part.of_user.get(user, none) for user in users]
    whose = np.repeat(np.arange(len(users)), [len(some) for some in places])
    at = np.concatenate([none, *places])
    if topic_id:
        here = pc.equal(part.rows.column("topic_id").take(at), topic_id).to_numpy()
        kept = here if on_topic else ~here
        at, whose = at[kept], whose[kept]
    rows = part.vectors.take(at, axis=0).astype(np.float32)
    scores = np.einsum("ij,ij->i", rows, directions[whose])
    ids: Sequence[str] = part.rows.column("text_id").take(at).to_pylist()
    found = zip(whose.tolist(), scores.tolist(), strict=True)
    return dict(zip(ids, found, strict=True))


def _part(rows: pa.Table) -> _Part:
    kept = vectors_of(rows, "style").astype(np.float16)
    return _Part(rows.select(["text_id", "user_id", "topic_id"]).combine_chunks(), kept)


def _joined(parts: Sequence[_Part]) -> _Part:
    rows = pa.concat_tables([part.rows for part in parts]).combine_chunks()
    return _Part(rows, np.concatenate([part.vectors for part in parts]))
