"""What a style encoder is measured against: subject, character n-grams, stylometry, length.

Each makes unit rows of texts, so that a cosine compares two; where a rival has settings, the bench
takes the one that does best.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize

from ..models.style_features import count_style
from ..models.style_modules import LEAST_SPREAD
from ..stores.records import Vectors
from ..training.triplets import Rows

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
