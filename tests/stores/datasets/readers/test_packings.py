"""Damage of packed files and tables is told, and what stands before and behind it is read."""

import bz2
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard
from patlm.stores.datasets.formats import read_texts
from patlm.stores.datasets.validation import FormatError, Reject
from patlm.stores.types import Text
from pyarrow import ipc, parquet
from raising import raises

PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}
WRITE: dict[str, Callable[[str, str], str]] = {
    "csv": lambda user, text: f'{user},"{text}"\n',
    "tsv": lambda user, text: f"{user}\t{text}\n",
    "jsonl": lambda user, text: json.dumps({"user": user, "text": text}) + "\n",
}
HEADS = {"csv": "user,text\n", "tsv": "user\ttext\n", "jsonl": ""}


def rows_of(kind: str, numbers: range) -> bytes:
    """Return rows whose texts do not pack well, so that few of them are in one step."""
    return "".join(WRITE[kind](f"u{n}", f"{n * 7919 * 7919} {n**5} text") for n in numbers).encode()


def read(path: Path) -> tuple[list[Text], list[Reject]]:
    rows = list(read_texts(path))
    texts = [row for row in rows if isinstance(row, Text)]
    return texts, [row for row in rows if isinstance(row, Reject)]


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("packing", PACK)
def test_no_cut_text_is_kept(tmp_path: Path, packing: str, kind: str) -> None:
    """Cut between any two bytes of the content, as far as the packing lets that be."""
    pack, head = PACK[packing], HEADS[kind].encode()
    path, whole = tmp_path / f"a.{kind}", rows_of(kind, range(4))
    path.write_bytes(head + whole)
    wanted = [text.body for text in read(path)[0]]
    second = pack(whole[50:])
    for cut in range(1, len(second), 3):
        path.write_bytes(pack(head + whole[:50]) + second[:cut])
        texts, rejects = read(path)
        assert [text.body for text in texts] == wanted[: len(texts)]
        assert rejects[-1].code == "damaged" and len(texts) <= len(wanted)
    path.write_bytes(pack(head + whole[:50]) + second + b"\x00" * 8)  # padding is no damage
    assert [text.body for text in read(path)[0]] == wanted


@pytest.mark.parametrize("packing", PACK)
def test_a_damaged_second_stream_is_told(tmp_path: Path, packing: str) -> None:
    pack, path = PACK[packing], tmp_path / "a.jsonl"
    second = bytearray(pack(rows_of("jsonl", range(20, 40))))
    second[:4] = b"oops"
    path.write_bytes(pack(rows_of("jsonl", range(20))) + second)
    texts, rejects = read(path)
    assert (len(texts), [reject.code for reject in rejects]) == (20, ["damaged"])


def test_a_damaged_end_is_called_damage(tmp_path: Path) -> None:
    """Also where a text of several lines is open, which ends there."""
    path = tmp_path / "a.csv"
    path.write_bytes(gzip.compress(b'user,text\nana,"A lamp."\nben,"Two\nlines\nan') + b"\x1f\x8b")
    (text,), rejects = read(path)
    assert text.user_id == "ana" and {reject.code for reject in rejects} == {"csv", "damaged"}


def test_a_damaged_part_of_a_table_costs_its_rows(tmp_path: Path) -> None:
    path, size = tmp_path / "a.parquet", 1_000
    columns = {
        "user": [f"u{n}" for n in range(4 * size)],
        "text": [f"{n**7}" for n in range(4 * size)],
    }
    parquet.write_table(pa.table(columns), path, row_group_size=size, write_page_checksum=True)
    group = parquet.read_metadata(path).row_group(2).column(1)
    data = bytearray(path.read_bytes())
    data[group.dictionary_page_offset + 99] ^= 0xFF
    path.write_bytes(data)
    texts, (reject,) = read(path)
    assert len(texts) == 3 * size and texts[-1].user_id == f"u{4 * size - 1}"
    assert (reject.code, reject.line) == (
        "damaged",
        2 * size + 1,
    ) and f"{size:,} rows" in reject.reason


def test_a_stream_of_arrow_that_breaks_off(tmp_path: Path) -> None:
    table = pa.table({"user": ["ana"] * 9, "text": [f"text {n}" for n in range(9)]})
    file = io.BytesIO()
    with ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=3)
    (tmp_path / "a.arrow").write_bytes(file.getvalue()[:-200])
    texts, (reject,) = read(tmp_path / "a.arrow")
    assert (len(texts), reject.code) == (6, "damaged")


@pytest.mark.parametrize("kind", ["timestamp[s]", "timestamp[ns]", "date64[ms]"])
@pytest.mark.parametrize("deep", [False, True])
def test_a_time_that_cannot_be_costs_the_time(tmp_path: Path, kind: str, deep: bool) -> None:
    unit = pa.date64() if kind.startswith("date") else pa.timestamp(kind[10:-1])
    times = pa.array(
        [10**14 if kind[10:-1] == "s" else 2**62, 1_714_521_600 if kind[10:-1] == "s" else 1],
        pa.int64(),
    ).view(unit)
    bodies = pa.array(["A lamp.", "A lamp, again."])
    posts = pa.StructArray.from_arrays([bodies, times], ["text", "time"])
    nested = pa.table({"user": ["ana", "ben"], "post": posts})
    flat = pa.table({"user": ["ana", "ben"], "text": bodies, "time": times})
    parquet.write_table(nested if deep else flat, tmp_path / "a.parquet", version="2.6")
    columns = {"user_id": "user", "body": "post.text", "timestamp": "post.time"} if deep else {}
    rows = list(read_texts(tmp_path / "a.parquet", columns=columns))
    assert [row.user_id for row in rows if isinstance(row, Text)] == ["ana", "ben"]


def zipped(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "content")
    return file.getvalue()


TAR = b"a.csv".ljust(257, b"\x00") + b"ustar\x0000" + bytes(300)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (zipped("a.csv"), "zip"),
        (zipped("xl/workbook.xml"), "Excel"),
        (zipped("mimetype", "content.xml"), "OpenDocument"),
        (TAR, "tar"),
        (gzip.compress(TAR, mtime=0), "tar"),
        (b"ORC\x08\x03", "ORC"),
        (b"Obj\x01\x04\x14avro.codec", "Avro"),
        (b"\x80\x04\x95", "pickle"),
        (b"\n<!DOCTYPE html><html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # the bytes have times in them
)
def test_other_kinds_of_files_are_named(tmp_path: Path, content: bytes, named: str) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with raises(FormatError, "not_text", "a.csv", named):
        read_texts(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("packing", "encoding", "kind"),
    [("xz", "cp1252", "csv"), ("gzip", "utf-16", "tsv"), ("bzip2", "utf-8-sig", "jsonl")],
)
def test_a_packed_file_in_another_encoding_is_read(
    tmp_path: Path, packing: str, encoding: str, kind: str
) -> None:
    words = [f"Café n° {n}: crème brûlée, œufs à la coque" for n in range(40)]
    content = HEADS[kind] + "".join(WRITE[kind]("zoë", each) for each in words)
    path = tmp_path / "reviews.dump"
    path.write_bytes(PACK[packing](content.encode(encoding)))
    texts, rejects = read(path)
    assert not rejects
    assert [(text.user_id, text.body) for text in texts] == [("zoë", each) for each in words]
