"""The texts of a topic, ready to be ranked: what a request picks its evidence from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from .near_copies import Mask, Shingles, copies_among, copies_of, shingles_of
from .ragged import Places, take
from .records import Text, Vectors
from .rows import PLAIN_COLUMNS, terms_of_rows, texts_of_rows, vectors_of
from .unseen import Unseen
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

    @cached_property
    def shingles(self) -> Shingles:
        """Shingles of all texts, for near-copies; made for the first request that has a text."""
        return shingles_of(self.terms, self.starts)

    def for_requester(self, unseen: Unseen) -> Places:
        """Return the places of the texts that this request may be shown."""
        shown = unseen.shown(self.users, self.bodies)
        if unseen.text:
            shown &= ~copies_of(unseen.terms, self.shingles, self.starts)
        return np.flatnonzero(shown)

    def copies_among(self, places: Places) -> Mask:
        """Return which of some texts say each other again, shape (n, n)."""
        bodies = [self.bodies[place] for place in places.tolist()]
        return copies_among(self.shingles, self.starts, places, bodies)

    def terms_at(self, places: Places) -> tuple[Terms, Places]:
        """Return the terms of some texts, and where each begins."""
        at, starts = take(self.starts, places)
        return self.terms[at], starts

    def text_ids(self, places: Places) -> list[str]:
        """Return the ids of some texts."""
        ids: list[str] = self.rows.column("text_id").take(places).to_pylist()
        return ids

    def texts_at(self, places: Sequence[int]) -> list[Text]:
        """Return some texts."""
        return texts_of_rows(self.rows.take(list(places)))


def pool_of_rows(rows: pa.Table) -> Pool:
    """Return the pool that rows of the table `texts` make."""
    rows = rows.sort_by("text_id").combine_chunks()
    terms, starts = terms_of_rows(rows)
    return Pool(
        rows=rows.drop_columns(["terms", "topic"]),
        users=tuple(rows.column("user_id").to_pylist()),
        bodies=tuple(bare(body) for body in rows.column("body").to_pylist()),
        vectors=vectors_of(rows, "topic"),
        terms=terms,
        starts=starts,
    )
