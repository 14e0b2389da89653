"""The texts of a topic, ready to be ranked: what a request picks its evidence from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from .ragged import Places, starts_of, take
from .records import History, Text, Vectors
from .rows import PLAIN_COLUMNS, texts_of_rows, vectors_of
from .words import Terms, bare

POOL_COLUMNS = (*PLAIN_COLUMNS, "text_id", "terms", "topic")


@dataclass(frozen=True)
class Pool:
    """Shared texts of some topics, sorted by text id.

    Attributes:
        rows: The columns that make a `Text`, and its id.
        users: Author of each text.
        bodies: Bare body of each text (see `words.bare`).
        vectors: Topic vectors, shape (texts, topic dimension).
        terms: Terms of all texts, one after another.
        starts: Where each text begins in `terms`, shape (texts + 1,).
    """

    rows: pa.Table
    users: tuple[str, ...]
    bodies: tuple[str, ...]
    vectors: Vectors
    terms: Terms
    starts: Places

    def __len__(self) -> int:
        return len(self.users)

    def for_requester(self, history: History) -> Places:
        """Return the places of the texts that this requester may see."""
        hidden = history.hidden_bodies
        return np.array(
            [
                place
                for place, (user, body) in enumerate(zip(self.users, self.bodies, strict=True))
                if user != history.user_id and body not in hidden
            ],
            np.int64,
        )

    def terms_at(self, places: Places) -> tuple[Terms, Places]:
        """Return the terms of some texts, and where each begins."""
        at, starts = take(self.starts, places)
        return self.terms[at], starts

    def texts_at(self, places: Sequence[int]) -> list[Text]:
        """Return some texts."""
        return texts_of_rows(self.rows.take(list(places)))


def pool_of_rows(rows: pa.Table) -> Pool:
    """Return the pool that rows of the table `texts` make."""
    import pyarrow.compute as pc

    rows = rows.sort_by("text_id").combine_chunks()
    terms = rows.column("terms").combine_chunks()
    return Pool(
        rows=rows.drop_columns(["terms", "topic"]),
        users=tuple(rows.column("user_id").to_pylist()),
        bodies=tuple(bare(body) for body in rows.column("body").to_pylist()),
        vectors=vectors_of(rows, "topic"),
        terms=terms.flatten().to_numpy(),
        starts=starts_of(pc.list_value_length(terms).to_numpy()),
    )
