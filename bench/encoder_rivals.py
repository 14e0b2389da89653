"""What a style encoder is measured against: subject, character n-grams, stylometry, length.

Each makes unit rows of texts, so that a cosine compares two; where a rival has settings, the bench
takes the one that does best.

Do people who write alike, as the encoder has it, write like what a person writes next?

Everybody's latest text (or the benchmark's target) is hidden; the store is asked for people who
write like the rest of that person's texts, and what it brings is compared with the hidden text by
a judge that retrieves nothing. Each person is asked for with an encoder that saw neither the person
nor the topic.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from joblib import Parallel, delayed, parallel_config
from numpy.typing import NDArray
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize

from ..evaluation.scores.statistics import interval
from ..models.encoders.style import LEAST_SPREAD
from ..models.encoders.style_features import count_style
from ..stores.datasets.splits import latest_as_targets
from ..stores.search.request import Choice, Take
from ..stores.texts.arrow import unit
from ..stores.texts.store import TextStore
from ..stores.types import Embedded, Encoder, History, Text, Vectors
from ..training.style_encoder.triplets import FOLDS, Halves, Rows

Rival = Callable[[Sequence[str]], Rows]

COMPONENTS = 300


def char_tfidf(bodies: Sequence[str], *, longest: int, components: int | None = None) -> Rows:
    """Return tf-idf of character n-grams, fitted on these texts.

    Args:
        bodies: The texts.
        longest: Characters of the longest n-grams; the shortest have one.
        components: Dimensions they are brought down to (truncated SVD); None: as they are, sparse.
    """
    tfidf = TfidfVectorizer(
        analyzer="char", ngram_range=(1, longest), lowercase=False, sublinear_tf=True, min_df=2
    )
    rows = tfidf.fit_transform(bodies)
    if components is None or components >= min(rows.shape):
        return rows
    return _unit(TruncatedSVD(components, random_state=0).fit_transform(rows))


def stylometry(bodies: Sequence[str]) -> Vectors:
    """Return counted features, each centred and scaled over these texts."""
    counts = [count_style(body) for body in bodies]
    seen = np.sum([count.seen for count in counts], axis=0)
    usual = np.sum([count.counted for count in counts], axis=0) / np.maximum(seen, 1.0)
    features = np.array([count.rates(usual) for count in counts])
    spread = np.maximum(features.std(axis=0), LEAST_SPREAD)
    return _unit((features - features.mean(axis=0)) / spread)


def length(bodies: Sequence[str]) -> Vectors:
    """Return points on a quarter circle: the nearer in log length, the higher the cosine."""
    logs = np.log1p([len(body.split()) for body in bodies])
    angles = logs / max(float(logs.max()), 1e-9) * np.pi / 2
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def rivals(minilm: Rival) -> Mapping[str, Sequence[Rival]]:
    """Return the settings of each rival by its name.

    Args:
        minilm: Makes unit rows of what texts are about.
    """
    return {
        "minilm": [minilm],
        "char_tfidf": [
            partial(char_tfidf, longest=longest, components=components)
            for longest in (3, 4)
            for components in (None, COMPONENTS)
        ],
        "stylometry": [stylometry],
        "length": [length],
    }


def _unit(rows: NDArray[np.floating]) -> Vectors:
    unit: Vectors = normalize(rows).astype(np.float32)
    return unit


TAKES: tuple[Take, ...] = ("aligned", "random", "anti_aligned")
CUTS: Mapping[str, int | None] = {"0": 0, "1": 1, "3": 3, "all": None}
"""Own texts that are known, the latest first; None: all."""

K = 4
"""Texts that are brought in, as in the loop."""

Fit = Callable[[Sequence[Text]], Encoder]
Key = tuple[str, Take]


def measure_neighbours(
    name: str,
    texts: Sequence[Text],
    fit: Fit,
    topic: Encoder,
    judge: Vectors,
    *,
    jobs: int = 1,
) -> dict[str, list[dict[str, Any]]]:
    """Measure one file.

    Args:
        name: What the rows are called; those of display names get `-shared_id` after it.
        texts: All of it.
        fit: Makes a style encoder of the texts of one fold.
        topic: The store's topic encoder. It is asked for the bodies alone: a search by style goes
            by topics' names.
        judge: Unit rows of the texts by another encoder, shape (texts, dimension).
        jobs: Processes that ask side by side; with several, `fit` and `topic` are handed to them.

    Returns:
        `rows` (mean cosine of what was brought in to the hidden text) and `paired` (differences
        of the same people).
    """
    marked = list(texts) if any(text.target for text in texts) else latest_as_targets(texts)
    with parallel_config("loky", inner_max_num_threads=1):
        folds = Parallel(n_jobs=jobs)(
            delayed(_ask_fold)(fold, marked, fit, topic, judge) for fold in range(FOLDS)
        )
    found: dict[Key, dict[str, float]] = defaultdict(dict)
    for key, cosines in chain.from_iterable(fold.items() for fold in folds):
        found[key].update(cosines)
    display = {text.text_id for text in marked if text.shared_id}
    rows: dict[str, list[dict[str, Any]]] = {"rows": [], "paired": []}
    for label, shared in ((name, False), (f"{name}-shared_id", True)):
        own = {
            key: {text: cosine for text, cosine in each.items() if (text in display) == shared}
            for key, each in found.items()
        }
        own = {key: each for key, each in own.items() if each}
        rows["rows"] += _rows(label, own)
        rows["paired"] += _paired(label, own)
    return rows


def _ask_fold(
    fold: int, texts: Sequence[Text], fit: Fit, topic: Encoder, judge: Vectors
) -> dict[Key, dict[str, float]]:
    """Return the cosines by cut, take and hidden text, asked by the model of the opposite fold."""
    halves = Halves.of(texts)
    asked = [text for text in texts if text.target and halves.fold(text) == fold]
    if not asked:
        return {}
    style = fit([text for text in texts if halves.fold(text) == Halves.opposite(fold)])
    return asyncio.run(_ask_all(asked, texts, style, topic, judge))


async def _ask_all(
    asked: Sequence[Text], texts: Sequence[Text], style: Encoder, topic: Encoder, judge: Vectors
) -> dict[Key, dict[str, float]]:
    vector_of = {text.text_id: row for text, row in zip(texts, judge, strict=True)}
    found: dict[Key, dict[str, float]] = defaultdict(dict)
    bodies = [text.body for text in texts]
    embedded = Embedded(texts, style.encode(bodies), topic.encode(bodies))
    with TemporaryDirectory() as folder:
        async with TextStore.open(folder, style_encoder=style, topic_encoder=topic) as store:
            await store.load([embedded])
            for text in asked:
                for key, cosine in (await _ask(store, style, text, vector_of)).items():
                    found[key][text.text_id] = cosine
    return found


async def _ask(
    store: TextStore, style: Encoder, text: Text, vector_of: Mapping[str, NDArray[np.float32]]
) -> dict[Key, float]:
    """Return the mean cosine to the hidden text of what each strategy brings, by cut and take."""
    whole = await store.history(text.namespace, text.user_id, topic_id=text.topic_id)
    found = {}
    for cut, known in CUTS.items():
        history = _cut(whole, known)
        if history.texts:
            query = unit(history.style.mean(axis=0))
        elif known == 0 and text.title:
            query = style.encode([text.title])[0]
        else:
            continue
        for take in TAKES:
            hits = await store.search_by_style(
                history, query, topic_id=text.topic_id, k=K, choice=Choice(take)
            )
            near = [vector_of[hit.text.text_id] @ vector_of[text.text_id] for hit in hits.hits]
            if near:
                found[cut, take] = float(np.mean(near))
    return found


def _cut(history: History, known: int | None) -> History:
    return replace(
        history,
        texts=history.texts[:known],
        style=history.style[:known],
        topic_vectors=history.topic_vectors[:known],
    )


def _rows(name: str, found: Mapping[Key, Mapping[str, float]]) -> list[dict[str, Any]]:
    rows = []
    for (cut, take), cosines in sorted(found.items()):
        low, high = interval(np.array(list(cosines.values())))
        rows.append(
            {
                "data": name,
                "history": cut,
                "strategy": take,
                "people": len(cosines),
                "cosine": round(float(np.mean(list(cosines.values()))), 4),
                "ci95": [round(low, 4), round(high, 4)],
            }
        )
    return rows


def _paired(name: str, found: Mapping[Key, Mapping[str, float]]) -> list[dict[str, Any]]:
    pairs: tuple[tuple[Take, Take], ...] = (("aligned", "random"), ("random", "anti_aligned"))
    rows = []
    for cut in CUTS:
        for one, other in pairs:
            first, second = found.get((cut, one), {}), found.get((cut, other), {})
            both = sorted(first.keys() & second.keys())
            if not both:
                continue
            gains = np.array([first[person] - second[person] for person in both])
            low, high = interval(gains)
            rows.append(
                {
                    "data": name,
                    "history": cut,
                    "strategy": one,
                    "against": other,
                    "people": len(both),
                    "gain": round(float(gains.mean()), 4),
                    "ci95": [round(low, 4), round(high, 4)],
                }
            )
    return rows
