"""A share can be taken out of a sum without leaving a trace."""

import numpy as np
from patlm.stores.texts.arrow import exact_sum, on_grid


def unit_rows(count: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, 48))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_vectors_lie_on_the_grid_and_hardly_move() -> None:
    raw = unit_rows(500, 0)
    kept = on_grid(raw)
    assert kept.dtype == np.float32
    assert np.array_equal(kept.astype(np.float16), kept)
    assert np.array_equal(np.rint(kept * 2.0**24), kept.astype(np.float64) * 2.0**24)
    assert np.abs(kept - raw).max() <= 2**-12
    assert np.abs(kept @ kept.T - raw @ raw.T).max() <= 2**-11


def test_what_is_taken_out_leaves_no_trace() -> None:
    others, own = on_grid(unit_rows(500, 1)), on_grid(unit_rows(3, 2))
    together = exact_sum(np.concatenate([others, own]))
    assert np.array_equal(together - exact_sum(own), exact_sum(others))
    # The same off the grid leaves the requester's trace in the last bits: the test can fail.
    others, own = unit_rows(500, 1), unit_rows(3, 2)
    rough = np.concatenate([others, own]).sum(axis=0) - own.sum(axis=0)
    assert not np.array_equal(rough, others.sum(axis=0))
