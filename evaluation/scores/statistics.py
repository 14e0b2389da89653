"""Intervals of means: a cluster bootstrap, Holm's correction, the minimum detectable difference.

Percentile bootstrap (Efron 1979) by scipy. Values of one user, or of one topic, depend on each
other: such clusters are resampled as a whole, and the mean is taken over all their values.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import bootstrap, norm

RESAMPLES = 2_000
LEVEL = 0.95
POWER = 0.8
"""Power of the minimum detectable difference."""

Values = NDArray[np.float64]
Clusters = Sequence[Hashable] | None


@dataclass(frozen=True)
class MeanEstimate:
    """A mean and its 95% interval.

    Attributes:
        n: Number of values.
        mean: Their mean.
        low: Lower end of the interval.
        high: Upper end.
        p: Two-sided p-value: twice the share of resampled means on the other side of zero; at least
            1 / `RESAMPLES`; 1 for a single cluster, whose interval has no width.
    """

    n: int
    mean: float
    low: float
    high: float
    p: float

    @property
    def ci95(self) -> list[float]:
        """Low and high, for JSON."""
        return [self.low, self.high]


def resampled(values: ArrayLike, clusters: Clusters = None, *, seed: int = 0) -> Values:
    """Return the means of bootstrap resamples, shape (RESAMPLES,).

    Args:
        values: Values, or the differences of a paired comparison; shape (n,).
        clusters: Cluster of each value, resampled as a whole; None: each value is its own cluster.
        seed: Random seed.
    """
    given = np.asarray(values, np.float64)
    sums, counts = _summed(given, clusters)
    if len(sums) < 2 or np.ptp(sums / counts) == 0:
        return np.full(RESAMPLES, float(given.mean()))
    found = bootstrap(
        (sums, counts),
        _ratio,
        paired=True,
        vectorized=True,
        n_resamples=RESAMPLES,
        method="percentile",
        rng=seed,
        batch=100,
    )
    drawn: Values = found.bootstrap_distribution
    return drawn


def mean_of(values: ArrayLike, clusters: Clusters = None, *, seed: int = 0) -> MeanEstimate:
    """Return a mean with its interval and p-value; arguments as in `resampled`."""
    given = np.asarray(values, np.float64)
    drawn = resampled(given, clusters, seed=seed)
    low, high = ends(drawn, LEVEL)
    below = float(np.mean(drawn <= 0))
    above = float(np.mean(drawn >= 0))
    p = min(1.0, max(2 * min(below, above), 1 / RESAMPLES))
    if len(given) < 2 or (clusters is not None and len(set(clusters)) < 2):
        p = 1.0
    return MeanEstimate(len(given), float(given.mean()), low, high, p)


def interval(values: ArrayLike, clusters: Clusters = None, *, seed: int = 0) -> tuple[float, float]:
    """Return the 95% interval of the mean; arguments as in `resampled`."""
    return ends(resampled(values, clusters, seed=seed), LEVEL)


def ci95(values: ArrayLike, clusters: Clusters = None, *, seed: int = 0) -> list[float]:
    """Return `interval` as a list rounded to four digits, for JSON."""
    return [round(end, 4) for end in interval(values, clusters, seed=seed)]


def ends(drawn: Values, level: float) -> tuple[float, float]:
    """Return the ends of the central `level` of resampled means."""
    tail = (1 - level) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return float(low), float(high)


def holm_levels(p_values: Sequence[float]) -> list[float]:
    """Return the level of each comparison's interval for a familywise error of 5% (Holm 1979).

    The k-th smallest p of m, from k = 0, has the level 1 - .05 / (m - k): these intervals
    correspond to Holm's step-down test.
    """
    order = sorted(range(len(p_values)), key=lambda at: p_values[at])
    levels = [0.0] * len(p_values)
    for rank, at in enumerate(order):
        levels[at] = 1 - (1 - LEVEL) / (len(p_values) - rank)
    return levels


def least_difference(values: ArrayLike, clusters: Clusters = None) -> float:
    """Return the smallest mean that is significant in 80% of samples of n values like these.

    d = (z(.975) + z(.8)) s / √n, s the standard deviation of the clusters' means and n their
    number; infinite for fewer than two clusters.
    """
    sums, counts = _summed(np.asarray(values, np.float64), clusters)
    if len(sums) < 2:
        return math.inf
    spread = float(np.std(sums / counts, ddof=1))
    z = norm.ppf(1 - (1 - LEVEL) / 2) + norm.ppf(POWER)
    return float(z * spread / math.sqrt(len(sums)))


def _summed(values: Values, clusters: Clusters) -> tuple[Values, Values]:
    if not len(values):
        raise ValueError("no mean of no values: leave the comparison out")
    if clusters is None:
        return values, np.ones_like(values)
    numbers: dict[Hashable, int] = {}
    at = np.array([numbers.setdefault(cluster, len(numbers)) for cluster in clusters])
    sums = np.zeros(len(numbers))
    np.add.at(sums, at, values)
    return sums, np.bincount(at).astype(np.float64)


def _ratio(sums: Values, counts: Values, axis: int = -1) -> Any:
    return sums.sum(axis=axis) / counts.sum(axis=axis)
