"""The texts of a topic in the order in which they serve one request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .choices import DRAWN_PER_TEXT, Choice, Take, matched
from .edges import Alignment, align
from .pools import Pool
from .ragged import Places
from .ranking import NEUTRAL, Scores, bm25, fuse, ranks, weigh
from .records import History, Hit, Neighbour, Text, Vectors
from .topics import Topics
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
        word_ranks: Rank by BM25, from 1.
        cosines: Of the topic vectors to the query.
        scores: What decides, higher is better.
        names: The authors.
        authors: Whose each text is, indices into `names`.
        alignment: How near each author is to the requester; None: not asked, all count alike.
        request: Tells this request's draws from those of others.
    """

    pool: Pool
    places: Places
    word_ranks: Places
    cosines: Vectors
    scores: Scores
    names: NDArray[np.str_]
    authors: Places
    alignment: Alignment | None
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
        leading, others = self._by_author()
        if choice.take == "anti_aligned":
            return self._hits(np.concatenate([leading[::-1], others[::-1]])[:k], choice, why)
        best = np.concatenate([leading, others])[:k]
        best = best[np.argsort(-self.scores[best], kind="stable")]
        if choice.take != "random":
            return self._hits(best, choice, why)
        drawn = [part[choice.shuffled(len(part), *self.request)] for part in (leading, others)]
        some = np.concatenate(drawn)[: max(len(leading), k)][: k * DRAWN_PER_TEXT]
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
        rank = f"words rank {self.word_ranks[at]} of {len(self)}"
        relevance = f"{rank}, topic cosine {self.cosines[at]:.2f}"
        parts = [why[text.topic_id], *NOTES.get(choice.take, ()), relevance]
        if self.alignment is not None:
            parts.append(self.alignment.reason(self.authors[at]))
        return "; ".join(parts)

    def _closeness(self, user: str) -> float:
        if self.alignment is None:
            return NEUTRAL
        return float(self.alignment.score[int(np.searchsorted(self.names, user))])


def rank(
    pool: Pool,
    history: History,
    query: Vectors,
    words: str,
    users: Users | None,
    topics: Topics,
    about: Sequence[str],
) -> RankedPool:
    """Rank a pool for a requester.

    Args:
        pool: The candidates.
        history: The requester, whose own texts and targets are left out.
        query: Unit topic vector of the request.
        words: The request's words.
        users: Whose alignment with the requester weighs; None: nobody's.
        topics: All topics of the namespace.
        about: Those that serve this request.
    """
    places = pool.for_requester(history)
    word_ranks = ranks(bm25(terms_of(words), *pool.terms_at(places)))
    cosines = pool.vectors[places] @ query
    scores = fuse(word_ranks, ranks(cosines))
    names, authors = np.unique([pool.users[place] for place in places], return_inverse=True)
    alignment = None
    if users is not None and len(places):
        alignment = align(history, names.tolist(), users, topics, about)
        scores = weigh(scores, alignment.score[authors])
    request = (history.namespace, history.user_id)
    return RankedPool(pool, places, word_ranks, cosines, scores, names, authors, alignment, request)
