"""One person of a file is one person, whatever trips the file has made."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from patlm.nodes.state import RunContext
from patlm.stores.adapters.lineage import person_key
from patlm.stores.datasets.formats import read_texts
from patlm.stores.datasets.validation import Reject, TextFields
from patlm.stores.types import Text
from patlm.stores.values import id_to_find
from pyarrow import parquet
from pydantic import ValidationError
from store_fixtures import by_style, opened


def read(path: Path, content: str) -> tuple[list[Text], list[str], dict[str, int]]:
    path.write_text(content)
    rows = read_texts(path)
    found = list(rows)
    texts = [row for row in found if isinstance(row, Text)]
    return texts, [row.code for row in found if isinstance(row, Reject)], dict(rows.noted)


def test_guests_are_not_one_person(tmp_path: Path) -> None:
    content = (
        "user_id,text,topic\nnan,first guest,lamp\nnull,second guest,null\n<NA>,third guest,\\N\n"
        "None,fourth guest,None\n,fifth guest,lamp\nu1,nan,lamp\nu1,real text,nan\nNull,mine,lamp\n"
    )
    texts, codes, _ = read(tmp_path / "a.csv", content)
    assert [(text.user_id, text.topic_id) for text in texts] == [("u1", ""), ("Null", "lamp")]
    assert codes == ["user_missing"] * 5 + ["text_missing"]


def test_numbers_of_csv_and_json_are_one_id(tmp_path: Path) -> None:
    content = "user_id,product,text\n123.0,45.0,first\n0123,,other\n"
    texts, _, _ = read(tmp_path / "a.csv", content)
    assert [(text.user_id, text.topic_id) for text in texts] == [("123", "45"), ("0123", "")]
    rows = [{"user_id": user, "product": 45, "text": f"t{user}"} for user in (123, 123.0, "123.0")]
    texts, _, _ = read(tmp_path / "b.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert {(text.user_id, text.topic_id) for text in texts} == {("123", "45")}


def test_a_label_called_target_makes_no_target(tmp_path: Path) -> None:
    labels = [0, 1, 4, "positive", "true", "False"]
    content = "user,text,target\n" + "".join(
        f"u,text {n},{label}\n" for n, label in enumerate(labels)
    )
    texts, codes, noted = read(tmp_path / "a.csv", content)
    assert [text.target for text in texts] == [False, False, False, False, True, False]
    assert (codes, noted) == ([], {"target_unreadable": 4})


def test_no_text_is_lost_for_its_date(tmp_path: Path) -> None:
    times: list[object] = [20240501, "2014", "2012-5-1", 1588687728923000, "05/01/2024", 0]
    rows = [{"user_id": "u", "text": f"of {time}", "timestamp": time} for time in times]
    texts, codes, noted = read(
        tmp_path / "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows)
    )
    years = [text.timestamp and 1970 + text.timestamp // 31_556_952_000 for text in texts]
    assert years == [2024, 2014, 2012, 2020, None, None]
    assert (codes, noted) == ([], {"timestamp_unreadable": 1, "timestamp_zero": 1})


def lamp(folder: Path, task: str, rows: list[dict[str, Any]], outputs: list[Any]) -> list[Text]:
    golds = [{"id": row["id"], "output": out} for row, out in zip(rows, outputs, strict=True)]
    (folder / "dev_questions.json").write_text(json.dumps(rows))
    (folder / "dev_outputs.json").write_text(json.dumps({"task": task, "golds": golds}))
    return [row for row in read_texts(folder / "dev_questions.json") if isinstance(row, Text)]


@pytest.mark.parametrize("user", ["9001", 9001, 9001.0])
def test_rows_of_one_lamp_user_are_one_person(tmp_path: Path, user: object) -> None:
    old = [{"id": f"4{n}", "title": f"Head {n}", "text": f"Column number {n}."} for n in range(4)]
    rows = [
        {"id": f"4{n}", "user_id": user, "input": f"Headline of {n}", "profile": old[: 2 + n]}
        for n in range(3)
    ]
    texts = lamp(tmp_path, "LaMP_4", rows, ["Of the river", "By the same hand", "Again"])
    assert {text.user_id for text in texts} == {"9001"}
    assert len({text.text_id for text in texts}) == 4 + 3, "overlapping profiles, no text twice"
    assert len([text for text in texts if text.target]) == 3


async def test_a_lamp_user_is_no_evidence_of_theirs_and_is_forgotten_whole(tmp_path: Path) -> None:
    old = [{"id": f"4{n}", "title": f"Head {n}", "text": f"River column {n}."} for n in range(3)]
    rows: list[dict[str, Any]] = [
        {"id": f"4{n}", "user_id": "9001", "input": "a piece", "profile": old[: 2 + n]}
        for n in range(2)
    ]
    rows.append(
        {"id": "49", "user_id": "9002", "input": "other", "profile": [old[0] | {"id": "z"}]}
    )
    texts = lamp(tmp_path, "LaMP_4", rows, ["Of the river", "By the same hand", "Markets"])
    async with opened(tmp_path / "store") as store:
        await store.add(texts)
        found = await by_style(store, "9001", "River news", None)
        assert {hit.text.user_id for hit in found.hits} == {"9002"}
        receipt = await store.forget("default", "9001")
        assert receipt.removed["texts"] == 3 + 2 and (await store.stats()).texts == 2


@pytest.mark.parametrize(
    ("task", "entry", "outputs"),
    [
        ("LaMP_1", {"title": "T", "abstract": "A long abstract."}, ["[1]", "[2]"]),
        ("LaMP_2", {"tag": "sci-fi", "description": "Of robots."}, ["comedy", "sci-fi"]),
        ("LaMP_3", {"text": "A fine kettle.", "score": "4"}, ["5", "2"]),
    ],
)
def test_labels_of_lamp_are_no_texts(
    tmp_path: Path, task: str, entry: dict[str, str], outputs: list[str]
) -> None:
    rows = [
        {"id": f"3{n}", "input": f"What is it? review: The kettle {n} boils.", "profile": [entry]}
        for n in range(2)
    ]
    texts = lamp(tmp_path, task, rows, outputs)
    assert not {text.body for text in texts} & set(outputs)
    targets = [(text.body, text.rating) for text in texts if text.target]
    rated = [("The kettle 0 boils.", 5.0), ("The kettle 1 boils.", 2.0)]
    assert targets == (rated if task == "LaMP_3" else [])


def test_people_without_a_name_of_two_files_stay_apart(tmp_path: Path) -> None:
    people = []
    for name in ("a", "b"):
        row = {"input": f"Write {name}", "output": "Long.", "profile": [{"text": f"Own of {name}"}]}
        path = tmp_path / f"{name}.json"
        for _ in range(2):  # the same file again: the same people
            texts, _, _ = read(path, json.dumps([row]))
            people.append({text.user_id for text in texts})
    assert people[0] == people[1] and people[2] == people[3] and not people[0] & people[2]


PEOPLE = [("u1", "Tolkien"), ("", "Tolkien"), (None, "Tolkien"), ("u2", "Le Guin")]


def with_keys(*row: object) -> dict[str, object]:
    return {key: value for key, value in zip(("user_id", "author", "text"), row, strict=True)}


@pytest.mark.parametrize("kind", ["csv", "jsonl", "without keys", "parquet"])
def test_a_row_without_a_person_is_nobodys(tmp_path: Path, kind: str) -> None:
    """Never the author's of the book that is reviewed."""
    rows = [with_keys(*names, f"Review no. {at}.") for at, names in enumerate(PEOPLE)]
    path = tmp_path / f"a.{'jsonl' if kind == 'without keys' else kind}"
    if kind == "csv":
        lines = [",".join(str(value or "") for value in row.values()) for row in rows]
        path.write_text("\n".join(["user_id,author,text", *lines]))
    elif kind == "parquet":
        parquet.write_table(pa.Table.from_pylist(rows), path)
    else:
        kept = [
            {k: v for k, v in row.items() if v or kind == "jsonl" or k != "user_id"} for row in rows
        ]
        path.write_text("".join(json.dumps(row) + "\n" for row in kept))
    rows_of = read_texts(path)
    found = list(rows_of)
    assert [row.user_id for row in found if isinstance(row, Text)] == ["u1", "u2"]
    assert [row.code for row in found if isinstance(row, Reject)] == ["user_missing"] * 2
    assert rows_of.unread == ["author"]


def test_a_column_that_comes_late_names_no_person(tmp_path: Path) -> None:
    rows = [{"user_id": f"u{number}", "text": f"Text {number}."} for number in range(300)]
    rows += [{"author": "Tolkien", "text": "Of a book."}]
    path = tmp_path / "a.jsonl"
    texts, codes, _ = read(path, "".join(json.dumps(row) + "\n" for row in rows))
    assert len(texts) == 300 and codes == ["user_missing"]


@pytest.mark.parametrize("missing", [None, "", "nan", "no key"])
def test_a_nameless_person_is_not_the_author(tmp_path: Path, missing: object) -> None:
    rows = [
        {"user_id": user, "author": "Tolkien", "id": "7", "row": 1, "input": "Write", "output": o}
        | {"profile": [{"text": f"Own of {o}"}]}
        for user, o in (("u1", "One."), (missing, "Two."))
    ]
    if missing == "no key":
        del rows[1]["user_id"]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    found = list(read_texts(tmp_path / "a.json"))
    users = [row.user_id for row in found if isinstance(row, Text)]
    if missing in ("", "nan"):
        assert users == ["u1"] * 2 and len(found) == 4
    else:
        assert users[:2] == ["u1"] * 2 and {name[:6] for name in users[2:]} == {"row-1-"}
    for row in rows:
        del row["output"]
    texts = lamp(tmp_path, "LaMP_4", rows[::-1], ["Of the river", "By the same hand"])
    assert {text.user_id for text in texts} == {"u1"}, "a row of LaMP is rejected"


@pytest.mark.parametrize("kind", [pa.float32(), pa.float16()])
@pytest.mark.parametrize("inside", [False, True])
def test_ids_that_lost_digits_are_refused(tmp_path: Path, kind: pa.DataType, inside: bool) -> None:
    small, large = (2**24 - 1, 2**24) if kind == pa.float32() else (2**11 - 1, 2**11)
    users = pa.array([small, large, None], kind)
    column = pa.StructArray.from_arrays([users], ["id"]) if inside else users
    table = pa.table({"who": column, "text": ["One.", "Two.", "Three."]})
    parquet.write_table(table, tmp_path / "a.parquet")
    columns = {"user_id": "who.id" if inside else "who", "body": "text"}
    text, lost, missing = read_texts(tmp_path / "a.parquet", columns=columns)
    assert isinstance(text, Text) and text.user_id == str(small)
    assert isinstance(lost, Reject) and lost.code == "user_inexact"
    assert isinstance(missing, Reject) and missing.code == "user_missing"


def test_of_columns_named_twice_the_first_is_read_and_said(tmp_path: Path) -> None:
    values = [["ana"], ["The first."], ["The second."]]
    table = pa.table([pa.array(each) for each in values], ["user", "text", "text"])
    parquet.write_table(table, tmp_path / "a.parquet")
    rows = read_texts(tmp_path / "a.parquet")
    (text,) = rows
    assert isinstance(text, Text) and text.body == "The first."
    assert any("named twice" in note and "text" in note for note in rows.notes)


def test_what_is_left_out_of_rejects_is_not_counted(tmp_path: Path) -> None:
    row = {"user_id": "u", "text": "x", "rating": "good", "timestamp": "soon"}
    bad = [{**row, "user_id": None}, {**row, "text": ""}, {**row, "language": "!!"}]
    bad.append({"user_id": "u", "text": "x", "timestamp": 0, "rating": 9})
    content = "".join(json.dumps(each) + "\n" for each in [row, *bad, {**row, "rating": 0}])
    texts, codes, noted = read(tmp_path / "a.jsonl", content)
    assert (len(texts), len(codes)) == (2, 4)
    assert noted == {"rating_unreadable": 1, "rating_zero": 1, "timestamp_unreadable": 2}


FIELD = st.text("a\x1f,|", max_size=4)


@given(st.lists(st.tuples(FIELD, FIELD, FIELD, FIELD, FIELD), min_size=2, max_size=6))
@settings(max_examples=300, deadline=None)
def test_no_text_has_the_key_of_another_person_s(rows: list[tuple[str, ...]]) -> None:
    """Keys join fields: no id and no namespace may hold what joins them."""
    owners: dict[str, tuple[str, str]] = {}
    people: dict[str, tuple[str, str]] = {}
    for namespace, user, topic, title, body in rows:
        try:
            fields = TextFields(user_id=user, topic_id=topic, title=title, body=f"-{body}")
            owner = (RunContext(namespace=namespace).namespace, fields.user_id)
        except ValidationError:
            continue
        text = Text(owner[1], fields.body, fields.topic_id, title=fields.title, namespace=owner[0])
        assert owners.setdefault(text.text_id, owner) == owner
        assert people.setdefault(person_key(*owner), owner) == owner


def test_a_person_whose_id_is_refused_today_can_be_looked_up() -> None:
    """A store of an earlier version may hold one, and forget has to find it."""
    assert id_to_find("user", "a\x1fb") == "a\x1fb"
