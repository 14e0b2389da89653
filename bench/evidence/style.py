"""Do people who write alike write like this person, and from which confidence on?

Every figure is a mean cosine to what the person really wrote, by character n-grams, which retrieve
nothing here. Gains are over random people, matched in length and rating.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from ...nodes.style_retrieve import style_confidence
from ...stores.search.request import Choice, Weights
from ...stores.texts.arrow import unit
from ...stores.types import Encoder, Found, History, Text, Vectors
from .requests import Asked, Material, cut

K = 4
FORMS: Mapping[str, Weights] = {
    "plain": Weights(length=0.0, half=0.0),
    "without_length": Weights(half=0.0),
    "used": Weights(),
}
"""Scores as they were, with the length left out, and shrunk by the number of texts too."""

CUTS: Mapping[str, int | None] = {"1": 1, "3": 3, "all": None}
KINDS = ("title", "short", "rating")
"""What a request without history holds: a title, a whole text, or both."""


@dataclass(frozen=True)
class Gain:
    """What one request's aligned neighbours are worth.

    Attributes:
        asked: The request.
        kind: Own texts that are known, or for zero history the kind of request.
        form: Of scoring.
        aligned: Mean cosine of their texts to what the person wrote.
        random: That of random people's.
        confidence: Of the style side.
        own_words: Mean log length of what is asked with.
        found_words: Mean log length of the neighbours' texts.
    """

    asked: Asked
    kind: str
    form: str
    aligned: float
    random: float
    confidence: float
    own_words: float
    found_words: float

    @property
    def gain(self) -> float:
        """Aligned less random."""
        return self.aligned - self.random


def within_authors(texts: Sequence[Text], style: Encoder) -> dict[str, Any]:
    """Return how alike one author's texts on different topics are, and what c that makes.

    Args:
        texts: Of the `train` split; those of display names are left out.
        style: The encoder.
    """
    real = [text for text in texts if not text.shared_id]
    vectors = style.encode([text.body for text in real])
    places: dict[str, list[int]] = defaultdict(list)
    for at, text in enumerate(real):
        places[text.user_id].append(at)
    means = []
    for own in places.values():
        pairs = [(a, b) for a, b in combinations(own, 2) if real[a].topic_id != real[b].topic_id]
        if pairs:
            means.append(float(np.mean([vectors[a] @ vectors[b] for a, b in pairs])))
    centre = vectors.mean(axis=0) if len(real) else np.zeros(style.dimension)
    r = float(np.mean(means)) - float(centre @ centre) if means else float("nan")
    words = float(np.median([len(text.body.split()) for text in real])) if real else 0.0
    half = (1 - r) / r if r > 0 else None
    return {
        "authors": len(means),
        "r": round(r, 4) if means else None,
        "texts_for_half": None if half is None else round(half, 2),
        "median_words": words,
    }


@dataclass(frozen=True)
class _Question:
    """What is asked with, and what the answer is held against."""

    asked: Asked
    kind: str
    history: History
    query: Vectors
    words: str
    lengths: Sequence[int]
    real: Sequence[Vectors]


async def measure_known(
    material: Material, asked: Sequence[Asked], vector_of: Mapping[str, Vectors]
) -> list[Gain]:
    """Measure people with own history, whole by each form of scoring, and cut to some length.

    Args:
        material: The file.
        asked: Requests of people with own history.
        vector_of: By text id, what likeness is measured by.
    """
    found = []
    for each in asked:
        for kind, known in CUTS.items():
            if len(each.history.texts) < (known or 1):
                continue
            history = cut(each.history, range(len(each.history.texts))[:known])
            question = _Question(
                each,
                kind,
                history,
                query=unit(history.style.mean(axis=0)),
                words="",
                lengths=[len(text.body.split()) for text in history.texts],
                real=[vector_of[each.text.text_id]],
            )
            for form in FORMS if known is None else ("used",):
                found += await _gain(material, question, form, vector_of)
    return found


async def measure_unknown(
    material: Material, asked: Sequence[Asked], style: Encoder, vector_of: Mapping[str, Vectors]
) -> list[Gain]:
    """Measure the same people as if nothing were known of them but the request's own words.

    What the person really wrote are then the texts on other topics, and for a request that holds
    a title alone the hidden text besides.

    Args:
        material: The file.
        asked: Requests of people with own history, which is hidden here.
        style: The store's style encoder.
        vector_of: By text id, what likeness is measured by.
    """
    found = []
    for each in asked:
        others = [vector_of[text.text_id] for text in each.history.texts]
        title, body = each.text.title, each.text.body
        for kind, words in zip(KINDS, (title, body, f"{title}\n{body}"), strict=True):
            question = _Question(
                each,
                kind,
                cut(each.history, []),
                query=style.encode([words])[0],
                words=words,
                lengths=[len(words.split())],
                real=[*others, vector_of[each.text.text_id]] if kind == "title" else others,
            )
            found += await _gain(material, question, "used", vector_of)
    return found


async def _gain(
    material: Material, question: _Question, form: str, vector_of: Mapping[str, Vectors]
) -> list[Gain]:
    """Return what the neighbours are worth; nothing where nobody is found."""
    text = question.asked.text

    async def ask(choice: Choice) -> Found:
        return await material.store.search_by_style(
            question.history,
            question.query,
            topic_id=text.topic_id,
            k=K,
            choice=choice,
            request_text=text.body if question.kind in ("short", "rating") else "",
        )

    def cosine(found: Found) -> float:
        rows = np.array([vector_of[hit.text.text_id] for hit in found.hits])
        return float((rows @ np.array(question.real).T).mean())

    aligned = await ask(Choice("aligned", weights=FORMS[form]))
    drawn = await ask(Choice("random", weights=FORMS[form]))
    if not aligned.hits or not drawn.hits:
        return []
    found_words = [len(hit.text.body.split()) for hit in aligned.hits]
    return [
        Gain(
            question.asked,
            question.kind,
            form,
            aligned=cosine(aligned),
            random=cosine(drawn),
            confidence=style_confidence(question.history, question.words, aligned),
            own_words=float(np.mean(np.log1p(question.lengths))),
            found_words=float(np.mean(np.log1p(found_words))),
        )
    ]


def best_threshold(gains: Sequence[Gain]) -> float:
    """Return the confidence from which on the sum of gains is greatest; below it a side abstains.

    An abstaining side gains nothing. Each person counts alike. 0 where every request gains.
    """
    each: dict[str, int] = defaultdict(int)
    for gain in gains:
        each[gain.asked.text.user_id] += 1
    order = sorted(gains, key=lambda gain: -gain.confidence)
    total = np.cumsum([gain.gain / each[gain.asked.text.user_id] for gain in order])
    if not len(total) or total.max() <= 0:
        return 1.0
    last = int(np.argmax(total))
    if last == len(order) - 1:
        return 0.0
    return (order[last].confidence + order[last + 1].confidence) / 2
