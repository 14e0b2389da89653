"""People with habits of style on the same topics, and people of communities of topics."""

import re
from collections.abc import Callable
from itertools import product

import numpy as np
from patlm.stores.types import Text, Vectors

TOPICS = ("kettle", "strap", "lamp", "stand", "cable", "pick", "tuner", "case")
_SENTENCES = (
    "The {} came in a box that was too large for it.",
    "I have used the {} for about a month now.",
    "My sister asked me where I had bought the {}.",
    "It does what it should, and the price was fair.",
    "The handle feels solid and the colour is right.",
    "I would not buy the {} again, it is too heavy.",
    "Setting it up took me less than 5 minutes.",
    "There was a scratch on one side of the {}.",
)
_HABITS: tuple[tuple[Callable[[str], str], Callable[[str], str]], ...] = (
    (str, lambda body: re.sub(r"\. (?=\S)", ".  ", body)),  # two spaces after a full stop
    (str, lambda body: body.replace(".", "!!")),
    (str, lambda body: body.lower()),
    (str, lambda body: body.replace(",", " -")),
    (str, lambda body: body.replace(". ", ".\n")),
)


def people(count: int = 32, texts: int = 4, *, seed: int = 0) -> list[Text]:
    """Return texts of up to 32 people, each with another set of habits, on topics of all."""
    random = np.random.default_rng(seed)
    found = []
    for user, habits in list(enumerate(product(*_HABITS)))[:count]:
        for topic in random.permutation(TOPICS)[:texts]:
            chosen = random.permutation(_SENTENCES)[:4]
            body = " ".join(chosen).replace("{}", str(topic))
            for habit in habits:
                body = habit(body)
            found.append(Text(user_id=f"user{user}", topic_id=str(topic), body=body))
    return found


COMMUNITIES, TOPICS_OF_EACH = 12, 16
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
    noise = random.normal(size=(COMMUNITIES, TOPICS_OF_EACH, COMMUNITIES))
    noise /= np.linalg.norm(noise, axis=-1, keepdims=True)
    texts, vectors = [], []
    for person in range(people):
        community = person % COMMUNITIES
        for place, topic in enumerate(random.permutation(TOPICS_OF_EACH)[:4]):
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
