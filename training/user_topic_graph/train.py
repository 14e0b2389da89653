"""Train GraphSAGE on a store's user-topic graph and decide whether it is served.

Each edge in turn is hidden from both ends and predicted among all topics that its user did not
write on: cross entropy of its score (Hamilton, Ying and Leskovec 2017 sample negatives; a store has
few enough topics to use all of them, including popular ones).

The gate: the trained form is served if its recall@10 on `gate` exceeds that of the two-hop mean,
with the paired 95% interval by user above zero, and the gain is not popularity: among topics of
similar degree it must not rank the hidden one lower. The gate measures the cosine of the
embeddings, which is what serving uses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ...evaluation.scores.statistics import ci95
from ...graph.graph_artefact import TRAINED, TWO_HOP
from ...models.encoders.graphsage import GraphSage
from ...stores.datasets.splits import Splits
from ...stores.types import Text, Vectors
from ..errors import TooFewLinks
from .data import Links, TopicGraph, links_of, training_links

RECALL_AT = 10
SIMILAR_TOPICS = 20
"""Number of competing topics with the most similar popularity to the hidden one."""

LEAST_LINKS = 20
LEAST_PEOPLE = 20
"""Minimum number of users of `gate` for a reliable interval."""

TEMPERATURES = (2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 50.0)
"""Temperatures of the cross entropy on `gate`; the best one is used, as a wider spread of cosines
is no improvement."""

BATCH = 256

Means = NDArray[np.float64]
Found = dict[str, Means]
"""`recall_at_10`, `mrr` and `equal_popularity` by user, sorted by user.

`equal_popularity` is the share of the topics of similar popularity that score lower, ties half; .5
is chance, NaN if no topic competes. Values are means over the user's links, each of shape
(people,)."""

Score = Callable[[Links], tuple[torch.Tensor, torch.Tensor]]
"""Returns each link's own score, shape (links,), and the scores of all topics, (links, topics)."""

Progress = Callable[[int, float | None], None]
"""Called after each epoch with its number and the cross entropy on `gate`."""


@dataclass(frozen=True)
class GraphSettings:
    """Training settings of the graph, chosen by cross-fitting inside `train` (see docs/graph.md).

    Attributes:
        epochs: Maximum number of epochs.
        patience: Epochs without a better gate before training stops.
        batch: Links per step.
        learning_rate: Learning rate of A and B.
        scalar_rate: Learning rate of λ, c and τ.
        decay: Weight decay of A and B, which pulls towards the training-free form.
        rank: Rank of A and B.
        dropout: Dropout rate of the input of A and B.
        most_links: Maximum number of links per epoch and of the gate; larger sets are sampled anew
            each epoch.
        seed: Random seed.
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
    """A trained graph.

    Attributes:
        model: Model of the best epoch, in evaluation mode.
        gate: Mean cross entropy of the cosines on `gate` before training and after each epoch, at
            the best temperature; empty if `gate` has no links. (Recall and reciprocal ranks of some
            hundred links vary too much between epochs for early stopping.)
        kept: Epoch of the model.
    """

    model: GraphSage
    gate: tuple[float, ...]
    kept: int


def learn_graph(
    texts: Sequence[Text],
    vectors: Vectors,
    splits: Splits,
    settings: GraphSettings = DEFAULTS,
    *,
    progress: Progress = lambda epoch, gate: None,
) -> tuple[GraphSage, dict[str, Any]]:
    """Train on `train`, measure on `gate`, and decide which form is served.

    Args:
        texts: Shared texts of one namespace.
        vectors: Their topic vectors, shape (texts, dimension).
        splits: Splits of the same texts.
        settings: Training settings.
        progress: Called after each epoch.

    Returns:
        The model, and the record of the artefact (JSON): which form is served and why, the metrics
        of both on `gate`, and the training data.

    Raises:
        TooFewLinks: There are too few links to train on.
    """
    train = training_links(texts, vectors, splits)
    gate = links_of(TopicGraph.of(texts, vectors), splits, "gate")
    fit = train_graph(train, gate, settings, progress=progress)
    measured = measure_gate(fit.model, gate)
    return fit.model, {
        **decide(measured),
        "gate": measured,
        "links": len(train),
        "people": len(np.unique(train.people.numpy())),
        "topics": len(train.graph.topic_ids),
        "epochs": max(len(fit.gate) - 1, 0),
        "kept": fit.kept,
        "split": splits.fingerprint,
        "seed": settings.seed,
    }


def train_graph(
    train: Links,
    gate: Links,
    settings: GraphSettings = DEFAULTS,
    *,
    progress: Progress = lambda epoch, gate: None,
) -> GraphFit:
    """Train on links and return the epoch that is best on the gate.

    Args:
        train: Training links.
        gate: Links of other users on other topics; if empty, all epochs are run.
        settings: Training settings.
        progress: Called after each epoch.

    Raises:
        TooFewLinks: There are too few links to train on.
    """
    if len(train) < LEAST_LINKS:
        raise TooFewLinks(
            f"expected at least {LEAST_LINKS} training links (users of train with two "
            f"topics of train and more), found {len(train)}: the two-hop mean is served until "
            "the store has grown"
        )
    torch.manual_seed(settings.seed)
    model = GraphSage(train.users.shape[1], rank=settings.rank, dropout=settings.dropout)
    maps = [weight for weight in model.parameters() if weight.ndim]
    scalars = [weight for weight in model.parameters() if not weight.ndim]
    optimizer = torch.optim.AdamW(
        [
            {"params": maps, "lr": settings.learning_rate, "weight_decay": settings.decay},
            {"params": scalars, "lr": settings.scalar_rate, "weight_decay": 0.0},
        ]
    )
    gate = gate.part(torch.randperm(len(gate))[: settings.most_links])
    losses = [_gate_loss(model, gate)] if len(gate) else []
    best, kept = deepcopy(model.state_dict()), 0
    for epoch in range(1, settings.epochs + 1):
        model.train()
        sampled = torch.randperm(len(train))[: settings.most_links]
        for places in torch.split(sampled, settings.batch):
            links = train.part(places)
            loss = _cross_entropy(links, *link_scores(model, links)).mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        if len(gate):
            losses.append(_gate_loss(model, gate))
        if not losses or losses[-1] < losses[kept]:
            best, kept = deepcopy(model.state_dict()), epoch
        progress(epoch, losses[-1] if losses else None)
        if epoch - kept >= settings.patience:
            break
    model.load_state_dict(best)
    return GraphFit(model.eval(), tuple(losses), kept)


@torch.no_grad()
def _gate_loss(model: GraphSage, gate: Links) -> float:
    model.eval()
    losses = []
    for places in torch.split(torch.arange(len(gate)), BATCH):
        links = gate.part(places)
        own, all_topics = cosines(model, links)
        losses.append(
            torch.stack([_cross_entropy(links, t * own, t * all_topics) for t in TEMPERATURES])
        )
    return float(torch.cat(losses, dim=1).mean(dim=1).min())


def _cross_entropy(links: Links, own: torch.Tensor, all_topics: torch.Tensor) -> torch.Tensor:
    """Return -log softmax of each link's own score among its competing topics."""
    others = all_topics.masked_fill(~links.others(), float("-inf"))
    return torch.logsumexp(torch.cat([own[:, None], others], dim=1), dim=1) - own


def cosines(model: GraphSage, links: Links) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the cosines of the embeddings: a `Score`."""
    users = model.users(links.users)
    own = (users * model.topics(links.topics)).sum(1)
    return own, users @ model.topics(links.graph.topics).T


def link_scores(model: GraphSage, links: Links) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the scores that training fits, cosines and popularity: a `Score`."""
    own, all_topics = cosines(model, links)
    return (
        model.temperature * own + model.bias(links.topics),
        model.temperature * all_topics + model.bias(links.graph.topics),
    )


def by_degree(links: Links) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the number of other users of each topic: a `Score`."""
    return links.topics.degree, links.graph.topics.degree.expand(len(links), -1)


@torch.no_grad()
def find_links(score: Score, links: Links) -> Found:
    """Rank each hidden topic among its competing topics.

    Args:
        score: Scoring function.
        links: At least one link.
    """
    ranks, shares = [], []
    for places in torch.split(torch.arange(len(links)), BATCH):
        part = links.part(places)
        own, all_topics = score(part)
        others = part.others()
        ranks.append(ranks_of(own, all_topics.masked_fill(~others, float("-inf"))))
        shares.append(_equal_popularity(own, all_topics, others, part))
    rank = torch.cat(ranks).double()
    values = {
        "recall_at_10": (rank <= RECALL_AT).double(),
        "mrr": 1 / rank,
        "equal_popularity": torch.cat(shares).double(),
    }
    people = links.people.numpy()
    return {name: person_means(people, value.numpy()) for name, value in values.items()}


def person_means(people: ArrayLike, values: ArrayLike) -> Means:
    """Return the mean of each user's values, sorted by user, shape (people,).

    Args:
        people: User of each value, shape (n,).
        values: Values, shape (n,).
    """
    _, person = np.unique(people, return_inverse=True)
    means: Means = np.bincount(person, weights=np.asarray(values)) / np.bincount(person)
    return means


def ranks_of(own: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Return each link's rank among all topics, from 1; ties share their mean, shape (links,).

    Args:
        own: Scores of the links, shape (links,).
        others: Scores of each link's competing topics, else -inf, shape (links, topics).
    """
    above = (others > own[:, None]).sum(1)
    ties = (others == own[:, None]).sum(1)
    return 1 + above + ties / 2


def _equal_popularity(
    own: torch.Tensor, all_topics: torch.Tensor, others: torch.Tensor, links: Links
) -> torch.Tensor:
    popularity = torch.log1p(links.graph.topics.degree)[None, :]
    distance = (popularity - torch.log1p(links.topics.degree)[:, None]).abs()
    distance = distance.masked_fill(~others, float("inf"))
    similar = distance.sort(dim=1, stable=True).indices[:, :SIMILAR_TOPICS]
    counted = others.gather(1, similar)
    scores = all_topics.gather(1, similar)
    lower = (scores < own[:, None]).float() + (scores == own[:, None]).float() / 2
    return (lower * counted).sum(1) / counted.sum(1)


def measure_gate(model: GraphSage, gate: Links) -> dict[str, Any] | None:
    """Return the metrics of both forms on the links of the gate, or None without links."""
    if not len(gate):
        return None
    trained = find_links(partial(cosines, model), gate)
    two_hop = find_links(partial(cosines, GraphSage(gate.users.shape[1]).eval()), gate)
    return {
        "people": len(trained["mrr"]),
        "links": len(gate),
        "topics": int(gate.candidates.sum()),
        "trained": {name: round(float(np.nanmean(each)), 4) for name, each in trained.items()},
        "two_hop": {name: round(float(np.nanmean(each)), 4) for name, each in two_hop.items()},
        **{
            name: paired_gain(trained[name], two_hop[name])
            for name in ("recall_at_10", "equal_popularity")
        },
    }


def paired_gain(ours: Means, theirs: Means) -> dict[str, Any]:
    """Return the mean paired gain over users and its 95% interval, or zeros if there is none.

    Args:
        ours: Values by user, shape (people,); users with NaN are left out.
        theirs: Values of the other form, the same shape.
    """
    gains = ours - theirs
    gains = gains[~np.isnan(gains)]
    if not len(gains):
        return {"gain": 0.0, "ci95": [0.0, 0.0]}
    return {"gain": round(float(gains.mean()), 4), "ci95": ci95(gains)}


def decide(measured: dict[str, Any] | None) -> dict[str, str]:
    """Return which form is served (`serves`) and a reason (`why`)."""
    people = 0 if measured is None else measured["people"]
    if measured is None or people < LEAST_PEOPLE:
        why = f"{people} people of gate have a link to find, the decision needs {LEAST_PEOPLE}"
        return {"serves": TWO_HOP, "why": why}
    gain, at_equal_popularity = measured["recall_at_10"], measured["equal_popularity"]["gain"]
    low, high = gain["ci95"]
    why = (
        f"recall@10 on gate {measured['trained']['recall_at_10']:.3f} trained, "
        f"{measured['two_hop']['recall_at_10']:.3f} two-hop: {gain['gain']:+.3f} "
        f"[{low:+.3f}, {high:+.3f}] by {people} people"
    )
    if low <= 0:
        return {"serves": TWO_HOP, "why": f"{why}, not significantly better"}
    if at_equal_popularity < 0:
        why += f", but through popularity: {at_equal_popularity:+.3f} among equally popular topics"
        return {"serves": TWO_HOP, "why": why}
    return {"serves": TRAINED, "why": why}
