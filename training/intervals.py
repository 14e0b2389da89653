"""How sure a mean is: bootstrap over the things that were drawn at random, not over their parts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

RESAMPLES = 2_000


def interval(values: NDArray[np.float64], *, seed: int = 0) -> tuple[float, float]:
    """Return the 95% interval of the mean of independent values (percentile bootstrap).

    For a paired comparison hand in the differences; for repeated measures of one person their
    mean.

    Args:
        values: One a person, shape (people,).
        seed: Of the resampling.
    """
    if len(values) < 2 or np.ptp(values) == 0:
        mean = float(np.mean(values))
        return mean, mean
    found = bootstrap(
        (values,), np.mean, n_resamples=RESAMPLES, method="percentile", rng=seed, batch=100
    ).confidence_interval
    return float(found.low), float(found.high)
