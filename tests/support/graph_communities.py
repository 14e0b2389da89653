"""People of communities: what they share is in their topics' vectors, but is not most of them."""

from __future__ import annotations

import numpy as np
from patlm.stores.types import Text, Vectors

COMMUNITIES, TOPICS = 12, 16
DIMENSION = 2 * COMMUNITIES


def communities(people: int, *, seed: int = 0, name: str = "") -> tuple[list[Text], Vectors]:
    """Return texts of people who write on four topics of their community, and their vectors.

    Half of the numbers of a vector are noise of the topic's own, the other half hold a smaller
    mark of its community: two-hop means are mostly noise, a map that turns it down sees the mark.

    Args:
        people: How many; the last text of each is the target.
        seed: Of what is drawn.
        name: Begins the names of people and topics, to have others on others.
    """
    random = np.random.default_rng(seed)
    noise = random.normal(size=(COMMUNITIES, TOPICS, COMMUNITIES))
    noise /= np.linalg.norm(noise, axis=-1, keepdims=True)
    texts, vectors = [], []
    for person in range(people):
        community = person % COMMUNITIES
        for place, topic in enumerate(random.permutation(TOPICS)[:4]):
            mark = 0.35 * np.eye(COMMUNITIES)[community]
            row = np.concatenate([mark, noise[community, topic]])
            row += random.normal(0, 0.02, DIMENSION)
            vectors.append(row / np.linalg.norm(row))
            texts.append(
                Text(
                    user_id=f"{name}user{person:03}",
                    topic_id=f"{name}topic{community}-{topic}",
                    body=f"{name}{person} on {topic}",
                    rating=float(1 + (person + topic) % 5),
                    target=place == 3,
                )
            )
    return texts, np.array(vectors, np.float32)
