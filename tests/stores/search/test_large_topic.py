"""Candidates of a large topic against the ranking of the whole."""

import numpy as np
import pyarrow as pa
import pytest
from patlm.stores.errors import InvalidQuery
from patlm.stores.search import large_topics
from patlm.stores.search.large_topics import Candidates, LargeTopic, first_places
from patlm.stores.search.scores import bm25, fuse, ranks
from patlm.stores.search.words import terms_of
from patlm.stores.texts.arrow import starts_of, vector_column
from raising import raises

NOBODY = "nobody"
NO_WORDS = terms_of("")


def topic(texts: int, dimension: int = 160, seed: int = 0, centres: int = 40) -> pa.Table:
    """Return texts of Zipf words by a few users, their vectors around some centres."""
    random = np.random.default_rng(seed)
    lengths = random.integers(1, 60, texts)
    words = np.minimum(random.zipf(1.3, lengths.sum()), 2_000).astype(np.uint32)
    starts = starts_of(lengths)
    # Later components matter less, as in an encoder's principal axes.
    spread = 1 / np.sqrt(1 + np.arange(dimension))
    middles = random.standard_normal((centres, dimension)) * spread
    noise = random.standard_normal((texts, dimension)) * spread
    vectors = middles[random.integers(centres, size=texts)] + 0.7 * noise
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = [f"{seed}-{number:08d}" for number in random.permutation(texts)]
    users = [f"user {at}" for at in random.integers(texts // 4 + 1, size=texts)]
    terms = pa.ListArray.from_arrays(pa.array(starts, pa.int32()), pa.array(words))
    columns = [pa.array(ids), pa.array(users), terms, vector_column(vectors.astype(np.float32))]
    return pa.table(columns, names=["text_id", "user_id", "terms", "topic"])


def vectors_of(rows: pa.Table) -> np.ndarray:
    return np.stack(rows.column("topic").to_numpy())


def query_of(rows: pa.Table, seed: int, words: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Return a vector near two texts, and words of theirs."""
    random = np.random.default_rng(seed)
    one, other = random.integers(rows.num_rows, size=2)
    vectors = vectors_of(rows)
    query = 0.8 * vectors[one] + 0.2 * vectors[other]
    terms = np.concatenate([rows.column("terms")[int(at)].values for at in (one, other)])
    chosen = random.choice(terms, min(words, len(terms)), replace=False).astype(np.uint32)
    return (query / np.linalg.norm(query)).astype(np.float32), chosen


class Exact:
    """The whole ranking, of the texts that the requester may see."""

    def __init__(self, rows: pa.Table, query: np.ndarray, words: np.ndarray, without: str) -> None:
        rows = rows.filter(pa.compute.not_equal(rows.column("user_id"), without))
        terms = rows.column("terms").combine_chunks()
        starts = starts_of(pa.compute.list_value_length(terms).to_numpy())
        self.ids = rows.column("text_id").to_pylist()
        _, authors = np.unique(rows.column("user_id").to_pylist(), return_inverse=True)
        scores = bm25(words, terms.flatten().to_numpy(), starts)
        self.words, self.depth = ranks(scores, authors), ranks(scores, np.arange(len(scores)))
        self.vectors = ranks(vectors_of(rows) @ query, authors)
        self.fused = fuse([self.words, self.vectors], [1, 1])
        self.at = {name: place for place, name in enumerate(self.ids)}

    def places(self, found: Candidates) -> list[int]:
        return [self.at[name] for name in found.text_ids]

    def recall(self, found: Candidates, k: int) -> float:
        last = np.sort(self.fused)[-k]
        return float(np.mean(self.fused[self.places(found)[:k]] >= last))


def assert_same(one: Candidates, other: Candidates) -> None:
    assert one.text_ids == other.text_ids
    assert one.word_ranks.tolist() == other.word_ranks.tolist()
    assert one.vector_ranks.tolist() == other.vector_ranks.tolist()


@pytest.mark.parametrize("words", [1, 6, 60])
@pytest.mark.parametrize("seed", range(4))
def test_the_ranking_is_that_of_the_whole(seed: int, words: int) -> None:
    rows = topic(400, seed=seed)
    query, terms = query_of(rows, seed, words)
    user = rows.column("user_id")[0].as_py()
    exact = Exact(rows, query, terms, user)
    found = LargeTopic.build(rows).candidates(query, terms, without_user=user, limit=400)
    places = exact.places(found)
    assert sorted(places) == list(range(len(exact.ids)))
    assert found.word_ranks.tolist() == exact.words[places].tolist()
    # Bytes for floats: neighbours whose cosines differ by less than 10⁻³ may change places.
    assert np.abs(found.vector_ranks - exact.vectors[places]).max() <= 4
    assert exact.recall(found, 10) == 1
    fused = fuse([found.word_ranks, found.vector_ranks], [1, 1])
    assert (np.diff(fused) <= 0).all()


def test_the_best_are_those_of_the_whole() -> None:
    rows = topic(300, dimension=32)
    query, terms = query_of(rows, 1)
    exact = Exact(rows, query, terms, NOBODY)
    found = LargeTopic.build(rows).candidates(query, terms, without_user=NOBODY, limit=30)
    order = np.lexsort((exact.ids, -exact.fused))[:30]
    assert found.text_ids == tuple(exact.ids[at] for at in order)
    assert found.vector_ranks.tolist() == exact.vectors[order].tolist()


@pytest.mark.parametrize("words", [1, 6, 60])
def test_nothing_of_the_requesters_texts_shows(words: int) -> None:
    rows = topic(600, dimension=32)
    # A user with a third of the texts: shares in dense and in rare terms.
    users = pa.array(["me" if at % 3 == 0 else "other" for at in range(600)])
    rows = rows.set_column(1, "user_id", users)
    others = rows.filter(pa.compute.not_equal(users, "me"))
    query, terms = query_of(rows, 3, words)
    found = LargeTopic.build(rows).candidates(query, terms, without_user="me", limit=600)
    assert len(found) == 400
    assert_same(
        found, LargeTopic.build(others).candidates(query, terms, without_user="me", limit=600)
    )


@pytest.mark.parametrize("parts", [(400, 20), (400, *[1] * 24), (397, 2, 1)])
def test_added_texts_are_as_if_they_had_always_been_there(parts: tuple[int, ...]) -> None:
    rows = topic(sum(parts), dimension=32)
    ends = np.cumsum(parts)
    grown = LargeTopic.build(rows.slice(0, parts[0]))
    for begin, part in zip(ends, parts[1:], strict=False):
        added = grown.with_new(rows.slice(begin, part))
        assert added is not None
        grown = added
    assert len(grown) == sum(parts)
    assert len(grown.parts) == 2
    whole = LargeTopic.build(rows)
    for seed in range(5):
        query, terms = query_of(rows, seed)
        user = rows.column("user_id")[-1 - seed].as_py()
        assert_same(
            grown.candidates(query, terms, without_user=user, limit=50),
            whole.candidates(query, terms, without_user=user, limit=50),
        )


def test_a_topic_that_has_grown_by_much_is_built_again() -> None:
    rows = topic(100, dimension=32)
    assert LargeTopic.build(rows.slice(0, 50)).with_new(rows.slice(50)) is None
    assert LargeTopic.build(rows.slice(0, 0)).with_new(rows) is None


def test_a_topic_stays_what_it_was_when_texts_are_added() -> None:
    rows = topic(82, dimension=32)
    query, terms = query_of(rows, 0)
    before = LargeTopic.build(rows.slice(0, 80))
    first = before.candidates(query, terms, without_user=NOBODY, limit=82)
    after = before.with_new(rows.slice(80))
    assert after is not None
    assert (len(before), len(after)) == (80, 82)
    assert_same(first, before.candidates(query, terms, without_user=NOBODY, limit=82))


def test_recall_where_most_cosines_are_only_estimated() -> None:
    rows = topic(20_000, dimension=256)
    built = LargeTopic.build(rows.slice(0, 19_000)).with_new(rows.slice(19_000))
    assert built is not None
    assert 2 * large_topics.DEPTH < len(built)
    recalls = []
    for seed in range(15):
        query, terms = query_of(rows, seed, 4 + seed)
        user = rows.column("user_id")[seed].as_py()
        exact = Exact(rows, query, terms, user)
        found = built.candidates(query, terms, without_user=user, limit=100)
        places = exact.places(found)
        first = exact.depth[places] <= large_topics.DEPTH
        assert found.word_ranks[first].tolist() == exact.words[places][first].tolist()
        assert (found.word_ranks[~first] >= 2_000).all()
        recalls.append((exact.recall(found, 10), exact.recall(found, 100)))
    assert np.mean(recalls, axis=0).min() >= 0.95


def test_without_words_vectors_decide() -> None:
    rows = topic(300, dimension=32)
    built = LargeTopic.build(rows)
    query, _ = query_of(rows, 2)
    exact = Exact(rows, query, NO_WORDS, NOBODY)
    nearest = [exact.ids[at] for at in np.argsort(-vectors_of(rows) @ query)[:20]]
    for words in (NO_WORDS, np.array([4_000_000_000], np.uint32)):
        found = built.candidates(query, words, without_user=NOBODY, limit=20)
        assert list(found.text_ids) == nearest
        assert found.word_ranks.tolist() == [1] * 20


def test_of_texts_that_tie_for_the_last_word_rank_the_nearest_come() -> None:
    # 500 texts "tea" and 500 without: all of the first tie at rank 1, so cosines decide.
    rows = topic(1_000, dimension=32)
    tea, milk = (terms_of(word) for word in ("tea", "milk"))
    terms = pa.array([tea if at % 2 else milk for at in range(1_000)], pa.list_(pa.uint32()))
    rows = rows.set_column(2, "terms", terms)
    query, _ = query_of(rows, 5)
    exact = Exact(rows, query, tea, NOBODY)
    found = LargeTopic.build(rows).candidates(query, tea, without_user=NOBODY, limit=10)
    order = np.lexsort((exact.ids, -exact.fused))[:10]
    assert found.text_ids == tuple(exact.ids[at] for at in order)


def test_nobody_elses_texts_give_nothing() -> None:
    rows = topic(20, dimension=32)
    rows = rows.set_column(1, "user_id", pa.array(["me"] * 20))
    query, terms = query_of(rows, 0)
    built = LargeTopic.build(rows)
    assert len(built.candidates(query, terms, without_user="me", limit=5)) == 0
    empty = LargeTopic.build(rows.slice(0, 0))
    assert len(empty) == 0
    assert len(empty.candidates(query, terms, without_user=NOBODY, limit=5)) == 0


def test_a_query_of_another_encoder_is_refused() -> None:
    built = LargeTopic.build(topic(20, dimension=32))
    with raises(InvalidQuery, "invalid_query", 32, 31):
        built.candidates(np.zeros(31, np.float32), NO_WORDS, without_user=NOBODY, limit=5)
    with raises(InvalidQuery, "invalid_query", "limit"):
        built.candidates(np.zeros(32, np.float32), NO_WORDS, without_user=NOBODY, limit=0)


@pytest.mark.parametrize("least", [0.0, 0.5, 0.999])
@pytest.mark.parametrize("count", [0, 1, 700, 6_000, 49_999, 60_000])
def test_first_places_are_those_of_a_full_sort(least: float, count: int) -> None:
    # At 0.999 nearly all scores are the same.
    scores = np.maximum(np.random.default_rng(1).random(50_000), least).astype(np.float32)
    scores[7] = -np.inf
    expected = np.sort(np.argsort(-scores, kind="stable")[:count])
    assert first_places(scores, count).tolist() == expected.tolist()
