"""Which ranking of a topic's texts retrieves what the person will really write?

Similarity of the k pieces to the hidden text: mean ROUGE-1, mean topic cosine, and agreement of
ratings (1 - |difference| / span of the scale). Their mean is the objective that chooses the weight
of alignment.
Diversity is measured by coverage: the share of the hidden text's words (ROUGE-1 recall) that occur
in the pieces as a prompt shows them, 35 words of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import DefaultTokenizer, Tokenizer

from ...stores.search.request import SearchRequest, Selection, Weights
from ...stores.types import Encoder, Text
from ...stores.values import FIVE_STARS
from ..data import EvidenceCorpus, HiddenText, topic_input

K = 4
SHOWN_WORDS = 35
"""Words of a piece that fit into a prompt of 300 tokens."""

ALIGNMENT_WEIGHTS = (0.0, 0.25, 0.5, 1.0, 2.0)
DIVERSITY_WEIGHTS = (0.0, 0.1, 0.2, 0.4, 0.8)

MARGIN = 0.005
"""Coverage that diversity may cost."""

ALIGNMENT = "alignment="
"""Begins the names of the arms of these weights."""

Measured = dict[str, float]


def arms() -> dict[str, tuple[Selection, Weights]]:
    """Return the rankings that are compared: the default, its parts alone, each weight tried."""
    used = Weights()
    plain = replace(used, alignment=0.0, diversity=0.0)
    found: dict[str, tuple[Selection, Weights]] = {
        "used": ("aligned", used),
        "bm25": ("same_topic", replace(plain, topic=0.0)),
        "vectors": ("same_topic", replace(plain, words=0.0)),
        "rrf": ("same_topic", plain),
        "random": ("random", used),
        "anti_aligned": ("anti_aligned", used),
    }
    for weight in ALIGNMENT_WEIGHTS:
        found[f"{ALIGNMENT}{weight:g}"] = ("aligned", replace(plain, alignment=weight))
    for weight in DIVERSITY_WEIGHTS:
        found[f"apart={weight:g}"] = ("aligned", replace(used, diversity=weight))
    return found


async def measure_preference(
    corpus: EvidenceCorpus, asked: Sequence[HiddenText], topic: Encoder
) -> dict[str, list[Measured | None]]:
    """Measure each arm on each request; None where the topic has too few texts to choose from.

    Args:
        corpus: The file.
        asked: Its requests, each searched by its title.
        topic: The store's topic encoder.
    """
    titles = topic.encode([each.text.title for each in asked])
    real = topic.encode([topic_input(each.text) for each in asked])
    span = corpus.store.rating_scale.span
    found: dict[str, list[Measured | None]] = {}
    for name, (selection, weights) in arms().items():
        rows: list[Measured | None] = []
        for each, query, vector in zip(asked, titles, real, strict=True):
            if name.startswith(ALIGNMENT) and not each.history.texts:
                rows.append(None)  # alignment needs a history
                continue
            request = SearchRequest(
                each.history,
                query,
                words=each.text.title,
                topic_id=each.text.topic_id,
                k=K,
                selection=selection,
                weights=weights,
            )
            brought = await corpus.store.search_by_preference(request)
            # Fewer than two texts for each piece: all rankings return nearly the same.
            if not brought.topic_known or brought.pool_size < 2 * K:
                rows.append(None)
                continue
            texts = [hit.text for hit in brought.hits]
            near = topic.encode([topic_input(text) for text in texts])
            rows.append(likeness(each.text, texts, near @ vector, near, span))
        found[name] = rows
    return found


def likeness(
    real: Text,
    pieces: Sequence[Text],
    cosines: np.ndarray[Any, Any],
    vectors: np.ndarray[Any, Any],
    span: float = FIVE_STARS.span,
) -> Measured:
    """Return the similarity of the pieces to the real text and to each other.

    Args:
        real: The real text.
        pieces: The evidence.
        cosines: Topic cosine of each piece to the real text, shape (pieces,).
        vectors: Topic vectors of the pieces, shape (pieces, dimension).
        span: The largest difference of two ratings on the scale of these texts.
    """
    scorer = _scorer()
    rouge = [scorer.score(real.body, piece.body)["rouge1"].fmeasure for piece in pieces]
    shown = " ".join(" ".join(piece.body.split()[:SHOWN_WORDS]) for piece in pieces)
    rated = [piece.rating for piece in pieces if piece.rating is not None]
    parts = {"rouge1": float(np.mean(rouge)), "topic_cosine": float(np.mean(cosines))}
    if real.rating is not None and rated:
        difference = float(np.mean(np.abs(np.array(rated) - real.rating)))
        parts["rating_agreement"] = 1 - difference / span
    among = (vectors @ vectors.T)[np.triu_indices(len(pieces), 1)]
    return {
        **parts,
        "objective": float(np.mean(list(parts.values()))),
        "coverage": float(scorer.score(real.body, shown)["rouge1"].recall),
        "among": float(among.mean()) if len(among) else 0.0,
        "words": float(np.mean([len(piece.body.split()) for piece in pieces])),
    }


def best_weight(tried: Mapping[str, Mapping[str, Any]]) -> float:
    """Return the weight with the largest gain over 0; ties: the smallest.

    Args:
        tried: By `name=weight`, the gain with its interval.
    """
    gains = {_weight(arm): row["gain"] for arm, row in tried.items()}
    return min(gains, key=lambda weight: (-gains[weight], weight))


def harmless_weight(tried: Mapping[str, Mapping[str, Any]]) -> float:
    """Return the largest weight whose cost is below `MARGIN` over its whole interval.

    Diversity helps a reader in ways that similarity to one text does not measure, so it need not
    improve coverage: it must not reduce it.

    Args:
        tried: As above; 0 is among them.
    """
    return max(_weight(arm) for arm, row in tried.items() if row["ci95"][0] > -MARGIN)


def _weight(arm: str) -> float:
    return float(arm.split("=")[1])


class _CachedTokenizer(Tokenizer):  # type: ignore[misc]  # rouge-score has no types
    """rouge-score's tokens, computed once for each text."""

    def __init__(self) -> None:
        self._tokenizer = DefaultTokenizer(use_stemmer=False)
        self._known: dict[str, list[str]] = {}

    def tokenize(self, text: str) -> list[str]:
        if text not in self._known:
            self._known[text] = self._tokenizer.tokenize(text)
        return self._known[text]


@lru_cache(maxsize=1)
def _scorer() -> RougeScorer:
    return RougeScorer(["rouge1"], tokenizer=_CachedTokenizer())
