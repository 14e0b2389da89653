"""What the style encoder is compared with, and whether its neighbours write alike.

Rivals are subject (MiniLM), character n-grams, stylometry and length; each makes unit rows of
texts, and the bench takes the best of its settings.

Neighbours: everybody's latest text (or the benchmark's target) is hidden, the store is searched for
people who write like the rest of that person's texts, and their texts are compared with the hidden
one by a judge that plays no part in the search. The encoder of a search saw neither the person nor
the topic.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
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

from ..evaluation.scores.statistics import ci95
from ..models.encoders.style import LEAST_SPREAD
from ..models.encoders.style_features import count_style
from ..stores.search.request import SearchRequest, Selection
from ..stores.texts.arrow import unit
from ..stores.texts.store import TextStore
from ..stores.types import Embedded, Encoder, Text, Vectors
from ..training.style_encoder.triplets import FOLDS, Halves, Rows
from .data import cut, mark_targets

Rival = Callable[[Sequence[str]], Rows]

COMPONENTS = 300


def char_tfidf(bodies: Sequence[str], *, longest: int, components: int | None = None) -> Rows:
    """Return tf-idf of character n-grams, fitted on these texts.

    Args:
        bodies: The texts.
        longest: Characters of the longest n-grams; the shortest have one.
        components: Dimensions of the truncated SVD; None: sparse rows without it.
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
    """Return the settings of each rival by name.

    Args:
        minilm: Makes unit rows of the texts' subjects.
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


SELECTIONS: tuple[Selection, ...] = ("aligned", "random", "anti_aligned")
CUTS: Mapping[str, int | None] = {"0": 0, "1": 1, "3": 3, "all": None}
"""Number of own texts known, the latest first; None: all."""

K = 4
"""Texts that are retrieved, as in the loop."""

Fit = Callable[[Sequence[Text]], Encoder]
Key = tuple[str, Selection]


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
        name: Of the rows; those of display names get the suffix `-shared_id`.
        texts: All texts of the file.
        fit: Fits a style encoder on the texts of one fold.
        topic: The store's topic encoder; embeds bodies only, because style search uses topic ids.
        judge: Unit rows of the texts by another encoder, shape (texts, dimension).
        jobs: Processes in parallel; with several, `fit` and `topic` are sent to them.

    Returns:
        `rows` (mean cosine of the retrieved texts to the hidden text) and `paired` (differences
        of the same people).
    """
    marked = mark_targets(texts)
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
    """Return the cosines by cut, selection and hidden text, by the model of the other fold."""
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
    """Return the mean cosine of the retrieved texts to the hidden text, by cut and selection."""
    whole = await store.history(text.namespace, text.user_id, topic_id=text.topic_id)
    found = {}
    for kind, known in CUTS.items():
        history = cut(whole, range(len(whole.texts))[:known])
        if history.texts:
            query = unit(history.style.mean(axis=0))
        elif known == 0 and text.title:
            query = style.encode([text.title])[0]
        else:
            continue
        for selection in SELECTIONS:
            request = SearchRequest(
                history, query, topic_id=text.topic_id, k=K, selection=selection
            )
            hits = (await store.search_by_style(request)).hits
            near = [vector_of[hit.text.text_id] @ vector_of[text.text_id] for hit in hits]
            if near:
                found[kind, selection] = float(np.mean(near))
    return found


def _rows(name: str, found: Mapping[Key, Mapping[str, float]]) -> list[dict[str, Any]]:
    rows = []
    for (kind, selection), cosines in sorted(found.items()):
        rows.append(
            {
                "data": name,
                "history": kind,
                "strategy": selection,
                "people": len(cosines),
                "cosine": round(float(np.mean(list(cosines.values()))), 4),
                "ci95": ci95(list(cosines.values())),
            }
        )
    return rows


def _paired(name: str, found: Mapping[Key, Mapping[str, float]]) -> list[dict[str, Any]]:
    pairs: tuple[tuple[Selection, Selection], ...] = (
        ("aligned", "random"),
        ("random", "anti_aligned"),
    )
    rows = []
    for kind in CUTS:
        for one, other in pairs:
            first, second = found.get((kind, one), {}), found.get((kind, other), {})
            both = sorted(first.keys() & second.keys())
            if not both:
                continue
            gains = np.array([first[person] - second[person] for person in both])
            rows.append(
                {
                    "data": name,
                    "history": kind,
                    "strategy": one,
                    "against": other,
                    "people": len(both),
                    "gain": round(float(gains.mean()), 4),
                    "ci95": ci95(gains),
                }
            )
    return rows
