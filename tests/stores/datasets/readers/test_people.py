"""Benchmarks of people: one person is one person, and a label is never somebody's text."""

import json
from pathlib import Path
from typing import Any

import pytest
from patlm.stores.datasets.formats import read_texts
from patlm.stores.datasets.validation import Reject
from patlm.stores.types import Text


def read(path: Path, rows: object) -> tuple[list[Text], list[Reject]]:
    path.write_text(json.dumps(rows))
    found = list(read_texts(path))
    texts = [row for row in found if isinstance(row, Text)]
    return texts, [row for row in found if isinstance(row, Reject)]


def with_outputs(folder: Path, task: str, rows: list[dict[str, Any]], outputs: list[str]) -> Path:
    golds = [{"id": row["id"], "output": output} for row, output in zip(rows, outputs, strict=True)]
    (folder / "dev_outputs.json").write_text(json.dumps({"task": task, "golds": golds}))
    return folder / "dev_questions.json"


def test_lamp_rows_of_one_user_are_one_person(tmp_path: Path) -> None:
    """The sets that are split by time: several rows of one person, whose profiles overlap."""
    old = [
        {"id": f"41{k}", "title": f"Head {k}", "text": f"River {k}.", "date": f"2012-0{k + 1}-02"}
        for k in range(4)
    ]
    rows = [
        {"id": f"4{n}", "user_id": "9001", "input": f"piece {n}", "profile": old[: 2 + n]}
        for n in range(3)
    ]
    path = with_outputs(tmp_path, "LaMP_4", rows, [f"Headline {n}" for n in range(3)])
    texts, rejects = read(path, rows)
    assert not rejects
    assert {text.user_id for text in texts} == {"9001"}
    own = {text.text_id: text for text in texts if not text.target}
    assert len(own) == 4
    assert [text.timestamp is not None for text in own.values()] == [True] * 4
    assert sorted(text.body for text in texts if text.target) == [
        "Headline 0",
        "Headline 1",
        "Headline 2",
    ]


REVIEW = (
    "What is the score of the following review on a scale of 1 to 5? just answer with 1, 2, 3, 4, "
    "or 5 without further explanation. review: The kettle does what it should. Review: none."
)


@pytest.mark.parametrize("task", ["LaMP_3", ""])
def test_a_score_is_a_rating(tmp_path: Path, task: str) -> None:
    rows = [
        {"id": "310", "input": REVIEW, "profile": [{"id": "1", "text": "Mine.", "score": "2"}]},
        {"id": "311", "input": "no such word", "profile": [{"text": "Mine too.", "score": "3"}]},
    ]
    texts, rejects = read(with_outputs(tmp_path, task, rows, ["4", "5"]), rows)
    assert not rejects
    assert [(text.body, text.rating, text.target) for text in texts] == [
        ("Mine.", 2.0, False),
        ("The kettle does what it should. Review: none.", 4.0, True),
        ("Mine too.", 3.0, False),
    ]


@pytest.mark.parametrize(
    ("task", "entry", "output"),
    [
        ("LaMP_1", {"title": "T", "abstract": "A"}, "[1]"),
        ("LaMP_2", {"description": "D", "tag": "sci-fi"}, "comedy"),
        ("", {"title": "T", "abstract": "A"}, "[2]"),
        ("", {"description": "D", "tag": "sci-fi"}, "comedy"),
    ],
)
def test_a_label_is_no_text(tmp_path: Path, task: str, entry: dict[str, str], output: str) -> None:
    rows = [{"id": "1", "input": "Which?", "profile": [entry]}]
    (own,), rejects = read(with_outputs(tmp_path, task, rows, [output]), rows)
    assert not rejects
    assert (own.target, own.body) == (False, entry.get("abstract") or entry["description"])


def test_a_description_is_not_the_persons(tmp_path: Path) -> None:
    """A product's description is its maker's, whether the review is missing or empty."""
    rows = [
        {
            "reviewerId": "A1",
            "input": "Generate the review text",
            "output": "I like it.",
            "profile": [
                {"overall": 4.0, "summary": "s", "description": "A kettle", "reviewText": None},
                {"overall": 0.0, "summary": "s", "description": "A pan", "reviewText": "Zero!"},
                {"overall": 5.0, "summary": "s", "description": "A lid", "reviewText": ""},
                {"overall": 5.0, "description": "A pot"},
            ],
        }
    ]
    texts, rejects = read(tmp_path / "a.json", rows)
    assert [(text.body, text.rating, text.target) for text in texts] == [
        ("Zero!", None, False),
        ("I like it.", None, True),
    ]
    assert [(reject.place, reject.code) for reject in rejects] == [
        (".[0].profile[0]", "text_missing"),
        (".[0].profile[2]", "text_missing"),
        (".[0].profile[3]", "text_missing"),
    ]


@pytest.mark.parametrize(
    ("person", "entry", "title", "body"),
    [
        ({"reviewerId": "A1"}, {"reviewText": "R", "summary": "S"}, "S", "R"),
        ({"name": "Ada L."}, {"title": "T", "abstract": "A"}, "T", "A"),
        ({"author": "red_1"}, {"summary": "S", "content": "C"}, "S", "C"),
        ({"user_id": "u1"}, {"title": "Subject", "text": "Dear all"}, "Subject", "Dear all"),
    ],
)
def test_all_tasks_of_longlamp(
    tmp_path: Path, person: dict[str, str], entry: dict[str, str], title: str, body: str
) -> None:
    rows = [{**person, "input": "Write", "output": "Long.", "profile": [entry]}] * 2
    texts, _ = read(tmp_path / "a.json", rows)
    assert {text.user_id for text in texts} == set(person.values())
    assert (texts[0].title, texts[0].body, texts[1].body) == (title, body, "Long.")


def test_people_without_a_name_are_of_their_file(tmp_path: Path) -> None:
    rows = [{"input": "Write", "output": f"Long {n}.", "profile": [{"text": "T"}]} for n in (1, 2)]
    one, _ = read(tmp_path / "a.json", rows)
    again, _ = read(tmp_path / "b.json", rows)
    other, _ = read(tmp_path / "c.json", rows[::-1])
    assert len({text.user_id for text in one}) == 2
    assert [text.text_id for text in one] == [text.text_id for text in again]
    assert not {text.user_id for text in one} & {text.user_id for text in other}
