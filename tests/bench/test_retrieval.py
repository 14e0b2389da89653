"""The bench of retrieval at toy size: the texts, the vectors, what counts as found, the keys."""

import json
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_people import people
from patlm.bench.retrieval import run as bench
from patlm.bench.retrieval.corpus import (
    LARGE_TOPIC,
    Corpus,
    SentencePool,
    body_hash,
    make_source,
    read_source,
)
from patlm.bench.retrieval.queries import recall_at
from patlm.bench.retrieval.vector_model import VectorModel, compare
from patlm.cli.main import app
from patlm.stores import FormatError, Found, Hit, Text
from raising import raises
from store_fixtures import style_encoder, topic_encoder
from typer.testing import CliRunner

TEXTS = 600


@pytest.fixture(scope="module")
def source() -> SentencePool:
    """Return sentences of made-up people: three to a text."""
    texts = people(texts=8)
    some = np.random.default_rng(0)
    return make_source(
        [
            Text(
                user_id=each.user_id,
                topic_id=each.topic_id,
                title=f"About {each.topic_id}",
                body=f"{each.body} {each.body[::-1]}. I said {some.integers(10**6)} of it twice.",
                rating=4.0,
            )
            for each in texts
        ]
    )


def test_no_two_texts_are_equal_and_one_topic_holds_a_quarter(source: SentencePool) -> None:
    texts = list(Corpus(source, TEXTS))
    assert len(texts) == TEXTS == len({body_hash(each.body) for each in texts})
    assert len({each.user_id for each in texts}) == TEXTS // 10
    topics = Counter(each.topic_id for each in texts)
    assert len(topics) == TEXTS // 20
    assert topics[LARGE_TOPIC] == TEXTS // 4
    assert topics.most_common(2)[1][1] < TEXTS // 8
    users = Counter(each.user_id for each in texts)
    # Skewed: far from the ten each that an even deal would give.
    assert max(users.values()) > 20 and min(users.values()) < 5


def test_a_corpus_is_the_same_again_and_another_with_another_seed(source: SentencePool) -> None:
    first, again, other = (list(Corpus(source, TEXTS, seed=seed)) for seed in (0, 0, 1))
    assert first == again
    assert not {each.body for each in first} & {each.body for each in other[:50]}


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with raises(FormatError, "no_data_folder", "PATLM_DATA"):
        read_source(None)
    with raises(FormatError, "no_such_file", "gap_dev"):
        read_source(str(tmp_path))


def test_synthetic_vectors_cluster_as_the_sample_does() -> None:
    rng = np.random.default_rng(0)
    users, topics, dimension = 80, 60, 24
    author = rng.integers(users, size=4_000).astype(np.int32)
    topic = rng.integers(topics, size=4_000).astype(np.int32)
    spread = np.linspace(1.0, 0.1, dimension)
    rows = (
        0.5
        + 0.6 * rng.normal(size=(users, dimension))[author] * spread
        + 0.9 * rng.normal(size=(topics, dimension))[topic] * spread[::-1]
        + 0.8 * rng.normal(size=(4_000, dimension)) * spread
    )
    real = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    drawn = list(VectorModel.fit(real, author, topic).draw(author, topic, rows=1_000, seed=1))
    assert [len(each) for each in drawn] == [1_000] * 4
    synthetic = np.concatenate(drawn)
    assert np.allclose(np.linalg.norm(synthetic, axis=1), 1.0, atol=1e-5)
    figures: Any = compare(real, synthetic, author, topic)
    for pairs in ("author", "topic", "neither"):
        means = [figures[kind]["pairs"][pairs][0] for kind in ("real", "synthetic")]
        assert means[0] == pytest.approx(means[1], abs=0.03), pairs
    real_pairs = figures["real"]["pairs"]
    assert real_pairs["topic"][0] > real_pairs["author"][0] > real_pairs["neither"][0] + 0.03
    dimensions = [figures[kind]["effective_dimension"] for kind in ("real", "synthetic")]
    assert dimensions[0] == pytest.approx(dimensions[1], rel=0.15)
    nearest = [figures[kind]["nearest"]["p50"] for kind in ("real", "synthetic")]
    assert nearest[0] == pytest.approx(nearest[1], abs=0.05)


def hits(*scored: tuple[str, float]) -> Found:
    return Found(tuple(Hit(Text("u", body), score, "") for body, score in scored))


def test_recall_counts_ties_by_score() -> None:
    best = hits(("a", 0.9), ("b", 0.5))
    deeper = hits(("a", 0.9), ("b", 0.5), ("c", 0.5), ("d", 0.4))
    assert recall_at(hits(("a", 0.9), ("b", 0.5)), best, deeper) == 1.0
    # c is as good as b; d is not, and what is there twice is found once.
    assert recall_at(hits(("a", 0.9), ("c", 0.5)), best, deeper) == 1.0
    assert recall_at(hits(("a", 0.9), ("d", 0.4)), best, deeper) == 0.5
    assert recall_at(hits(("c", 0.5), ("d", 0.4)), best, deeper) == 0.5
    assert recall_at(hits(), best, deeper) == 0.0
    assert recall_at(hits(), hits(), hits()) == 1.0


@pytest.fixture
def toy(source: SentencePool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the command measure made-up people with encoders that count."""
    monkeypatch.setattr("patlm.bench.retrieval.corpus.read_source", lambda folder: source)
    monkeypatch.setattr(bench, "open_bench_encoders", lambda _: (style_encoder(), topic_encoder()))
    small = partial(bench.measure_retrieval, real_texts=300, ingested=40)
    monkeypatch.setattr(bench, "measure_retrieval", small)


@pytest.mark.slow
@pytest.mark.usefixtures("toy")
def test_the_command_prints_what_was_agreed(tmp_path: Path) -> None:
    picture = tmp_path / "latency.png"
    run = CliRunner().invoke(
        app,
        ["bench", "retrieval", "--texts", "600,300", "--queries", "20", "--json", "--plot"]
        + [str(picture)],
    )
    assert run.exit_code == 0, run.output
    found = json.loads(run.stdout.splitlines()[-1])
    rows = {(row["texts"], row["trajectory"], row["part"]): row for row in found["rows"]}
    assert set(rows) >= {(n, t, "all") for n in (300, 600) for t in ("style", "preference", "both")}
    for row in rows.values():
        assert row["users"] == row["texts"] // 10
        assert 0 < row["p50_ms"] <= row["p95_ms"] <= row["p99_ms"]
        assert row["exact_p50_ms"] > 0 < row["build_s"]
        assert row["recall_at_10"] == 1.0  # nothing is approximated in so small a store
        assert 0 < row["ingest_ratio"] < 2
        assert row["vectors"] == ("real" if row["texts"] == 300 else "synthetic")
        assert 50 < row["peak_mb"] < 4_096
    assert all(row["queries"] == 20 for row in rows.values() if row["part"] == "all")
    systems = {(row["system"], row["texts"]) for row in found["baselines"]}
    assert systems == {(s, n) for s in ("numpy_exact", "langgraph_in_memory") for n in (300, 600)}
    assert found["stopped"] == []
    assert [built["texts"] for built in found["builds"]] == [300, 600]
    assert picture.read_bytes().startswith(b"\x89PNG")
