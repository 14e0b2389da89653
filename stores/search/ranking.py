"""Rank the texts of topics for one request, and select diverse ones without near-copies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from ..texts.arrow import PLAIN_COLUMNS, Places, take, terms_of_rows, texts_of_rows, vectors_of
from ..types import Hit, Neighbour, Text, Vectors
from .alignment import NEUTRAL, Alignment
from .duplicates import EvidenceFilter, Mask, Shingles, shingles_of, voices_among
from .large_topics import Candidates
from .request import SearchRequest, Selection
from .scores import Scores, bm25, fuse, ranks
from .selection import DRAWN_PER_TEXT, match_length_and_rating, within_share
from .words import Terms, bare, terms_of

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
        """Shingles of all texts, made when first asked for."""
        return shingles_of(self.terms, self.starts)

    @cached_property
    def authors(self) -> tuple[tuple[str, ...], Places]:
        """All authors by name, and the number of each text's author among them."""
        names = tuple(sorted(set(self.users)))
        number = {name: place for place, name in enumerate(names)}
        return names, np.array([number[user] for user in self.users], np.int64)

    @cached_property
    def times(self) -> Scores:
        """When each text was written, shape (texts,); NaN where that is not known."""
        times = self.rows.column("timestamp").cast(pa.float64())
        found: Scores = times.to_numpy().astype(np.float64)
        return found

    @cached_property
    def _repeated(self) -> Places | None:
        """A number for each text that is the same for equal bodies; None: no two are equal."""
        number = {body: place for place, body in enumerate(self.bodies)}
        if len(number) == len(self):
            return None
        return np.array([number[body] for body in self.bodies], np.int64)

    def allowed(self, evidence: EvidenceFilter) -> Places:
        """Return the places of the texts that a request may be shown.

        Of equal bodies only the one that was written first counts, whoever wrote the others.
        """
        shown = evidence.allowed(self.users, self.bodies, lambda: (self.shingles, self.starts))
        places = np.flatnonzero(shown)
        if self._repeated is None:
            return places
        order = places[np.argsort(self.times[places], kind="stable")]
        _, first = np.unique(self._repeated[order], return_index=True)
        return np.sort(order[first])

    def voices_among(self, places: Places) -> Places:
        """Return a number for each of some texts, the same for near-copies, shape (n,)."""
        bodies = [self.bodies[place] for place in places.tolist()]
        titles = self.rows.column("title").take(places).to_pylist()
        of_titles = np.array([len(terms_of(title)) for title in titles], np.int64)
        return voices_among(self.terms, self.starts, places, bodies, of_titles)

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


DIVERSIFIED = 32
"""Candidates from the front of a ranking among which a text is selected."""

UNKNOWN = -1
"""The voice of a text that was not compared with others yet."""

NOTES: dict[Selection, tuple[str, ...]] = {
    "random": ("drawn among all who wrote on it",),
    "anti_aligned": ("ranked from the end",),
}
"""What the reasons of controls begin with."""

Align = Callable[[tuple[str, ...]], Alignment]
"""Returns how aligned some authors are with the requester."""


@dataclass(frozen=True)
class RankedPool:
    """What a requester may see of a pool, ranked by relevance and by author.

    Attributes:
        request: Which texts are wanted.
        pool: All texts.
        places: Those that the requester may see; the arrays below are over these.
        among: How many texts were ranked; more than the pool has where it holds the best only.
        word_ranks: Rank by BM25, from 1.
        cosines: Of the topic vectors to the query.
        scores: What decides, higher is better.
        authors: Author of each text, as a number.
        align: None where alignment is not asked for.
    """

    request: SearchRequest
    pool: Pool
    places: Places
    among: int
    word_ranks: Places
    cosines: Vectors
    scores: Scores
    authors: Places
    align: Align | None

    def __len__(self) -> int:
        return len(self.places)

    def hits(self, why: Mapping[str, str]) -> list[Hit]:
        """Return k texts, of k authors if there are.

        Args:
            why: Why each topic was searched.
        """
        request, k = self.request, self.request.k
        sign = -1 if request.selection == "anti_aligned" else 1
        tiers = [tier[::sign] for tier in self._by_author()]
        scores = sign * self.scores
        most = max(1, k // request.least_authors)
        best = self._diversified(tiers, scores, k, most, request.weights.diversity)
        best = best[np.argsort(-scores[best], kind="stable")]
        if request.selection != "random":
            return within_share(self._hits(best, why), request.least_authors)
        drawn = [tier[request.shuffled(len(tier))] for tier in tiers]
        random = np.concatenate(drawn)[: max(len(tiers[0]), k)][: k * DRAWN_PER_TEXT]
        # With equal scores the order of the draw decides; near-copies drop out.
        random = self._diversified([random], np.zeros(len(self)), len(random), len(random), 0.0)
        wanted = self.pool.texts_at(self.places[best].tolist())
        matched = match_length_and_rating(wanted, self._hits(random, why))
        return within_share(matched, request.least_authors)

    def neighbours(self, users: Iterable[str]) -> tuple[Neighbour, ...]:
        """Return how aligned some authors are, most aligned first, ties by id."""
        names = tuple(sorted(set(users)))
        near = [NEUTRAL] * len(names)
        if self.align is not None:
            near = self.align(names).score.tolist()
        order = sorted(zip((-score for score in near), names, strict=True))
        return tuple(Neighbour(user, -score) for score, user in order)

    def _by_author(self) -> tuple[Places, Places]:
        """Return the best text of each author, and all others; each best first.

        Ties go by text id, which is the order of the pool.
        """
        order = np.argsort(-self.scores, kind="stable")
        _, first = np.unique(self.authors[order], return_index=True)
        leads = np.zeros(len(order), np.bool_)
        leads[first] = True
        return order[leads], order[~leads]

    def _diversified(
        self, tiers: Sequence[Places], scores: Scores, k: int, most: int, penalty: float
    ) -> Places:
        """Return up to k texts by maximal marginal relevance, without near-copies.

        The next text is the one whose score less the penalty times its highest cosine to a
        selected text is the greatest (Carbonell and Goldstein 1998).

        Args:
            tiers: Texts, best first; a later tier fills up what the earlier ones leave.
            scores: Of all texts.
            k: How many.
            most: Of one author.
            penalty: For a cosine of 1.
        """
        front = np.concatenate(tiers)[: max(k, DIVERSIFIED)]
        voices = np.full(len(self), UNKNOWN)
        self._tell_apart(front, voices)
        first = self._first_written(front, voices[front])
        selected = np.zeros(0, np.int64)
        for window in _windows([tier[first[tier]] for tier in tiers], k):
            if len(selected) >= k:
                break
            if (voices[window] == UNKNOWN).any():
                self._tell_apart(np.unique(np.concatenate([front, selected, window])), voices)
            selected = self._extended(selected, window, voices, scores, k, most, penalty)
        return selected

    def _tell_apart(self, texts: Places, voices: Places) -> None:
        """Write a number for each of some texts, the same for near-copies."""
        voices[texts] = self.pool.voices_among(self.places[texts])

    def _first_written(self, front: Places, voices: Places) -> Mask:
        """Return which texts no near-copy precedes in time, of those at the front; others all are.

        Who copies a text and alters a word must not take its place.
        """
        times = self.pool.times[self.places[front]]
        earliest = np.full(len(front), np.inf)
        np.fmin.at(earliest, voices, times)
        first = np.ones(len(self), np.bool_)
        first[front[times > earliest[voices]]] = False
        return first

    def _extended(
        self,
        selected: Places,
        window: Places,
        voices: Places,
        scores: Scores,
        k: int,
        most: int,
        penalty: float,
    ) -> Places:
        both = np.concatenate([selected, window])
        vectors = self.pool.vectors[self.places[both]]
        cosines = np.vecdot(vectors[:, None], vectors)
        voices, authors, scores = voices[both], self.authors[both], scores[both]
        left = np.ones(len(both), np.bool_)
        nearest = np.full(len(both), -np.inf, cosines.dtype)  # the highest to a selected text
        by_author = np.zeros(len(both), np.int64)  # how many of its author are selected
        inside: list[int] = []
        while len(inside) < k:
            if len(inside) < len(selected):
                best = len(inside)
            elif left.any():
                cost = penalty * nearest if inside else 0.0
                best = int(np.argmax(np.where(left, scores - cost, -np.inf)))
            else:
                break
            inside.append(best)
            nearest = np.maximum(nearest, cosines[best])
            by_author += authors == authors[best]
            left &= (voices != voices[best]) & (by_author < most)
        return both[inside]

    def _hits(self, chosen: Places, why: Mapping[str, str]) -> list[Hit]:
        texts = self.pool.texts_at(self.places[chosen].tolist())
        notes, aligned = NOTES.get(self.request.selection, ()), self._alignment_reasons(texts)
        hits = []
        for at, text, known in zip(chosen.tolist(), texts, aligned, strict=True):
            rank = f"words rank {self.word_ranks[at]} of {self.among}"
            relevance = f"{rank}, topic cosine {self.cosines[at]:.2f}"
            parts = [why[text.topic_id], *notes, relevance, *known]
            hits.append(Hit(text, float(self.scores[at]), "; ".join(parts)))
        return hits

    def _alignment_reasons(self, texts: Sequence[Text]) -> list[list[str]]:
        if self.align is None:
            return [[] for _ in texts]
        names = tuple(sorted({text.user_id for text in texts}))
        alignment, weight = self.align(names), self.request.weights.alignment
        return [[alignment.reason(names.index(text.user_id), weight)] for text in texts]


def _windows(tiers: Sequence[Places], k: int) -> Iterator[Places]:
    for tier in tiers:
        # Never beyond the better half: the best and the worst of a ranking must not mix.
        width = max(k, min(DIVERSIFIED, len(tier) // 2))
        for begin in range(0, len(tier), width):
            yield tier[begin : begin + width]


def rank(
    request: SearchRequest, pool: Pool, candidates: Candidates | None, align: Align | None
) -> RankedPool:
    """Rank a pool for a request.

    Args:
        request: Who asks, and what.
        pool: The texts.
        candidates: Their ranks in the whole topic, where the pool holds the best of it only; None:
            the pool is all there is.
        align: Returns authors' alignment with the requester; None: all count alike.
    """
    weights = request.weights
    places = pool.allowed(EvidenceFilter(request))
    cosines = np.vecdot(pool.vectors[places], request.query)
    names, authors = pool.authors
    authors = authors[places]
    if candidates is None:
        word_ranks = ranks(bm25(terms_of(request.words), *pool.terms_at(places)), authors)
        vector_ranks, among = ranks(cosines, authors), len(places)
    else:
        at = candidates.places_of(pool.text_ids(places))
        word_ranks, vector_ranks = candidates.word_ranks[at], candidates.vector_ranks[at]
        among = candidates.among
    scores = fuse([word_ranks, vector_ranks], [weights.words, weights.topic])
    if align is not None and weights.alignment and len(places):
        some, at = np.unique(authors, return_inverse=True)
        shown = tuple(names[author] for author in some.tolist())
        scores = scores * align(shown).factors(weights.alignment)[at]
    return RankedPool(request, pool, places, among, word_ranks, cosines, scores, authors, align)
