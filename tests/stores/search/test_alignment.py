"""The user-topic graph by hand: two topics at right angles, one in between."""

import math

import numpy as np
import pytest
from patlm.stores import History, Text
from patlm.stores.search.alignment import Alignment, align, requester_embedding
from patlm.stores.texts.schema import seen_schemas
from patlm.stores.texts.topics import Topics, count_topics, rows_of_topics, topics_of_rows
from patlm.stores.texts.users import Users, count_users, rows_of_users, users_of_rows
from store_fixtures import style_encoder, text, topic_encoder

EAST, NORTH = np.array([1, 0], np.float32), np.array([0, 1], np.float32)
BETWEEN = np.array([math.sqrt(0.5), math.sqrt(0.5)], np.float32)

TEXTS: list[tuple[Text, np.ndarray]] = [
    (text("ann", "asked", "the target", target=True, rating=5.0), NORTH),
    (text("ann", "tea", "ann on tea", rating=5.0), NORTH),
    (text("bob", "tea", "bob on tea", rating=4.0), EAST),
    (text("bob", "asked", "bob"), NORTH),
    (text("cat", "milk", "cat on milk", rating=1.0), NORTH),
    (text("cat", "asked", "cat"), NORTH),
    (text("dan", "asked", "dan"), NORTH),
    (text("eve", "tea", "eve on tea", rating=1.0), EAST),
    (text("eve", "milk", "eve on milk"), NORTH),
]


def graph(rows: list[tuple[Text, np.ndarray]]) -> tuple[Users, Topics]:
    texts, vectors = [row for row, _ in rows], np.array([vector for _, vector in rows])
    schemas = seen_schemas(style_encoder(dimension=2), topic_encoder(dimension=2))
    users = rows_of_users(count_users({}, texts, vectors), schemas["users"])
    topics = rows_of_topics(count_topics({}, texts, vectors), schemas["topics"])
    return users_of_rows(users), topics_of_rows(topics)


def history_of_ann() -> History:
    return History(
        namespace="default",
        user_id="ann",
        texts=(TEXTS[1][0],),
        style=NORTH[None],
        topic_vectors=NORTH[None],
        contributed={"tea": (NORTH.astype(float), 1), "asked": (NORTH.astype(float), 1)},
        hidden_bodies=frozenset(),
    )


def test_edges_are_texts() -> None:
    users, _ = graph(TEXTS)
    assert users.ids == ("ann", "bob", "cat", "dan", "eve")
    assert users.edges("bob")["tea"] == 4.0
    assert math.isnan(users.edges("bob")["asked"])
    assert users.edges("nobody") == {}
    # Only dan wrote on nothing but the topic.
    assert users.outside("asked").tolist() == [True, True, True, False, True]
    assert users.outside(None).all()
    assert users.outside("never seen").all()


def test_a_topic_leaves_the_requester_out() -> None:
    _, topics = graph(TEXTS)
    # tea = (bob + eve) / 2 = east without ann; with her she would turn it north.
    assert topics.units_for(["tea"], history_of_ann().contributed) == pytest.approx(EAST[None])
    assert topics.others_on("tea", history_of_ann().contributed) == 2
    assert requester_embedding(history_of_ann(), topics) == pytest.approx(EAST)


def test_a_topic_of_ones_own_stands_for_itself() -> None:
    _, topics = graph([TEXTS[1]])
    assert requester_embedding(history_of_ann(), topics) == pytest.approx(NORTH)


def test_alignment_by_hand() -> None:
    users, topics = graph(TEXTS)
    near = align(history_of_ann(), ["bob", "cat", "dan", "eve", "zoe"], users, topics, ["asked"])
    # Interests, less the topic asked for: bob tea (east, as ann), cat milk (north), eve both.
    assert near.graph[:2] == pytest.approx([1.0, 0.0])
    assert near.graph[3] == pytest.approx(EAST @ BETWEEN)
    assert np.isnan(near.graph[[2, 4]]).all()
    # Ratings of tea: ann 5, bob 4, eve 1: 1 - 1/4 and 1 - 4/4.
    assert near.agreement[[0, 3]] == pytest.approx([0.75, 0.0])
    assert near.rated.tolist() == [1, 0, 0, 1, 0]
    # The mean of what is known, neutral where nothing is.
    assert near.score == pytest.approx([0.875, 0.0, 0.5, math.sqrt(0.5) / 2, 0.5])
    assert near.reason(0, 1.0) == (
        "aligned 0.88 (interests cosine 1.00, ratings agree 0.75 on 1 shared topic), x 1.38"
    )
    assert near.reason(2, 0.0) == "aligned 0.50 (nothing else known of the author), not weighed"


def test_a_neutral_alignment_changes_nothing() -> None:
    none = np.full(3, np.nan)
    alignment = Alignment(np.array([0.0, 0.5, 1.0]), none, none, np.zeros(3, np.int64))
    assert alignment.factors(1.0) == pytest.approx([0.5, 1.0, 1.5])
    assert alignment.factors(0.2) == pytest.approx([0.9, 1.0, 1.1])
    assert alignment.factors(0.0) == pytest.approx([1.0, 1.0, 1.0])
    assert alignment.factors(4.0) == pytest.approx([0.0, 1.0, 3.0])  # never negative


def test_nearest_topics_leave_the_requester_out() -> None:
    _, topics = graph(TEXTS)
    assert topics.nearest(NORTH, {}, 1)[0][0] == "asked"
    mine = history_of_ann().contributed
    named = dict(topics.nearest(EAST, mine, 3))
    assert named["tea"] == pytest.approx(1.0)
    only_own = {"milk": (2 * NORTH.astype(float), 2)}
    assert [topic for topic, _ in topics.nearest(NORTH, only_own, 3)] == ["asked", "tea"]
