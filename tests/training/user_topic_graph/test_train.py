"""Training generalises to new people and topics, and the gate decides which form serves."""

import numpy as np
import pytest
import torch
from made_up_people import DIMENSION, communities
from patlm.graph.graph_artefact import TRAINED, TWO_HOP
from patlm.models.encoders.graphsage import GraphSage
from patlm.stores.datasets.splits import Place, deal
from patlm.training.errors import TooFewLinks
from patlm.training.user_topic_graph.data import Links, TopicGraph, hide_links, training_links
from patlm.training.user_topic_graph.train import (
    GraphSettings,
    by_degree,
    cosines,
    decide,
    find_links,
    learn_graph,
    train_graph,
)
from raising import raises

QUICK = GraphSettings(epochs=25, batch=64, learning_rate=5e-3, dropout=0.2)


def links(people: int, seed: int) -> Links:
    graph = TopicGraph.of(*communities(people, seed=seed, name=f"{seed}-"))
    return hide_links(graph, torch.ones(len(graph), dtype=torch.bool))


def test_communities_are_learnt_for_people_and_topics_never_seen() -> None:
    train, gate, others = links(150, 0), links(60, 1), links(60, 2)
    fit = train_graph(train, gate, QUICK)
    assert fit.kept and fit.gate[fit.kept] == min(fit.gate)
    untrained = GraphSage(DIMENSION).eval()
    learnt = find_links(lambda part: cosines(fit.model, part), others)["mrr"].mean()
    two_hop = find_links(lambda part: cosines(untrained, part), others)["mrr"].mean()
    assert learnt > two_hop + 0.1
    assert two_hop > find_links(by_degree, others)["mrr"].mean()


def test_too_few_links_raise() -> None:
    with raises(TooFewLinks, "too_few_links", 20):
        train_graph(links(5, 0), links(5, 1))


def test_the_gate_decides_which_form_serves() -> None:
    texts, vectors = communities(500)
    splits = deal(Place.of(text) for text in texts)
    _, about = learn_graph(texts, vectors, splits, QUICK)
    assert about["serves"] == TRAINED, about["why"]
    assert about["gate"]["recall_at_10"]["ci95"][0] > 0
    assert about["split"] == splits.fingerprint
    # Nothing to learn from where vectors say nothing: the two-hop mean stays.
    noise = np.random.default_rng(0).normal(size=vectors.shape).astype(np.float32)
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    assert learn_graph(texts, noise, splits, GraphSettings(epochs=3))[1]["serves"] == TWO_HOP


def gain(recall: float, low: float, equal: float = 0.01, people: int = 100) -> dict[str, object]:
    return {
        "people": people,
        "trained": {"recall_at_10": 0.3},
        "two_hop": {"recall_at_10": 0.3 - recall},
        "recall_at_10": {"gain": recall, "ci95": [low, recall + (recall - low)]},
        "equal_popularity": {"gain": equal, "ci95": [equal - 0.01, equal + 0.01]},
    }


@pytest.mark.parametrize(
    ("measured", "serves", "why"),
    [
        (gain(0.1, 0.02), TRAINED, "recall@10 on gate 0.300 trained, 0.200 two-hop: +0.100"),
        (gain(0.1, 0.0), TWO_HOP, "not significantly better"),
        (gain(0.1, 0.02, equal=-0.01), TWO_HOP, "through popularity: -0.010"),
        (gain(0.1, 0.02, people=19), TWO_HOP, "19 people of gate"),
        (None, TWO_HOP, "0 people of gate"),
    ],
)
def test_what_decides(measured: dict[str, object] | None, serves: str, why: str) -> None:
    decided = decide(measured)
    assert decided["serves"] == serves
    assert why in decided["why"]


def test_other_splits_do_not_change_the_training_links() -> None:
    """Other texts of gate and report change nothing of what is learnt from."""
    texts, vectors = communities(200)
    splits = deal(Place.of(text) for text in texts)
    train = np.array([splits.may_train(text.user_id, text.topic_id) for text in texts])
    changed = np.where(train[:, None], vectors, vectors[:, ::-1]).astype(np.float32)
    assert (~train).any() and train.any()
    one, two = (training_links(texts, rows, splits) for rows in (vectors, changed))
    assert torch.equal(one.users, two.users) and torch.equal(one.topics.own, two.topics.own)
    assert torch.equal(one.graph.topics.users, two.graph.topics.users)
