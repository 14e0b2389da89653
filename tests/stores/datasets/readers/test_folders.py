"""A folder is one set, whatever program wrote it; several are a question."""

import gzip
import json
import os
from pathlib import Path

import pyarrow as pa
import pytest
from patlm.stores.datasets.formats import open_data, read_texts
from patlm.stores.datasets.validation import FormatError, Reject
from patlm.stores.types import Text
from pyarrow import parquet
from raising import raises

UUID = "7e1c9d4a-0b1f-4c2e-9a57-0c3f1e2d4b5a"


def write_row(path: Path, number: int) -> None:
    """Write a file of one row in the container that its name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    row = {"user_id": f"u{number}", "text": f"text {number}"}
    if path.suffix == ".parquet":
        parquet.write_table(pa.table({name: [value] for name, value in row.items()}), path)
        return
    lines = json.dumps(row) + "\n" if ".json" in path.name else "user_id,text\n{},{}\n"
    data = lines.format(*row.values()).encode() if lines[0] == "u" else lines.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def bodies(path: Path) -> list[str]:
    return [row.body for row in read_texts(path) if isinstance(row, Text)]


@pytest.mark.parametrize(
    ("names", "others"),
    [
        (
            [f"part-0000{n}-{UUID}-c000.snappy.parquet" for n in range(3)],
            ["_SUCCESS", f".part-00000-{UUID}-c000.snappy.parquet.crc", "_metadata"],
        ),
        ([f"part-0000{n}-{UUID}-c000.csv.gz" for n in range(3)], ["_SUCCESS"]),
        ([f"part-r-0000{n}.gz.parquet" for n in range(3)], ["_temporary/0/part-r-00009.parquet"]),
        ([f"part.{n}.parquet" for n in (0, 2, 10)], ["_common_metadata"]),  # Dask
        ([f"train-0000{n}-of-00003-0fb5d8b0f1b2c3d{n}.parquet" for n in range(3)], ["README.md"]),
        ([f"data/train-0000{n}-of-00003.jsonl" for n in range(3)], ["dataset_infos.json"]),
        ([f"export-00000000000{n}.json.gz" for n in range(3)], []),  # BigQuery
        ([f"year=20{n}/month=1/part-0.parquet" for n in (19, 20, 21)], ["_SUCCESS"]),
        ([f"year=20{n}/data.csv" for n in (19, 20, 21)], []),
    ],
)
def test_shards_are_one_set(tmp_path: Path, names: list[str], others: list[str]) -> None:
    for number, name in enumerate(names):
        write_row(tmp_path / name, number)
    for name in others:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"{}")
    assert bodies(tmp_path) == ["text 0", "text 1", "text 2"]


def test_folders_that_name_a_value_are_a_column(tmp_path: Path) -> None:
    for number, topic in enumerate(("lamp", "a%2Fb", "__HIVE_DEFAULT_PARTITION__")):
        write_row(tmp_path / f"topic={topic}" / "part-0.parquet", number)
    rows = read_texts(tmp_path)
    assert sorted(row.topic_id for row in rows if isinstance(row, Text)) == ["", "a/b", "lamp"]
    assert rows.columns["topic_id"] == ["topic"]


def test_a_set_of_a_folder_is_named(tmp_path: Path) -> None:
    for number, name in enumerate(("test-00000-of-00001", "train-00000-of-00002")):
        write_row(tmp_path / "data" / f"{name}.parquet", number)
    write_row(tmp_path / "data" / "train-00001-of-00002.parquet", 2)
    with raises(FormatError, "several_sets", "data/test", "data/train"):
        open_data(tmp_path)
    assert bodies(tmp_path / "data" / "train") == ["text 1", "text 2"]
    with raises(FormatError, "no_such_file", "trian"):
        open_data(tmp_path / "data" / "trian")


def test_a_folder_of_the_hubs_cache(tmp_path: Path) -> None:
    for number, name in enumerate(("old", "new")):
        write_row(tmp_path / "snapshots" / name / "data.parquet", number)
    (tmp_path / "refs").mkdir()
    with raises(FormatError, "several_sets", "snapshots"):
        open_data(tmp_path)
    (tmp_path / "refs" / "main").write_text("new")
    assert bodies(tmp_path) == ["text 1"]


@pytest.mark.parametrize("names", [("xaa", "xab", "xac"), ("a.csv.00", "a.csv.01", "a.csv.02")])
@pytest.mark.parametrize("packed", [False, True])
def test_pieces_of_a_file_are_put_together(
    tmp_path: Path, names: tuple[str, ...], packed: bool
) -> None:
    data = b"user,text\n" + b"".join(b'u%d,"text\n%d"\n' % (n, n) for n in range(90))
    data = gzip.compress(data) if packed else data
    third = len(data) // 3 + 1
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(data[number * third : (number + 1) * third])
    (tmp_path / "README").write_text("Pieces.")
    assert bodies(tmp_path) == [f"text\n{n}" for n in range(90)]
    (tmp_path / names[1]).unlink()
    with raises(FormatError, "no_such_file", names[0], names[2]):
        open_data(tmp_path)


DAMAGED = {  # a name of shards, and what becomes of the bytes of one
    "part-{}.parquet": lambda data: data[:-20],  # without its end, as of a download cut off
    "part-{}.csv.gz": lambda data: data[:12],
    "part-{}.jsonl": lambda data: b"Gone with the wind\n",
}


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_shard_costs_its_rows_alone(tmp_path: Path, name: str, place: int) -> None:
    for number in range(3):
        write_row(tmp_path / name.format(number), number)
    shard = tmp_path / name.format(place)
    shard.write_bytes(DAMAGED[name](shard.read_bytes()))
    rows = read_texts(tmp_path)
    rejects = [row for row in rows if isinstance(row, Reject)]
    assert bodies(tmp_path) == [f"text {n}" for n in range(3) if n != place]
    assert [(each.code, each.place) for each in rejects] == [("damaged", shard.name)]
    assert any(shard.name in note for note in rows.notes)


def test_of_damaged_shards_alone_nothing_is_read(tmp_path: Path) -> None:
    for number in range(2):
        write_row(tmp_path / f"part-{number}.parquet", number)
        shard = tmp_path / f"part-{number}.parquet"
        shard.write_bytes(shard.read_bytes()[:-20])
    with raises(FormatError, "damaged_file", "part-"):
        open_data(tmp_path)


def test_empty_shards_are_said(tmp_path: Path) -> None:
    write_row(tmp_path / "part-00001.jsonl", 1)
    (tmp_path / "part-00000.jsonl").write_bytes(b"")
    assert bodies(tmp_path) == ["text 1"]
    assert any("part-00000.jsonl" in note for note in read_texts(tmp_path).notes)
    (tmp_path / "part-00001.jsonl").write_bytes(b"")
    with raises(FormatError, "empty_file", tmp_path.name):
        open_data(tmp_path)


@pytest.mark.parametrize("log", ["_delta_log", ".hoodie"])
def test_tables_that_keep_deleted_rows_are_refused(tmp_path: Path, log: str) -> None:
    write_row(tmp_path / "part-00000.parquet", 0)
    (tmp_path / log).mkdir()
    with raises(FormatError, "not_text", tmp_path.name):
        open_data(tmp_path)


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with raises(FormatError, "no_file", "pipe"):
        read_texts(tmp_path / "pipe")


@pytest.mark.parametrize("suffix", [".gz", ""])
def test_outputs_are_found_packed(tmp_path: Path, suffix: str) -> None:
    item = {"id": "1", "input": "Write", "profile": [{"title": "T", "text": "X"}]}
    outputs = json.dumps({"task": "LaMP_4", "golds": [{"id": "1", "output": "Done."}]}).encode()
    (tmp_path / f"dev_questions.json{suffix}").write_bytes(
        gzip.compress(json.dumps([item]).encode()) if suffix else json.dumps([item]).encode()
    )
    (tmp_path / "dev_outputs.json.gz").write_bytes(gzip.compress(outputs))
    assert bodies(tmp_path / f"dev_questions.json{suffix}") == ["X", "Done."]


def test_a_piece_without_a_header_is_told(tmp_path: Path) -> None:
    """Its first line is a row, which would be lost as the names of columns."""
    (tmp_path / "reviews_0001.csv").write_text("user,text\nana,A good lamp.\n")
    (tmp_path / "reviews_0002.csv").write_text("ben,A kettle.\ncy,A loud fan.\n")
    rows = read_texts(tmp_path)
    text, reject = rows
    assert isinstance(text, Text) and text.user_id == "ana"
    assert isinstance(reject, Reject) and (reject.code, reject.place) == (
        "damaged",
        "reviews_0002.csv",
    )
    assert not rows.unread and not any("kettle" in note for note in rows.notes)
