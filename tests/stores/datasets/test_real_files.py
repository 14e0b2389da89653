"""The real files are read whole: rows add up, targets are marked, topics are dealt evenly."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest
from patlm.stores.datasets.formats import read_texts
from patlm.stores.datasets.splits import Place, deal
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
