"""A JSON file is read to its end: each row in it is read, or a reject says where it stands."""

import json
from pathlib import Path
from typing import Any

import pytest
from patlm.stores.datasets.formats import read_texts
from patlm.stores.datasets.validation import Reject
from patlm.stores.types import Text

ROWS = [{"user_id": f"u{number}", "text": f"Text {number}."} for number in range(6)]
PAGES = [ROWS[:3], ROWS[3:5], ROWS[5:]]
LINES = ",\n".join(json.dumps(row) for row in ROWS)


def read(path: Path, content: str) -> tuple[list[str], list[Reject]]:
    path.write_text(content, "utf-8")
    found = list(read_texts(path))
    return (
        [row.body for row in found if isinstance(row, Text)],
        [row for row in found if isinstance(row, Reject)],
    )


def joined(pages: list[Any], between: str = "\n", indent: int | None = None) -> str:
    return between.join(json.dumps(page, indent=indent) for page in pages)


ALL_ROWS = {
    "lists, one a line": joined(PAGES),
    "lists, one behind the other": joined(PAGES, ""),
    "pretty lists": joined(PAGES, indent=1),
    "an empty list between": joined([PAGES[0], [], *PAGES[1:]]),
    "pages, one a line": joined([{"reviews": page} for page in PAGES]),
    "pretty pages": joined([{"reviews": page} for page in PAGES], indent=1),
    "pages with a number": joined([{"page": 1, "reviews": page} for page in PAGES]),
    "an empty page first": joined([{"reviews": page} for page in [[], *PAGES, []]]),
    "pages with a next": joined([{"reviews": page, "next": {"at": None}} for page in PAGES]),
    "one row a line": f'{{"reviews": [\n{LINES}\n]}}\n',
    "one row a line, the first beside the bracket": f'\n{{"reviews": [{LINES}]}}\n',
    "one row a line behind a count": f'{{"count": 6, "reviews": [\n{LINES}\n]}}\n',
    "pretty objects with an inner object on a line": "".join(
        f'{{\n "tags": [\n  {{"x": 1}}\n ],\n {json.dumps(row)[1:-1]}\n}}\n'
        if number
        else f'{{\n {json.dumps(row)[1:-1]},\n "tags": [\n  {{"x": 1}}\n ]\n}}\n'
        for number, row in enumerate(ROWS)
    ),
}


@pytest.mark.parametrize("name", ALL_ROWS)
def test_all_rows_of_a_json_file_are_read(tmp_path: Path, name: str) -> None:
    texts, rejects = read(tmp_path / "a.json", ALL_ROWS[name])
    assert (texts, rejects) == ([row["text"] for row in ROWS], [])


def test_a_person_of_one_entry_a_line_is_one_row(tmp_path: Path) -> None:
    entries = ",\n".join(json.dumps({"reviewText": f"Own {n}", "overall": 4}) for n in range(3))
    head = '{"reviewerId": "u1", "input": "w", "output": "Target", "profile": '
    texts, rejects = read(tmp_path / "a.json", f"{head}[\n{entries}\n]}}\n")
    assert (texts, rejects) == (["Own 0", "Own 1", "Own 2", "Target"], [])


def test_a_first_line_longer_than_the_head_is_a_row_too(tmp_path: Path) -> None:
    people = [
        {
            "profile": [{"reviewText": f"{n} {each} " + "x" * 700} for each in range(120)],
            **{"input": "w", "output": "Target", "reviewerId": f"u{n}"},
        }
        for n in range(2)
    ]
    texts, rejects = read(tmp_path / "a.jsonl", joined(people))
    assert (len(texts), rejects) == (242, [])


def test_a_broken_first_line_costs_itself(tmp_path: Path) -> None:
    content = '{"user_id": "u", "text": "cut off\n' + joined(ROWS)
    texts, (reject,) = read(tmp_path / "a.jsonl", content)
    assert (len(texts), reject.line, reject.code) == (6, 1, "json")


FIRST = {"train": ROWS[:1]}
UNREAD: dict[str, tuple[dict[str, Any], list[tuple[str, int]]]] = {
    "labels between": ({**FIRST, "labels": ["x"], "test": ROWS[:2]}, [(".test", 2)]),
    "an empty list between": ({**FIRST, "val": [], "test": ROWS[:2]}, [(".test", 2)]),
    "inside an object": ({**FIRST, "more": {"test": ROWS[:3]}}, [(".more.test", 3)]),
    "two more": ({**FIRST, "val": ROWS[:1], "test": ROWS}, [(".val", 1), (".test", 6)]),
    "behind a number": ({"n": 1, **FIRST, "more": {"test": ROWS}}, [(".more.test", 6)]),
    "not an object first": ({**FIRST, "test": [None, *ROWS]}, [(".test", 6)]),
    "in a list": ({**FIRST, "test": [["x"], ROWS]}, [(".test.[1]", 6)]),
}


@pytest.mark.parametrize("name", UNREAD)
def test_second_lists_of_rows_are_named_wherever_they_are(tmp_path: Path, name: str) -> None:
    document, unread = UNREAD[name]
    texts, rejects = read(tmp_path / "a.json", json.dumps(document))
    assert texts == ["Text 0."]
    assert [reject.place for reject in rejects] == [place for place, _ in unread]
    for reject, (place, number) in zip(rejects, unread, strict=True):
        assert repr(place[1:]) in reject.reason and f"rows: {number}" in reject.reason


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        (joined([ROWS, "x"]), 2, "'\"x\"'"),
        (json.dumps(ROWS) + "\nEOF garbage, and more", 2, "EOF garbage"),
        (joined([ROWS, *ROWS]), 2, "user_id"),
        (json.dumps({"reviews": ROWS}) + "\n]", 2, "']'"),
        (json.dumps({"reviews": ROWS}) + '\n{"reviews": 1', 2, "broken JSON"),
        (json.dumps({"reviews": ROWS}) + '\n{"others": 1}', 2, "no list 'reviews'"),
        (json.dumps({"reviews": ROWS}) + '\n{"others": [{"a": 1}]}', 2, "'others'"),
        (json.dumps({"reviews": ROWS})[:-1], 1, "broken JSON"),
    ],
)
def test_what_stands_behind_the_rows_is_one_reject(
    tmp_path: Path, content: str, line: int, reason: str
) -> None:
    texts, (reject,) = read(tmp_path / "a.json", content)
    assert (len(texts), reject.line, reject.code) == (6, line, "json")
    assert reason in reject.reason
