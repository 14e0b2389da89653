"""Triplets: who and what may stand in one, and how they are counted."""

import numpy as np
import pytest
from patlm.training.style_encoder.triplets import Halves, Triplets, make_triplets
from store_fixtures import text

TEXTS = [
    text(f"user{user}", f"topic{topic}", f"user {user} writes about {topic}")
    for user in range(12)
    for topic in range(10)
    if (user + topic) % 3
] + [
    text("lone", "topic1", "one text only"),
    text("user1", "", "no topic"),
    text("user2", "x", " "),
]


@pytest.fixture(scope="module")
def triplets() -> Triplets:
    return make_triplets(TEXTS, seed=0, folds=Halves.of(TEXTS))


def test_a_triplet_differs_in_what_it_asks_for_alone(triplets: Triplets) -> None:
    assert len(triplets) > 200
    for a, p, n in zip(triplets.anchor, triplets.positive, triplets.negative, strict=True):
        anchor, positive, negative = TEXTS[a], TEXTS[p], TEXTS[n]
        assert anchor.user_id == positive.user_id != negative.user_id
        assert anchor.topic_id != positive.topic_id == negative.topic_id != ""
    assert "lone" not in triplets.authors


def test_all_of_a_triplet_lies_in_its_fold(triplets: Triplets) -> None:
    halves = Halves.of(TEXTS)
    for places in (triplets.anchor, triplets.positive, triplets.negative):
        folds = [halves.fold(TEXTS[place]) for place in places]
        assert folds == triplets.fold.tolist()
    assert set(triplets.fold) == {0, 1, 2, 3}
    for fold in range(4):
        ours = {name for name, half in halves.users.items() if half == fold // 2}
        other = halves.opposite(fold) // 2
        theirs = {name for name, half in halves.users.items() if half == other}
        assert not ours & theirs


def test_copies_are_no_evidence_either_way() -> None:
    texts = [
        text("a", "t1", "The same words."),
        text("a", "t2", "the  same words."),
        text("b", "t2", "The same words."),
        text("b", "t1", "Other words."),
    ]
    # a's two texts are copies of one another; b's positive on t1 stands against a copy of nothing.
    triplets = make_triplets(texts, seed=0, folds=Halves.of(texts))
    assert "a" not in triplets.authors


def test_accuracy_is_the_mean_over_authors() -> None:
    # Author 0 has three triplets: right, wrong, tied. Author 1 has one, right.
    vectors = np.array([[1, 0], [0.8, 0.6], [0, 1], [0.8, 0.6]], np.float32)
    places = [(0, 1, 2), (0, 2, 1), (0, 1, 3), (0, 1, 2)]
    columns = np.array(places).T
    triplets = Triplets(*columns, np.array([0, 0, 0, 1]), np.zeros(4, int), ("u", "v"))
    right = triplets.right(vectors)
    assert right.tolist() == [1.0, 0.0, 0.5, 1.0]
    assert triplets.by_author(right).tolist() == [0.5, 1.0]
