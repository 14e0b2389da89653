"""The user-topic graph of some texts, and edges of it that have to be found again.

An edge is what one user wrote on one topic. A hidden edge (u, t) is hidden from both ends: the
topic's vector, users and degree leave out what u wrote on t, and u is known by the rest of u's own
history alone. Nor does it show through a third: what is known of a topic by its users is the mean
of *their own* texts on other topics, and no text of u is among those. Targets are no history:
they can be asked for, but tell nothing of their author.

Which links of the user-topic graph are learnt from, decide, and are reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch.nn.functional import normalize

from ...models.encoders.graphsage import TopicSide
from ...stores.datasets.splits import Split, Splits
from ...stores.search.words import bare
from ...stores.types import Text, Vectors


@dataclass(frozen=True)
class TopicGraph:
    """Edges between users and topics, sorted by user; arrays over edges.

    Attributes:
        user_ids: The users, sorted.
        topic_ids: The topics, sorted.
        user: Index into `user_ids`, shape (edges,).
        topic: Index into `topic_ids`, shape (edges,).
        rating: Mean rating of the edge's texts, NaN where none has one.
        sums: Sum of their topic vectors, shape (edges, dimension).
        history: Whether it belongs to its user's own history: none of its texts is a target, or
            the copy of one of this user's.
    """

    user_ids: tuple[str, ...]
    topic_ids: tuple[str, ...]
    user: torch.Tensor
    topic: torch.Tensor
    rating: torch.Tensor
    sums: torch.Tensor
    history: torch.Tensor

    @classmethod
    def of(cls, texts: Sequence[Text], vectors: Vectors) -> TopicGraph:
        """Make the graph of some texts; those without a topic are on no edge.

        Args:
            texts: Of one namespace, those that may serve others.
            vectors: Their topic vectors, shape (texts, dimension).
        """
        places: dict[tuple[str, str], list[int]] = {}
        targets: dict[str, set[str]] = {}
        for place, text in enumerate(texts):
            if text.target:
                targets.setdefault(text.user_id, set()).add(bare(text.body))
            if text.topic_id:
                places.setdefault((text.user_id, text.topic_id), []).append(place)
        rows = dict(sorted(places.items()))
        user_ids, user = np.unique([user for user, _ in rows], return_inverse=True)
        topic_ids, topic = np.unique([topic for _, topic in rows], return_inverse=True)
        edges = [[texts[place] for place in row] for row in rows.values()]
        sums = [vectors[row].sum(axis=0, dtype=np.float64) for row in rows.values()]
        return cls(
            user_ids=tuple(map(str, user_ids)),
            topic_ids=tuple(map(str, topic_ids)),
            user=torch.from_numpy(user.astype(np.int64)),
            topic=torch.from_numpy(topic.astype(np.int64)),
            rating=torch.tensor([_mean_rating(edge) for edge in edges]),
            sums=torch.from_numpy(np.array(sums, np.float32).reshape(-1, vectors.shape[1])),
            history=torch.tensor([not _tells(edge, targets) for edge in edges], dtype=torch.bool),
        )

    def __len__(self) -> int:
        return len(self.user)

    @cached_property
    def topic_sums(self) -> torch.Tensor:
        """Sum of all vectors on each topic, shape (topics, dimension)."""
        return _sum_by(self.topic, self.sums, len(self.topic_ids))

    @cached_property
    def degree(self) -> torch.Tensor:
        """Users of each topic, shape (topics,)."""
        return torch.bincount(self.topic, minlength=len(self.topic_ids))

    @cached_property
    def elsewhere(self) -> torch.Tensor:
        """What each edge's user wrote on other topics: unit rows, zeros where that is nothing.

        Shape (edges, dimension).
        """
        whole = _sum_by(self.user, self.sums, len(self.user_ids))
        alone = torch.bincount(self.user)[self.user] == 1
        return normalize((whole[self.user] - self.sums).masked_fill(alone[:, None], 0), dim=1)

    @cached_property
    def topics(self) -> TopicSide:
        """All topics as everybody made them."""
        users = _sum_by(self.topic, self.elsewhere, len(self.topic_ids))
        return TopicSide(
            normalize(self.topic_sums, dim=1),
            users / self.degree.clamp(min=1)[:, None],
            self.degree.float(),
        )

    def topics_without_asker(self, edges: torch.Tensor) -> TopicSide:
        """Return each edge's topic without anything of the edge's user, shapes (edges, ...)."""
        at = self.topic[edges]
        others = self.degree[at] - 1
        users = self.topics.users[at] * self.degree[at, None] - self.elsewhere[edges]
        alone = others[:, None] == 0
        own = (self.topic_sums[at] - self.sums[edges]).masked_fill(alone, 0)
        return TopicSide(
            normalize(own, dim=1),
            users.masked_fill(alone, 0) / others.clamp(min=1)[:, None],
            others.float(),
        )

    @cached_property
    def hops(self) -> torch.Tensor:
        """What each edge tells of its user: the topic as others made it, unit rows.

        A topic on which nobody else wrote stands for itself with the user's own vector, as in
        `stores.edges.requester_embedding`. Shape (edges, dimension).
        """
        others = self.topics_without_asker(torch.arange(len(self)))
        alone = others.degree[:, None] == 0
        return torch.where(alone, normalize(self.sums, dim=1), others.own)

    def taken(self, users: torch.Tensor) -> torch.Tensor:
        """Return which topics users wrote on, bool, shape (users, topics)."""
        wrote = torch.zeros(len(users), len(self.topic_ids), dtype=torch.bool)
        starts = torch.searchsorted(self.user, torch.arange(len(self.user_ids) + 1))
        for row, user in enumerate(users.tolist()):
            wrote[row, self.topic[starts[user] : starts[user + 1]]] = True
        return wrote


@dataclass(frozen=True)
class Links:
    """Edges that have to be found again, each hidden from both of its ends.

    Attributes:
        graph: Where they are from.
        edge: Their places in it, shape (links,).
        users: Mean of what the rest of their users' history tells, shape (links, dimension).
        topics: Their topics without their users.
        candidates: The topics among which each has to be found, bool, shape (topics,).
    """

    graph: TopicGraph
    edge: torch.Tensor
    users: torch.Tensor
    topics: TopicSide
    candidates: torch.Tensor

    def __len__(self) -> int:
        return len(self.edge)

    @property
    def people(self) -> torch.Tensor:
        """Whose each link is, shape (links,)."""
        return self.graph.user[self.edge]

    def part(self, places: torch.Tensor) -> Links:
        """Return some of the links."""
        return Links(
            self.graph,
            self.edge[places],
            self.users[places],
            self.topics.part(places),
            self.candidates,
        )

    def others(self) -> torch.Tensor:
        """Return which topics each link competes with, bool, shape (links, topics).

        The candidates, without any topic that the user wrote on: those are no wrong answers.
        """
        return self.candidates & ~self.graph.taken(self.people)


def hide_links(
    graph: TopicGraph, asked: torch.Tensor, candidates: torch.Tensor | None = None
) -> Links:
    """Hide edges; their users are known by the rest of their history.

    Edges of users without any other history, and on topics that nobody else wrote on, are left
    out: there is nothing to tell them by.

    Args:
        graph: All that is known.
        asked: Which edges are asked for, bool, shape (edges,).
        candidates: Which topics compete, bool, shape (topics,); None: all.
    """
    count = torch.bincount(graph.user[graph.history], minlength=len(graph.user_ids))
    left = count[graph.user] - graph.history.long()
    edge = torch.nonzero(asked & (left > 0) & (graph.degree[graph.topic] > 1)).flatten()
    if candidates is None:
        candidates = torch.ones(len(graph.topic_ids), dtype=torch.bool)

    known = graph.hops * graph.history[:, None]
    sums = _sum_by(graph.user, known, len(graph.user_ids))
    users = (sums[graph.user[edge]] - known[edge]) / left[edge, None]
    return Links(graph, edge, users, graph.topics_without_asker(edge), candidates)


def _sum_by(group: torch.Tensor, rows: torch.Tensor, groups: int) -> torch.Tensor:
    return torch.zeros(groups, rows.shape[1]).index_add_(0, group, rows)


def _mean_rating(texts: Sequence[Text]) -> float:
    ratings = [text.rating for text in texts if text.rating is not None]
    return float(np.mean(ratings)) if ratings else float("nan")


def _tells(edge: Sequence[Text], targets: dict[str, set[str]]) -> bool:
    """Say whether one of an edge's texts is a target of its user, or a copy of one."""
    hidden = targets.get(edge[0].user_id, set())
    return any(text.target or bare(text.body) in hidden for text in edge)


def links_to_learn(texts: Sequence[Text], vectors: Vectors, splits: Splits) -> Links:
    """Return all links of the graph of `train`: people and topics of `train`, and no others."""
    learnt = [at for at, text in enumerate(texts) if splits.may_train(text.user_id, text.topic_id)]
    graph = TopicGraph.of([texts[at] for at in learnt], vectors[learnt])
    return hide_links(graph, torch.ones(len(graph), dtype=torch.bool))


def links_of(
    graph: TopicGraph, splits: Splits, split: Split, *, every_topic: bool = False
) -> Links:
    """Return the links of people of one split on topics of that split, in the graph of all texts.

    Args:
        graph: Of all texts: people are known by all of their own history, topics by everybody.
        splits: Of the same texts.
        split: Which.
        every_topic: Whether they compete with all topics, else with those of the split.
    """
    people = torch.tensor([splits.of_user(user) == split for user in graph.user_ids])
    about = torch.tensor([splits.of_topic(topic) == split for topic in graph.topic_ids])
    asked = people[graph.user] & about[graph.topic]
    return hide_links(graph, asked, None if every_topic else about)
