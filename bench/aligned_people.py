"""Do aligned people think alike? Within one topic, so that the topic itself explains nothing.

A person's rating of a topic, and what the person wrote on it, against those of the people on the
same topic whom `stores.edges.align` finds nearest. The alignment sees neither: the topic asked for
is left out of both embeddings and of the ratings compared, and nothing of the person is in any
topic's vector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..stores.datasets.splits import Splits
from ..stores.search.alignment import RATING_RANGE, Alignment, align
from ..stores.search.request import history_of_rows
from ..stores.texts.arrow import on_grid, rows_of_texts, unit
from ..stores.texts.schema import TEXTS, TOPICS, USERS, seen_schemas
from ..stores.texts.topics import GraphForm, Topics, count_topics, rows_of_topics, topics_of_rows
from ..stores.texts.users import Users, count_users, rows_of_users, users_of_rows
from ..stores.types import Encoder, History, Text, Vectors

Values = NDArray[np.float64]

KNOWN = ("graph", "ratings", "both")
"""What of an alignment decides: the graph's cosine, rating agreement elsewhere, or their mean,
which is what serves."""


@dataclass(frozen=True)
class Question:
    """One person's text on one topic, and the others who wrote on it.

    Attributes:
        user_id: Whose.
        alignment: How near the others are to the person, by form.
        rating: 1 - |difference of ratings| / 4 to each of the others, shape (others,).
        wording: Cosine of the topic vectors of what they wrote on it, shape (others,).
        active: On how many topics each of the others wrote.
    """

    user_id: str
    alignment: Mapping[str, Alignment]
    rating: Values
    wording: Values
    active: Values


@dataclass(frozen=True)
class Near:
    """How near the chosen are; arrays over people, each the mean of the own questions."""

    rating: Values
    wording: Values


class People:
    """What a store would know of everybody, in memory.

    Args:
        texts: Of one data set.
        vectors: Their topic vectors, shape (texts, dimension).
        topic: The encoder that made them.
        forms: How embeddings are made, by name.
    """

    def __init__(
        self,
        texts: Sequence[Text],
        vectors: Vectors,
        topic: Encoder,
        forms: Mapping[str, GraphForm],
    ) -> None:
        self._texts, self._vectors = texts, on_grid(vectors)
        # Nothing here is told by style: its columns are there, and empty.
        self._schemas = seen_schemas(topic, topic)
        self._no_style = np.zeros((len(texts), topic.dimension), np.float32)
        counted = count_users({}, texts, self._no_style)
        self._users: Users = users_of_rows(rows_of_users(counted, self._schemas[USERS]))
        rows = rows_of_topics(count_topics({}, texts, self._vectors), self._schemas[TOPICS])
        self._topics: dict[str, Topics] = {
            name: topics_of_rows(rows, form) for name, form in forms.items()
        }
        self._of_user: dict[str, list[int]] = {}
        self._on_topic: dict[str, dict[str, list[int]]] = {}
        for place, text in enumerate(texts):
            self._of_user.setdefault(text.user_id, []).append(place)
            if text.topic_id:
                on = self._on_topic.setdefault(text.topic_id, {})
                on.setdefault(text.user_id, []).append(place)

    def ask(self, user_id: str, topic_id: str, least: int) -> Question | None:
        """Return a question, or None where nothing is to be compared.

        That is: the person did not rate the topic or has no other history, or fewer than `least`
        others rated it who also wrote elsewhere.
        """
        on = self._on_topic[topic_id]
        mine = self._rating(on[user_id])
        history = self._history(user_id, topic_id)
        others = [
            user
            for user, places in on.items()
            if user != user_id
            and not np.isnan(self._rating(places))
            and len(self._users.edges(user)) > 1
        ]
        if np.isnan(mine) or not history.texts or len(others) < least:
            return None
        ratings = np.array([self._rating(on[user]) for user in others])
        wrote = np.array([self._vectors[on[user]].sum(axis=0) for user in others])
        return Question(
            user_id,
            {
                name: align(history, others, self._users, topics, [topic_id])
                for name, topics in self._topics.items()
            },
            1 - np.abs(ratings - mine) / RATING_RANGE,
            (unit(wrote) @ unit(self._vectors[on[user_id]].sum(axis=0))).astype(np.float64),
            np.array([len(self._users.edges(user)) for user in others], np.float64),
        )

    def ask_all(self, splits: Splits, least: int) -> list[Question]:
        """Return the questions of the people of `report`, on any topic."""
        asked = [
            self.ask(user, topic, least)
            for topic, on in sorted(self._on_topic.items())
            for user in sorted(on)
            if splits.of_user(user) == "report"
        ]
        return [question for question in asked if question is not None]

    def _rating(self, places: Sequence[int]) -> float:
        given = [self._texts[place].rating for place in places]
        ratings = [rating for rating in given if rating is not None]
        return float(np.mean(ratings)) if ratings else float("nan")

    def _history(self, user_id: str, topic_id: str) -> History:
        places = self._of_user[user_id]
        rows = rows_of_texts(
            [self._texts[place] for place in places],
            self._no_style[places],
            self._vectors[places],
            self._schemas[TEXTS],
        )
        return history_of_rows(rows, self._texts[places[0]].namespace, user_id, topic_id)


def closeness(alignment: Alignment, known: str) -> Values:
    """Return what the others are chosen by, higher is nearer; NaN where nothing is known."""
    by = {"graph": alignment.graph, "ratings": alignment.agreement, "both": alignment.score}
    return by[known]


def nearest(
    questions: Sequence[Question], scores: Sequence[Values] | None, count: int, seed: int
) -> Near:
    """Return how near those with the highest scores are to each person.

    Args:
        questions: At least one.
        scores: Of the others, one array a question; NaN counts as the middle of what is known.
            None: everybody on the topic, which is what people drawn at random are in the mean.
        count: How many are taken.
        seed: Of the order in which ties are taken.
    """
    random = np.random.default_rng(seed)
    rating: dict[str, list[float]] = {}
    wording: dict[str, list[float]] = {}
    for at, question in enumerate(questions):
        taken = np.arange(len(question.rating))
        if scores is not None:
            given = scores[at]
            middle = 0.0 if np.isnan(given).all() else float(np.nanmean(given))
            order = random.permutation(len(given))
            taken = order[np.argsort(-np.nan_to_num(given, nan=middle)[order], kind="stable")]
            taken = taken[:count]
        rating.setdefault(question.user_id, []).append(float(question.rating[taken].mean()))
        wording.setdefault(question.user_id, []).append(float(question.wording[taken].mean()))
    return Near(_means(rating), _means(wording))


def _means(values: Mapping[str, Sequence[float]]) -> Values:
    return np.array([np.mean(values[user]) for user in sorted(values)])
