"""A JSON file is read to its end: each row in it is read, or a reject says where it stands."""

import json
from pathlib import Path
from typing import Any

import pytest
from patlm.stores.datasets.formats import open_data, read_texts
from patlm.stores.datasets.validation import FormatError, Reject, WrongReading
from patlm.stores.types import Text
from raising import raises

ROWS = [{"user_id": f"u{number}", "text": f"Text {number}."} for number in range(6)]
PAGES = [ROWS[:3], ROWS[3:5], ROWS[5:]]
LINES = ",\n".join(json.dumps(row) for row in ROWS)


def read(path: Path, content: str, **options: Any) -> tuple[list[str], list[Reject]]:
    path.write_bytes(content.encode("utf-8", "surrogatepass"))
    found = list(read_texts(path, **options))
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
    "commas between lines": LINES + ",\n",
    "objects one behind the other": joined(ROWS, ""),
    "a comma too many": f"[{LINES},]",
    "commas too few": f"[{LINES.replace(',' + chr(10), chr(10))}]",
    "a byte order mark between": joined(PAGES, "\n\ufeff"),
    "lines and a byte order mark between": joined(ROWS, "\n\ufeff"),
    "lists and objects": joined([PAGES[0], *PAGES[1], PAGES[2]]),
    "pages in a list": json.dumps([{"reviews": page} for page in PAGES], indent=1),
    "pages in an answer": joined([{"data": {"n": 1, "reviews": page}} for page in PAGES]),
    "a table of pandas": json.dumps({"schema": {"fields": [{"name": "text"}]}, "data": ROWS}),
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


@pytest.mark.parametrize("name", ["profile", "reviews"])
def test_a_pretty_person_begins_with_the_profile(tmp_path: Path, name: str) -> None:
    """A person is no page; nor is a text that begins with a list of other objects."""
    inner = [{"reviewText": "Own", "overall": 4}]
    person = {"input": "w", "output": "Target", "reviewerId": "u1"}
    outer = [{name: inner, **(person if name == "profile" else row)} for row in ROWS]
    texts, rejects = read(tmp_path / "a.json", joined(outer, indent=1))
    wanted = ["Own", "Target"] * 6 if name == "profile" else [row["text"] for row in ROWS]
    assert (texts, rejects) == (wanted, [])


RENAMED = [[{"who": row["user_id"], "what": row["text"]} for row in page] for page in PAGES]


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("more", [{}, {"page": 1, "what": "reviews"}])
def test_columns_in_pages_are_named_by_the_caller(
    tmp_path: Path, indent: int | None, more: dict[str, Any]
) -> None:
    content = joined([{**more, "reviews": page} for page in RENAMED], indent=indent)
    columns = {"user_id": "who", "body": "what"}
    texts, rejects = read(tmp_path / "a.json", content, columns=columns)
    assert (texts, rejects) == ([row["text"] for row in ROWS], [])
    with raises(WrongReading, "no_such_column", "nothing"):
        read(tmp_path / "a.json", content, columns={"user_id": "who", "body": "nothing"})


CUT = ['{"user_id": "u"', '{"user_id":', '{"user_id": "u", "text": "x', '{"a": [', '{"a": [1,', "{"]
CUT += [
    'user_id": "u", "text": "x"}',
    '{"user_id": "u", "text": "x"}}',
    "[info] begin",
    "\x00",
    "5",
]
PAGE_LINES = [json.dumps({"reviews": page}) for page in PAGES]


@pytest.mark.parametrize("place", [0, 1, 6])
@pytest.mark.parametrize("cut", CUT)
def test_a_broken_line_costs_itself(tmp_path: Path, cut: str, place: int) -> None:
    lines = [json.dumps(row) for row in ROWS]
    lines.insert(place, cut)
    texts, (reject,) = read(tmp_path / "a.jsonl", "\n".join(lines))
    assert (len(texts), reject.line, reject.code) == (6, place + 1, "json")


@pytest.mark.parametrize("place", [0, 1, 3])
@pytest.mark.parametrize("cut", ['{"reviews": [', '{"reviews": [{"user_id": "u"', "{", "x"])
def test_a_broken_page_costs_itself(tmp_path: Path, cut: str, place: int) -> None:
    content = "\n".join([*PAGE_LINES[:place], cut, *PAGE_LINES[place:]])
    texts, (reject,) = read(tmp_path / "a.jsonl", content)
    assert (len(texts), reject.line, reject.code) == (6, place + 1, "json")


@pytest.mark.parametrize("indent", [0, 1, 4])
@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize(
    "broken", ['"text" "Text 2."', '"text": "Text 2.', '"text": [{,', '"text": 1' + "0" * 5_000]
)
def test_a_broken_row_of_a_pretty_list_costs_itself(
    tmp_path: Path, broken: str, wrapped: bool, indent: int
) -> None:
    value: Any = {"reviews": ROWS} if wrapped else ROWS
    content = json.dumps(value, indent=indent).replace('"text": "Text 2."', broken)
    texts, (reject,) = read(tmp_path / "a.json", content)
    assert texts == [row["text"] for row in ROWS if row["user_id"] != "u2"]
    assert (reject.place, reject.code) == (".[2]", "json")


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


REVIEWS = json.dumps({"reviews": ROWS})


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        (joined([ROWS, "x"]), 2, "neither an object nor a list"),
        (json.dumps(ROWS) + "\nEOF garbage, and\nmore", 2, "lines 2 to 3, characters: 21"),
        (json.dumps(ROWS)[:-1], 1, "breaks off"),
        (REVIEWS + "\n]", 2, "broken JSON"),
        ("[" + REVIEWS, 1, "breaks off"),
        (REVIEWS + '\n{"reviews": 1', 2, "broken JSON"),
        (REVIEWS + '\n{"others": 1}', 2, "no list 'reviews'"),
        (REVIEWS + '\n{"others": [{"a": 1}]}', 2, "'others'"),
        (REVIEWS[:-1], 1, "broken JSON"),
        (json.dumps([*ROWS, 5]), 1, "expected a JSON object"),
        (
            json.dumps(
                {
                    "columns": ["user_id", "text"],
                    "data": [*(list(row.values()) for row in ROWS), ["u"]],
                }
            ),
            1,
            "expected a JSON object",
        ),
    ],
)
def test_what_stands_behind_the_rows_is_one_reject(
    tmp_path: Path, content: str, line: int, reason: str
) -> None:
    texts, (reject,) = read(tmp_path / "a.json", content)
    assert (len(texts), reject.line, reject.code) == (6, line, "json")
    assert reason in reject.reason


def test_a_broken_document_is_one_reject(tmp_path: Path) -> None:
    content = json.dumps({"by": {"u1": {"text": "fine", "more": [1, 2]}}}, indent=1)
    path = tmp_path / "a.json"
    path.write_text(content.replace("2\n", "2,\n"))
    (reject,) = (row for _, _, row in open_data(path).items(lambda position: None))
    assert isinstance(reject, Reject) and reject.line == 1


AROUND = (("", "\n", "\n"), ("[", ",\n", "]"), ("[", ",", "]"), ('{"reviews": [', ",", "]}"))
NAMED_TWICE = {  # a row: codes of its reject, or of what is left out
    '{"user_id": "u", "text": "a", "text": "b"}': "text_unreadable",
    '{"user_id": "u", "text": "a", "user_id": "v"}': "user_unreadable",
    '{"user_id": "u", "user_id": null, "text": "a"}': "user_unreadable",
    '{"user_id": "u", "text": "a", "rating": 1, "rating": 2}': "rating_unreadable",
    '{"user_id": "u", "text": "a \\":\\" b", "time": 1, "time": 2}': "timestamp_unreadable",
    ' {"user_id": "u", "text": "a", "x": [{"y": 1}], "title": "c", "title": 1}': "title_unreadable",
    '{"user_id": "u", "text": "a", "text": "a"}': "",
    '{"user_id": "u", "text": "a", "other": 1, "other": 2}': "",
    '{"user_id": "u", "text": "a", "tags": {"x": 1, "x": 2}}': "",
    '{"user_id": "u", "text": "{\\"text\\": 1, \\"text\\": 2}"}': "",
}


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("row", NAMED_TWICE)
def test_a_name_that_stands_twice_in_any_row_has_no_value(
    tmp_path: Path, around: tuple[str, str, str], row: str
) -> None:
    """Neither the first value nor the last is somebody's: which one is meant is not known."""
    begin, between, end = around
    rows = [json.dumps(each) for each in ROWS] * 100
    (tmp_path / "a.json").write_text(begin + between.join([*rows, row, *rows[:9]]) + end)
    found = read_texts(tmp_path / "a.json")
    odd = [each for each in found if isinstance(each, Reject) or each.user_id == "u"]
    codes = [each.code for each in odd if isinstance(each, Reject)] or list(found.noted)
    assert (len(odd), codes) == (1, [NAMED_TWICE[row]] if NAMED_TWICE[row] else [])


RAW = ["one\ntwo", "one\n{}\ntwo", "one\n[1]\ntwo", "one\n\n{two}", "tab\there", "one\n"]
RAW += ['one\n{\\"user_id\\": \\"x\\", \\"text\\": \\"inner\\"}\ntwo']


@pytest.mark.parametrize("place", [0, 2])
@pytest.mark.parametrize("around", [*AROUND, ("", "\n", "pretty")])
@pytest.mark.parametrize("text", RAW)
def test_a_line_end_inside_a_string_costs_its_row_alone(
    tmp_path: Path, text: str, around: tuple[str, str, str], place: int
) -> None:
    begin, between, end = around
    rows = [json.dumps(row, indent=1 if end == "pretty" else None) for row in ROWS]
    rows.insert(place, f'{{"user_id": "raw", "text": "{text}"}}')
    content = begin + between.join(rows) + end.removeprefix("pretty")
    texts, rejects = read(tmp_path / "a.json", content)
    assert texts == [row["text"] for row in ROWS]
    lines = (text.count("\n") if (begin, end, place > 0) == ("", "\n", True) else 0) + 1
    assert 1 <= len(rejects) <= lines and {each.code for each in rejects} <= {
        "json",
        "user_missing",
    }


def test_a_file_of_broken_rows_alone_says_what_is_broken(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"user_id": "u", "text": "one\ntwo"}\n' * 3)
    with raises(FormatError, "unknown_format", "line 1: broken JSON"):
        read_texts(tmp_path / "a.json")


def test_json_in_strings_is_of_no_format(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(joined([json.dumps(row) for row in ROWS]))
    with pytest.raises(FormatError):
        read_texts(path)


def test_names_of_columns_stay_on_the_line_of_a_message(tmp_path: Path) -> None:
    (tmp_path / "odd.jsonl").write_text('{"\\n": "", "a\\u001b": ""}\n')
    with pytest.raises(FormatError) as refused:
        list(read_texts(tmp_path / "odd.jsonl"))
    assert str(refused.value).isprintable()
    assert r"'\n', 'a\x1b'" in str(refused.value)
