"""Folders of the `datasets` library, and such as look like them: read, or refused by name."""

import json
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from patlm.stores.datasets.formats import open_data, read_texts
from patlm.stores.datasets.validation import FormatError, Reject
from patlm.stores.types import Text
from pyarrow import parquet
from raising import raises


@pytest.mark.parametrize(
    ("name", "content"),
    [("state.json", {"_data_files": []}), ("dataset_dict.json", {"splits": []})],
)
def test_an_empty_set_is_told(tmp_path: Path, name: str, content: object) -> None:
    (tmp_path / name).write_text(json.dumps(content))
    with raises(FormatError, "empty_file", "is empty"):
        open_data(tmp_path)


@pytest.mark.parametrize("name", ["state.json", "dataset_dict.json"])
@pytest.mark.parametrize(
    "content",
    ['{"step": 3}', "{", "", "[1]", "\\xff", "[" * 100_000, '{"_data_files": 1, "splits": "a"}']
    + ['{"_data_files": [{}], "splits": [1]}', '{"_data_files": ["."], "splits": ["."]}'],
)
def test_a_file_of_another_program_is_no_set(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    (tmp_path / "a.csv").write_text("user,text\nana,A good lamp.\n")
    with raises(FormatError, "several_sets", "a.csv"):
        open_data(tmp_path)
    (tmp_path / name).rename(tmp_path / "state.txt")
    assert len(list(read_texts(tmp_path))) == 1


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("state.json", {"_data_files": [{"filename": "data-0.arrow"}]}, "data-0.arrow"),
        ("dataset_dict.json", {"splits": ["train"]}, "train"),
    ],
)
def test_a_missing_part_is_named(tmp_path: Path, name: str, content: object, part: str) -> None:
    (tmp_path / name).write_text(json.dumps(content))
    with raises(FormatError, "no_such_file", part):
        open_data(tmp_path)


def test_a_data_set_of_the_hub_is_read_as_its_files_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library takes a folder in the working folder for the data set of that name."""
    pytest.importorskip("datasets")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner" / "name").mkdir(parents=True)
    columns = {"user_id": pa.array([5.0, 2.0**24 + 2], pa.float32()), "text": ["fine", "good"]}
    columns["rating"] = pa.array([4.5, 2.0], pa.float32())
    parquet.write_table(pa.table(columns), tmp_path / "owner" / "name" / "train.parquet")
    for source in ("owner/name/train.parquet", "hf:owner/name@train"):
        text, reject = read_texts(Path(source))
        assert isinstance(text, Text) and (text.user_id, text.rating) == ("5", 4.5)
        assert isinstance(reject, Reject) and (reject.code, reject.line) == ("user_inexact", 2)


def strings_of(*values: bytes) -> pa.Array:
    """Return an array of strings whose bytes are not checked."""
    return pa.array(values, pa.binary()).view(pa.string())


BAD = strings_of(b"A good lamp.", b"bad \xff text")


@pytest.mark.parametrize(
    "bodies",
    [BAD, BAD.cast(pa.large_string()), BAD.dictionary_encode()],
    ids=["string", "large", "dictionary"],
)
def test_a_text_that_is_not_utf8_is_a_reject(tmp_path: Path, bodies: pa.Array) -> None:
    table = pa.table({"user": ["ana", "ben"], "text": bodies})
    parquet.write_table(table, tmp_path / "a.parquet", store_schema=True)
    text, reject = read_texts(tmp_path / "a.parquet")
    assert isinstance(text, Text) and text.body == "A good lamp."
    assert isinstance(reject, Reject) and (reject.line, reject.code) == (2, "text_encoding")


def test_a_part_that_is_not_utf8_is_a_reject(tmp_path: Path) -> None:
    posts = pa.StructArray.from_arrays([BAD, pa.array(["t", "t"])], ["text", "topic"])
    table = pa.table({"user": ["ana", "ben"], "post": posts, "more": strings_of(b"\xff", b"a")})
    parquet.write_table(table, tmp_path / "a.parquet")
    columns = {"user_id": "user", "body": "post.text", "topic_id": "post.topic"}
    text, reject = read_texts(tmp_path / "a.parquet", columns=columns)
    assert isinstance(text, Text) and (text.body, text.topic_id) == ("A good lamp.", "t")
    assert isinstance(reject, Reject) and reject.code == "text_encoding"


@pytest.mark.parametrize("field", ["text", "user", "title"])
def test_no_words_stand_for_a_value_that_cannot_be_read(tmp_path: Path, field: str) -> None:
    beyond = pa.array([10**12], pa.timestamp("s"))
    columns = {"user": ["ana"], "text": ["A lamp."], "title": ["Lamp"], "time": beyond}
    parquet.write_table(pa.table({**columns, field: beyond}), tmp_path / "a.parquet")
    (reject,) = read_texts(tmp_path / "a.parquet")
    assert isinstance(reject, Reject) and reject.code == f"{field}_unreadable"


def test_a_time_beyond_python_is_a_time_that_cannot_be_read(tmp_path: Path) -> None:
    beyond = pa.array([10**12], pa.timestamp("s"))
    table = pa.table({"user": ["ana"], "text": ["A lamp."], "time": beyond})
    parquet.write_table(table, tmp_path / "a.parquet")
    rows = read_texts(tmp_path / "a.parquet")
    (text,) = rows
    assert isinstance(text, Text) and text.timestamp is None
    assert dict(rows.noted) == {"timestamp_unreadable": 1}


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_bytes_that_are_text_are_read(tmp_path: Path, kind: pa.DataType) -> None:
    """Impala, Hive and Spark write strings so, and pictures are bytes, too."""
    columns = {"user_id": pa.array([b"ana", b"zo\xc3\xab", b"\xff\xd8"], kind)}
    columns["text"] = pa.array(["A good lamp.", "Fine.", "Loud."])
    columns["picture"] = pa.array([b"\xff\xd8\xff", b"\x89PNG", None], kind)
    parquet.write_table(pa.table(columns), tmp_path / "a.parquet")
    *texts, reject = read_texts(tmp_path / "a.parquet")
    assert [text.user_id for text in texts if isinstance(text, Text)] == ["ana", "zo\u00eb"]
    assert isinstance(reject, Reject) and reject.code == "user_type"


def test_no_row_is_lost_for_a_number_as_title_or_an_unset_truth(tmp_path: Path) -> None:
    columns: dict[str, object] = {"user_id": ["ana", "ben"], "text": ["A good lamp.", "Fine."]}
    columns["title"] = pa.array([Decimal(1984), None], pa.decimal128(6, 0))
    columns["shared_id"] = pa.array([1.0, float("nan")])
    parquet.write_table(pa.table(columns), tmp_path / "a.parquet")
    found = [row for row in read_texts(tmp_path / "a.parquet") if isinstance(row, Text)]
    assert [(text.title, text.shared_id) for text in found] == [("1984", True), ("", True)]
