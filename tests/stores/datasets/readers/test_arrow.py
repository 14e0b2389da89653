"""Folders of the `datasets` library, and such as look like them: read, or refused by name."""

import json
from pathlib import Path

import pytest
from patlm.stores.datasets.formats import open_data, read_texts
from patlm.stores.datasets.validation import FormatError
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
