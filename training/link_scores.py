"""How well links are found again: the place of the hidden topic among those it competes with.

What is asked is the cosine of the embeddings, which is what serves. `equal_popularity` says how
much of it is not popularity: the hidden topic against those that about as many people wrote on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..models.graphsage import GraphSage
from .topic_graph import Links

RECALL_AT = 10
AS_POPULAR = 20
"""Competing topics that are nearest to the hidden one in popularity."""

BATCH = 256

Score = Callable[[Links], tuple[torch.Tensor, torch.Tensor]]
"""Returns each link's own score, shape (links,), and those of all topics, (links, topics)."""


@dataclass(frozen=True)
class Found:
    """How each person's links were found; arrays over people, each the mean of the own links.

    Attributes:
        people: Whose, indices into the graph's `user_ids`.
        recall: Share of the links among the first ten.
        reciprocal_rank: Mean of 1 / rank.
        equal_popularity: Share of the topics of like popularity that score lower, ties half; .5
            is chance. NaN where no topic competes.
    """

    people: NDArray[np.int64]
    recall: NDArray[np.float64]
    reciprocal_rank: NDArray[np.float64]
    equal_popularity: NDArray[np.float64]


def cosines(model: GraphSage, links: Links) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the cosines of the embeddings: a `Score`."""
    users = model.users(links.users)
    own = (users * model.topics(links.topics)).sum(1)
    return own, users @ model.topics(links.graph.topics).T


def link_scores(model: GraphSage, links: Links) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what the loss is of, cosines and popularity: a `Score`."""
    own, whole = cosines(model, links)
    return (
        model.temperature * own + model.bias(links.topics),
        model.temperature * whole + model.bias(links.graph.topics),
    )


def by_degree(links: Links) -> tuple[torch.Tensor, torch.Tensor]:
    """Return how many others wrote on each topic: a `Score`."""
    return links.topics.degree, links.graph.topics.degree.expand(len(links), -1)


def find_links(score: Score, links: Links) -> Found:
    """Score links and say how they were found.

    Args:
        score: The method.
        links: At least one.
    """
    rank, above = [], []
    with torch.no_grad():
        for places in torch.split(torch.arange(len(links)), BATCH):
            part = links.part(places)
            own, whole = score(part)
            others = part.others()
            rank.append(ranks_of(own, whole.masked_fill(~others, float("-inf"))))
            above.append(_above_as_popular(own, whole, others, part))
    ranks = torch.cat(rank).double().numpy()
    people, of = np.unique(links.people.numpy(), return_inverse=True)

    def by_person(values: NDArray[np.float64]) -> NDArray[np.float64]:
        means: NDArray[np.float64] = np.bincount(of, weights=values) / np.bincount(of)
        return means

    return Found(
        people,
        by_person((ranks <= RECALL_AT).astype(np.float64)),
        by_person(1 / ranks),
        by_person(torch.cat(above).double().numpy()),
    )


def ranks_of(own: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Return each link's rank among all topics, from 1; ties share their mean, shape (links,).

    Args:
        own: Scores of the links, shape (links,).
        others: Scores of what each competes with, -inf elsewhere, shape (links, topics).
    """
    above = (others > own[:, None]).sum(1)
    level = (others == own[:, None]).sum(1)
    return 1 + above + level / 2


def _above_as_popular(
    own: torch.Tensor, whole: torch.Tensor, others: torch.Tensor, links: Links
) -> torch.Tensor:
    popular = torch.log1p(links.graph.topics.degree)[None, :]
    apart = (popular - torch.log1p(links.topics.degree)[:, None]).abs()
    apart = apart.masked_fill(~others, float("inf"))
    near = apart.sort(dim=1, stable=True).indices[:, :AS_POPULAR]
    counted = others.gather(1, near)
    scores = whole.gather(1, near)
    below = (scores < own[:, None]).float() + (scores == own[:, None]).float() / 2
    return (below * counted).sum(1) / counted.sum(1)
