"""Compute how aligned authors are with a requester on the user-topic graph, whose edges are texts.

The preference embedding is that of a GraphSAGE mean aggregator: a topic is the mean of the texts
on it, a user is computed from the mean of the user's topics, without weights (the two-hop mean) or
with trained ones (`GraphForm`). It is inductive: a new user or topic gets one without a rebuild.
Everything is computed for one requester, whose own texts are left out of the topics (see `topics`),
and without the requested topics: all candidates share those, so they distinguish nobody.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..texts.arrow import take, unit
from ..texts.topics import Topics
from ..texts.users import Edge, Users
from ..types import History, Vectors
from ..values import FIVE_STARS
from .scores import Scores

NEUTRAL = 0.5
"""Alignment of an author of whom nothing is known."""


@dataclass(frozen=True)
class Alignment:
    """How aligned some authors are with a requester; arrays of shape (authors,).

    Attributes:
        score: Mean of those of the next two that are known, in [0, 1]; NEUTRAL where none is.
        graph: Cosine of the preference embeddings, NaN where one of them is missing.
        agreement: 1 - mean |difference of ratings| / span of the scale (4 for 1 to 5) on shared
            topics, NaN without any.
        rated: Number of topics behind `agreement`.
    """

    score: Scores
    graph: Scores
    agreement: Scores
    rated: NDArray[np.int64]

    def factors(self, weight: float) -> Scores:
        """Return what texts' relevance is multiplied by, shape (authors,): 1 if neutral.

        1 + w·(a - ½): from 1 - w/2 to 1 + w/2.
        """
        return np.maximum(0.0, 1 + weight * (self.score - NEUTRAL))

    def reason(self, author: int, weight: float) -> str:
        """Say what one author's score rests on, and how it is weighted."""
        parts = []
        if not math.isnan(self.graph[author]):
            parts.append(f"interests cosine {self.graph[author]:.2f}")
        if self.rated[author]:
            topics = f"{self.rated[author]} shared topic{'s' if self.rated[author] > 1 else ''}"
            parts.append(f"ratings agree {self.agreement[author]:.2f} on {topics}")
        known = ", ".join(parts) or "nothing else known of the author"
        weighted = f"x {self.factors(weight)[author]:.2f}" if weight else "not weighed"
        return f"aligned {self.score[author]:.2f} ({known}), {weighted}"


def requester_embedding(history: History, topics: Topics) -> Vectors:
    """Return the preference embedding of a user's own history, shape (embedding dimension,).

    A topic on which nobody else wrote, and a text without one, stand for themselves with the
    requester's own vectors. A row of zeros where there is no history.
    """
    own_topics = sorted({text.topic_id for text in history.texts if text.topic_id})
    hops = list(topics.units_for(own_topics, history.contributed))
    for place, topic in enumerate(own_topics):
        if not hops[place].any():
            rows = [row for row, text in enumerate(history.texts) if text.topic_id == topic]
            hops[place] = unit(history.topic_vectors[rows].sum(axis=0))
    loose = [row for row, text in enumerate(history.texts) if not text.topic_id]
    hops.extend(history.topic_vectors[loose])
    whole = np.sum(hops, axis=0) if hops else np.zeros(topics.units.shape[1])
    embedding: Vectors = topics.form.embed(whole.astype(np.float32)[None])[0]
    return embedding


def own_ratings(history: History) -> dict[str, float]:
    """Return the mean rating of a user's own history by topic."""
    edges: dict[str, Edge] = {}
    for text in history.texts:
        if text.topic_id:
            edges.setdefault(text.topic_id, Edge()).count(text.rating)
    return {topic: edge.rating_sum / edge.ratings for topic, edge in edges.items() if edge.ratings}


def align(
    history: History,
    authors: Sequence[str],
    users: Users,
    topics: Topics,
    asked: Sequence[str],
    rating_span: float = FIVE_STARS.span,
) -> Alignment:
    """Return how aligned authors are with the requester on the user-topic graph.

    Args:
        history: The requester's side.
        authors: Ids of the candidates.
        users: All users of the namespace.
        topics: All topics of the namespace.
        asked: The topics that the request is about.
        rating_span: Largest difference of two ratings.
    """
    known = [place for place, author in enumerate(authors) if author in users.row]
    rows = np.array([users.row[authors[place]] for place in known], np.int64)
    places, starts = take(users.edge_start, rows)
    owner = np.repeat(np.array(known, np.int64), np.diff(starts))
    skipped = [users.topic_code[topic] for topic in asked if topic in users.topic_code]
    kept = ~np.isin(users.edge_topic[places], skipped)
    places, owner = places[kept], owner[kept]

    graph = _graph_cosines(history, users.edge_topic[places], owner, len(authors), users, topics)
    mine = np.full(len(users.topic_ids), np.nan)
    for topic, rating in own_ratings(history).items():
        if topic in users.topic_code:
            mine[users.topic_code[topic]] = rating
    difference = np.abs(mine[users.edge_topic[places]] - users.edge_rating[places]) / rating_span
    both = ~np.isnan(difference)
    rated = np.bincount(owner[both], minlength=len(authors))
    total = np.bincount(owner[both], weights=1 - difference[both], minlength=len(authors))
    agreement = np.divide(total, rated, out=np.full(len(authors), np.nan), where=rated > 0)
    return Alignment(_mean_known(np.clip(graph, 0, 1), agreement), graph, agreement, rated)


def _graph_cosines(
    history: History,
    edge_topic: NDArray[np.int64],
    owner: NDArray[np.int64],
    authors: int,
    users: Users,
    topics: Topics,
) -> Scores:
    """Return the cosine of each author's preference embedding and the requester's."""
    graph = np.full(authors, np.nan)
    mine = requester_embedding(history, topics)
    if not len(owner) or not mine.any():
        return graph
    codes, place = np.unique(edge_topic, return_inverse=True)
    hops = topics.units_for([users.topic_ids[code] for code in codes], history.contributed)
    present, first = np.unique(owner, return_index=True)
    theirs = topics.form.embed(np.add.reduceat(hops[place], first, axis=0))
    seen = theirs.any(axis=1)
    graph[present[seen]] = (theirs[seen] * mine).sum(axis=1)
    return graph


def _mean_known(first: Scores, second: Scores) -> Scores:
    """Return the mean of what is not NaN of two scores, NEUTRAL where both are."""
    both = np.stack([first, second])
    counted = (~np.isnan(both)).sum(axis=0)
    total = np.nansum(both, axis=0)
    means = np.full(len(first), NEUTRAL)
    np.divide(total, counted, out=means, where=counted > 0)
    return means
