"""Remembered vectors: the same whatever stands beside them, only the latest, by many threads."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from patlm.models.encoders.remembered import RememberedEncoder
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


def test_only_the_latest_texts_are_remembered() -> None:
    encoder = Sociable()
    found = RememberedEncoder(encoder, 2)
    found.encode(["a", "bb"])
    found.encode(["a", "ccc"])  # bb is now the one that was asked for longest ago
    assert [found.is_quick([text]) for text in ("a", "bb", "ccc")] == [True, False, True]
    assert not found.is_quick(["a", "bb"])
    assert found.encode(["a", "bb", "ccc", "dddd"]).tolist() == [[n, 1] for n in (1, 2, 3, 4)]
    assert encoder.asked == ["a", "bb", "ccc", "bb", "ccc", "dddd"]


def test_threads_share_what_is_remembered() -> None:
    encoder = Sociable()
    found = RememberedEncoder(encoder, 20)
    texts = ["x" * n for n in range(1, 41)]
    with ThreadPoolExecutor(8) as threads:
        rows = list(threads.map(found.encode, [texts] * 40))
    assert all((row[:, 0] == range(1, 41)).all() for row in rows)
    alone = RememberedEncoder(once := Sociable())
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(alone.encode, [["one"]] * 40))
    assert once.asked == ["one"]


def test_half_a_pair_of_surrogates_is_a_text() -> None:
    assert RememberedEncoder(Sociable()).encode(["\ud83d"]).tolist() == [[1, 1]]
