"""A topic of very many texts in memory: the candidates of its exact ranking in milliseconds.

What `ranked_pool.rank` does with all texts of a small topic (BM25 and cosines over the whole, less
the requester's own texts, fused by reciprocal ranks) is done here with arrays made once: an
inverted index for the words (`word_index`) and rotated vectors (`rotated_vectors`). Word ranks
are exact. Cosines are estimated for all texts and completed for the likely ones.

About 0.9 KB a text. Nothing is changed after it was made, so any number of threads may search.

The upper end of a long list of scores: exact ranks down to some depth without sorting it all.

A sample guesses a score that about `DEPTH` others exceed; only those above it are sorted. The
guess is checked, so what comes out doesn't depend on it: at 250,000 scores 0.6 ms for 2.2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..errors import InvalidQuery
from ..texts.arrow import Places
from ..types import Vectors
from .rotated_vectors import Rotation
from .scores import RRF_K, Scores, fuse, ranks
from .topic_segments import Segment, merged, topic_vectors
from .word_index import weights_of
from .words import Terms

DEPTH = 16_384
"""Ranks are exact down to here; below, all share DEPTH + 1 (61/(60 + DEPTH) = 0.004)."""

_STEP = 16
"""One in so many scores is in the sample."""


@dataclass(frozen=True)
class TopRanks:
    """Scores, and their upper end.

    Attributes:
        scores: All, float32, shape (texts,); -inf: out of the ranking.
        least: At least `DEPTH` scores are as great as this.
        places: Where those above it lie, ascending, shape (some,).
        top: The scores there, in ascending order.
    """

    scores: Vectors
    least: np.float32
    places: Places
    top: NDArray[np.float32]

    @classmethod
    def of(cls, scores: Vectors, depth: int = DEPTH) -> TopRanks:
        """Return the ranks of some scores.

        Args:
            scores: Shape (texts,).
            depth: How far down the order is to be known, `DEPTH` or more.
        """
        least, places = _above_a_sampled(scores, depth)
        return cls(scores, least, places, np.sort(scores[places]))

    def at(self, places: Places) -> Places:
        """Return ranks from 1, equal scores sharing one, no more than DEPTH + 1."""
        scores = self.scores[places]
        found = len(self.top) - np.searchsorted(self.top, scores, side="right") + 1
        found[scores < self.least] = DEPTH + 1
        return np.minimum(found, DEPTH + 1)

    def down_to(self, rank: int) -> tuple[Places, Places]:
        """Return the places of scores above that of some rank, and of those that equal it.

        All places, and none, if there are fewer.
        """
        if rank <= len(self.top):
            some = self.scores[self.places]
            last = self.top[-rank]
            return self.places[some > last], self.places[some == last]
        if self.least > -np.inf:
            return self.places, np.flatnonzero(self.scores == self.least)
        return self.places, self.places[:0]


def _above_a_sampled(scores: Vectors, depth: int) -> tuple[np.float32, Places]:
    """Return a score that `depth` or more reach, and the places of those above it.

    Those that equal it are left out of the sort: where few texts have a word, most are 0.
    """
    if len(scores) > 2 * depth:
        sample = np.sort(scores[::_STEP])
        least = sample[-(depth // _STEP * 5 // 4)]
        above = np.flatnonzero(scores > least)
        enough = len(above) >= depth or len(above) + np.count_nonzero(scores == least) >= depth
        if least > -np.inf and enough:
            return least, above
    nothing = np.float32(-np.inf)
    return nothing, np.flatnonzero(scores > nothing)


CORRECTED = 8_000
"""Texts whose estimated cosine is corrected: those with the highest estimates."""

COMPLETED = 2_500
"""Of these, texts whose cosine is completed."""


@dataclass(frozen=True)
class Candidates:
    """The texts of a large topic with the highest fused score, best first, ties by id.

    Attributes:
        text_ids: Which.
        word_ranks: By BM25, from 1 in the whole topic less the requester's own texts; equal scores
            share one. Below `top_ranks.DEPTH` a lower bound.
        vector_ranks: By cosine, likewise; exact among the texts whose cosine was completed.
        cosines: Of the topic vectors to the query, within about 10⁻⁴.
        among: Texts that were ranked: those of the topic less the requester's own.
    """

    text_ids: tuple[str, ...]
    word_ranks: Places
    vector_ranks: Places
    cosines: Vectors
    among: int

    def __len__(self) -> int:
        return len(self.text_ids)

    def places_of(self, text_ids: Sequence[str]) -> Places:
        """Return where some of them stand."""
        place = {text_id: at for at, text_id in enumerate(self.text_ids)}
        return np.array([place[text_id] for text_id in text_ids], np.int64)


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
        rows = rows.combine_chunks()
        rotation = Rotation.of(topic_vectors(rows))
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
        self,
        query: Vectors,
        words: Terms,
        *,
        without_user: str,
        limit: int,
        weights: Sequence[float] = (1.0, 1.0),
    ) -> Candidates:
        """Return the texts with the highest fused score (`ranking.fuse` of both rankings).

        A text below rank R in both rankings scores less than 61/(60 + R). With R = (60 + limit)/w
        - 60, w being the greater share of the weights, each of the first `limit` of that ranking
        exceeds this by it alone: only texts that reach R in one are looked at.

        Args:
            query: Unit topic vector, shape (d,).
            words: Terms of the query, shape (words,).
            without_user: The requester, whose own texts neither come nor count.
            limit: How many.
            weights: Of the ranking by words and of that by vectors, one above 0 at least.

        Raises:
            InvalidQuery: `query` has another shape, or `limit` is below one.
        """
        self._check(query, limit)
        reach = math.ceil((RRF_K + limit) * sum(weights) / max(weights)) - RRF_K
        turned = self.rotation.turned(query)
        own = [segment.places_of(without_user) for segment in self.segments]
        depth = max(DEPTH, RRF_K + reach + limit)
        by_word = TopRanks.of(self._leave_out(self._word_scores(words, own), own), depth)
        near = [segment.vectors.estimates(turned) for segment in self.segments]
        by_estimate = TopRanks.of(self._leave_out(np.concatenate(near), own), depth)
        likely = self._nearest(by_estimate, turned, limit, reach)
        either = likely.copy()
        either[self._worded(by_word, by_estimate.scores, limit, reach)] = True
        chosen = np.flatnonzero(either)
        rests = [part.vectors.rests(at, turned) for _, part, at in self._by_segment(chosen)]
        # Rounded: a sum's last bits depend on where a vector lies, and equal ones are to tie.
        cosines = np.round(by_estimate.scores[chosen] + np.concatenate(rests), 6)
        vector_ranks = ranks(cosines)
        # A text of the other ranking: who stands between it and the likely ones was not completed.
        others = np.flatnonzero(~likely[chosen])
        vector_ranks[others] = np.maximum(vector_ranks[others], by_estimate.at(chosen[others]))
        among = len(self) - sum(map(len, own))
        fused = fuse([by_word.at(chosen), vector_ranks], weights)
        return self._best(chosen, by_word.at(chosen), vector_ranks, cosines, fused, limit, among)

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
            index.words - int(index.lengths[out].sum())
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

    def _nearest(
        self, by_estimate: TopRanks, turned: Vectors, limit: int, reach: int
    ) -> NDArray[np.bool_]:
        """Return which texts are to be looked at for their vectors."""
        likely = np.zeros(len(self), np.bool_)
        # And `limit`: fewer than R texts have a word where the others tie for the last word rank.
        count = max(COMPLETED, RRF_K + reach + limit)
        above, equal = by_estimate.down_to(max(CORRECTED, count))
        likely[above] = likely[self._earliest(equal, limit)] = True
        places = np.flatnonzero(likely)
        if len(places) <= count + limit:
            return likely
        parts = [part.vectors.corrections(at, turned) for _, part, at in self._by_segment(places)]
        corrected = by_estimate.scores[places] + np.concatenate(parts)
        likely[places] = corrected >= np.partition(corrected, -count)[-count]
        return likely

    def _worded(self, by_word: TopRanks, estimates: Vectors, limit: int, reach: int) -> Places:
        """Return the texts that reach rank R by words.

        Of those that tie for the last rank only the nearest can come in: `limit` of them.
        """
        above, equal = by_word.down_to(reach)
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

    def _by_segment(self, places: Places) -> list[tuple[int, Segment, Places]]:
        """Return where each segment begins, and which of its own places are among these."""
        found, begin = [], 0
        for segment in self.segments:
            end = begin + len(segment)
            found.append((begin, segment, places[(begin <= places) & (places < end)] - begin))
            begin = end
        return found

    def _best(
        self,
        chosen: Places,
        by_word: Places,
        by_vector: Places,
        cosines: Vectors,
        fused: Scores,
        limit: int,
        among: int,
    ) -> Candidates:
        """Return the best of some texts at ascending places."""
        if len(chosen) > limit:
            kept = np.flatnonzero(fused >= np.partition(fused, -limit)[-limit])
            chosen, by_word, by_vector = chosen[kept], by_word[kept], by_vector[kept]
            cosines, fused = cosines[kept], fused[kept]
        parts = [segment.ids.take(pa.array(some)) for _, segment, some in self._by_segment(chosen)]
        names = np.array(pa.concat_arrays(parts).to_pylist(), np.str_)
        order = np.lexsort((names, -fused))[:limit]
        ids = tuple(names[order].tolist())
        return Candidates(ids, by_word[order], by_vector[order], cosines[order], among)
