"""Find users who write alike: nearest by mean style vector, with the most telling text of each.

An author's score is the cosine of the two mean vectors without the length direction
(`length_bias`), shrunk where the author has few texts (`reliability`). Up to 20,000 users are
compared in full; of more, the nearest by an estimate. The requester is never found, nor a text on
the requested topic, except where a control asks for those: style must not bring its subject along.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ..texts.arrow import Places
from ..texts.cache import Snapshots
from ..texts.resident import Resident
from ..texts.users import Users
from ..types import Found, Hit, Neighbour, Text, Vectors
from .duplicates import EvidenceFilter
from .length_bias import LengthAxis
from .request import SearchRequest, Selection, reliability
from .selection import (
    AUTHOR_COLUMNS,
    DRAWN_PER_TEXT,
    best_first,
    first_texts,
    match_length_and_rating,
)
from .threads import LONG_WORDS, MANY_VECTORS, are_many, in_thread_if

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .request import Counts

READ_OF_EACH = 3
"""Texts read of each author: the most telling one may be filtered out."""

REASONS: dict[Selection, str] = {
    "aligned": "writes alike",
    "random": "drawn among all who write on other topics",
    "anti_aligned": "writes least alike",
    "same_topic": "wrote on this topic",
    "random_topic": "drawn among texts on other topics",
}


async def search_by_style(
    snapshots: Snapshots, request: SearchRequest, length: LengthAxis
) -> Found:
    """Return one text of each of k users; see `TextStore.search_by_style`."""
    users = await snapshots.users(request.history.namespace)
    query = await length.without_length(request.query, request.weights.length)
    search = _StyleSearch(snapshots, users, replace(request, query=query))
    rows, scores = await in_thread_if(len(users.ids) > MANY_VECTORS, search.candidates)
    hits = await search.hits(rows, scores)
    return Found(
        hits=tuple(hits),
        neighbours=tuple(Neighbour(hit.text.user_id, hit.score) for hit in hits),
        pool_size=len(rows),
    )


@dataclass(frozen=True)
class _StyleSearch:
    """One search; the request's query is without the length direction."""

    snapshots: Snapshots
    users: Users
    request: SearchRequest

    @cached_property
    def filter(self) -> EvidenceFilter:
        return EvidenceFilter(self.request)

    @property
    def on_topic(self) -> bool:
        return self.request.selection == "same_topic"

    def candidates(self) -> tuple[Places, Vectors]:
        """Return the candidates' rows, in the order of their ids, and their scores."""
        request, users = self.request, self.users
        wanted = users.on(request.topic_id) if self.on_topic else users.outside(request.topic_id)
        if request.history.user_id in users.row:
            wanted[users.row[request.history.user_id]] = False
        rows = np.flatnonzero(wanted)
        # Estimates are good for the nearest only, not for the farthest.
        exact = request.exact or request.selection == "anti_aligned"
        limits = self.snapshots.cache.limits
        cosines = users.cosines(request.query, limits, exact=exact)[rows]
        return rows, self._score(cosines, users.shared[rows].astype(np.float32))[0]

    def _score(self, cosine: Counts, texts: Counts) -> tuple[Counts, Counts]:
        """Return the score of authors with so many texts, and what the cosine is shrunk by."""
        factor = reliability(texts, self.request.weights.shrinkage)
        return cosine * factor, factor

    async def hits(self, rows: Places, scores: Vectors) -> list[Hit]:
        """Return a text of each of k candidates, as the request selects them."""
        k, selection = self.request.k, self.request.selection
        if selection == "anti_aligned":
            return await self._first(best_first(rows, -scores), k)
        if selection in ("aligned", "same_topic"):
            return await self._first(best_first(rows, scores), k)
        drawn = iter(rows[self.request.shuffled(len(rows), self.request.topic_id)])
        if selection == "random_topic":
            return await self._first(drawn, k)
        aligned = await self._first(best_first(rows, scores), k)
        random = await self._first(drawn, k * DRAWN_PER_TEXT)
        return match_length_and_rating([hit.text for hit in aligned], random)

    async def _first(self, order: Iterator[int], k: int) -> list[Hit]:
        return await first_texts(self.users, order, k, self._read, self._hit)

    async def _read(self, batch: list[str]) -> pa.Table:
        """Return texts of some users that may be shown, each user's most telling first.

        That is the text with the highest mean of its cosine to the query (it reads like the
        request) and to its author's mean (it is typical of the author); ties by text id.
        """
        request, namespace = self.request, self.request.history.namespace
        resident = await self.snapshots.resident(namespace)
        each = None if request.exact else READ_OF_EACH
        if resident is None:
            # Without the topic in the filter: LanceDB would list all other texts of the store
            # first (6 ms more at 200,000 texts).
            columns = (*AUTHOR_COLUMNS, "style")
            resident = Resident.of(await self.snapshots.shared_texts(namespace, batch, columns))
            each = None
        directions = {
            user: request.query + self.users.style[self.users.row[user]] for user in batch
        }
        rows = resident.most_telling(
            directions, request.topic_id, AUTHOR_COLUMNS, on_topic=self.on_topic, each=each
        )
        long = are_many(rows) or len(request.text) > LONG_WORDS
        return await in_thread_if(long, self._allowed, rows)

    def _allowed(self, rows: pa.Table) -> pa.Table:
        return self.filter.allowed_rows(rows)

    def _hit(self, text: Text) -> Hit:
        row = self.users.row[text.user_id]
        count = int(self.users.shared[row])
        cosine = float(self.users.style[row] @ self.request.query)
        score, factor = self._score(cosine, float(count))
        figures = f"cosine {cosine:.2f} x {factor:.2f} for {count} text{'s' * (count != 1)}"
        return Hit(text=text, score=score, reason=f"{REASONS[self.request.selection]}: {figures}")
