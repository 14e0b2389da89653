"""What is ordinary in a language, so that a style vector says how a text differs from it.

Raw feature vectors all point the same way (their cosines lie near 1) and neither rank neighbours
nor say how sure one is. Centred and scaled by fixed numbers they spread over -0.6 to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .char_ngrams import hash_ngrams
from .style_features import count_style

#: Spread a feature has at least: rare traits would otherwise outweigh all others when they occur.
LEAST_SPREAD = 0.02

#: Features further from the mean than this many spreads count as this far.
CLIP = 4.0


@dataclass(frozen=True)
class StyleBaseline:
    """Fixed centring of one language.

    Attributes:
        usual: Rate of each counted feature, shape (features - SHARES,).
        mean: Mean of each feature, shape (features,).
        spread: Standard deviation of each feature, at least `LEAST_SPREAD`, shape (features,).
        ngram_mean: Mean of each n-gram bin, shape (bins,).
        ngram_spread: Standard deviation of each n-gram bin, shape (bins,).
    """

    usual: NDArray[np.float64]
    mean: NDArray[np.float64]
    spread: NDArray[np.float64]
    ngram_mean: NDArray[np.float64]
    ngram_spread: NDArray[np.float64]

    @classmethod
    def measure(cls, texts: Sequence[str], ngram_bins: int) -> StyleBaseline:
        """Measure the baseline of a collection; this is how `style_constants` came to be."""
        counts = [count_style(text) for text in texts]
        seen = np.sum([count.seen for count in counts], axis=0)
        usual = np.sum([count.counted for count in counts], axis=0) / np.maximum(seen, 1.0)
        features = np.array([count.rates(usual) for count in counts])
        ngrams = np.array([hash_ngrams(text, ngram_bins) for text in texts])
        return cls(
            usual=usual,
            mean=features.mean(axis=0),
            spread=np.maximum(features.std(axis=0), LEAST_SPREAD),
            ngram_mean=ngrams.mean(axis=0),
            ngram_spread=ngrams.std(axis=0),
        )
