"""The texts of a topic in the order in which they serve one request.

The texts of a topic, ready to be ranked: what a request picks its evidence from.

Pieces of evidence that do not say one thing: maximal marginal relevance, near-copies once.

Carbonell and Goldstein 1998: the next piece is the one whose score less w times its highest cosine
to a piece already taken is the greatest. A near-copy of one already taken is passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial

import numpy as np
import pyarrow as pa

from ..texts.arrow import PLAIN_COLUMNS, Places, take, terms_of_rows, texts_of_rows, vectors_of
from ..texts.topics import Topics
from ..texts.users import Users
from ..types import History, Hit, Neighbour, Text, Vectors
from .alignment import Alignment, align
from .duplicates import Mask, Shingles, Unseen, copies_among, copies_of, shingles_of
from .large_topics import Candidates
from .request import DRAWN_PER_TEXT, Choice, Take, Weights, matched
from .rotated_vectors import all_dots, dots
from .scores import NEUTRAL, Scores, bm25, factors, fuse, ranks
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


LOOKED_AT = 32
"""Candidates from the front of a ranking that a piece is picked among."""


def take_apart(
    pool: Pool, places: Places, tiers: Sequence[Places], scores: Scores, k: int, weight: float
) -> Places:
    """Return up to k candidates, in the order in which they are taken.

    Args:
        pool: All texts.
        places: The candidates' places in it.
        tiers: Candidates, best first; one of a later tier is taken where the earlier ones have no
            more to give.
        scores: Of all candidates; those of a tier are in this order.
        k: How many.
        weight: What a cosine of 1 to a piece already taken costs.
    """
    taken = np.zeros(0, np.int64)
    for window in _windows(tiers, k):
        if len(taken) >= k:
            break
        taken = _extend(pool, places, taken, window, scores, k, weight)
    return taken


def _windows(tiers: Sequence[Places], k: int) -> Iterator[Places]:
    for tier in tiers:
        # Never beyond the better half: the ends of a ranking are to stay apart.
        width = max(k, min(LOOKED_AT, len(tier) // 2))
        for begin in range(0, len(tier), width):
            yield tier[begin : begin + width]


def _extend(
    pool: Pool,
    places: Places,
    taken: Places,
    window: Places,
    scores: Scores,
    k: int,
    weight: float,
) -> Places:
    both = np.concatenate([taken, window])
    vectors = pool.vectors[places[both]]
    cosines = all_dots(vectors)
    copies = pool.copies_among(places[both])
    inside = list(range(len(taken)))
    left = np.ones(len(both), np.bool_)
    left[inside] = False
    while len(inside) < k:
        left &= ~copies[:, inside].any(axis=1)
        open_ = np.flatnonzero(left)
        if not len(open_):
            break
        cost = weight * cosines[open_][:, inside].max(axis=1) if inside else 0.0
        best = int(open_[np.argmax(scores[both[open_]] - cost)])
        inside.append(best)
        left[best] = False
    return both[inside]


NOTES: dict[Take, tuple[str, ...]] = {
    "random": ("drawn among all who wrote on it",),
    "anti_aligned": ("ranked from the end",),
}
"""What the reasons of controls begin with."""


@dataclass(frozen=True)
class RankedPool:
    """What a requester may see of a pool, ranked by relevance and by author.

    Attributes:
        pool: All texts.
        places: Those that the requester may see; the arrays below are over these.
        among: How many texts were ranked; more than the pool has where it holds the best only.
        word_ranks: Rank by BM25, from 1.
        cosines: Of the topic vectors to the query.
        scores: What decides, higher is better.
        authors: Whose each text is, by number.
        align: Says how near some authors are to the requester; None: not asked, all count alike.
        weighs: How much that counted in the scores.
        request: Tells this request's draws from those of others.
    """

    pool: Pool
    places: Places
    among: int
    word_ranks: Places
    cosines: Vectors
    scores: Scores
    authors: Places
    align: Callable[[tuple[str, ...]], Alignment] | None
    weighs: float
    request: tuple[str, str]

    def __len__(self) -> int:
        return len(self.places)

    def hits(self, k: int, choice: Choice, why: Mapping[str, str]) -> list[Hit]:
        """Return k texts, of k authors if there are.

        Args:
            k: How many.
            choice: Whose.
            why: What to say of each topic.
        """
        tiers, apart = self._by_author(), choice.weights.apart
        if choice.take == "anti_aligned":
            tiers = (tiers[0][::-1], tiers[1][::-1])
            far = take_apart(self.pool, self.places, tiers, -self.scores, k, apart)
            far = far[np.argsort(self.scores[far], kind="stable")]
            return self._hits(far, choice, why)
        best = take_apart(self.pool, self.places, tiers, self.scores, k, apart)
        best = best[np.argsort(-self.scores[best], kind="stable")]
        if choice.take != "random":
            return self._hits(best, choice, why)
        drawn = [part[choice.shuffled(len(part), *self.request)] for part in tiers]
        some = np.concatenate(drawn)[: max(len(tiers[0]), k)][: k * DRAWN_PER_TEXT]
        # The order of the draw decides, as if all had one score: near-copies drop out.
        some = take_apart(self.pool, self.places, [some], np.zeros(len(self)), len(some), 0.0)
        wanted = self.pool.texts_at(self.places[best].tolist())
        return matched(wanted, self._hits(some, choice, why))

    def neighbours(self, users: Iterable[str]) -> tuple[Neighbour, ...]:
        """Return how near some authors are, nearest first, ties by id."""
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

    def _hits(self, chosen: Places, choice: Choice, why: Mapping[str, str]) -> list[Hit]:
        texts = self.pool.texts_at(self.places[chosen].tolist())
        aligned = self._aligned([text.user_id for text in texts])
        hits = []
        for at, text, known in zip(chosen.tolist(), texts, aligned, strict=True):
            rank = f"words rank {self.word_ranks[at]} of {self.among}"
            relevance = f"{rank}, topic cosine {self.cosines[at]:.2f}"
            parts = [why[text.topic_id], *NOTES.get(choice.take, ()), relevance, *known]
            hits.append(Hit(text, float(self.scores[at]), "; ".join(parts)))
        return hits

    def _aligned(self, authors: Sequence[str]) -> list[list[str]]:
        """Return what to say of each author's alignment."""
        if self.align is None:
            return [[] for _ in authors]
        names = tuple(sorted(set(authors)))
        alignment = self.align(names)
        weighed = factors(alignment.score, self.weighs)
        says = [f"x {factor:.2f}" if self.weighs else "not weighed" for factor in weighed]
        places = [names.index(author) for author in authors]
        return [[f"{alignment.reason(at)}, {says[at]}"] for at in places]


def rank(
    pool: Pool,
    candidates: Candidates | None,
    unseen: Unseen,
    query: Vectors,
    words: str,
    users: Users | None,
    topics: Topics,
    about: Sequence[str],
    weights: Weights,
) -> RankedPool:
    """Rank a pool for a requester.

    Args:
        pool: The candidates.
        candidates: Their ranks in the whole topic, where the pool holds the best of it only; None:
            the pool is all there is.
        unseen: Who asks, and what is left out for this request.
        query: Unit topic vector of the request.
        words: The request's words.
        users: Whose alignment with the requester weighs; None: nobody's.
        topics: All topics of the namespace.
        about: Those that serve this request.
        weights: What counts how much.
    """
    history = unseen.history
    places = pool.for_requester(unseen)
    cosines = dots(pool.vectors[places], query)
    if candidates is None:
        word_ranks = ranks(bm25(terms_of(words), *pool.terms_at(places)))
        vector_ranks, among = ranks(cosines), len(places)
    else:
        at = candidates.places_of(pool.text_ids(places))
        word_ranks, vector_ranks = candidates.word_ranks[at], candidates.vector_ranks[at]
        among = candidates.among
    scores = fuse([word_ranks, vector_ranks], [weights.words, weights.topic])
    names, authors = np.unique([pool.users[place] for place in places], return_inverse=True)
    aligned = None
    if users is not None and len(places):
        # Reasons and neighbours ask for the same authors.
        aligned = cache(partial(_align, history, users, topics, about))
        if weights.alignment:
            weighed = factors(aligned(tuple(names.tolist())).score, weights.alignment)
            scores = scores * weighed[authors]
    return RankedPool(
        pool,
        places,
        among,
        word_ranks,
        cosines,
        scores,
        authors,
        aligned,
        weights.alignment,
        request=(history.namespace, history.user_id),
    )


def _align(
    history: History, users: Users, topics: Topics, about: Sequence[str], authors: tuple[str, ...]
) -> Alignment:
    return align(history, authors, users, topics, about)
