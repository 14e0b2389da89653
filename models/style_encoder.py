"""Encode how a text is written: a fixed encoder that needs no fitting and no weights.

Two blocks side by side, each scaled to its share of the length, so that a cosine is the weighted
mean of two cosines: stylometry (`style_features`), which carries most of what is known of a
person, and hashed character n-grams (`char_ngrams`). Both are centred on what is ordinary in the
text's language (`style_baseline`), so that unrelated texts have cosines around 0.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .char_ngrams import hash_ngrams
from .style_baseline import CLIP, StyleBaseline
from .style_constants import ENGLISH, PORTUGUESE
from .style_features import GROUP_WEIGHTS, MAX_CHARACTERS, NAMES, count_style, is_portuguese

#: Share of the squared length that the n-gram block has.
_NGRAM_SHARE = 0.15


class FixedStyleEncoder:
    """A `stores.records.Encoder` made of counted features; safe to share between threads."""

    def __init__(self) -> None:
        """Work out the version from everything that decides a vector."""
        digest = hashlib.sha256("\n".join(NAMES).encode())
        for baseline in (ENGLISH, PORTUGUESE):
            for numbers in (baseline.usual, baseline.mean, baseline.ngram_mean):
                digest.update(np.round(numbers, 4).astype("<f8").tobytes())
        self._version = f"fixed-style-1-{digest.hexdigest()[:8]}"

    @property
    def version(self) -> str:
        """Change whenever a feature or a constant does."""
        return self._version

    @property
    def dimension(self) -> int:
        """Length of one vector: 128."""
        return len(NAMES) + len(ENGLISH.ngram_mean)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one unit row a text, shape (len(texts), dimension).

        Deterministic across processes and machines to float rounding; about 1,000 texts/s.
        """
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in enumerate(texts):
            vectors[row] = _encode_one(text[:MAX_CHARACTERS])
        return vectors


def _encode_one(text: str) -> NDArray[np.float64]:
    baseline: StyleBaseline = PORTUGUESE if is_portuguese(text) else ENGLISH
    features = (count_style(text).rates(baseline.usual) - baseline.mean) / baseline.spread
    ngrams = hash_ngrams(text, len(baseline.ngram_mean))
    ngrams = (ngrams - baseline.ngram_mean) / baseline.ngram_spread
    return np.concatenate(
        [
            np.sqrt(1 - _NGRAM_SHARE) * _unit(np.clip(features, -CLIP, CLIP) * GROUP_WEIGHTS),
            np.sqrt(_NGRAM_SHARE) * _unit(ngrams),
        ]
    )


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    # A block is never all zeros: no text sits exactly on the mean of 82 real numbers.
    return vector / np.linalg.norm(vector)
