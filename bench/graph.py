"""`patlm bench graph`: does the user-topic graph know which people and topics belong together?

Trained on people and topics of `train`, stopped on `gate`, reported on `report`: an edge of a
person of `report` and a topic of `report` is hidden from both ends and has to be found among the
topics of `report`.

Rating agreement asks within one topic, so that the topic itself explains nothing: a person's rating
and wording are compared with those of the people on the same topic whom
`stores.search.alignment.align` finds nearest. The alignment sees neither: the topic asked for is
left out of both embeddings and of the ratings compared, and no topic's vector contains the person.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..evaluation.scores.statistics import ci95
from ..graph.graph_artefact import GraphWeights
from ..models.encoders.graphsage import GraphSage
from ..stores.datasets.splits import Splits
from ..stores.search.alignment import Alignment, align
from ..stores.texts.arrow import history_of_rows, on_grid, rows_of_texts, unit
from ..stores.texts.schema import TEXTS, TOPICS, USERS, seen_schemas
from ..stores.texts.topics import TWO_HOP, GraphForm, count_topics, rows_of_topics, topics_of_rows
from ..stores.texts.users import count_users, rows_of_users, users_of_rows
from ..stores.types import Encoder, History, Text, Vectors
from ..stores.values import FIVE_STARS
from ..training.errors import TooFewLinks
from ..training.user_topic_graph.data import Links, TopicGraph, links_of
from ..training.user_topic_graph.train import (
    Found,
    GraphSettings,
    Means,
    Score,
    by_degree,
    cosines,
    find_links,
    learn_graph,
    link_scores,
    paired_gain,
    person_means,
)
from .data import data_name, read_rated, split_texts, topic_input

Say = Callable[[str], None]
Rows = list[dict[str, Any]]

SEEDS = (0, 1, 2)
NEAREST = 10
GATE_KEYS = ("seed", "serves", "why", "gate", "kept", "links")


@dataclass(frozen=True)
class _Data:
    """One file with targets, and its splits."""

    name: str
    texts: Sequence[Text]
    vectors: Vectors
    splits: Splits
    span: float


def measure_graph(
    files: Sequence[Path], topic: Encoder, *, seeds: Sequence[int] = SEEDS, say: Say
) -> dict[str, Any]:
    """Measure every file.

    Args:
        files: Of any format that is ingested; where one marks no targets, each person's latest
            text is theirs.
        topic: The topic encoder.
        seeds: Random seeds of training and sampling; a person's figures are averaged over them.
        say: Called with each step.

    Raises:
        FormatError: A file is of no known format.
    """
    found: dict[str, Any] = {"rows": [], "paired": [], "aligned": [], "gate": []}
    for file in files:
        for kind, rows in _measure(_read(file, topic, say), topic, seeds, say).items():
            found[kind] += rows
    return {**found, "seeds": list(seeds), "nearest": NEAREST}


def _read(file: Path, topic: Encoder, say: Say) -> _Data:
    name = data_name(file)
    read, scale = read_rated(file)
    texts, splits = split_texts(read)
    say(f"{name}: embedding {len(texts)} texts")
    vectors = topic.encode([topic_input(text) for text in texts])
    return _Data(name, texts, vectors, splits, scale.span)


def _measure(data: _Data, topic: Encoder, seeds: Sequence[int], say: Say) -> dict[str, Rows]:
    graph = TopicGraph.of(data.texts, data.vectors)
    report = links_of(graph, data.splits, "report")
    say(f"{data.name}: {len(graph)} edges, {len(report)} of report can be asked for")
    models, gate = _learn(data, seeds, say)
    rows, paired = _links(data.name, report, models, seeds) if len(report) else ([], [])
    forms: dict[str, list[GraphForm]] = {"two_hop": [TWO_HOP] * len(seeds)}
    if models:
        forms["trained"] = [GraphWeights.of(model.weights()) for model in models]
    aligned = _aligned(data, topic, forms, seeds)
    agreement = {row["by"]: row["rating_agreement"] for row in aligned}
    for row in rows:
        row["rating_agreement"] = agreement.get(row["method"])
    say(f"{data.name}: measured")
    return {"rows": rows, "paired": paired, "aligned": aligned, "gate": gate}


def _learn(data: _Data, seeds: Sequence[int], say: Say) -> tuple[list[GraphSage], Rows]:
    """Return each seed's model and the decision of its gate; no model where links are too few."""
    models, gate = [], []
    for seed in seeds:
        try:
            model, about = learn_graph(
                data.texts, data.vectors, data.splits, GraphSettings(seed=seed)
            )
        except TooFewLinks as error:
            say(f"{data.name}: {error}")
            return [], [{"data": data.name, "serves": "two_hop", "why": str(error)}]
        models.append(model)
        gate.append({"data": data.name, **{key: about[key] for key in GATE_KEYS}})
        say(f"{data.name}: seed {seed}, epoch {about['kept']} kept: {about['why']}")
    return models, gate


def _links(
    data: str, report: Links, models: Sequence[GraphSage], seeds: Sequence[int]
) -> tuple[Rows, Rows]:
    """Return a row for each method, and the gain of the trained form over each.

    `trained_with_popularity` adds what training learnt of popularity: it predicts links best, but
    serves no alignment.
    """
    scores: dict[str, list[Score]] = {
        "trained": [partial(cosines, model) for model in models],
        "trained_with_popularity": [partial(link_scores, model) for model in models],
        "two_hop": [partial(cosines, GraphSage(report.users.shape[1]).eval())],
        "popularity": [by_degree],
        "random": [partial(_random_scores, seed) for seed in seeds],
    }
    scores = {name: methods for name, methods in scores.items() if methods}
    found = {
        name: _mean([find_links(score, report) for score in methods])
        for name, methods in scores.items()
    }
    topics = Counter(report.graph.topic[report.edge].tolist())
    everything = report.among_all_topics()
    rows = [
        {
            "data": data,
            "method": name,
            "n": len(each["mrr"]),
            "links": len(report),
            "topics": len(topics),
            "candidates": int(report.candidates.sum()),
            "largest_topic": round(max(topics.values()) / len(report), 4),
            "recall_at_10": _rounded(each["recall_at_10"]),
            "ci95": ci95(each["recall_at_10"]),
            "mrr": _rounded(each["mrr"]),
            "mrr_ci95": ci95(each["mrr"]),
            "equal_popularity": _rounded(each["equal_popularity"]),
            "recall_at_10_among_all": _rounded(
                _mean([find_links(score, everything) for score in scores[name]])["recall_at_10"]
            ),
        }
        for name, each in found.items()
    ]
    paired = [
        {
            "data": data,
            "figure": figure,
            "against": name,
            **paired_gain(found["trained"][figure], found[name][figure]),
        }
        for name in ("two_hop", "popularity", "random")
        for figure in ("recall_at_10", "mrr", "equal_popularity")
        if models
    ]
    return rows, paired


def _random_scores(seed: int, links: Links) -> tuple[torch.Tensor, torch.Tensor]:
    # Seeded by edge, so that a part of the links is scored as it would be among all of them.
    topics = len(links.graph.topic_ids)
    rows = [
        torch.rand(topics + 1, generator=torch.Generator().manual_seed(seed * 1_000_003 + edge))
        for edge in links.edge.tolist()
    ]
    scores = torch.stack(rows)
    return scores[:, 0], scores[:, 1:]


@dataclass(frozen=True)
class RatingQuestion:
    """One person's text on one topic, and the others who wrote on it.

    Attributes:
        user_id: The person.
        alignment: How near the others are to the person, by form, one for each seed.
        rating: 1 - |difference of ratings| / 4 to each of the others, shape (others,).
        wording: Cosine of the topic vectors of what they wrote on it, shape (others,).
        active: On how many topics each of the others wrote, shape (others,).
    """

    user_id: str
    alignment: Mapping[str, Sequence[Alignment]]
    rating: Means
    wording: Means
    active: Means

    def scores(self, seed: int) -> dict[str, Means]:
        """Return what the others are chosen by, by name, at the place of one of the seeds."""
        graphs = {name: each[seed] for name, each in self.alignment.items()}
        return {
            "popularity": self.active,
            "ratings": graphs["two_hop"].agreement,  # the same in every form
            **{name: graph.graph for name, graph in graphs.items()},
            **{f"{name}_and_ratings": graph.score for name, graph in graphs.items()},
        }


class People:
    """What a store would know of everybody, in memory.

    Args:
        texts: Of one data set.
        vectors: Their topic vectors, shape (texts, dimension).
        topic: The encoder that made them.
        forms: How embeddings are made, by name, one for each seed.
        span: The largest difference of two ratings.
    """

    def __init__(
        self,
        texts: Sequence[Text],
        vectors: Vectors,
        topic: Encoder,
        forms: Mapping[str, Sequence[GraphForm]],
        span: float = FIVE_STARS.span,
    ) -> None:
        self._texts, self._vectors, self._span = texts, on_grid(vectors), span
        # Alignment does not use style: its columns exist and are zero.
        self._schemas = seen_schemas(topic, topic)
        self._no_style = np.zeros((len(texts), topic.dimension), np.float32)
        users = count_users({}, texts, self._no_style)
        self._users = users_of_rows(rows_of_users(users, self._schemas[USERS]))
        topics = rows_of_topics(count_topics({}, texts, self._vectors), self._schemas[TOPICS])
        self._topics = {
            name: [topics_of_rows(topics, form) for form in own] for name, own in forms.items()
        }
        self._of_user: dict[str, list[int]] = {}
        self._on_topic: dict[str, dict[str, list[int]]] = {}
        for place, text in enumerate(texts):
            self._of_user.setdefault(text.user_id, []).append(place)
            if text.topic_id:
                on = self._on_topic.setdefault(text.topic_id, {})
                on.setdefault(text.user_id, []).append(place)

    def ask(self, user_id: str, topic_id: str, least: int) -> RatingQuestion | None:
        """Return a question, or None where nothing can be compared.

        That is: the person did not rate the topic or has no other history, or fewer than `least`
        others rated it who also wrote on other topics.
        """
        on = self._on_topic[topic_id]
        mine = self._rating(on[user_id])
        history = self._history(user_id, topic_id)
        rated = {user: self._rating(places) for user, places in on.items() if user != user_id}
        others = [
            user
            for user, rating in rated.items()
            if not np.isnan(rating) and len(self._users.edges(user)) > 1
        ]
        if np.isnan(mine) or not history.texts or len(others) < least:
            return None
        ratings = np.array([rated[user] for user in others])
        wrote = np.array([self._vectors[on[user]].sum(axis=0) for user in others])
        return RatingQuestion(
            user_id,
            {
                name: [
                    align(history, others, self._users, each, [topic_id], self._span)
                    for each in own
                ]
                for name, own in self._topics.items()
            },
            1 - np.abs(ratings - mine) / self._span,
            (unit(wrote) @ unit(self._vectors[on[user_id]].sum(axis=0))).astype(np.float64),
            np.array([len(self._users.edges(user)) for user in others], np.float64),
        )

    def ask_all(self, splits: Splits, least: int) -> list[RatingQuestion]:
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


def nearest(
    questions: Sequence[RatingQuestion], scores: Sequence[Means] | None, count: int, seed: int
) -> Found:
    """Return the mean `rating` and `wording` of the others with the highest scores, by person.

    Args:
        questions: At least one.
        scores: Of the others, one array a question; NaN counts as the mean of what is known.
            None: everybody on the topic, which is the expectation of a random choice.
        count: How many are taken.
        seed: Random seed of the order of ties.
    """
    random = np.random.default_rng(seed)
    taken = [np.arange(len(question.rating)) for question in questions]
    for at, given in enumerate(scores or ()):
        known = given[~np.isnan(given)]
        filled = np.nan_to_num(given, nan=known.mean() if len(known) else 0.0)
        order = random.permutation(len(given))
        taken[at] = order[np.argsort(-filled[order], kind="stable")][:count]
    people = [question.user_id for question in questions]
    pairs = list(zip(questions, taken, strict=True))
    return {
        "rating": person_means(people, [each.rating[rows].mean() for each, rows in pairs]),
        "wording": person_means(people, [each.wording[rows].mean() for each, rows in pairs]),
    }


def _aligned(
    data: _Data, topic: Encoder, forms: Mapping[str, Sequence[GraphForm]], seeds: Sequence[int]
) -> Rows:
    """Return how near the ten most aligned are, by what aligns them, against everybody there."""
    people = People(data.texts, data.vectors, topic, forms, data.span)
    questions = people.ask_all(data.splits, NEAREST + 1)
    if not questions:
        return []
    everybody = nearest(questions, None, NEAREST, seeds[0])
    found = {"random": everybody}
    for by in questions[0].scores(0):
        by_seed = [[each.scores(at)[by] for each in questions] for at in range(len(seeds))]
        found[by] = _mean(
            [
                nearest(questions, scores, NEAREST, seed)
                for scores, seed in zip(by_seed, seeds, strict=True)
            ]
        )
    pool = float(np.median([len(question.rating) for question in questions]))
    return [
        {
            "data": data.name,
            "by": by,
            "people": len(near["rating"]),
            "questions": len(questions),
            "pool": pool,
            "rating_agreement": _rounded(near["rating"]),
            "ci95": ci95(near["rating"]),
            "rating_over_random": _rounded(near["rating"] - everybody["rating"]),
            "rating_over_random_ci95": ci95(near["rating"] - everybody["rating"]),
            "wording_cosine": _rounded(near["wording"]),
            "wording_over_random": _rounded(near["wording"] - everybody["wording"]),
            "wording_over_random_ci95": ci95(near["wording"] - everybody["wording"]),
        }
        for by, near in found.items()
    ]


def _mean(found: Sequence[Found]) -> Found:
    return {name: np.mean([each[name] for each in found], axis=0) for name in found[0]}


def _rounded(values: Means) -> float:
    return round(float(np.nanmean(values)), 4)
