"""Vectors that a killed run and an unbroken one have in common."""

from collections.abc import Sequence

import numpy as np
from patlm.evaluation.cache import RememberedEncoder
from patlm.stores.types import Vectors


class Sociable:
    """An encoder whose vectors depend on how many texts it is given at once, as real ones' do."""

    version, dimension = "sociable@1", 2

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str]) -> Vectors:
        self.asked.extend(texts)
        return np.array([[len(text), len(texts)] for text in texts], np.float32)


def test_a_vector_does_not_depend_on_what_is_embedded_beside_it() -> None:
    unbroken, resumed = RememberedEncoder(Sociable()), RememberedEncoder(Sociable())
    unbroken.encode(["real", "first"])
    np.testing.assert_array_equal(
        unbroken.encode(["real", "second"]), resumed.encode(["real", "second"])
    )


def test_no_text_is_embedded_twice() -> None:
    encoder = Sociable()
    found = RememberedEncoder(encoder)
    assert found.encode(["a", "bb", "a"]).tolist() == [[1, 1], [2, 1], [1, 1]]
    found.encode(["bb", "ccc"])
    assert encoder.asked == ["a", "bb", "ccc"]
    assert found.encode([]).shape == (0, 2)
