"""The rivals of the style encoder: each sees what it is to see."""

import numpy as np
import pytest
from patlm.bench.encoder_rivals import Rival, char_tfidf, length, stylometry

LOUD = ["WOW!!! SO GOOD!!! BUY IT!!!", "YES!!! IT WORKS!!! WOW!!!"]
CALM = ["it works well, and i would buy it again, i think", "so far, so good, and it is quiet"]
TEXTS = [*LOUD, *CALM]


def cosines(rival: Rival, texts: list[str]) -> np.ndarray:
    rows = rival(texts)
    dense = rows if isinstance(rows, np.ndarray) else rows.toarray()
    np.testing.assert_allclose(np.linalg.norm(dense, axis=1), 1.0, atol=1e-5)
    return dense @ dense.T


@pytest.mark.parametrize(
    "rival",
    [
        lambda t: char_tfidf(t, longest=3),
        lambda t: char_tfidf(t, longest=3, components=2),
        stylometry,
    ],
)
def test_what_is_written_alike_is_near(rival: Rival) -> None:
    found = cosines(rival, TEXTS)
    assert found[0, 1] > max(found[0, 2], found[0, 3], found[1, 2], found[1, 3])


def test_length_is_near_where_length_is() -> None:
    found = cosines(length, ["w " * 10, "w " * 12, "w " * 100, "w " * 1])
    assert found[0, 1] > found[0, 2] > 0 and found[0, 1] > found[0, 3]
    assert cosines(length, [""])[0, 0] == 1.0
