"""Which links of the user-topic graph are learnt from, decide, and are reported."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..stores.records import Text, Vectors
from ..stores.splits import Split, Splits
from .topic_graph import Links, TopicGraph, hide_links


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
