"""Train the user-topic graph of a store and decide which form serves there.

The trained form serves where its recall@10 on `gate` beats that of the two-hop mean, the paired
95% interval by person above zero, and the lead is not popularity's: against topics that as many
people wrote on, the hidden one must not fall behind either.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...evaluation.scores.statistics import interval
from ...graph.graph_artefact import TRAINED, TWO_HOP
from ...models.encoders.graphsage import GraphSage
from ...stores.datasets.splits import Splits
from ...stores.types import Text, Vectors
from .data import Links, TopicGraph, links_of, links_to_learn
from .train import DEFAULTS, Found, GraphFit, GraphSettings, cosines, find_links, train_graph

LEAST_PEOPLE = 20
"""People of the gate below which an interval says nothing."""


@dataclass(frozen=True)
class LearntGraph:
    """What training came to.

    Attributes:
        fit: The trained form.
        about: Which form serves and why, how both did on the gate, and what it was made from;
            as JSON takes it.
    """

    fit: GraphFit
    about: dict[str, Any]

    @property
    def weights(self) -> bytes:
        """The trained form as it is kept."""
        return self.fit.model.weights()


def learn_graph(
    texts: Sequence[Text],
    vectors: Vectors,
    splits: Splits,
    settings: GraphSettings = DEFAULTS,
    *,
    progress: Callable[[int, float | None], None] = lambda epoch, gate: None,
) -> LearntGraph:
    """Train on `train`, measure on `gate`, decide.

    Args:
        texts: Of one namespace, those that may serve others.
        vectors: Their topic vectors, shape (texts, dimension).
        splits: Of the same texts.
        settings: How to train.
        progress: See `train_graph`.

    Raises:
        TooFewLinks: There is too little to learn from.
    """
    train = links_to_learn(texts, vectors, splits)
    gate = links_of(TopicGraph.of(texts, vectors), splits, "gate")
    fit = train_graph(train, gate, settings, progress=progress)
    measured = measure_gate(fit.model, gate)
    about = {
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
    return LearntGraph(fit, about)


def measure_gate(model: GraphSage, gate: Links) -> dict[str, Any] | None:
    """Return how both forms find the links of the gate, or None where there are none."""
    if not len(gate):
        return None
    untrained = GraphSage(gate.users.shape[1]).eval()
    trained = find_links(lambda links: cosines(model, links), gate)
    two_hop = find_links(lambda links: cosines(untrained, links), gate)
    return {
        "people": len(trained.people),
        "links": len(gate),
        "topics": int(gate.candidates.sum()),
        "trained": _figures(trained),
        "two_hop": _figures(two_hop),
        "recall_at_10": _gain(trained.recall, two_hop.recall),
        "equal_popularity": _gain(trained.equal_popularity, two_hop.equal_popularity),
    }


def decide(measured: dict[str, Any] | None) -> dict[str, str]:
    """Return which form serves, and why in words."""
    if measured is None or measured["people"] < LEAST_PEOPLE:
        found = 0 if measured is None else measured["people"]
        return {
            "serves": TWO_HOP,
            "why": f"{found} people of gate with a link to find, {LEAST_PEOPLE} are needed to tell",
        }
    lead, beside = measured["recall_at_10"], measured["equal_popularity"]
    low, high = lead["ci95"]
    said = (
        f"recall@10 on gate {measured['trained']['recall_at_10']:.3f} trained, "
        f"{measured['two_hop']['recall_at_10']:.3f} two-hop: {lead['gain']:+.3f} "
        f"[{low:+.3f}, {high:+.3f}] by {measured['people']} people"
    )
    if low <= 0:
        return {"serves": TWO_HOP, "why": f"{said}, not surely better"}
    if beside["gain"] < 0:
        return {
            "serves": TWO_HOP,
            "why": f"{said}, but by popularity: {beside['gain']:+.3f} among topics as popular",
        }
    return {"serves": TRAINED, "why": said}


def _figures(found: Found) -> dict[str, float]:
    return {
        "recall_at_10": round(float(found.recall.mean()), 4),
        "mrr": round(float(found.reciprocal_rank.mean()), 4),
        "equal_popularity": round(float(np.nanmean(found.equal_popularity)), 4),
    }


def _gain(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> dict[str, Any]:
    gains = ours - theirs
    gains = gains[~np.isnan(gains)]
    if not len(gains):
        return {"gain": 0.0, "ci95": [0.0, 0.0]}
    low, high = interval(gains)
    return {
        "gain": round(float(gains.mean()), 4),
        "ci95": [round(low, 4), round(high, 4)],
    }
