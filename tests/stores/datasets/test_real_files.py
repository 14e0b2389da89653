"""The real files are read whole: rows add up, targets are marked, topics are dealt evenly."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pytest
from patlm.stores.datasets.formats import read_texts
from patlm.stores.datasets.splits import Place, deal, latest_as_targets
from patlm.stores.datasets.validation import Reject
from patlm.stores.types import Text


@pytest.fixture(scope="module")
def data() -> Path:
    folder = os.environ.get("PATLM_DATA")
    if not folder:
        pytest.skip("PATLM_DATA names no folder with the benchmark's files")
    return Path(folder)


# Targets by split, and by how many topics: 12 : 3 : 5 of 2,500 are 1,500, 375 and 625.
FILES = {
    "gap": (0, 2803, (1501, 374, 625), (16, 12, 14)),
    "hotel": (0, 1733, (1500, 375, 625), (103, 81, 90)),
    "amazon": (4, 0, (1498, 374, 624), (138, 105, 123)),  # four targets have no text
    "b2w": (0, 0, (1500, 376, 624), (88, 76, 82)),
}


@pytest.mark.parametrize("name", FILES)
def test_pgraphrag(data: Path, name: str) -> None:
    rejected, shared_ids, dealt, topics = FILES[name]
    path = data / "pgraphrag" / f"{name}_dev.json"
    people = json.loads(path.read_text())
    rows = list(read_texts(path))
    texts = [row for row in rows if isinstance(row, Text)]
    rejects = [row for row in rows if isinstance(row, Reject)]
    targets = [text for text in texts if text.target]
    assert len(rows) == sum(len(person["profile"]) for person in people)
    assert [reject.reason for reject in rejects] == ["no text"] * rejected
    assert len(targets) == len(people) - rejected
    assert sum(text.shared_id for text in texts) == shared_ids
    assert {text.language for text in texts} == {"pt" if name == "b2w" else "en"}
    first = [person["profile"][0]["text"] for person in people]
    assert [text.body for text in targets] == [body for body in first if body.strip()]

    splits = deal(map(Place.of, texts))
    by_target = Counter(splits.of_topic(text.topic_id) for text in targets)
    by_topic = Counter(splits.of_topic(topic) for topic in {text.topic_id for text in targets})
    order = ("train", "gate", "report")
    assert tuple(by_target[split] for split in order) == dealt
    assert tuple(by_topic[split] for split in order) == topics
    assert all(splits.of_user(t.user_id) == splits.of_topic(t.topic_id) for t in targets)


def test_rejects_say_where_they_are(data: Path) -> None:
    path = data / "pgraphrag" / "amazon_dev.json"
    lines = path.read_text().split("\n")
    rejects = [row for row in read_texts(path) if isinstance(row, Reject)]
    people = json.loads(path.read_text())
    for reject in rejects:
        number = int(reject.place.removeprefix(".[").removesuffix("].profile[0]"))
        assert lines[reject.line - 1].strip() == "{"
        assert people[number]["id"] in lines[reject.line]


def test_shared_ids_hold_most_pairs_of_gap(data: Path) -> None:
    """97% of the pairs of texts under one id are those of display names."""
    rows = read_texts(data / "pgraphrag" / "gap_dev.json")
    texts = [row for row in rows if isinstance(row, Text)]
    numbers = Counter((text.user_id, text.shared_id) for text in texts)
    pairs = {key: number * (number - 1) // 2 for key, number in numbers.items()}
    shared = sum(number for (_, flag), number in pairs.items() if flag)
    assert shared / sum(pairs.values()) == pytest.approx(0.973, abs=0.001)


def test_instruments(data: Path) -> None:
    rows = read_texts(data / "amazon14" / "instruments_dev.jsonl")
    texts = [row for row in rows if isinstance(row, Text)]
    assert (rows.format, len(texts), len(list(rows))) == ("amazon", 3738, 3738)
    assert len({text.user_id for text in texts}) == 1034
    assert not any(text.target or text.shared_id or text.timestamp is None for text in texts)
    targets = [text for text in latest_as_targets(texts) if text.target]
    assert len(targets) == 1034
    splits = deal(map(Place.of, latest_as_targets(texts)))
    by_target = Counter(splits.of_topic(text.topic_id) for text in targets)
    # 12 : 3 : 5 of 1,034 are 620.4, 155.1 and 258.5.
    assert by_target == {"train": 620, "gate": 155, "report": 259}
