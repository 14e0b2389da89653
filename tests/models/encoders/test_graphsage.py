"""Aggregators computed by hand, and the same embedding from the stored weights."""

import numpy as np
import pytest
import torch
from patlm.graph.graph_artefact import GraphWeights
from patlm.models.encoders.graphsage import GraphSage, TopicSide
from patlm.models.errors import ModelUnusable
from raising import raises


def model() -> GraphSage:
    """Return one of rank 1 in the plane: A turns east to north, B reads the users' north."""
    made = GraphSage(2, rank=1)
    with torch.no_grad():
        made.of_user[1].weight.copy_(torch.tensor([[1.0, 0.0]]))
        made.of_user[2].weight.copy_(torch.tensor([[0.0], [2.0]]))
        made.of_topic[1].weight.copy_(torch.tensor([[0.0, 0.0, 0.0, 1.0]]))
        made.of_topic[2].weight.copy_(torch.tensor([[3.0], [0.0]]))
        made.reach.fill_(0.5)
        made.popularity.fill_(2.0)
    return made.eval()


def test_a_user_by_hand() -> None:
    # x = (3, 4)/2, A x = (0, 2 · 3/2): (1.5, 2 + 3) at unit length.
    rows = model().users(torch.tensor([[1.5, 2.0]]))
    expected = torch.tensor([[1.5, 5.0]]) / np.hypot(1.5, 5.0)
    torch.testing.assert_close(rows, expected.float())


def test_a_topic_by_hand() -> None:
    # x + λ m + B [x ; m] = (1, 0) + .5 (.2, .4) + (3 · .4, 0) = (2.3, .2).
    side = TopicSide(
        torch.tensor([[1.0, 0.0]]), torch.tensor([[0.2, 0.4]]), torch.tensor([float(np.e - 1)])
    )
    expected = torch.tensor([[2.3, 0.2]]) / np.hypot(2.3, 0.2)
    torch.testing.assert_close(model().topics(side), expected.float())
    assert model().bias(side).item() == pytest.approx(2.0)  # 2 log(1 + e - 1)


def test_before_training_it_is_the_two_hop_mean() -> None:
    untrained = GraphSage(2).eval()
    side = TopicSide(torch.tensor([[0.6, 0.8]]), torch.tensor([[1.0, 0.0]]), torch.tensor([5.0]))
    torch.testing.assert_close(untrained.users(torch.tensor([[3.0, 4.0]])), side.own)
    torch.testing.assert_close(untrained.topics(side), side.own)
    assert untrained.bias(side) == 0


def test_a_store_serves_by_the_weights_that_were_kept() -> None:
    made = GraphSage(24, rank=3)
    with torch.no_grad():
        made.of_user[2].weight.normal_()
    weights = GraphWeights.of(made.weights())
    sums = np.random.default_rng(0).normal(size=(5, 24)).astype(np.float32)
    expected = made.eval().users(torch.from_numpy(sums)).detach().numpy()
    np.testing.assert_allclose(weights.embed(sums), expected, atol=1e-5)
    np.testing.assert_allclose(weights.embed(7 * sums), expected, atol=1e-5)  # sums do as means do
    assert not weights.embed(np.zeros((1, 24), np.float32)).any()


def test_damaged_weights_raise() -> None:
    with raises(ModelUnusable, "damaged_artefact", "patlm index --train"):
        GraphWeights.of(b"not weights")
