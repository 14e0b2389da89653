"""Synthetic vectors that cluster like real ones, for more texts than a bench can embed.

The vector of a text is that of its author, of its topic and of neither: x = μ + a + b + r, each
part normal with a covariance measured on real vectors, then scaled to unit length (a two-way random
effects model). Of r, a share s is not the text's alone: half of that goes with one of the author's
other texts, half with one on the topic, as where people repeat themselves and each other; s is what
brings the nearest texts as near as they really are. `compare` shows which properties of real
vectors are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...stores.types import Vectors
from .corpus import Codes

Matrix = NDArray[np.float64]

TEXTS_OF_ONE = 40
"""Texts of one author, and on one topic, that covariances are measured on: the large topic would
else be most of all pairs."""

COMPARED = 2_000
REPEATED = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9)

PARTS = 20_000
"""Different parts that texts may have in common. Where strangers come by the same one they are a
little nearer, less than texts on one topic are anyway."""

MIXTURES = 21
NEGATIVE = 0.02
"""Share of a covariance's trace that may be in negative eigenvalues, which are cut off."""

PAIRS = 200_000
QUANTILES = (5, 50, 95)


@dataclass(frozen=True)
class VectorModel:
    """Covariances of real vectors.

    Attributes:
        mean: μ, shape (dimension,).
        author: A root of the authors' covariance: normal rows times it are authors' parts a;
            shape (dimension, dimension).
        topic: The same of the topics' parts b.
        rest: The same of what is left, r.
        repeated: Share s of r that a text shares with others.
    """

    mean: Vectors
    author: Vectors
    topic: Vectors
    rest: Vectors
    repeated: float = 0.0

    @staticmethod
    def fit(vectors: Vectors, author: Codes, topic: Codes) -> VectorModel:
        """Measure real vectors.

        A product of two texts of one author on different topics has the authors' covariance as its
        mean, one of two texts on one topic by different authors that of the topics.

        Args:
            vectors: Unit rows, shape (n, dimension).
            author: Who wrote each, shape (n,).
            topic: What each is about, shape (n,).
        """
        mean = vectors.mean(axis=0, dtype=np.float64)
        centred = vectors - mean
        total = centred.T @ centred / len(centred)
        of_author = _root(_shrunk(_shared_covariance(centred, author, topic), total))
        of_topic = _root(_shrunk(_shared_covariance(centred, topic, author), total))
        # Less what the two will give, so that the three together have the real spectrum.
        rest = _root(total - of_author.T @ of_author - of_topic.T @ of_topic)
        roots = [root.astype(np.float32) for root in (of_author, of_topic, rest)]
        models = [
            VectorModel(
                mean.astype(np.float32),
                _less(roots[0], author, share / 2 * float((roots[2] ** 2).sum())),
                _less(roots[1], topic, share / 2 * float((roots[2] ** 2).sum())),
                roots[2],
                share,
            )
            for share in REPEATED
        ]
        wanted = _nearest_cosines(vectors)["p50"]

        def miss(model: VectorModel) -> float:
            drawn = next(model.draw(author, topic, rows=len(vectors), seed=0))
            return abs(_nearest_cosines(drawn)["p50"] - wanted)

        return min(models, key=miss)

    def draw(self, author: Codes, topic: Codes, *, rows: int, seed: int) -> Iterator[Vectors]:
        """Yield vectors of texts in their order, `rows` unit rows at once.

        Args:
            author: Who wrote each, numbered from 0, shape (n,).
            topic: What each is about, numbered from 0, shape (n,).
            rows: Of a batch.
            seed: Random seed.
        """
        rng = np.random.default_rng(seed)
        authors = self._normal(rng, int(author.max()) + 1, self.author)
        topics = self._normal(rng, int(topic.max()) + 1, self.topic)
        parts = self._normal(rng, PARTS, self.rest)
        repeats = [_repeats(rng, author), _repeats(rng, topic)]
        common, own = np.sqrt([self.repeated / 2, 1 - self.repeated]).astype(np.float32)
        for begin in range(0, len(author), rows):
            at = slice(begin, begin + rows)
            drawn = authors[author[at]] + topics[topic[at]] + self.mean
            drawn += own * self._normal(rng, len(drawn), self.rest)
            for repeat in repeats:
                drawn += common * parts[repeat[at]]
            drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
            yield drawn

    def _normal(self, rng: np.random.Generator, rows: int, root: Vectors) -> Vectors:
        return rng.standard_normal((rows, len(self.mean)), np.float32) @ root


def compare(real: Vectors, synthetic: Vectors, author: Codes, topic: Codes) -> dict[str, object]:
    """Return statistics of both kinds of vectors of the same texts.

    Cosines (mean and standard deviation) of pairs of texts by one author on different topics, on
    one topic by different authors, and of neither; quantiles of the cosine to the nearest other
    text; effective dimension (Σλ)² / Σλ² of the covariance (participation ratio).
    """
    return {
        name: {
            "pairs": _pair_cosines(vectors, author, topic),
            "nearest": _nearest_cosines(vectors),
            "effective_dimension": round(effective_dimension(vectors), 1),
        }
        for name, vectors in (("real", real), ("synthetic", synthetic))
    }


def effective_dimension(vectors: Vectors) -> float:
    """Return (Σλ)² / Σλ² over the eigenvalues λ of the rows' covariance."""
    covariance = np.cov(vectors, rowvar=False)
    return float(np.trace(covariance) ** 2 / (covariance**2).sum())


def _shared_covariance(centred: Matrix, shared: Codes, other: Codes) -> Matrix:
    """Return the mean product of two texts that share the one and not the other.

    Over ordered pairs i, j of a group, Σ xᵢxⱼᵀ = ssᵀ with s the group's sum; what shares the other
    too is taken off in the same way.
    """
    dimension = centred.shape[1]
    products, pairs = np.zeros((dimension, dimension)), 0.0
    for rows in _groups(shared):
        rows = rows[:TEXTS_OF_ONE]
        # A group's cells, by what its texts do not share: ssᵀ less that of each cell.
        cells = np.unique(other[rows], return_inverse=True)[1]
        sums = np.zeros((int(cells.max()) + 1, dimension))
        np.add.at(sums, cells, centred[rows])
        counts = np.bincount(cells)
        whole = sums.sum(axis=0)
        products += np.outer(whole, whole) - sums.T @ sums
        pairs += len(rows) ** 2 - float((counts**2).sum())
    return products / max(pairs, 1.0)


def _less(root: Vectors, codes: Codes, common: float) -> Vectors:
    """Return a centre's root less what common parts already bring to two texts of one code.

    Args:
        root: Of the centres' covariance.
        codes: The author, or the topic, of each text.
        common: The covariance's trace that two texts with one part have in common.
    """
    texts = np.bincount(codes)
    weights = np.where(texts > 1, np.minimum(texts, TEXTS_OF_ONE), 0)
    met = float((weights / np.maximum(texts, 1)).sum() / max(weights.sum(), 1))
    left = 1 - common * met / max(float((root**2).sum()), 1e-12)
    return root * np.float32(np.sqrt(max(left, 0.0)))


def _repeats(rng: np.random.Generator, codes: Codes) -> NDArray[np.int64]:
    """Return a part for each text, one of as many as its author wrote, or its topic has, texts."""
    parts = np.bincount(codes)
    drawn = (rng.random(len(codes)) * parts[codes]).astype(np.int64)
    # Numbered over all codes, then thrown into the parts that there are.
    numbered = np.concatenate([[0], np.cumsum(parts)[:-1]])[codes] + drawn
    return rng.permutation(int(parts.sum()))[numbered] % PARTS


def _shrunk(estimate: Matrix, total: Matrix) -> Matrix:
    """Return an estimate mixed with the total, no more than makes nearly all of it positive.

    An estimate from some hundred authors or topics has large negative eigenvalues by noise alone;
    cutting them off would put the whole trace on few directions. The mixture keeps the trace, which
    is the mean cosine within a group less that between groups.
    """
    trace = max(float(np.trace(estimate)), 0.0)
    shaped = total * (trace / float(np.trace(total)))
    for share in np.linspace(0.0, 1.0, MIXTURES):
        mixed: Matrix = (1 - share) * estimate + share * shaped
        values = np.linalg.eigvalsh(mixed)
        if -values[values < 0].sum() <= NEGATIVE * trace:
            break
    return mixed


def _groups(codes: Codes) -> Iterable[NDArray[np.int64]]:
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order])) + 1
    return np.split(order, starts)


def _root(covariance: Matrix) -> Matrix:
    """Return R with RᵀR the nearest covariance: no negative eigenvalue, the same trace."""
    values, axes = np.linalg.eigh((covariance + covariance.T) / 2)
    kept = np.clip(values, 0.0, None)
    scale = max(float(values.sum()), 0.0) / max(float(kept.sum()), 1e-12)
    root: Matrix = (axes * np.sqrt(kept * scale)).T
    return root


def _pair_cosines(vectors: Vectors, author: Codes, topic: Codes) -> Mapping[str, list[float]]:
    rng = np.random.default_rng(0)
    found = {}
    same_author, same_topic = _drawn_pairs(author, rng), _drawn_pairs(topic, rng)
    neither = rng.integers(len(vectors), size=(2, PAIRS))
    for name, (left, right), apart in (
        ("author", same_author, (topic,)),
        ("topic", same_topic, (author,)),
        ("neither", neither, (author, topic)),
    ):
        kept = np.all([codes[left] != codes[right] for codes in apart], axis=0)
        cosines = np.einsum("nd,nd->n", vectors[left[kept]], vectors[right[kept]])
        found[name] = [round(float(cosines.mean()), 3), round(float(cosines.std()), 3)]
    return found


def _drawn_pairs(codes: Codes, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return pairs of texts with one code, up to `TEXTS_OF_ONE` for each code; shape (2, pairs)."""
    left, right = [], []
    for rows in _groups(codes):
        if len(rows) < 2:
            continue
        drawn = min(TEXTS_OF_ONE, len(rows))
        first = rng.choice(len(rows), drawn, replace=False)
        # A step of 1 to n - 1 on: never the text itself.
        second = (first + rng.integers(1, len(rows), size=drawn)) % len(rows)
        left.append(rows[first])
        right.append(rows[second])
    return np.array([np.concatenate(left), np.concatenate(right)])


def _nearest_cosines(vectors: Vectors) -> Mapping[str, float]:
    """Return quantiles of each text's cosine to the nearest other, among the first `COMPARED`."""
    some = vectors[:COMPARED]
    cosines = some @ some.T
    np.fill_diagonal(cosines, -1.0)
    cuts = np.percentile(cosines.max(axis=1), QUANTILES)
    return {f"p{at}": round(float(cut), 3) for at, cut in zip(QUANTILES, cuts, strict=True)}
