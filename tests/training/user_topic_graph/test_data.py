"""Hidden links are hidden from both ends and do not show through third parties."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from patlm.stores.datasets.splits import Splits, user_key
from patlm.stores.types import Text, Vectors
from patlm.training.user_topic_graph.data import (
    Links,
    TopicGraph,
    hide_links,
    links_of,
    training_links,
)
from store_fixtures import text

# Three topics on three axes; ann is on tea and pot, bob on tea and cup, cy on pot and cup.
TEXTS = [
    text("ann", "tea", "1", rating=5.0),
    text("ann", "tea", "2", rating=3.0),
    text("ann", "pot", "3", rating=1.0),
    text("bob", "tea", "4"),
    text("bob", "cup", "5"),
    text("cy", "pot", "6"),
    text("cy", "cup", "7", target=True),
    text("cy", "", "8"),
]
VECTORS = np.array(
    [
        [1, 0, 0],
        [0.8, 0.6, 0],
        [0, 1, 0],
        [0, 0, 1],
        [0, 0.8, 0.6],
        [0, 0.6, 0.8],
        [0, 0, 1],
        [1, 0, 0],
    ],
    np.float32,
)


def edge(graph: TopicGraph, user: str, topic: str) -> int:
    at = (graph.user == graph.user_ids.index(user)) & (graph.topic == graph.topic_ids.index(topic))
    return int(torch.nonzero(at))


def all_links(texts: list[Text], vectors: Vectors) -> Links:
    graph = TopicGraph.of(texts, vectors)
    return hide_links(graph, torch.ones(len(graph), dtype=torch.bool))


def asked(links: Links) -> set[tuple[str, str]]:
    graph = links.graph
    return {(graph.user_ids[graph.user[e]], graph.topic_ids[graph.topic[e]]) for e in links.edge}


def known_of(links: Links, user: str, topic: str) -> tuple[np.ndarray, ...]:
    """Return all that is known when one link is asked for: of its user, its topic, all others."""
    place = links.edge.tolist().index(edge(links.graph, user, topic))
    part = links.part(torch.tensor([place]))
    others = links.graph.topics.part(torch.nonzero(part.others()[0]).flatten())
    sides = (part.topics, others)
    rows = [row for side in sides for row in (side.own, side.users, side.degree)]
    return tuple(row.numpy() for row in (part.users, *rows))


def test_what_is_known_of_a_hidden_link_by_hand() -> None:
    links = all_links(TEXTS, VECTORS)
    user, own, users, degree, *_ = known_of(links, "ann", "tea")
    # ann is known by pot as cy made it; tea as bob made it, by bob, who elsewhere wrote on cup.
    np.testing.assert_allclose(user, [[0, 0.6, 0.8]], atol=1e-6)
    np.testing.assert_allclose(own, [[0, 0, 1]], atol=1e-6)
    np.testing.assert_allclose(users, [[0, 0.8, 0.6]], atol=1e-6)
    assert degree == 1
    # A target can be asked for, and tells nothing of its author: pot of cy stays, as ann made it.
    user, own, *_ = known_of(links, "cy", "cup")
    np.testing.assert_allclose(user, [[0, 1, 0]], atol=1e-6)
    np.testing.assert_allclose(own, [[0, 0.8, 0.6]], atol=1e-6)
    # cy without pot has no history left, bob has; nobody is asked what could not be known.
    assert ("cy", "pot") not in asked(links)
    assert ("bob", "tea") in asked(links)


def random_texts() -> tuple[list[Text], Vectors]:
    random = np.random.default_rng(3)
    texts = [
        text(f"u{user}", f"t{topic}", f"{user} {topic}", target=place == 0, rating=3.0)
        for user in range(12)
        for place, topic in enumerate(random.permutation(7)[:4])
    ]
    rows = random.normal(size=(len(texts), 8))
    return texts, (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("place", range(0, 48, 5))
def test_a_hidden_text_shows_nowhere(place: int) -> None:
    """Whatever is written on the hidden edge, all that is known when it is asked for stays."""
    texts, vectors = random_texts()
    hidden = texts[place]
    changed = vectors.copy()
    changed[place] = -vectors[place][::-1]
    other = [replace(each, rating=1.0) if each is hidden else each for each in texts]
    names = hidden.user_id, hidden.topic_id
    before = known_of(all_links(texts, vectors), *names)
    after = known_of(all_links(other, changed), *names)
    for one, two in zip(before, after, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)
    # The same change does show where somebody else is asked about: the comparison can fail.
    others = [(u, t) for u, t in asked(all_links(texts, vectors)) if u != names[0]]
    assert any(
        not np.allclose(one, two, atol=1e-4)
        for user, topic in others
        for one, two in zip(
            known_of(all_links(texts, vectors), user, topic),
            known_of(all_links(other, changed), user, topic),
            strict=True,
        )
    )


@pytest.mark.parametrize("place", [place for place in range(48) if place % 4])
def test_a_target_tells_nothing_of_its_author(place: int) -> None:
    texts, vectors = random_texts()
    target = place - place % 4
    changed = vectors.copy()
    changed[target] = -vectors[target][::-1]
    names = texts[place].user_id, texts[place].topic_id
    before = known_of(all_links(texts, vectors), *names)
    after = known_of(all_links(texts, changed), *names)
    for one, two in zip(before, after, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)


def test_a_copy_of_the_target_is_no_history() -> None:
    copied = [*TEXTS[:5], text("cy", "pot", " 7 "), *TEXTS[6:]]
    assert ("cy", "cup") not in asked(all_links(copied, VECTORS))
    assert ("cy", "cup") in asked(all_links(TEXTS, VECTORS))


def test_training_links_are_of_train_people_and_topics() -> None:
    texts, vectors = random_texts()
    users = {user_key(f"u{user}"): ("train", "gate", "report")[user % 3] for user in range(12)}
    topics = {f"t{topic}": ("train", "gate", "report")[topic % 3] for topic in range(7)}
    splits = Splits(topics=topics, users=users)  # type: ignore[arg-type]
    learnt = training_links(texts, vectors, splits).graph
    assert set(learnt.topic_ids) == {"t0", "t3", "t6"}
    assert set(learnt.user_ids) <= {f"u{user}" for user in range(0, 12, 3)}
    graph = TopicGraph.of(texts, vectors)
    report = links_of(graph, splits, "report")
    assert asked(report) and all(
        int(user[1:]) % 3 == 2 and int(topic[1:]) % 3 == 2 for user, topic in asked(report)
    )
    assert [graph.topic_ids[at] for at in torch.nonzero(report.candidates)] == ["t2", "t5"]
    assert report.among_all_topics().candidates.all()
