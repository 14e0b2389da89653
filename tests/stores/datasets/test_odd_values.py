"""Whatever stands in a field, the rows beside it are read, and nothing is left out unsaid."""

import json
from pathlib import Path
from typing import Any

import pytest
from format_writers import ONE_FOLDER
from hypothesis import given
from hypothesis import strategies as st
from patlm.stores.datasets.formats import RowFile, read_texts
from patlm.stores.datasets.preview import preview
from patlm.stores.datasets.validation import (
    Defaults,
    FormatError,
    Reject,
    TextFields,
    WrongReading,
    validate,
)
from patlm.stores.types import Text
from patlm.stores.values import RatingScale, ReadingRules
from pydantic import ValidationError
from raising import raises

FIELDS = ("user_id", "topic_id", "text", "title", "rating", "timestamp", "language", "target")
GOOD = {"user_id": "ana", "text": "A good lamp.", "topic_id": "lamp"}
NUMBERS = st.one_of(
    st.integers(), st.sampled_from([10**400, -(10**400), 1e308]), st.floats(allow_nan=True)
)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


def read(path: Path, content: Any, *, lines: bool = True) -> tuple[list[Text], list[Reject]]:
    rows = [json.dumps(row) for row in content] if lines else [json.dumps(content)]
    path.write_text("\n".join(rows), "utf-8")
    found = list(read_texts(path))
    texts = [row for row in found if isinstance(row, Text)]
    return texts, [row for row in found if isinstance(row, Reject)]


@ONE_FOLDER
@given(field=st.sampled_from(FIELDS), value=VALUES)
def test_any_value_costs_its_own_row_at_most(tmp_path: Path, field: str, value: Any) -> None:
    texts, rejects = read(tmp_path / "a.jsonl", [GOOD, {**GOOD, field: value}, GOOD])
    assert len(texts) + len(rejects) == 3
    assert [text.body for text in texts].count("A good lamp.") >= 2
    assert all(reject.line == 2 for reject in rejects)


@given(odd=st.dictionaries(st.sampled_from([*TextFields.model_fields, "colour"]), VALUES))
def test_rows_are_read_as_their_model_says(odd: dict[str, Any]) -> None:
    fields = {"user_id": "ana", "body": "A good lamp.", **odd}
    read = validate(fields, Defaults(language=""))
    try:
        expected = TextFields.model_validate(fields, context=ReadingRules()).model_dump()
    except ValidationError as error:
        first = error.errors()[0]
        assert isinstance(read, Reject)
        assert (read.code, read.reason) == (first["type"], first["msg"])
    else:
        assert isinstance(read, Text)
        found = {name: getattr(read, name) for name in expected}
        assert found == expected | {"shared_id": found["shared_id"]}
        assert expected["shared_id"] in (None, found["shared_id"])


@pytest.mark.parametrize("field", ["rating", "title", "target", "timestamp", "user_id", "topic_id"])
@pytest.mark.parametrize("value", [10**400, -(10**400), ["x"], [], {"a": 1}])
def test_odd_values_that_once_stopped_a_file(tmp_path: Path, field: str, value: Any) -> None:
    texts, rejects = read(tmp_path / "a.jsonl", [GOOD, {**GOOD, field: value}])
    assert len(texts) + len(rejects) == 2 and texts[0].body == "A good lamp."


REDDIT = {"author": "ana", "body": "A good lamp.", "created_utc": 1546300900}
PLAY = {"reviewId": "1", "userName": "ana", "content": "A good lamp."}


@pytest.mark.parametrize("value", [{"name": "b"}, ["b"], [], {}])
@pytest.mark.parametrize(
    ("row", "field"),
    [(REDDIT, "author"), (REDDIT, "body"), (PLAY, "userName"), (PLAY, "content")],
)
def test_an_object_where_a_word_may_stand_for_none(
    tmp_path: Path, row: dict[str, Any], field: str, value: Any
) -> None:
    texts, rejects = read(tmp_path / "a.jsonl", [row, {**row, field: value}, row])
    assert [text.body for text in texts] == ["A good lamp."] * 2
    assert [reject.line for reject in rejects] == [2]


@pytest.mark.parametrize(
    "encoding",
    ["hex", "base64", "zlib", "bz2", "rot13", "uu", "quopri", "idna", "punycode", "undefined"]
    + ["utf-16", "utf-32", "a\0b"],
)
def test_what_is_no_encoding_of_the_file_is_refused(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.csv").write_text("user,text\nana,A good lamp.\n")
    with raises(WrongReading, "unknown_encoding", encoding.replace("\0", r"\x00")):
        read_texts(tmp_path / "a.csv", encoding=encoding)


def test_utf_16_with_its_mark_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user,text\nana,A good lamp.\n", "utf-16")
    (text,) = read_texts(tmp_path / "a.csv", encoding="utf-16")
    assert isinstance(text, Text) and text.body == "A good lamp."


@pytest.mark.parametrize(
    "time",
    ["9999-12-31 23:59:59.999999", "9999-12-31T23:00:00-05:00", "0001-01-01T00:00:00+05:00"],
)
def test_a_time_beyond_the_calendar_cannot_be_read(tmp_path: Path, time: str) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({**GOOD, "timestamp": time}))
    rows = read_texts(tmp_path / "a.jsonl")
    (text,) = rows
    assert isinstance(text, Text) and text.timestamp is None
    assert dict(rows.noted) == {"timestamp_unreadable": 1}


def test_the_last_time_of_the_calendar_is_one(tmp_path: Path) -> None:
    texts, _ = read(tmp_path / "a.jsonl", [{**GOOD, "timestamp": "9999-12-31 23:59:59.999"}])
    assert texts[0].timestamp == 253_402_300_799_999


def test_a_second_list_of_rows_is_named(tmp_path: Path) -> None:
    document = {"train": [GOOD], "info": {"n": 1}, "test": [GOOD, GOOD]}
    texts, rejects = read(tmp_path / "a.json", document, lines=False)
    assert len(texts) == 1
    (reject,) = rejects
    assert "'test'" in reject.reason and reject.place == ".test"


@pytest.mark.parametrize("rest", [{}, {"count": 1, "tags": ["a"]}, {"next": None}])
def test_what_is_no_list_of_rows_may_follow(tmp_path: Path, rest: dict[str, Any]) -> None:
    texts, rejects = read(tmp_path / "a.json", {"reviews": [GOOD], **rest}, lines=False)
    assert (len(texts), rejects) == (1, [])


def test_a_language_of_a_file_is_a_tag(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(GOOD))
    with raises(FormatError, "invalid_language", "english!!"):
        read_texts(path, language="english!!")
    (text,) = read_texts(path, language="pt-br")
    assert isinstance(text, Text) and text.language == "pt-BR"


def rated(path: Path, ratings: list[str], scale: RatingScale | None = None) -> RowFile:
    rows = "".join(f'u{at};"{each}";Text {at}.\n' for at, each in enumerate(ratings))
    path.write_text(f"user;rating;text\n{rows}")
    return read_texts(path, scale=scale)


@pytest.mark.parametrize(
    ("ratings", "read", "note"),
    [
        (["4,5", "1,234", "3"], [4.5, 1.234, 3.0], "1.234"),
        (["4.5", "1,234", "3"], [4.5, 1234.0, 3.0], "1234"),
        (["1,234", "2,000", "3"], [None, None, 3.0], "NO rating"),
        (["4.5", "1,234", "4,5"], [4.5, None, 4.5], "NO rating"),
        (["4,5", "1.234", "3"], [4.5, 1234.0, 3.0], ""),
        (["1.234", "4.333", "3"], [1.234, 4.333, 3.0], ""),
    ],
)
def test_ratings_with_a_comma_are_read_as_their_file_shows(
    tmp_path: Path, ratings: list[str], read: list[float | None], note: str
) -> None:
    rows = rated(tmp_path / "a.csv", ratings, RatingScale(0, 5000))
    assert [row.rating for row in rows if isinstance(row, Text)] == read
    assert rows.noted["rating_unreadable"] == read.count(None)
    said = [each for each in rows.notes if "1,234" in each]
    assert len(said) == bool(note) and all(note in each for each in said)


def test_a_later_rating_shows_what_the_first_ones_do_not(tmp_path: Path) -> None:
    rows = rated(tmp_path / "a.csv", ["1,234"] + ["3"] * 1500 + ["4,5"])
    found = [row.rating for row in rows if isinstance(row, Text)]
    assert (found[0], found[-1]) == (1.234, 4.5)


def test_thousands_are_no_ratings_of_a_small_scale(tmp_path: Path) -> None:
    rows = rated(tmp_path / "a.csv", ["4.5", "1,234", "3"])
    codes = [row.code for row in rows if isinstance(row, Reject)]
    assert codes == ["rating_scale"]


def test_a_year_in_two_digits_is_left_out_and_counted(tmp_path: Path) -> None:
    rows = [{**GOOD, "text": f"Text {at}.", "timestamp": f"{at}.06.24"} for at in (3, 13, 23)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = read_texts(tmp_path / "a.jsonl")
    assert [row.timestamp for row in found if isinstance(row, Text)] == [None] * 3
    assert dict(found.noted) == {"timestamp_unreadable": 3}


BODY = "Loud.<br /><br />An 8&#34; lid &amp; <b>more</b>."
PLAIN = 'Loud.\n\nAn 8" lid & <b>more</b>.'
AMAZON = {"user_id": "ana", "asin": "b1", "title": "8&#34; pan<br />new", "text": BODY}
AMAZON_2018 = {"reviewerID": "ana", "asin": "b1", "summary": "s", "reviewText": BODY}
FINE_FOOD = {"UserId": "ana", "ProductId": "b1", "Score": 5, "Text": BODY}


@pytest.mark.parametrize(
    ("row", "body"),
    [(AMAZON, PLAIN), (AMAZON_2018, PLAIN), (FINE_FOOD, PLAIN), ({**REDDIT, "body": BODY}, PLAIN)]
    + [({**GOOD, "text": BODY}, BODY), ({**PLAY, "content": BODY}, BODY)],
)
def test_marks_of_pages_go_from_sets_that_are_published_with_them(
    tmp_path: Path, row: dict[str, Any], body: str
) -> None:
    texts, rejects = read(tmp_path / "a.jsonl", [row])
    assert ([text.body for text in texts], rejects) == ([body], [])
    assert texts[0].title == ('8" pan new' if row is AMAZON else texts[0].title)
    said = " ".join(preview(read_texts(tmp_path / "a.jsonl")).odd)
    assert ("<br />" in said) == (body == BODY)
