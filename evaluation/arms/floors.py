"""Floors: texts that need no model. An arm that does not beat them adds nothing by writing.

Each is a pure function of `Neighbours`, the texts of others on the topic, and an entry of `FLOORS`.
The strongest is `copy_typical`, the neighbour that is most similar to the other neighbours: minimum
Bayes risk over texts (Kumar and Byrne 2004).
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from ...nodes.dependencies import Parts
from ...nodes.state import Request, Task
from ...stores.search.request import SearchRequest
from ...stores.types import Text
from ..targets import Target
from .configuration import ALL_TASKS, Arm
from .extractive import central_sentences, cut_words, most_central

STRONGEST_FLOOR = "copy_typical"

MOST = 24
"""Maximum number of neighbours: more hardly change the most typical one."""

EXTRACT_WORDS: Mapping[Task, int] = {"long": 45, "short": 10, "free": 45}
"""Number of words of `extract`; a title has at most ten, as in the prompt."""

FIRST_WORDS = 6


@dataclass(frozen=True)
class Neighbours:
    """Input of a floor.

    Attributes:
        task: The task.
        request: The request's own words.
        texts: Texts of others on the same topic, best first: titles for a title, bodies for a text,
            ratings ("4") for a rating. Built by `neighbours_of`.
        seed: Random seed.
    """

    task: Task
    request: str
    texts: tuple[str, ...] = ()
    seed: int = 0


def neighbours_of(request: Request, others: Sequence[Text], *, seed: int = 0) -> Neighbours:
    """Build the input of floors from a request and the texts of others on its topic.

    Args:
        request: The request.
        others: Best first; texts without the field of the task (title, rating) are skipped, and at
            most `MOST` are used.
        seed: Random seed.
    """
    said = [part for part in (_part(text, request.task) for text in others) if part]
    return Neighbours(request.task, request.words, tuple(said[:MOST]), seed)


def copy_best(given: Neighbours) -> str:
    """Return the best neighbour's text, or ""."""
    return given.texts[0] if given.texts else ""


def copy_random(given: Neighbours) -> str:
    """Return a random neighbour's text, determined by seed and request."""
    if not given.texts:
        return ""
    # Include the request's words: the seed alone would draw the same rank for every request.
    return random.Random(f"{given.seed}\x1f{given.request}").choice(given.texts)


def copy_typical(given: Neighbours) -> str:
    """Return the neighbour with the highest mean ROUGE-1 to the others; ties: the better ranked.

    For ratings, return the most common one; ties: the one nearer to the median, then the better
    ranked.
    """
    if not given.texts:
        return ""
    if given.task == "rating":
        return _typical_rating(given.texts)
    return given.texts[most_central(given.texts)]


def extract(given: Neighbours) -> str:
    """Return the neighbours' most central sentences, most central first."""
    return " ".join(central_sentences(given.texts, EXTRACT_WORDS[given.task]))


def echo_request(given: Neighbours) -> str:
    """Return the request's own words."""
    return given.request


def first_six_words(given: Neighbours) -> str:
    """Return the first six words of the request."""
    return cut_words(given.request, FIRST_WORDS)


# The words of a request or of texts are no rating.
_TEXTS = ("long", "short", "free")


def _floor(says: str, write: Callable[[Neighbours], str], *tasks: str) -> Arm:
    return Arm(write.__name__, "floor", says, write=write, tasks=tasks or ALL_TASKS)


FLOORS = (
    _floor("the best neighbour's text", copy_best),
    _floor("a random neighbour's text", copy_random),
    _floor("the neighbour's text that is most similar to the others'", copy_typical),
    _floor("central sentences of the neighbours, 45 words", extract, *_TEXTS),
    _floor("the request's own words", echo_request, *_TEXTS),
    _floor("the first six words of the request", first_six_words, *_TEXTS),
)


def _part(text: Text, task: Task) -> str:
    if task == "rating":
        return "" if text.rating is None else f"{text.rating:g}"
    return (text.title if task == "short" else text.body).strip()


def _typical_rating(ratings: Sequence[str]) -> str:
    counts = Counter(ratings)
    middle = median(map(float, ratings))
    # `max` returns the first of ties, and a Counter keeps the order of the ratings.
    return max(counts, key=lambda rating: (counts[rating], -abs(float(rating) - middle)))


class NeighbourTexts:
    """Retrieves neighbours like the preference trajectory.

    Args:
        parts: Dependencies with the store, the topic encoder and the strategies.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def of(self, target: Target) -> list[Text]:
        """Return others' texts, as many as floors use."""
        parts, request = self._parts, Request.model_validate(dict(target.request))
        history, vectors = await asyncio.gather(
            parts.store.history(parts.namespace, request.user_id, topic_id=request.topic_id),
            asyncio.to_thread(parts.topic_encoder.encode, [request.words]),
        )
        search = SearchRequest(
            history,
            vectors[0],
            words=request.words,
            topic_id=request.topic_id,
            k=MOST,
            text=request.text or "",
        )
        found = await parts.strategies["aligned"].sides["preference"](parts.store, search)
        return [hit.text for hit in found.hits]
