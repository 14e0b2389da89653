"""BM25, ranks and their fusion, by hand."""

import math

import numpy as np
import pytest
from patlm.stores.search.scores import author_bests, bm25, fuse, ranks
from patlm.stores.search.words import bare, terms_of


def corpus(*texts: str) -> tuple[np.ndarray, np.ndarray]:
    terms = [terms_of(text) for text in texts]
    return np.concatenate(terms), np.cumsum([0, *map(len, terms)])


def test_bm25_by_hand() -> None:
    # N = 2, both 2 words long, so |d|/avgdl = 1. "tea": n = 1, idf = ln(1 + 1.5/1.5) = ln 2;
    # f = 2 in the first: 2·2.5 / (2 + 1.5) = 10/7. "hot" is nowhere.
    scores = bm25(terms_of("Tea, hot"), *corpus("tea tea", "cold milk"))
    assert scores == pytest.approx([math.log(2) * 10 / 7, 0.0])


def test_bm25_of_very_many_words_is_the_same() -> None:
    draw = np.random.default_rng(7)
    texts = [" ".join(f"w{n}" for n in draw.integers(0, 60, 30)) for _ in range(40)]
    query, documents = terms_of(" ".join(texts[:9])), corpus(*texts, "", "nothing of it")
    table = bm25(query, *documents)
    np.testing.assert_allclose(bm25(query, *documents, most_cells=0), table)


def test_bm25_favours_the_shorter_of_two() -> None:
    # avgdl = 3; idf = ln(1 + 0.5/2.5) = ln 1.2; lengths 2 and 4: norm = 1.5·(.25 + .75·2/3) =
    # 1.125 and 1.5·(.25 + 1) = 1.875: 2.5/2.125 and 2.5/2.875.
    scores = bm25(terms_of("tea"), *corpus("tea pot", "tea in a pot"))
    assert scores == pytest.approx([math.log(1.2) * 2.5 / 2.125, math.log(1.2) * 2.5 / 2.875])


def test_equal_scores_share_a_rank() -> None:
    each = np.arange(4)
    assert ranks(np.array([0.5, 0.9, 0.5, 0.1]), each).tolist() == [2, 1, 2, 4]


def test_others_count_once_in_a_rank_and_own_texts_all() -> None:
    # Author 0 has .9, .8, .7 and .1; author 1 .6; author 2 .7 and .05.
    scores = np.array([0.9, 0.8, 0.7, 0.1, 0.6, 0.7, 0.05])
    authors = np.array([0, 0, 0, 0, 1, 2, 2])
    found = ranks(scores, authors)
    assert found.tolist() == [1, 2, 3, 6, 3, 2, 4]
    some = [1, 4, 6]  # of a larger ranking: own better texts that are not among them do not count
    assert ranks(scores[some], authors[some], author_bests(scores, authors)).tolist() == [2, 3, 4]
    assert ranks(scores[:0], authors[:0]).tolist() == []


def test_fusion_is_one_for_the_first_in_both() -> None:
    # Second place: (61/61 + 61/62) / 2; the second ranking weighs three times, then alone.
    first, second = np.array([1, 1]), np.array([1, 2])
    assert fuse([first, second], [1, 1]) == pytest.approx([1.0, (1 + 61 / 62) / 2])
    assert fuse([first, second], [1, 3]) == pytest.approx([1.0, (1 + 3 * 61 / 62) / 4])
    assert fuse([first, second], [0, 1]) == pytest.approx([1.0, 61 / 62])


def test_terms_know_no_case_and_no_accents() -> None:
    assert np.array_equal(terms_of("Não É bom!"), terms_of("nao e BOM"))
    assert len(terms_of("  ...  ")) == 0


def test_bare_bodies_are_the_same_text() -> None:
    assert bare("  Good\n tea ") == bare("good tea")
    assert bare("good tea!") != bare("good tea")
