"""Hybrid search in a topic of very many texts: the candidates of its exact ranking.

What `ranking.rank` computes over all texts of a small topic: BM25, over the postings of each term,
and cosines, estimated by the first principal components and computed in full for the highest
estimates. The first `DEPTH` of both rankings are fused by reciprocal ranks. Nothing changes after
it was built, so any number of threads may search.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ..errors import InvalidQuery
from ..texts.arrow import Places, matrix
from ..types import Vectors
from .scores import K1, RRF_K, B, author_bests, fuse, ranks
from .words import Terms

DEPTH = 6_000
"""Texts of each ranking that are fused, all others counting as behind them, and texts whose cosine
is computed in full. 2,000 lose 6% of the first ten of 25,000 texts, 6,000 lose 1%."""

COMPONENTS = 48
"""Principal components by which cosines are estimated."""

FRESH_SHARE = 1 / 16
"""Share of a topic that may be added before all of it is built again."""

_SAMPLE, _STEP = 4_096, 16
_CHUNK = 512
"""Vectors worked on at once, of the size of a core's cache."""


@dataclass(frozen=True)
class CoarseVectors:
    """The first principal components of vectors.

    Attributes:
        axes: As columns, shape (d, components).
        head: The vectors along these axes, one row a component, shape (components, n).
    """

    axes: Vectors
    head: Vectors

    @classmethod
    def of(cls, vectors: NDArray[np.floating], axes: Vectors | None = None) -> CoarseVectors:
        """Return the components of vectors, shape (n, d), along given axes or their own."""
        if axes is None:
            sample = vectors[:: max(1, len(vectors) // _SAMPLE)].astype(np.float64)
            _, found = np.linalg.eigh(sample.T @ sample)
            axes = np.ascontiguousarray(found[:, ::-1][:, :COMPONENTS], np.float32)
        head = np.empty((axes.shape[1], len(vectors)), np.float32)
        for begin in range(0, len(vectors), _CHUNK):
            at = slice(begin, begin + _CHUNK)
            head[:, at] = (vectors[at].astype(np.float32, copy=False) @ axes).T
        return cls(axes, head)

    def cosines(self, query: Vectors) -> Vectors:
        """Return the estimated cosine of each vector to a query, shape (n,)."""
        # Not `@`: BLAS threads go on spinning for some 25 ms on the cores that a request needs.
        found: Vectors = np.einsum("i,ij->j", np.vecdot(self.axes.T, query), self.head)
        return found


def first_places(scores: Vectors, count: int) -> Places:
    """Return the places of the highest scores, ascending; of equal ones the first."""
    if not 0 < count < len(scores):
        return np.arange(min(max(count, 0), len(scores)))
    places = np.arange(len(scores))
    if len(scores) > 4 * count:
        # Fewer have to be partitioned above a score that enough of a sample exceed.
        sample, rank = scores[::_STEP], count * 5 // (4 * _STEP) + 2
        likely = np.flatnonzero(scores > np.partition(sample, -rank)[-rank])
        places = likely if len(likely) >= count else places
    some = scores[places]
    least = np.partition(some, -count)[-count]
    above, equal = places[some > least], places[some == least]
    return np.sort(np.concatenate([above, equal[: count - len(above)]]))


@dataclass(frozen=True)
class Candidates:
    """The texts of a large topic with the highest fused score, best first, ties by id.

    Attributes:
        text_ids: Which.
        word_ranks: By BM25, from 1 in the whole topic less the requester's own texts; equal scores
            share one.
        vector_ranks: By cosine, likewise.
        among: Texts that were ranked: those of the topic less the requester's own.
    """

    text_ids: tuple[str, ...]
    word_ranks: Places
    vector_ranks: Places
    among: int

    def __len__(self) -> int:
        return len(self.text_ids)

    def places_of(self, text_ids: Sequence[str]) -> Places:
        """Return where some of them stand."""
        place = {text_id: at for at, text_id in enumerate(self.text_ids)}
        return np.array([place[text_id] for text_id in text_ids], np.int64)


@dataclass(frozen=True)
class _Part:
    """Texts that were indexed together.

    `codes`, in units of `scale`, are what the components leave of each vector, in bytes.
    """

    begin: int  # texts of the topic before these
    ids: pa.StringArray
    author: Mapping[str, int]  # a number for each, which `authors` has for each text
    authors: NDArray[np.int32]
    vocabulary: Terms  # ascending
    # Of each term the texts that have it, and how often: from `starts[t]` to `starts[t + 1]`.
    starts: Places
    texts: NDArray[np.int32]
    counts: Vectors
    lengths: Vectors
    coarse: CoarseVectors
    codes: NDArray[np.int8]
    scale: Vectors

    @classmethod
    def build(cls, rows: pa.Table, begin: int = 0, axes: Vectors | None = None) -> _Part:
        rows = rows.combine_chunks()
        terms = rows.column("terms").combine_chunks()
        lengths = pc.list_value_length(terms).to_numpy()
        coded = terms.flatten().dictionary_encode()
        order = pc.array_sort_indices(coded.dictionary).to_numpy()
        # One number for each pair of a term and a text, sorted: by term, then by text.
        pairs = np.argsort(order)[coded.indices.to_numpy()] * len(rows)
        pairs += np.repeat(np.arange(len(rows)), lengths)
        pairs, counts = np.unique(pairs, return_counts=True)
        columns, texts = np.divmod(pairs, max(1, len(rows)))
        users = rows.column("user_id").combine_chunks().dictionary_encode()
        vectors = matrix(rows.column("topic"), rows.schema.field("topic").type.list_size)
        coarse = CoarseVectors.of(vectors, axes)
        codes, scale = np.empty(vectors.shape, np.int8), np.empty(len(rows), np.float32)
        for start in range(0, len(rows), _CHUNK):
            at = slice(start, start + _CHUNK)
            rest = vectors[at] - coarse.head[:, at].T @ coarse.axes.T
            scale[at] = np.maximum(np.abs(rest).max(axis=1), 1e-6) / 127
            codes[at] = np.rint(rest / scale[at, None])
        return cls(
            begin=begin,
            ids=rows.column("text_id").combine_chunks(),
            author={user: code for code, user in enumerate(users.dictionary.to_pylist())},
            authors=users.indices.to_numpy(),
            vocabulary=coded.dictionary.to_numpy()[order],
            starts=np.searchsorted(columns, np.arange(len(order) + 1)),
            texts=texts.astype(np.int32),
            counts=counts.astype(np.float32),
            lengths=lengths.astype(np.float32),
            coarse=coarse,
            codes=codes,
            scale=scale,
        )

    def places_of(self, user: str) -> Places:
        return np.flatnonzero(self.authors == self.author.get(user, -1))

    def postings(self, wanted: Terms) -> list[tuple[NDArray[np.int32], Vectors]]:
        """Return of each wanted term the texts that have it, and how often each does."""
        places = np.searchsorted(self.vocabulary, wanted)
        known = np.append(self.vocabulary, 0)[places] == wanted
        ends = np.where(known, self.starts[np.minimum(places + 1, len(self.vocabulary))], 0)
        begins = np.where(known, self.starts[places], 0)
        spans = [slice(*span) for span in zip(begins.tolist(), ends.tolist(), strict=True)]
        return [(self.texts[span], self.counts[span]) for span in spans]

    def complete(self, cosines: Vectors, places: Places, query: Vectors) -> None:
        """Write the full cosines of those of some texts of the topic that lie here."""
        here = places[(places >= self.begin) & (places < self.begin + len(self.ids))]
        for start in range(0, len(here), _CHUNK):
            at = here[start : start + _CHUNK]
            rows = self.codes.take(at - self.begin, axis=0).astype(np.float32)
            # Rounded: a sum's last bits depend on where a vector lies, and equal ones are to tie.
            rest = np.vecdot(rows, query) * self.scale[at - self.begin]
            cosines[at] = np.round(cosines[at] + rest, 6)


@dataclass(frozen=True)
class LargeTopic:
    """The shared texts of one topic.

    Attributes:
        parts: Most of them, and those that were added since.
        fresh: Rows of the latter.
    """

    parts: tuple[_Part, ...]
    fresh: tuple[pa.Table, ...] = ()

    @classmethod
    def build(cls, rows: pa.Table) -> LargeTopic:
        """Return the topic of rows with `text_id`, `user_id`, `terms` and `topic`, no id twice."""
        return cls((_Part.build(rows),))

    def with_new(self, rows: pa.Table) -> LargeTopic | None:
        """Return the topic with more texts; what it has by the same id already stays.

        None: so many are new that the topic is to be built again of all its texts.
        """
        for part in self.parts:
            rows = rows.filter(pc.invert(pc.is_in(rows.column("text_id"), value_set=part.ids)))
        if not rows.num_rows:
            return self
        main, fresh = self.parts[0], pa.concat_tables([*self.fresh, rows])
        if len(fresh) > FRESH_SHARE * len(main.ids):
            return None
        return LargeTopic((main, _Part.build(fresh, len(main.ids), main.coarse.axes)), (fresh,))

    def __len__(self) -> int:
        return sum(len(part.ids) for part in self.parts)

    @cached_property
    def _authors(self) -> Places:
        """A number of each text's author, the same in all parts."""
        names = dict.fromkeys(user for part in self.parts for user in part.author)
        number = {user: place for place, user in enumerate(names)}
        codes = [np.array([number[user] for user in part.author], np.int64) for part in self.parts]
        found = [code[part.authors] for code, part in zip(codes, self.parts, strict=True)]
        return np.concatenate(found)

    def candidates(
        self,
        query: Vectors,
        words: Terms,
        *,
        without_user: str,
        limit: int,
        weights: Sequence[float] = (1.0, 1.0),
    ) -> Candidates:
        """Return the texts with the highest fused score (`scores.fuse` of both rankings).

        Args:
            query: Unit topic vector, shape (d,).
            words: Terms of the query, shape (words,).
            without_user: The requester, whose own texts neither come nor count.
            limit: How many.
            weights: Of the ranking by words and of that by vectors, one above 0 at least.

        Raises:
            InvalidQuery: `query` has another shape, or `limit` is below one.
        """
        dimension = len(self.parts[0].coarse.axes)
        if query.shape != (dimension,) or limit < 1:
            raise InvalidQuery(
                f"expected a vector of {dimension} numbers and a limit of 1 or more, got shape "
                f"{query.shape} and {limit}: embed by the store's topic encoder"
            )
        own = [part.places_of(without_user) for part in self.parts]
        among = len(self) - sum(map(len, own))
        depth = min(max(DEPTH, limit), among)
        by_word = self._word_scores(words, own, among)
        by_vector = np.concatenate([part.coarse.cosines(query) for part in self.parts])
        for part, at in zip(self.parts, own, strict=True):
            by_word[part.begin + at] = by_vector[part.begin + at] = -np.inf
        near, worded = first_places(by_vector, depth), first_places(by_word, depth)
        for part in self.parts:
            part.complete(by_vector, near, query)
        # Below this rank in both rankings a text scores less than the first `limit` of either.
        reach = math.ceil((RRF_K + limit) * sum(weights) / max(weights)) - RRF_K
        by_words = _Ranked.of(by_word, worded, self._authors)
        by_vectors = _Ranked.of(by_vector, near, self._authors)
        # A text without any of the words is no find of the ranking by words.
        found = by_words.down_to(reach)
        chosen = np.union1d(by_vectors.down_to(reach), found[by_word[found] > 0])
        word_ranks, vector_ranks = by_words.ranks_of(chosen), by_vectors.ranks_of(chosen)
        fused = fuse([word_ranks, vector_ranks], weights)
        ids = pa.chunked_array([part.ids for part in self.parts]).take(pa.array(chosen))
        names = np.array(ids.to_pylist(), np.str_)
        order = np.lexsort((names, -fused))
        # Half of the candidates at most by one author, if there are others.
        late = _number_of_author(self._authors[chosen[order]]) >= max(1, limit // 2)
        best = np.concatenate([order[~late], order[late]])[:limit]
        best = best[np.lexsort((names[best], -fused[best]))]
        return Candidates(tuple(names[best].tolist()), word_ranks[best], vector_ranks[best], among)

    def _word_scores(self, words: Terms, own: list[Places], texts: int) -> Vectors:
        """Return BM25 of all texts (see `scores.bm25`).

        The requester's own texts are no part of its statistics: a target would show through them.
        """
        wanted, times = np.unique(words, return_counts=True)
        length = sum(
            part.lengths.sum(dtype=np.float64) - part.lengths[at].sum(dtype=np.float64)
            for part, at in zip(self.parts, own, strict=True)
        )
        average = max(1.0, length) / max(1, texts)
        holders, saturated = np.zeros(len(wanted)), []
        for part, at in zip(self.parts, own, strict=True):
            norm = np.float32(K1 * (1 - B)) + np.float32(K1 * B / average) * part.lengths
            norm[at] = np.inf
            postings = part.postings(wanted)
            found = [(place, count / (count + norm[place])) for place, count in postings]
            holders += [np.count_nonzero(shares) for _, shares in found]
            saturated.append(found)
        idf = np.log1p((texts - holders + 0.5) / (holders + 0.5))
        weights = (idf * (K1 + 1) * times).astype(np.float32)
        scores = []
        for part, found in zip(self.parts, saturated, strict=True):
            places: list[NDArray[np.int32]] = [part.texts[:0], *(place for place, _ in found)]
            shares = [weight * share for weight, (_, share) in zip(weights, found, strict=True)]
            values = np.concatenate([part.counts[:0], *shares])
            scores.append(np.bincount(np.concatenate(places), values, len(part.ids)))
        return np.concatenate(scores).astype(np.float32)


def _number_of_author(authors: Places) -> Places:
    """Return how many texts of its author stand before each text, shape (texts,)."""
    order = np.argsort(authors, kind="stable")
    _, begins = np.unique(authors[order], return_index=True)
    lengths = np.diff(np.append(begins, len(order)))
    numbers = np.empty(len(order), np.int64)
    numbers[order] = np.arange(len(order)) - np.repeat(begins, lengths)
    return numbers


@dataclass(frozen=True)
class _Ranked:
    """One ranking of a topic: the scores of all texts, and the texts that stand highest."""

    scores: Vectors
    highest: Places
    authors: Places
    bests: Vectors

    @classmethod
    def of(cls, scores: Vectors, highest: Places, authors: Places) -> _Ranked:
        return cls(scores, highest, authors, author_bests(scores[highest], authors[highest]))

    def down_to(self, rank: int) -> Places:
        """Return the places of all that stand no lower than a rank, and of few others."""
        if len(self.bests) <= rank:
            return self.highest
        found: Places = self.highest[self.scores[self.highest] >= self.bests[-rank]]
        return found

    def ranks_of(self, places: Places) -> Places:
        """Return the ranks of some texts (`scores.ranks`), shape (places,)."""
        asked = np.zeros(self.authors.max(initial=-1) + 1, np.bool_)
        asked[self.authors[places]] = True
        # An author's other texts count in the ranks of their own.
        some = np.union1d(places, self.highest[asked[self.authors[self.highest]]])
        found: Places = ranks(self.scores[some], self.authors[some], self.bests)
        return found[np.searchsorted(some, places)]
