"""Rows of unequal length kept in one flat array: row i is `flat[starts[i]:starts[i + 1]]`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.int64]


def starts_of(lengths: NDArray[np.integer]) -> Places:
    """Return where each row begins, and the end of the last, shape (rows + 1,)."""
    starts = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=starts[1:])
    return starts


def take(starts: Places, rows: Places) -> tuple[Places, Places]:
    """Return the places in `flat` that the rows cover, and the new `starts` of these rows."""
    lengths = starts[rows + 1] - starts[rows]
    begins = starts_of(lengths)
    places = np.arange(begins[-1]) + np.repeat(starts[rows] - begins[:-1], lengths)
    return places, begins
