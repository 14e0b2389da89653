"""How sure a mean is: known cases, by hand, and what must not change with the machine."""

import math

import numpy as np
import pytest
from patlm.evaluation.scores.statistics import (
    RESAMPLES,
    holm_levels,
    interval,
    least_difference,
    mean_of,
    resampled,
)


def test_seeds_reproduce_and_differ() -> None:
    values = np.random.default_rng(2).normal(size=50)
    assert resampled(values).shape == (RESAMPLES,)
    assert np.array_equal(resampled(values, seed=3), resampled(values, seed=3))
    assert not np.array_equal(resampled(values, seed=3), resampled(values, seed=4))


def test_clusters_widen_the_interval_where_their_values_hang_together() -> None:
    rng = np.random.default_rng(3)
    clusters = [at // 10 for at in range(400)]
    together = np.repeat(rng.normal(size=40), 10) + rng.normal(0, 0.1, 400)
    alone, whole = interval(together), interval(together, clusters)
    # Ten values that say the same are one: the width grows by about √10.
    assert 2.5 < (whole[1] - whole[0]) / (alone[1] - alone[0]) < 4.0


def test_the_mean_is_that_of_all_values_and_not_of_clusters() -> None:
    found = mean_of([0.0, 0.0, 0.0, 4.0], ["a", "a", "a", "b"])
    assert found.mean == 1
    # Two clusters drawn twice: a a, a b (twice as often), b b have the means 0, 1 and 4.
    drawn = resampled([0.0, 0.0, 0.0, 4.0], ["a", "a", "a", "b"])
    assert {float(mean) for mean in drawn} == {0.0, 1.0, 4.0}
    assert np.mean(drawn == 1.0) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("values", "clusters"), [([0.5], None), ([0.5], ["a"]), ([0.25, 0.75], ["a", "a"])]
)
def test_of_one_draw_nothing_is_said(values: list[float], clusters: list[str] | None) -> None:
    found = mean_of(values, clusters)
    assert (found.n, found.mean, found.p) == (len(values), 0.5, 1.0)
    assert found.low == found.high == 0.5
    assert least_difference(values, clusters) == math.inf


def test_holm_levels_by_hand() -> None:
    # In the order of p: .01, .03, .04 with .05 / 3, .05 / 2, .05 / 1.
    assert holm_levels([0.04, 0.01, 0.03]) == pytest.approx([0.95, 1 - 0.05 / 3, 0.975])
    assert holm_levels([0.2, 0.2]) == pytest.approx([0.975, 0.95])
    assert holm_levels([0.5]) == pytest.approx([0.95])
    assert holm_levels([]) == []


def test_least_difference_by_hand() -> None:
    # Squared distances from 2.5 add up to 11, s = √(11/3), four values: (1.95996 + .84162) s / 2.
    assert least_difference([1.0, 1.0, 3.0, 5.0]) == pytest.approx(
        2.80158 * math.sqrt(11 / 3) / 2, rel=1e-5
    )
    # Clusters' means 1 and 4, s = 3 / √2, two of them: 2.80158 (3 / √2) / √2.
    assert least_difference([1.0, 1.0, 3.0, 5.0], ["a", "a", "b", "b"]) == pytest.approx(
        2.80158 * 1.5, rel=1e-5
    )
