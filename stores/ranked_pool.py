"""The texts of a topic in the order in which they serve one request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .apart import take_apart
from .choices import DRAWN_PER_TEXT, Choice, Take, Weights, matched
from .edges import Alignment, align
from .large_topic import Candidates
from .pools import Pool
from .ragged import Places
from .ranking import NEUTRAL, Scores, bm25, factors, fuse, ranks
from .records import Hit, Neighbour, Text, Vectors
from .topics import Topics
from .unseen import Unseen
from .users import Users
from .words import terms_of

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
        names: The authors.
        authors: Whose each text is, indices into `names`.
        alignment: How near each author is to the requester; None: not asked, all count alike.
        factors: What that does to the authors' scores, shape (authors,).
        request: Tells this request's draws from those of others.
    """

    pool: Pool
    places: Places
    among: int
    word_ranks: Places
    cosines: Vectors
    scores: Scores
    names: NDArray[np.str_]
    authors: Places
    alignment: Alignment | None
    factors: Scores
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
        near = sorted({(-self._closeness(user), user) for user in users})
        return tuple(Neighbour(user, -score) for score, user in near)

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
        return [
            Hit(text, float(self.scores[at]), self._reason(int(at), text, choice, why))
            for at, text in zip(chosen, texts, strict=True)
        ]

    def _reason(self, at: int, text: Text, choice: Choice, why: Mapping[str, str]) -> str:
        rank = f"words rank {self.word_ranks[at]} of {self.among}"
        relevance = f"{rank}, topic cosine {self.cosines[at]:.2f}"
        parts = [why[text.topic_id], *NOTES.get(choice.take, ()), relevance]
        if self.alignment is not None:
            author, reason = self.authors[at], self.alignment.reason(self.authors[at])
            weighs = f"x {self.factors[author]:.2f}" if choice.weights.alignment else "not weighed"
            parts.append(f"{reason}, {weighs}")
        return "; ".join(parts)

    def _closeness(self, user: str) -> float:
        if self.alignment is None:
            return NEUTRAL
        return float(self.alignment.score[int(np.searchsorted(self.names, user))])


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
    cosines = pool.vectors[places] @ query
    if candidates is None:
        word_ranks = ranks(bm25(terms_of(words), *pool.terms_at(places)))
        vector_ranks, among = ranks(cosines), len(places)
    else:
        at = candidates.places_of(pool.text_ids(places))
        word_ranks, vector_ranks = candidates.word_ranks[at], candidates.vector_ranks[at]
        among = candidates.among
    scores = fuse([word_ranks, vector_ranks], [weights.words, weights.topic])
    names, authors = np.unique([pool.users[place] for place in places], return_inverse=True)
    alignment, weighed = None, np.ones(len(names))
    if users is not None and len(places):
        alignment = align(history, names.tolist(), users, topics, about)
        weighed = factors(alignment.score, weights.alignment)
        scores = scores * weighed[authors]
    return RankedPool(
        pool,
        places,
        among,
        word_ranks,
        cosines,
        scores,
        names,
        authors,
        alignment,
        weighed,
        request=(history.namespace, history.user_id),
    )
