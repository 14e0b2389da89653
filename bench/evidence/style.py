"""Do style neighbours write like the person, and from which confidence on?

Every figure is a mean cosine to what the person really wrote, by character n-grams, which play no
part in the retrieval. Gains are over random people, matched in length and rating.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from ...nodes.style_retrieve import style_confidence
from ...stores.search.request import SearchRequest, Weights
from ...stores.texts.arrow import unit
from ...stores.types import Encoder, Found, History, Text, Vectors
from ..data import EvidenceCorpus, HiddenText, cut

K = 4
FORMS: Mapping[str, Weights] = {
    "plain": Weights(length=0.0, shrinkage=0.0),
    "without_length": Weights(shrinkage=0.0),
    "used": Weights(),
}
"""Plain scores; without the length axis; and also shrunk by the number of texts."""

CUTS: Mapping[str, int | None] = {"1": 1, "3": 3, "all": None}
KINDS = ("title", "short", "rating")
"""Words of a request without history: a title, a whole text, or both."""


@dataclass(frozen=True)
class StyleGain:
    """How much one request's aligned neighbours gain over random people.

    Attributes:
        asked: The request.
        kind: Number of own texts known, or for zero history the kind of request.
        form: Form of the scores, see `FORMS`.
        aligned: Mean cosine of the neighbours' texts to what the person wrote.
        random: The same of random people's texts.
        confidence: Of the style side.
        own_words: Mean log length of the texts of the query.
        found_words: Mean log length of the neighbours' texts.
    """

    asked: HiddenText
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
    """Return how similar one author's texts on different topics are, and the shrinkage from it.

    Args:
        texts: Of the `train` split; display names are left out.
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
class _StyleQuery:
    """A search and the vectors of what the person really wrote."""

    hidden: HiddenText
    kind: str
    history: History
    query: Vectors
    words: str
    lengths: Sequence[int]
    real: Sequence[Vectors]


async def measure_known(
    corpus: EvidenceCorpus, asked: Sequence[HiddenText], vector_of: Mapping[str, Vectors]
) -> list[StyleGain]:
    """Measure people with own history: whole by each form of scores, and cut short.

    Args:
        corpus: The file.
        asked: Requests of people with own history.
        vector_of: By text id, the vectors that measure similarity.
    """
    found = []
    for each in asked:
        for kind, known in CUTS.items():
            if len(each.history.texts) < (known or 1):
                continue
            history = cut(each.history, range(len(each.history.texts))[:known])
            search = _StyleQuery(
                each,
                kind,
                history,
                query=unit(history.style.mean(axis=0)),
                words="",
                lengths=[len(text.body.split()) for text in history.texts],
                real=[vector_of[each.text.text_id]],
            )
            for form in FORMS if known is None else ("used",):
                found += await _gain(corpus, search, form, vector_of)
    return found


async def measure_unknown(
    corpus: EvidenceCorpus,
    asked: Sequence[HiddenText],
    style: Encoder,
    vector_of: Mapping[str, Vectors],
) -> list[StyleGain]:
    """Measure the same people as if only the words of the request were known.

    The texts on other topics are then what the person really wrote, and for a request with only a
    title also the hidden text.

    Args:
        corpus: The file.
        asked: Requests of people with own history, which is hidden here.
        style: The store's style encoder.
        vector_of: By text id, the vectors that measure similarity.
    """
    found = []
    for each in asked:
        others = [vector_of[text.text_id] for text in each.history.texts]
        title, body = each.text.title, each.text.body
        for kind, words in zip(KINDS, (title, body, f"{title}\n{body}"), strict=True):
            search = _StyleQuery(
                each,
                kind,
                cut(each.history, []),
                query=style.encode([words])[0],
                words=words,
                lengths=[len(words.split())],
                real=[*others, vector_of[each.text.text_id]] if kind == "title" else others,
            )
            found += await _gain(corpus, search, "used", vector_of)
    return found


async def _gain(
    corpus: EvidenceCorpus, search: _StyleQuery, form: str, vector_of: Mapping[str, Vectors]
) -> list[StyleGain]:
    """Return the gain of the neighbours; empty where nobody is found."""
    text = search.hidden.text

    request = SearchRequest(
        search.history,
        search.query,
        topic_id=text.topic_id,
        k=K,
        weights=FORMS[form],
        text=text.body if search.kind in ("short", "rating") else "",
    )

    def cosine(found: Found) -> float:
        rows = np.array([vector_of[hit.text.text_id] for hit in found.hits])
        return float((rows @ np.array(search.real).T).mean())

    aligned = await corpus.store.search_by_style(request)
    drawn = await corpus.store.search_by_style(replace(request, selection="random"))
    if not aligned.hits or not drawn.hits:
        return []
    found_words = [len(hit.text.body.split()) for hit in aligned.hits]
    return [
        StyleGain(
            search.hidden,
            search.kind,
            form,
            aligned=cosine(aligned),
            random=cosine(drawn),
            confidence=style_confidence(search.history, search.words, aligned),
            own_words=float(np.mean(np.log1p(search.lengths))),
            found_words=float(np.mean(np.log1p(found_words))),
        )
    ]


def best_threshold(gains: Sequence[StyleGain]) -> float:
    """Return the threshold of confidence with the largest sum of gains; below it a side abstains.

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
