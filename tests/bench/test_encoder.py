"""The encoder's bench: held-out people and topics, rows and leads, on a small made-up file."""

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_people import people
from patlm.bench import encoder as bench
from patlm.bench.encoder import SETTINGS, measure_encoder, read_data_sets
from patlm.bench.plots import plot_intervals
from patlm.models.encoders.style import Count
from patlm.stores.datasets.formats import read_texts
from patlm.stores.datasets.sample import sample_corpus
from patlm.stores.types import Text, Vectors
from store_fixtures import topic_encoder


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("data") / "habits_dev.jsonl")


def written(made: Path, own_words: int = 0) -> Path:
    """Write the made-up people's texts, each with so many words that no other text has."""
    draw = random.Random(0)
    rows = [
        {
            "user_id": each.user_id,
            "topic_id": each.topic_id,
            "title": f"About {each.topic_id}",
            "text": " ".join(
                [each.body, *("".join(draw.choices("aeiloprst", k=6)) for _ in range(own_words))]
            ),
            "shared_id": int(each.user_id[4:]) % 5 == 0,
        }
        for each in people(texts=8)
    ]
    made.write_text("\n".join(map(json.dumps, rows)))
    return made


def sample() -> list[object]:
    return list(read_texts(sample_corpus()))


def measure(file: Path) -> dict[str, Any]:
    few = replace(SETTINGS, least_authors=5)
    return measure_encoder(
        [file], topic_encoder(), seeds=(0, 1), settings=few, say=lambda part: None
    )


@pytest.mark.slow
def test_rows_and_leads_by_file_and_kind_of_author(tmp_path: Path) -> None:
    # Without words of their own these texts are near-copies, of which only one is evidence.
    found = measure(written(tmp_path / "habits_dev.jsonl", own_words=24))
    rows = {(row["data"], row["encoder"]): row for row in found["rows"]}
    rivals = ("minilm", "char_tfidf", "stylometry", "length")
    for data in ("habits", "habits-shared_id"):
        assert {encoder for where, encoder in rows if where == data} == {
            "patlm", "patlm_untrained", "patlm_no_spacing", *rivals,
        }  # fmt: skip
        ours = rows[data, "patlm"]
        assert ours["ci95"][0] <= ours["accuracy"] <= ours["ci95"][1] <= 1
        against = {pair["against"]: pair for pair in found["paired"] if pair["data"] == data}
        assert set(against) == {"patlm_untrained", *rivals}
        for rival, pair in against.items():
            gain = ours["accuracy"] - rows[data, rival]["accuracy"]
            assert pair["gain"] == pytest.approx(gain, abs=2e-4)
    # Habits are all that tells these people apart, and words say nothing of them.
    assert rows["habits", "patlm"]["accuracy"] > 0.75 > 0.65 > rows["habits", "minilm"]["accuracy"]
    for pair in found["neighbours"]["paired"]:
        if pair["history"] == "all" and pair["against"] == "random":
            assert pair["ci95"][0] > 0, pair
    (speed,) = found["speed"]
    assert speed["data"] == "habits" and speed["texts"] <= 256
    assert speed["patlm_per_s"] > 0 < speed["minilm_per_s"]
    picture = tmp_path / "picture.png"
    plot_intervals(found["rows"], picture, series="encoder", value="accuracy", axis="right")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_fold_is_scored_by_what_saw_neither_its_people_nor_its_topics(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[set[str], set[str]]] = []
    scored: list[tuple[set[str], set[str]]] = []
    by_body: dict[str, Text] = {}

    class Spy:
        dimension = 4

        def encode(self, bodies: Sequence[str]) -> Vectors:
            own = [by_body[body] for body in bodies]
            scored.append(({each.user_id for each in own}, {each.topic_id for each in own}))
            return np.ones((len(bodies), 4), np.float32)

    def train(texts: Sequence[Text], *_: object, count: Count) -> object:
        seen.append(({each.user_id for each in texts}, {each.topic_id for each in texts}))
        return type("Fit", (), {"encoder": Spy()})()

    by_body.update({each.body: each for each in people(texts=8)})
    monkeypatch.setattr(bench, "train_style", train)
    monkeypatch.setattr(bench, "without_spacing", str)
    monkeypatch.setattr(bench, "_neighbours", lambda *_: {})
    measure(file)
    assert len(seen) == len(scored) >= 8
    for (users, topics), (other_users, other_topics) in zip(seen, scored, strict=True):
        assert users and other_users and not users & other_users
        assert topics and other_topics and not topics & other_topics


def test_nobody_is_both_in_a_file_and_elsewhere(file: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    other = tmp_path / "other_test.jsonl"
    strangers = [
        {**rows[0], "user_id": "stranger"},
        {**rows[0], "topic_id": "elsewhere"},
        {**rows[0], "user_id": "stranger", "topic_id": "elsewhere"},
    ]
    other.write_text("\n".join(map(json.dumps, strangers)))
    ours, theirs = read_data_sets([file, other])
    assert (ours.name, theirs.name) == ("habits", "other")
    assert len(ours.other_texts) == 1 + len(sample())
    assert len(theirs.other_texts) > len(sample())
    users = {text.user_id for text in ours.texts}
    assert not users & {text.user_id for text in ours.other_texts}
