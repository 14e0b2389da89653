"""Who writes alike: the nearest users by mean style vector, and their most telling texts.

An author's score is the cosine of both sides' means with the length left out (`length_axis`), times
what the author's number of texts makes of its reliability (`reliability`). Up to 200,000 users all
are looked at in full, of more the nearest (`coarse_vectors`). Never the requester, and never a text
on the requested topic but where a control asks for just those: style must not bring its subject
with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..texts.arrow import Places, texts_of_rows, vectors_of
from ..texts.cache import Snapshots
from ..texts.users import Users
from ..types import Found, History, Hit, Neighbour, Text, Vectors
from .authors import AUTHOR_COLUMNS, AsDrawn, BestFirst, Order, first_texts
from .duplicates import Unseen
from .length_bias import LengthAxis
from .request import DRAWN_PER_TEXT, Choice, Take, matched, reliability
from .threads import MANY_ROWS, MANY_VECTORS, beside

READ_OF_EACH = 3
"""Texts that are read of an author: the most telling one may not be shown."""

REASONS: dict[Take, str] = {
    "aligned": "writes alike",
    "random": "drawn among all who write on other topics",
    "anti_aligned": "writes least alike",
    "same_topic": "wrote on this topic",
    "random_topic": "drawn among texts on other topics",
}


async def search_by_style(
    snapshots: Snapshots,
    history: History,
    query: Vectors,
    topic_id: str | None,
    k: int,
    choice: Choice,
    request_text: str,
    length: LengthAxis,
    exact: bool,
) -> Found:
    """Return one text of each of k users; see `TextStore.search_by_style`."""
    users = await snapshots.users(history.namespace)
    query = await length.without_length(query, choice.weights.length)
    whole = exact or choice.take == "anti_aligned"  # of the farthest, estimates say too little
    unseen = Unseen(history, request_text)
    search = _StyleSearch(snapshots, users, unseen, query, topic_id, choice, whole)
    rows, scores = await beside(len(users.ids) > MANY_VECTORS, search.candidates)
    hits = await search.hits(rows, scores, k)
    return Found(
        hits=tuple(hits),
        neighbours=tuple(Neighbour(hit.text.user_id, hit.score) for hit in hits),
        pool_size=len(rows),
    )


@dataclass(frozen=True)
class _StyleSearch:
    """One search: for whom, how they write, about what, and whose texts are wanted."""

    snapshots: Snapshots
    users: Users
    unseen: Unseen
    query: Vectors
    topic_id: str | None
    choice: Choice
    exact: bool

    @property
    def history(self) -> History:
        return self.unseen.history

    @property
    def on_topic(self) -> bool:
        return self.choice.take == "same_topic"

    def candidates(self) -> tuple[Places, Vectors]:
        """Return the candidates' rows, in the order of their ids, and how near each is."""
        wanted = (
            self.users.on(self.topic_id) if self.on_topic else self.users.outside(self.topic_id)
        )
        if self.history.user_id in self.users.row:
            wanted[self.users.row[self.history.user_id]] = False
        rows = np.flatnonzero(wanted)
        shared = self.users.shared.astype(np.float32)
        sure = np.sqrt(shared / (shared + np.float32(self.choice.weights.half)))
        scores = self.users.cosines(self.query, exact=self.exact) * sure
        return rows, scores[rows]

    async def hits(self, rows: Places, scores: Vectors, k: int) -> list[Hit]:
        """Return a text of each of k candidates, as the choice has it."""
        take = self.choice.take
        if take in ("aligned", "same_topic"):
            return await self._first(BestFirst(rows, scores), k)
        if take == "anti_aligned":
            return await self._first(BestFirst(rows, -scores), k)
        request = (self.history.namespace, self.history.user_id, self.topic_id)
        drawn = AsDrawn(rows[self.choice.shuffled(len(rows), *request)])
        if take == "random_topic":
            return await self._first(drawn, k)
        aligned = await self._first(BestFirst(rows, scores), k)
        some = await self._first(drawn, k * DRAWN_PER_TEXT)
        return matched([hit.text for hit in aligned], some)

    async def _first(self, order: Order, k: int) -> list[Hit]:
        return await first_texts(self._read, self.unseen, self.users, order, k, self._most_telling)

    async def _read(self, batch: list[str]) -> pa.Table:
        """Return texts of some users, each one's most telling first."""
        namespace = self.history.namespace
        resident = await self.snapshots.resident(namespace)
        if self.exact or resident is None:
            columns = (*AUTHOR_COLUMNS, "style")
            rows = await self.snapshots.shared_texts(namespace, batch, columns)
            return await beside(len(rows) > MANY_ROWS, self._ranked, rows)
        wanted = {user: self.query + self.users.style[self.users.row[user]] for user in batch}
        return resident.most_telling(
            wanted, self.topic_id, AUTHOR_COLUMNS, on_topic=self.on_topic, each=READ_OF_EACH
        )

    def _ranked(self, rows: pa.Table) -> pa.Table:
        """Return rows as `_read` does: each author's best first.

        The best has the highest mean of its cosine to the query (it reads like the request) and
        to its author's mean (it is typical of the author); ties by text id.
        """
        if self.topic_id:
            # Not in the filter of the read: LanceDB would make the list of all other texts of the
            # store first (6 ms more at 200,000 texts).
            compare = pc.equal if self.on_topic else pc.not_equal
            rows = rows.filter(compare(rows.column("topic_id"), self.topic_id))
        rows = rows.sort_by("text_id").combine_chunks()
        places = [self.users.row[user] for user in rows.column("user_id").to_pylist()]
        authors = np.array(places, np.int64)
        toward = self.query + self.users.style[authors]
        scores = np.einsum("ij,ij->i", vectors_of(rows, "style"), toward)
        # Stable: ties stay in the order of the ids.
        return rows.drop_columns(["style"]).take(np.lexsort((-scores, authors)))

    def _most_telling(self, rows: pa.Table) -> dict[str, Hit]:
        """Return the first text of each author."""
        place: dict[str, int] = {}
        for at, user in enumerate(rows.column("user_id").to_pylist()):
            place.setdefault(user, at)
        texts = texts_of_rows(rows.take(list(place.values())))
        return {text.user_id: self._hit(text, self.users.row[text.user_id]) for text in texts}

    def _hit(self, text: Text, row: int) -> Hit:
        cosine, count = float(self.users.style[row] @ self.query), int(self.users.shared[row])
        sure = reliability(count, self.choice.weights.half)
        over = f"cosine {cosine:.2f} x {sure:.2f} for {count} text{'s' * (count != 1)}"
        return Hit(text=text, score=cosine * sure, reason=f"{REASONS[self.choice.take]}: {over}")
