import numpy as np
import pytest
from patlm.stores.search.large_topics import CoarseVectors
from patlm.stores.search.selection import SORTED_AT_FIRST, best_first
from patlm.stores.texts.users import Users
from patlm.stores.types import StoreLimits


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def users_of(style: np.ndarray) -> Users:
    """Return users of whom only the style is known."""
    none = np.zeros(0, np.int64)
    ids = tuple(map(str, range(len(style))))
    return Users(ids, {}, none, style, none, none, none.astype(float), none, (), {})


def test_the_nearest_of_many_users_are_the_exact_ones() -> None:
    limits = StoreLimits(exact_users=1_000, nearest_users=600)
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((300, 256))
    style = unit(centres[rng.integers(300, size=20_000)] + rng.standard_normal((20_000, 256)))
    many = users_of(style)
    found = 0
    for query in unit(style[:50] + 0.05 * rng.standard_normal((50, 256))):
        exact = style @ query
        cosines = many.cosines(query, limits, exact=False)
        nearest = np.argsort(-cosines)[:10]
        np.testing.assert_allclose(cosines[nearest], exact[nearest], atol=1e-6)
        found += len(set(nearest) & set(np.argsort(-exact)[:10]))
        np.testing.assert_allclose(many.cosines(query, limits, exact=True), exact, atol=1e-6)
    assert found >= 0.98 * 500


def test_vectors_of_few_components_are_all_exact() -> None:
    vectors = unit(np.random.default_rng(1).standard_normal((3_000, 8)))
    coarse = CoarseVectors.of(vectors)
    np.testing.assert_allclose(coarse.cosines(vectors[3]), vectors @ vectors[3], atol=1e-6)


@pytest.mark.parametrize("values", [3, 1_000_000])
def test_rows_come_best_first_and_equal_ones_in_their_order(values: int) -> None:
    rng = np.random.default_rng(2)
    rows = np.sort(rng.choice(50_000, 4 * SORTED_AT_FIRST, replace=False))
    scores = rng.integers(values, size=len(rows)).astype(np.float32)
    whole = rows[np.argsort(-scores, kind="stable")]
    assert list(best_first(rows, scores)) == whole.tolist()
