"""Does the user-topic graph know whom to bring in? Every figure of `patlm bench graph`.

Learnt on people and topics of `train`, stopped on `gate`, reported on `report`: an edge of a person
of `report` and a topic of `report` is hidden from both ends and has to be found among the topics of
`report`. Beside it, within a topic: whether the people who are aligned by it rate the topic as the
person did (`aligned_people`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..evaluation.scores.statistics import interval
from ..models.encoders.graph_weights import GraphWeights
from ..models.encoders.graphsage import GraphSage
from ..stores.datasets.formats import read_texts
from ..stores.datasets.splits import Place, Splits, deal, latest_as_targets
from ..stores.texts.topics import TWO_HOP, GraphForm
from ..stores.types import Encoder, Text, Vectors
from ..training.errors import TooFewLinks
from ..training.user_topic_graph.data import Links, TopicGraph, links_of
from ..training.user_topic_graph.gate import LearntGraph, learn_graph
from ..training.user_topic_graph.train import (
    Found,
    GraphSettings,
    Score,
    by_degree,
    cosines,
    find_links,
    link_scores,
)
from .aligned_people import KNOWN, Near, People, Question, closeness, nearest

Say = Callable[[str], None]
Means = NDArray[np.float64]

SEEDS = (0, 1, 2)
NEAREST = 10

TRAINED, TWO_HOP_NAME, POPULARITY, RANDOM = "trained", "two_hop", "popularity", "random"
WITH_POPULARITY = "trained_with_popularity"
"""The trained form and what it learnt of popularity: predicts links best, aligns nobody."""


@dataclass(frozen=True)
class DataSet:
    """One file with targets, and how it is split.

    Attributes:
        name: The file's name less `_dev` or `_test`.
        texts: What can be read of it.
        vectors: Their topic vectors, shape (texts, dimension).
        splits: Dealt by its targets.
    """

    name: str
    texts: Sequence[Text]
    vectors: Vectors
    splits: Splits


def measure_graph(
    files: Sequence[Path], topic: Encoder, *, seeds: Sequence[int] = SEEDS, say: Say
) -> dict[str, Any]:
    """Measure every file.

    Args:
        files: Of any format that is ingested; where one marks no targets, each person's latest
            text is theirs.
        topic: Embeds what texts are about.
        seeds: Of training and of what is drawn; a person's figures are averaged over them.
        say: Told of each part.

    Raises:
        FormatError: A file is of no known format.
    """
    found: dict[str, Any] = {"rows": [], "paired": [], "aligned": [], "gate": []}
    for file in files:
        data = _read(file, topic, say)
        for kind, each in _measure(data, topic, seeds, say).items():
            found[kind] += each
    return {**found, "seeds": list(seeds), "nearest": NEAREST}


def _read(file: Path, topic: Encoder, say: Say) -> DataSet:
    name = re.sub(r"_(dev|test)$", "", file.stem)
    texts = [text for text in read_texts(file) if isinstance(text, Text) and text.body.strip()]
    if not any(text.target for text in texts):
        texts = latest_as_targets(texts)
    say(f"{name}: embedding {len(texts)} texts")
    vectors = topic.encode([f"{text.title}\n{text.body}".strip() for text in texts])
    return DataSet(name, texts, vectors, deal(Place.of(text) for text in texts))


def _measure(
    data: DataSet, topic: Encoder, seeds: Sequence[int], say: Say
) -> dict[str, list[dict[str, Any]]]:
    graph = TopicGraph.of(data.texts, data.vectors)
    report = links_of(graph, data.splits, "report")
    say(f"{data.name}: {len(graph)} edges, {len(report)} of report can be asked for")
    learnt, gate = _learn(data, seeds, say)
    models = [each.fit.model for each in learnt]
    rows, paired = _links(data, report, models, seeds)
    forms: dict[str, list[GraphForm]] = {TWO_HOP_NAME: [TWO_HOP] * len(seeds)}
    if learnt:
        forms[TRAINED] = [GraphWeights.of(each.weights) for each in learnt]
    aligned = _aligned(data, topic, forms, seeds)
    agreement = {row["by"]: row for row in aligned}
    for row in rows:
        same = agreement.get(row["method"], {})
        row["rating_agreement"] = same.get("rating_agreement")
    say(f"{data.name}: measured")
    return {"rows": rows, "paired": paired, "aligned": aligned, "gate": gate}


def _learn(
    data: DataSet, seeds: Sequence[int], say: Say
) -> tuple[list[LearntGraph], list[dict[str, Any]]]:
    """Return what each seed learns, and what the gate says to it: nothing where it can't."""
    learnt, gate = [], []
    for seed in seeds:
        try:
            found = learn_graph(data.texts, data.vectors, data.splits, GraphSettings(seed=seed))
        except TooFewLinks as error:
            say(f"{data.name}: {error}")
            return [], [{"data": data.name, "serves": TWO_HOP_NAME, "why": str(error)}]
        learnt.append(found)
        said = {key: found.about[key] for key in ("seed", "serves", "why", "gate", "kept", "links")}
        gate.append({"data": data.name, **said})
        say(f"{data.name}: seed {seed}, epoch {found.about['kept']} kept: {found.about['why']}")
    return learnt, gate


def _links(
    data: DataSet, report: Links, models: Sequence[GraphSage], seeds: Sequence[int]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return a row for each method, and the lead of the trained form over each."""
    if not len(report):
        return [], []
    untrained = GraphSage(data.vectors.shape[1]).eval()
    scores: dict[str, list[Score]] = {
        TRAINED: [partial(cosines, model) for model in models],
        WITH_POPULARITY: [partial(link_scores, model) for model in models],
        TWO_HOP_NAME: [partial(cosines, untrained)],
        POPULARITY: [by_degree],
        RANDOM: [_drawn(seed) for seed in seeds],
    }
    every = links_of(report.graph, data.splits, "report", every_topic=True)
    found = {
        name: _mean_found([find_links(score, report) for score in methods])
        for name, methods in scores.items()
        if methods
    }
    rows = []
    for name, each in found.items():
        wide = _mean_found([find_links(score, every) for score in scores[name]])
        rows.append(_row(data.name, name, each, wide, report))
    paired = [
        _paired(data.name, figure, found[TRAINED], found[name], name)
        for name in found
        if TRAINED in found and name not in (TRAINED, WITH_POPULARITY)
        for figure in ("recall", "reciprocal_rank", "equal_popularity")
    ]
    return rows, paired


def _row(data: str, method: str, found: Found, wide: Found, links: Links) -> dict[str, Any]:
    topics = Counter(links.graph.topic[links.edge].tolist())
    return {
        "data": data,
        "method": method,
        "n": len(found.people),
        "links": len(links),
        "topics": len(topics),
        "candidates": int(links.candidates.sum()),
        "largest_topic": round(max(topics.values()) / len(links), 4),
        **_with_interval("recall_at_10", found.recall),
        "mrr": round(float(found.reciprocal_rank.mean()), 4),
        "mrr_ci95": _interval(found.reciprocal_rank),
        "equal_popularity": round(float(np.nanmean(found.equal_popularity)), 4),
        "recall_at_10_among_all": round(float(wide.recall.mean()), 4),
    }


def _paired(data: str, figure: str, ours: Found, theirs: Found, against: str) -> dict[str, Any]:
    values: Mapping[str, tuple[Means, Means]] = {
        "recall": (ours.recall, theirs.recall),
        "reciprocal_rank": (ours.reciprocal_rank, theirs.reciprocal_rank),
        "equal_popularity": (ours.equal_popularity, theirs.equal_popularity),
    }
    names = {"recall": "recall_at_10", "reciprocal_rank": "mrr"}
    gains = values[figure][0] - values[figure][1]
    return {
        "data": data,
        "figure": names.get(figure, figure),
        "against": against,
        **_with_interval("gain", gains[~np.isnan(gains)]),
    }


def _aligned(
    data: DataSet, topic: Encoder, forms: Mapping[str, Sequence[GraphForm]], seeds: Sequence[int]
) -> list[dict[str, Any]]:
    """Return how near the ten most aligned are, by what aligns them; against everybody there."""
    each = {f"{name} {at}": form for name, own in forms.items() for at, form in enumerate(own)}
    people = People(data.texts, data.vectors, topic, each)
    questions = people.ask_all(data.splits, NEAREST + 1)
    if not questions:
        return []
    anybody = nearest(questions, None, NEAREST, seeds[0])
    near: dict[str, Near] = {RANDOM: anybody}
    near[POPULARITY] = _mean_near(
        [nearest(questions, [q.active for q in questions], NEAREST, seed) for seed in seeds]
    )
    for name in forms:
        for known in KNOWN:
            if known == "ratings" and name != TWO_HOP_NAME:
                continue  # the same for every form
            label = {"graph": name, "ratings": "ratings", "both": f"{name}_and_ratings"}[known]
            near[label] = _mean_near(
                [
                    nearest(questions, _closeness(questions, f"{name} {at}", known), NEAREST, seed)
                    for at, seed in enumerate(seeds)
                ]
            )
    return [_aligned_row(data.name, by, found, anybody, questions) for by, found in near.items()]


def _closeness(questions: Sequence[Question], form: str, known: str) -> list[Means]:
    return [closeness(question.alignment[form], known) for question in questions]


def _aligned_row(
    data: str, by: str, found: Near, anybody: Near, questions: Sequence[Question]
) -> dict[str, Any]:
    return {
        "data": data,
        "by": by,
        "people": len(found.rating),
        "questions": len(questions),
        "pool": float(np.median([len(question.rating) for question in questions])),
        **_with_interval("rating_agreement", found.rating),
        **_gain_over("rating", found.rating, anybody.rating),
        "wording_cosine": round(float(found.wording.mean()), 4),
        **_gain_over("wording", found.wording, anybody.wording),
    }


def _gain_over(figure: str, ours: Means, theirs: Means) -> dict[str, Any]:
    gains = ours - theirs
    return {
        f"{figure}_over_random": round(float(gains.mean()), 4),
        f"{figure}_over_random_ci95": _interval(gains),
    }


def _drawn(seed: int) -> Score:
    def score(links: Links) -> tuple[torch.Tensor, torch.Tensor]:
        # By edge, so that a part of the links is scored as it would be among all of them.
        topics = len(links.graph.topic_ids)
        rows = [
            torch.rand(topics + 1, generator=torch.Generator().manual_seed(seed * 1_000_003 + edge))
            for edge in links.edge.tolist()
        ]
        drawn = torch.stack(rows)
        return drawn[:, 0], drawn[:, 1:]

    return score


def _mean_found(found: Sequence[Found]) -> Found:
    return Found(
        found[0].people,
        np.mean([each.recall for each in found], axis=0),
        np.mean([each.reciprocal_rank for each in found], axis=0),
        np.mean([each.equal_popularity for each in found], axis=0),
    )


def _mean_near(near: Sequence[Near]) -> Near:
    return Near(
        np.mean([each.rating for each in near], axis=0),
        np.mean([each.wording for each in near], axis=0),
    )


def _with_interval(name: str, values: Means) -> dict[str, Any]:
    return {name: round(float(values.mean()), 4), "ci95": _interval(values)}


def _interval(values: Means) -> list[float]:
    low, high = interval(values)
    return [round(low, 4), round(high, 4)]
