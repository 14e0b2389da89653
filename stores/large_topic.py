"""A topic of very many texts in memory: the candidates of its exact ranking in milliseconds.

What `ranked_pool.rank` does with all texts of a small topic (BM25 and cosines over the whole, less
the requester's own texts, fused by reciprocal ranks) is done here with arrays made once: an
inverted index for the words (`word_index`) and rotated vectors (`rotated_vectors`). Word ranks
are exact. Cosines are estimated for all texts and completed for the likely ones.

About 0.9 KB a text. Nothing is changed after it was made, so any number of threads may search.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from .errors import InvalidQuery
from .ragged import Places
from .ranking import RRF_K, fuse, ranks
from .records import Vectors
from .rotated_vectors import Rotation
from .rows import vectors_of
from .top_ranks import TopRanks
from .topic_segments import Segment, merged
from .word_index import weights_of
from .words import Terms

REFINED = 2_000
"""Texts whose cosine is completed: those with the highest estimates."""


@dataclass(frozen=True)
class Candidates:
    """The texts of a large topic with the highest fused score, best first, ties by id.

    Attributes:
        text_ids: Which.
        word_ranks: By BM25, from 1 in the whole topic less the requester's own texts; equal scores
            share one. Below `top_ranks.DEPTH` a lower bound.
        vector_ranks: By cosine, likewise; exact among the texts whose cosine was completed.
        cosines: Of the topic vectors to the query, within about 10⁻⁴.
    """

    text_ids: tuple[str, ...]
    word_ranks: Places
    vector_ranks: Places
    cosines: Vectors

    def __len__(self) -> int:
        return len(self.text_ids)


@dataclass(frozen=True)
class LargeTopic:
    """The shared texts of one topic.

    Attributes:
        rotation: Axes of all vectors; those of the first texts, later ones take them over.
        segments: The texts, the most and oldest first.
    """

    rotation: Rotation
    segments: tuple[Segment, ...]

    @classmethod
    def build(cls, rows: pa.Table) -> LargeTopic:
        """Return the topic that rows of the table `texts` make.

        Args:
            rows: Columns `text_id`, `user_id`, `terms` and `topic`; no id twice.
        """
        rotation = Rotation.of(vectors_of(rows, "topic"))
        return cls(rotation, (Segment.build(rows, rotation),))

    def with_new(self, rows: pa.Table) -> LargeTopic:
        """Return the topic with more texts; what it has by the same id already stays.

        New texts lie in segments of their own, which are merged as they grow. The axes stay: build
        anew when the topic has become several times as large, or the first pass loses its aim.
        """
        for segment in self.segments:
            rows = segment.unknown(rows)
        if not rows.num_rows:
            return self
        new = Segment.build(rows, self.rotation)
        return LargeTopic(self.rotation, merged((*self.segments, new)))

    def __len__(self) -> int:
        return sum(map(len, self.segments))

    def candidates(
        self, query: Vectors, words: Terms, *, without_user: str, limit: int
    ) -> Candidates:
        """Return the texts with the highest fused score (`ranking.fuse` of both rankings).

        A text below rank R = 60 + 2·limit in both rankings scores less than 61/(60 + R), which
        each of the first `limit` of either exceeds by one ranking alone: only texts that reach
        R in one are looked at.

        Args:
            query: Unit topic vector, shape (d,).
            words: Terms of the query, shape (words,).
            without_user: The requester, whose own texts neither come nor count.
            limit: How many.

        Raises:
            InvalidQuery: `query` has another shape, or `limit` is below one.
        """
        self._check(query, limit)
        turned = self.rotation.turned(query)
        own = [segment.places_of(without_user) for segment in self.segments]
        by_word = TopRanks.of(self._leave_out(self._word_scores(words, own), own))
        near = [segment.vectors.estimates(turned) for segment in self.segments]
        by_estimate = TopRanks.of(self._leave_out(np.concatenate(near), own))
        likely = self._nearest(by_estimate, limit)
        chosen = np.union1d(likely, self._worded(by_word, by_estimate.scores, limit))
        cosines = self._cosines(chosen, turned)
        vector_ranks = ranks(cosines)
        # A text of the other ranking: who stands between it and the likely ones was not completed.
        others = ~np.isin(chosen, likely, assume_unique=True)
        vector_ranks[others] = np.maximum(vector_ranks[others], by_estimate.at(chosen[others]))
        return self._best(chosen, by_word.at(chosen), vector_ranks, cosines, limit)

    def _check(self, query: Vectors, limit: int) -> None:
        if query.shape != self.rotation.basis.shape[:1] or limit < 1:
            raise InvalidQuery(
                f"expected a vector of {len(self.rotation.basis)} numbers and a limit of 1 or "
                f"more, got shape {query.shape} and {limit}: embed by the store's topic encoder"
            )

    def _word_scores(self, words: Terms, own: list[Places]) -> Vectors:
        """Return BM25 of all texts; the requester's are no part of its statistics."""
        scores = np.zeros(len(self), np.float32)
        wanted, times = np.unique(words, return_counts=True)
        indexes = [segment.words for segment in self.segments]
        texts = len(self) - sum(map(len, own))
        length = sum(
            int(index.lengths.sum()) - int(index.lengths[out].sum())
            for index, out in zip(indexes, own, strict=True)
        )
        if not length or not len(wanted):
            return scores
        holders = [index.holders(wanted, out) for index, out in zip(indexes, own, strict=True)]
        weights = weights_of(times, np.sum(holders, axis=0), texts)
        for index, part in zip(indexes, self._split(scores), strict=True):
            index.add_scores(wanted, weights, length / texts, part)
        return scores

    def _split(self, values: Vectors) -> list[Vectors]:
        """Return the part of each segment, as views."""
        return np.split(values, np.cumsum([len(segment) for segment in self.segments[:-1]]))

    def _leave_out(self, scores: Vectors, own: list[Places]) -> Vectors:
        for part, out in zip(self._split(scores), own, strict=True):
            part[out] = -np.inf
        return scores

    def _nearest(self, by_estimate: TopRanks, limit: int) -> Places:
        """Return the texts with the highest estimates."""
        # 3·limit: fewer than R texts have a word where the others tie for the last word rank.
        above, equal = by_estimate.down_to(max(REFINED, RRF_K + 3 * limit))
        return np.concatenate([above, self._earliest(equal, limit)])

    def _worded(self, by_word: TopRanks, estimates: Vectors, limit: int) -> Places:
        """Return the texts that reach rank R by words.

        Of those that tie for the last rank only the nearest can come in: `limit` of them.
        """
        above, equal = by_word.down_to(RRF_K + 2 * limit)
        if len(equal) <= limit:
            return np.concatenate([above, equal])
        if by_word.scores[equal[0]] == 0:
            return above  # Texts without any of the words: the nearest of all texts hold them.
        near = estimates[equal]
        least = np.partition(near, -limit)[-limit]
        tied = self._earliest(equal[near == least], limit)
        return np.concatenate([above, equal[near > least], tied])

    def _earliest(self, places: Places, limit: int) -> Places:
        """Return the texts that come first by id, at least `limit` if there are."""
        if len(places) <= limit:
            return places
        found = []
        for begin, segment, some in self._by_segment(places):
            first = np.argsort(segment.order[some], kind="stable")[:limit]
            found.append(begin + some[first])
        return np.concatenate(found)

    def _cosines(self, places: Places, turned: Vectors) -> Vectors:
        """Return the cosines of texts at ascending places."""
        parts = [
            segment.vectors.cosines(some, turned)
            for _, segment, some in self._by_segment(places)
        ]
        return np.concatenate([np.zeros(0, np.float32), *parts])

    def _by_segment(self, places: Places) -> list[tuple[int, Segment, Places]]:
        """Return where each segment begins, and which of its own places are among these."""
        found, begin = [], 0
        for segment in self.segments:
            end = begin + len(segment)
            found.append((begin, segment, places[(begin <= places) & (places < end)] - begin))
            begin = end
        return found

    def _best(
        self, chosen: Places, by_word: Places, by_vector: Places, cosines: Vectors, limit: int
    ) -> Candidates:
        """Return the best of some texts at ascending places."""
        fused = fuse(by_word, by_vector)
        if len(chosen) > limit:
            kept = np.flatnonzero(fused >= np.partition(fused, -limit)[-limit])
            chosen, by_word, by_vector = chosen[kept], by_word[kept], by_vector[kept]
            cosines, fused = cosines[kept], fused[kept]
        names = [
            name
            for _, segment, some in self._by_segment(chosen)
            for name in segment.ids.take(pa.array(some)).to_pylist()
        ]
        order = sorted(range(len(names)), key=lambda at: (-fused[at], names[at]))[:limit]
        ids = tuple(names[at] for at in order)
        return Candidates(ids, by_word[order], by_vector[order], cosines[order])
