"""`patlm bench evidence`: what it chooses by hand, and a run on people with habits."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_people import people
from patlm.bench.data import HiddenText, hidden_texts, open_corpus, split_texts
from patlm.bench.encoder import read_data_sets
from patlm.bench.evidence.preference import best_weight, harmless_weight, likeness
from patlm.bench.evidence.run import measure_evidence
from patlm.bench.evidence.style import StyleGain, best_threshold, within_authors
from patlm.stores.types import History, Text
from patlm.stores.values import RatingScale
from store_fixtures import style_encoder, text, topic_encoder


def gain(user: str, confidence: float, value: float) -> StyleGain:
    none = np.zeros((0, 2), np.float32)
    history = History("default", user, (), none, none, {}, frozenset())
    asked = HiddenText(Text(user, "x"), "gate", history)
    return StyleGain(asked, "title", "used", value, 0.0, confidence, 0.0, 0.0)


def test_the_threshold_keeps_what_gains() -> None:
    lose = [gain(f"a{n}", 0.01 * n, -0.1) for n in range(4)]
    win = [gain(f"b{n}", 0.1 + 0.01 * n, 0.1) for n in range(4)]
    assert best_threshold([*win, *lose]) == pytest.approx((0.03 + 0.1) / 2)
    assert best_threshold(win) == 0
    assert best_threshold(lose) == 1
    # One person who asks often counts no more than another who asks once.
    often = [gain("c", 0.05, -0.1)] * 9
    assert best_threshold([*often, gain("d", 0.04, 0.3), *win]) == 0


def test_weights_by_hand() -> None:
    rows = {0: (0.0, 0.0), 0.2: (0.01, -0.004), 0.4: (0.01, -0.0049), 0.8: (-0.01, -0.02)}
    tried = {f"a={weight}": {"gain": g, "ci95": [low, 1.0]} for weight, (g, low) in rows.items()}
    assert best_weight(tried) == 0.2  # the smallest of those that gain most
    assert harmless_weight(tried) == 0.4  # the largest that costs less than .005


def test_likeness_by_hand() -> None:
    real = text("ann", "tea", "warm calm tea", rating=4.0)
    pieces = [
        text("bob", "tea", "warm tea", rating=5.0),
        text("cat", "tea", "cold red milk", rating=1.0),
    ]
    vectors = np.array([[1, 0], [0, 1]], np.float32)
    found = likeness(real, pieces, np.array([0.5, 0.1]), vectors)
    assert found["rouge1"] == pytest.approx((2 * 1 * (2 / 3) / (5 / 3) + 0) / 2)
    assert found["rating_agreement"] == pytest.approx(1 - (1 + 3) / 2 / 4)
    assert found["topic_cosine"] == pytest.approx(0.3)
    assert found["coverage"] == pytest.approx(2 / 3)
    assert (found["among"], found["words"]) == (0, 2.5)
    ten = likeness(real, pieces, np.array([0.5, 0.1]), vectors, RatingScale(1, 10).span)
    assert ten["rating_agreement"] == pytest.approx(1 - (1 + 3) / 2 / 9)


async def test_ratings_agree_on_the_scale_of_their_file(tmp_path: Path) -> None:
    file = tmp_path / "films.tsv"
    header = "reviewId\tuserId\titemId\trating\ttitle\tcontent\n"
    rows = [f"{n}\tu{n % 4}\tf{n % 6}\t{n % 10 + 1}\tTitle {n}\tText {n}." for n in range(40)]
    file.write_text(header + "\n".join(rows) + "\n")
    (data,) = read_data_sets([file])
    assert (data.scale, len(data.texts)) == (RatingScale(1, 10), 40)
    opened = open_corpus("films", data.texts, style_encoder(), topic_encoder(), data.scale)
    async with opened as corpus:
        assert corpus.store.rating_scale.span == 9


def test_one_authors_texts_by_hand() -> None:
    class Plane:
        version, dimension = "plane", 2

        def encode(self, texts: list[str]) -> np.ndarray:
            angles = [float(body) for body in texts]
            return np.array([(np.cos(a), np.sin(a)) for a in angles], np.float32).reshape(-1, 2)

    # Two people of two texts each, at cosine .8 and .6; opposite, so that the centre is 0.
    a, b, half = np.arccos(0.8), np.arccos(0.6), np.pi
    rows = [("x", 0, "p"), ("x", a, "q"), ("y", half, "p"), ("y", half + b, "q")]
    texts = [text(user, topic, str(angle)) for user, angle, topic in rows]
    found = within_authors([*texts, text("John", "p", "1", shared_id=True)], Plane())
    centre = Plane().encode([each.body for each in texts]).mean(axis=0)
    r = 0.7 - float(centre @ centre)
    assert found["authors"] == 2 and found["r"] == pytest.approx(r, abs=1e-4)
    assert found["texts_for_half"] == pytest.approx((1 - r) / r, abs=0.01)


async def test_a_request_hides_its_text_and_knows_its_split() -> None:
    texts = [replace(each, title=each.topic_id, position=at) for at, each in enumerate(people())]
    marked, splits = split_texts(texts)
    async with open_corpus("habits", texts, style_encoder(), topic_encoder()) as corpus:
        asked = await hidden_texts(corpus, ("gate", "report"))
    assert {each.split for each in asked} == {"gate", "report"}
    for each in asked:
        assert splits.of_user(each.text.user_id) == each.split
        assert (splits.of_topic(each.text.topic_id) == "report") == (each.split == "report")
        assert each.text.topic_id not in {own.topic_id for own in each.history.texts}
        assert not any(own.target for own in each.history.texts)
        assert " ".join(each.text.body.split()).casefold() in each.history.hidden_bodies
    assert len(marked) == len(texts)


@pytest.mark.slow
def test_a_run_has_its_rows(tmp_path: Any) -> None:
    import json

    file = tmp_path / "habits.jsonl"
    lines = [
        {"user_id": t.user_id, "topic_id": t.topic_id, "title": t.topic_id, "body": t.body}
        for t in people(texts=5)
    ]
    file.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    said: list[str] = []
    found = measure_evidence(
        [file], topic_encoder(), fit=lambda texts: style_encoder(), say=said.append
    )
    assert said and {row["data"] for row in found["preference"]} == {"habits"}
    arms = {row["arm"] for row in found["preference"]}
    assert {"used", "bm25", "vectors", "rrf", "random", "anti_aligned"} <= arms
    assert set(found["chosen"]) == {"alignment", "apart", "least_style_confidence"}
    assert found["chosen"]["apart"]["weight"] in (0, 0.1, 0.2, 0.4, 0.8)
    for row in (*found["preference_paired"], *found["style"], *found["unknown"]):
        assert row["ci95"][0] <= row["gain"] <= row["ci95"][1] or row["people"] == 1
    # Nobody's text is in what is kept.
    assert "colour" not in json.dumps(found) and "user1" not in json.dumps(found)
