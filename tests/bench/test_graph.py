"""The graph bench: rows, gains and alignments on a small synthetic file."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import TableEncoder
from made_up_people import communities
from patlm.bench import graph as bench
from patlm.bench.graph import People, measure_graph, nearest
from patlm.bench.plots import plot_intervals
from patlm.stores.texts.topics import TWO_HOP
from patlm.stores.types import Text
from patlm.training.user_topic_graph.train import GraphSettings
from store_fixtures import text

METHODS = {"trained", "trained_with_popularity", "two_hop", "popularity", "random"}


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(
        bench,
        "GraphSettings",
        lambda seed: GraphSettings(epochs=25, learning_rate=5e-3, dropout=0.2, seed=seed),
    )
    texts, vectors = communities(300)
    file = tmp_path / "circles_dev.jsonl"
    rows = [
        {
            "user_id": each.user_id,
            "topic_id": each.topic_id,
            "text": each.body,
            "rating": each.rating,
            "timestamp": place,
        }
        for place, each in enumerate(texts)
    ]
    file.write_text("\n".join(map(json.dumps, rows)))
    table = {each.body: row for each, row in zip(texts, vectors, strict=True)}
    return measure_graph([file], TableEncoder(table), seeds=(0, 1), say=lambda part: None)


def test_rows_and_leads(found: dict[str, Any], tmp_path: Path) -> None:
    rows = {row["method"]: row for row in found["rows"]}
    assert set(rows) == METHODS
    for row in rows.values():
        assert row["data"] == "circles"
        assert row["ci95"][0] <= row["recall_at_10"] <= row["ci95"][1]
        assert row["topics"] <= row["candidates"] and row["n"] <= row["links"]
        assert row["recall_at_10_among_all"] <= row["recall_at_10"] + 0.05
    # What tells these people apart is what training finds; how popular a topic is does not.
    assert rows["trained"]["recall_at_10"] > rows["two_hop"]["recall_at_10"] + 0.1
    assert rows["two_hop"]["recall_at_10"] > rows["random"]["recall_at_10"]
    assert rows["random"]["equal_popularity"] == pytest.approx(0.5, abs=0.05)
    leads = {(pair["figure"], pair["against"]): pair for pair in found["paired"]}
    assert set(leads) == {
        (figure, against)
        for figure in ("recall_at_10", "mrr", "equal_popularity")
        for against in ("two_hop", "popularity", "random")
    }
    for (figure, against), pair in leads.items():
        gain = rows["trained"][figure] - rows[against][figure]
        assert pair["gain"] == pytest.approx(gain, abs=2e-4)
    assert [each["seed"] for each in found["gate"]] == found["seeds"] == [0, 1]
    assert rows["trained"]["rating_agreement"] is not None
    assert {row["by"] for row in found["aligned"]} == {
        "random", "popularity", "ratings", "two_hop", "two_hop_and_ratings", "trained",
        "trained_and_ratings",
    }  # fmt: skip
    picture = tmp_path / "picture.png"
    plot_intervals(found["rows"], picture, series="method", value="recall_at_10", axis="found")
    assert picture.read_bytes().startswith(b"\x89PNG")


def raters() -> tuple[list[Text], np.ndarray]:
    """Return ann and twelve others on tea and milk: those who agree on milk agree on tea."""
    texts = [
        text("ann", "tea", "ann on tea", rating=5.0, target=True),
        text("ann", "milk", "ann on milk", rating=5.0),
    ]
    for other in range(12):
        rating = 5.0 if other < 6 else 1.0
        texts += [
            text(f"u{other:02}", topic, f"{other} on {topic}", rating=rating)
            for topic in ("tea", "milk")
        ]
    rows = np.random.default_rng(0).normal(size=(len(texts), 8))
    return texts, (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_people_who_agreed_elsewhere_agree_here() -> None:
    texts, vectors = raters()
    encoder = TableEncoder({"": [0.0] * 8})
    people = People(texts, vectors, encoder, {"two_hop": [TWO_HOP]})
    question = people.ask("ann", "tea", least=11)
    assert question is not None
    assert sorted(question.rating) == [0.0] * 6 + [1.0] * 6
    by_ratings = [question.scores(0)["ratings"]]
    assert nearest([question], by_ratings, 6, seed=0)["rating"].tolist() == [1.0]
    assert nearest([question], None, 6, seed=0)["rating"].tolist() == [0.5]
    wide = People(texts, vectors, encoder, {"two_hop": [TWO_HOP]}, span=9.0)
    asked = wide.ask("ann", "tea", least=11)
    assert asked is not None and sorted(asked.rating) == [pytest.approx(5 / 9)] * 6 + [1.0] * 6
    assert people.ask("ann", "tea", least=13) is None  # too few others
    assert people.ask("ann", "milk", least=1) is None  # the target is no history
    # Nothing of tea is in the alignment: whoever agrees on tea alone is no nearer.
    swapped = [
        text(each.user_id, "tea", each.body, rating=6.0 - (each.rating or 0.0))
        if each.topic_id == "tea" and each.user_id != "ann"
        else each
        for each in texts
    ]
    other = People(swapped, vectors, encoder, {"two_hop": [TWO_HOP]}).ask("ann", "tea", least=11)
    assert other is not None
    np.testing.assert_array_equal(
        other.alignment["two_hop"][0].score, question.alignment["two_hop"][0].score
    )
