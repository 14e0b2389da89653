"""The user-topic graph of texts, and hidden edges for link prediction.

An edge is what one user wrote on one topic. A hidden edge (u, t) is hidden from both ends: the
topic's vector, users and degree exclude what u wrote on t, and u is represented by the rest of u's
own history only. Third parties do not reveal it either: a topic's users are represented by *their
own* texts on other topics, and u is excluded. Targets are not history: they can be hidden edges,
but do not describe their author.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from scipy.sparse import csr_array
from torch.nn.functional import normalize

from ...models.encoders.graphsage import TopicSide
from ...stores.datasets.splits import Split, Splits
from ...stores.search.words import bare
from ...stores.types import Text, Vectors


@dataclass(frozen=True)
class TopicGraph:
    """Edges between users and topics, sorted by user and topic; tensors over edges.

    Attributes:
        user_ids: The users, sorted.
        topic_ids: The topics, sorted.
        user: Index into `user_ids`, shape (edges,).
        topic: Index into `topic_ids`, shape (edges,).
        sums: Sum of the edge's topic vectors, shape (edges, dimension).
        history: Whether the edge belongs to its user's own history: none of its texts is a target
            of this user or a copy of one, shape (edges,).
    """

    user_ids: tuple[str, ...]
    topic_ids: tuple[str, ...]
    user: torch.Tensor
    topic: torch.Tensor
    sums: torch.Tensor
    history: torch.Tensor

    @classmethod
    def of(cls, texts: Sequence[Text], vectors: Vectors) -> TopicGraph:
        """Build the graph of texts; texts without a topic have no edge.

        Args:
            texts: Shared texts of one namespace.
            vectors: Their topic vectors, shape (texts, dimension).
        """
        places = [place for place, text in enumerate(texts) if text.topic_id]
        kept = [texts[place] for place in places]
        user_ids, user = np.unique([text.user_id for text in kept], return_inverse=True)
        topic_ids, topic = np.unique([text.topic_id for text in kept], return_inverse=True)
        pairs, edge = np.unique(user * len(topic_ids) + topic, return_inverse=True)
        member = csr_array((np.ones(len(edge)), (edge, places)), shape=(len(pairs), len(texts)))
        targets = {(text.user_id, bare(text.body)) for text in texts if text.target}
        hidden = np.array([(text.user_id, bare(text.body)) in targets for text in kept], bool)
        history = np.ones(len(pairs), bool)
        history[edge[hidden]] = False
        users, topics = np.divmod(pairs, max(len(topic_ids), 1))
        return cls(
            user_ids=tuple(map(str, user_ids)),
            topic_ids=tuple(map(str, topic_ids)),
            user=torch.from_numpy(users.astype(np.int64)),
            topic=torch.from_numpy(topics.astype(np.int64)),
            sums=torch.from_numpy((member @ vectors).astype(np.float32)),
            history=torch.from_numpy(history),
        )

    def __len__(self) -> int:
        return len(self.user)

    @cached_property
    def topic_sums(self) -> torch.Tensor:
        """Sum of all vectors on each topic, shape (topics, dimension)."""
        return _sum_by(self.topic, self.sums, len(self.topic_ids))

    @cached_property
    def degree(self) -> torch.Tensor:
        """Number of users of each topic, shape (topics,)."""
        return torch.bincount(self.topic, minlength=len(self.topic_ids))

    @cached_property
    def other_topics(self) -> torch.Tensor:
        """Each edge's user by texts on other topics, shape (edges, dimension).

        Unit rows; zeros if the user wrote on no other topic.
        """
        whole = _sum_by(self.user, self.sums, len(self.user_ids))
        single = torch.bincount(self.user)[self.user] == 1
        return normalize((whole[self.user] - self.sums).masked_fill(single[:, None], 0), dim=1)

    @cached_property
    def topics(self) -> TopicSide:
        """All topics with the texts of all users."""
        users = _sum_by(self.topic, self.other_topics, len(self.topic_ids))
        mean = users / self.degree.clamp(min=1)[:, None]
        return TopicSide(normalize(self.topic_sums, dim=1), mean, self.degree.float())

    def topics_without_user(self, edges: torch.Tensor) -> TopicSide:
        """Return each edge's topic without the edge's user, shapes (edges, ...)."""
        topic = self.topic[edges]
        others = self.degree[topic] - 1
        alone = others[:, None] == 0
        own = (self.topic_sums[topic] - self.sums[edges]).masked_fill(alone, 0)
        users = self.topics.users[topic] * self.degree[topic, None] - self.other_topics[edges]
        mean = users.masked_fill(alone, 0) / others.clamp(min=1)[:, None]
        return TopicSide(normalize(own, dim=1), mean, others.float())

    @cached_property
    def hops(self) -> torch.Tensor:
        """Each edge's message to its user, the topic as others wrote on it, as unit rows.

        A topic without other users is represented by the user's own vector, as in
        `stores.search.alignment.requester_embedding`. Shape (edges, dimension).
        """
        others = self.topics_without_user(torch.arange(len(self)))
        alone = others.degree[:, None] == 0
        return torch.where(alone, normalize(self.sums, dim=1), others.own)

    @cached_property
    def _wrote(self) -> csr_array:
        shape = len(self.user_ids), len(self.topic_ids)
        return csr_array((np.ones(len(self), bool), (self.user, self.topic)), shape=shape)

    def wrote(self, users: torch.Tensor) -> torch.Tensor:
        """Return the topics that users wrote on, bool, shape (users, topics)."""
        return torch.from_numpy(self._wrote[users.numpy()].toarray())


@dataclass(frozen=True)
class Links:
    """Hidden edges to predict, each hidden from both of its ends.

    Attributes:
        graph: Their graph.
        edge: Indices of edges in it, shape (links,).
        users: Mean of the hops of the rest of their users' history, shape (links, dimension).
        topics: Their topics without their users.
        candidates: Candidate topics of the predictions, bool, shape (topics,).
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
        """The user of each link, shape (links,)."""
        return self.graph.user[self.edge]

    def part(self, places: torch.Tensor) -> Links:
        """Return some of the links, by index."""
        return replace(
            self,
            edge=self.edge[places],
            users=self.users[places],
            topics=self.topics.part(places),
        )

    def among_all_topics(self) -> Links:
        """Return the same links with all topics of the graph as candidates."""
        return replace(self, candidates=torch.ones_like(self.candidates))

    def others(self) -> torch.Tensor:
        """Return the competing topics of each link, bool, shape (links, topics).

        These are the candidates without the topics that the user wrote on, which are not wrong
        answers.
        """
        return self.candidates & ~self.graph.wrote(self.people)


def hide_links(
    graph: TopicGraph, asked: torch.Tensor, candidates: torch.Tensor | None = None
) -> Links:
    """Hide edges; their users are represented by the rest of their history.

    Edges of users without any other history, and on topics without other users, are skipped:
    nothing is known that could predict them.

    Args:
        graph: The whole graph.
        asked: Edges to hide, bool, shape (edges,).
        candidates: Candidate topics, bool, shape (topics,); None: all.
    """
    count = torch.bincount(graph.user[graph.history], minlength=len(graph.user_ids))
    left = count[graph.user] - graph.history.long()
    edge = torch.nonzero(asked & (left > 0) & (graph.degree[graph.topic] > 1)).flatten()
    if candidates is None:
        candidates = torch.ones(len(graph.topic_ids), dtype=torch.bool)
    known = graph.hops * graph.history[:, None]
    sums = _sum_by(graph.user, known, len(graph.user_ids))
    users = (sums[graph.user[edge]] - known[edge]) / left[edge, None]
    return Links(graph, edge, users, graph.topics_without_user(edge), candidates)


def training_links(texts: Sequence[Text], vectors: Vectors, splits: Splits) -> Links:
    """Return all links of the graph of `train`, with only the users and topics of `train`."""
    kept = [place for place, t in enumerate(texts) if splits.may_train(t.user_id, t.topic_id)]
    graph = TopicGraph.of([texts[place] for place in kept], vectors[kept])
    return hide_links(graph, torch.ones(len(graph), dtype=torch.bool))


def links_of(graph: TopicGraph, splits: Splits, split: Split) -> Links:
    """Return the links of one split's users and topics; only topics of the split compete.

    Args:
        graph: Graph of all texts: users are represented by their whole history, topics by all
            users.
        splits: Splits of the same texts.
        split: The split to measure.
    """
    people = torch.tensor([splits.of_user(user) == split for user in graph.user_ids])
    topics = torch.tensor([splits.of_topic(topic) == split for topic in graph.topic_ids])
    return hide_links(graph, people[graph.user] & topics[graph.topic], topics)


def _sum_by(group: torch.Tensor, rows: torch.Tensor, groups: int) -> torch.Tensor:
    return torch.zeros(groups, rows.shape[1]).index_add_(0, group, rows)
