"""People who write about the same things, each with habits of their own."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import product

import numpy as np
from patlm.stores.types import Text

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
