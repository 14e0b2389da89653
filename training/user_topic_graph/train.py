"""Train GraphSAGE on links: which topic does a person write on?

Each edge is hidden from both ends in turn and has to be found again among all topics that its user
did not write on: cross entropy of its score (Hamilton, Ying and Leskovec 2017 draw negatives; the
topics of a store are few enough to take them all, popular ones among them).

How well links are found again: the place of the hidden topic among those it competes with.

What is asked is the cosine of the embeddings, which is what serves. `equal_popularity` says how
much of it is not popularity: the hidden topic against those that about as many people wrote on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ...models.encoders.graphsage import GraphSage
from ..errors import TooFewLinks
from .data import Links

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


LEAST_LINKS = 20

TEMPERATURES = (2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 50.0)
"""Of the gate's cross entropy: cosines that are only spread wider must not pass for better ones."""


@dataclass(frozen=True)
class GraphSettings:
    """How the graph is trained; chosen by cross-fitting inside `train` (see docs/graph.md).

    Attributes:
        epochs: At most.
        patience: Epochs without a better gate before it stops.
        batch: Links of a step.
        learning_rate: Of A and B.
        scalar_rate: Of λ, c and τ.
        decay: Weight decay of A and B, which pulls towards the training-free form.
        rank: Of A and B.
        dropout: Share of what A and B read that a step goes without.
        most_links: Of an epoch and of the gate, drawn anew each epoch where there are more.
        seed: Of what is drawn.
    """

    epochs: int = 80
    patience: int = 10
    batch: int = BATCH
    learning_rate: float = 3e-4
    scalar_rate: float = 0.02
    decay: float = 0.1
    rank: int = 16
    dropout: float = 0.5
    most_links: int = 5_000
    seed: int = 0


DEFAULTS = GraphSettings()


@dataclass(frozen=True)
class GraphFit:
    """A trained graph and how it came to be.

    Attributes:
        model: The best epoch's, ready to be asked.
        gate: Mean cross entropy of the cosines on the gate before training and after each epoch,
            at the temperature that suits them best; empty where the gate has no links. (Recall and
            reciprocal ranks of some hundred links jump too much from epoch to epoch to stop by.)
        kept: Which epoch the model is of.
    """

    model: GraphSage
    gate: tuple[float, ...]
    kept: int


def train_graph(
    train: Links,
    gate: Links,
    settings: GraphSettings = DEFAULTS,
    *,
    progress: Callable[[int, float | None], None] = lambda epoch, gate: None,
) -> GraphFit:
    """Train on links, and keep the epoch that is best on the gate.

    Args:
        train: To learn from.
        gate: Of other people on other topics; without any, all epochs are run.
        settings: How.
        progress: Told of each epoch and of the gate's cross entropy.

    Raises:
        TooFewLinks: There is too little to learn from.
    """
    if len(train) < LEAST_LINKS:
        raise TooFewLinks(
            f"expected at least {LEAST_LINKS} links to learn from (people of train with two "
            f"topics of train and more), found {len(train)}: the two-hop mean serves until the "
            "store has grown"
        )
    torch.manual_seed(settings.seed)
    model = GraphSage(train.users.shape[1], rank=settings.rank, dropout=settings.dropout)
    optimizer = _optimizer(model, settings)
    gate = gate.part(torch.randperm(len(gate))[: settings.most_links])
    seen = [_on_gate(model, gate)] if len(gate) else []
    best, kept = _copy(model), 0
    for epoch in range(1, settings.epochs + 1):
        _learn(model, train, optimizer, settings)
        if len(gate):
            seen.append(_on_gate(model, gate))
        if not seen or seen[-1] < seen[kept]:
            best, kept = _copy(model), epoch
        progress(epoch, seen[-1] if seen else None)
        if epoch - kept >= settings.patience:
            break
    model.load_state_dict(best)
    return GraphFit(model.eval(), tuple(seen), kept)


def _learn(
    model: GraphSage, train: Links, optimizer: torch.optim.Optimizer, settings: GraphSettings
) -> None:
    model.train()
    for places in torch.split(torch.randperm(len(train))[: settings.most_links], settings.batch):
        part = train.part(places)
        loss = _cross_entropy(part, *link_scores(model, part)).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def _optimizer(model: GraphSage, settings: GraphSettings) -> torch.optim.Optimizer:
    maps = [weight for weight in model.parameters() if weight.ndim]
    scalars = [weight for weight in model.parameters() if not weight.ndim]
    return torch.optim.AdamW(
        [
            {"params": maps, "lr": settings.learning_rate, "weight_decay": settings.decay},
            {"params": scalars, "lr": settings.scalar_rate, "weight_decay": 0.0},
        ]
    )


def _on_gate(model: GraphSage, gate: Links) -> float:
    model.eval()
    losses = []
    with torch.no_grad():
        for places in torch.split(torch.arange(len(gate)), BATCH):
            part = gate.part(places)
            own, whole = cosines(model, part)
            losses.append(
                torch.stack([_cross_entropy(part, tau * own, tau * whole) for tau in TEMPERATURES])
            )
    return float(torch.cat(losses, dim=1).mean(dim=1).min())


def _cross_entropy(links: Links, own: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
    """Return -log softmax of each link's own score among those it competes with."""
    others = whole.masked_fill(~links.others(), float("-inf"))
    return torch.logsumexp(torch.cat([own[:, None], others], dim=1), dim=1) - own


def _copy(model: GraphSage) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}
