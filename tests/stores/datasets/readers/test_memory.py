"""Files of any size take the memory of a few rows; a line beyond all bounds is one reject."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

MEASURE = """
import resource, sys
from pathlib import Path
from patlm.stores.datasets.formats import read_texts
from patlm.stores.datasets.validation import Reject
for row in read_texts(Path(sys.argv[1])):
    pass
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
texts = rejects = 0
for row in read_texts(Path(sys.argv[2])):
    rejected = isinstance(row, Reject)
    rejects, texts = rejects + rejected, texts + (not rejected)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(texts, rejects, (after - before) // 1024)
"""
WORDS = "some words of a review, which go on and on; " * 20


def write(path: Path, size: int) -> int:
    """Write rows of a kind that the file's ending says until it has a size; return their number."""
    kind = path.suffix
    heads = {".jsonl": "", ".json": "[", ".csv": "user_id,text\n"}
    rows = {".jsonl": '{"user_id":"u","text":"%d W"}\n', ".csv": 'u,"%d W"\n'}
    row = rows.get(kind, '{"user_id":"u","text":"%d W"},\n').replace("W", WORDS)
    number = 0
    with path.open("w") as file:
        file.write(heads[kind])
        while file.tell() < size:
            file.write("".join(row % each for each in range(number, number + 1_000)))
            number += 1_000
        if kind == ".json":
            file.write('{"user_id":"u","text":"the end"}]')
            number += 1
    return number


def measure(small: Path, large: Path) -> tuple[int, int, int]:
    """Return texts, rejects, and by how many MB the second file took more than the first."""
    command = [sys.executable, "-c", MEASURE, str(small), str(large)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    texts, rejects, grown = map(int, done.stdout.split())
    return texts, rejects, grown


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    for path in tmp_path.iterdir():  # pytest would keep gigabytes
        path.unlink()


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv"])
@pytest.mark.parametrize("size", [40_000_000, pytest.param(2_000_000_000, marks=pytest.mark.slow)])
def test_a_large_file_is_streamed(folder: Path, kind: str, size: int) -> None:
    small, large = folder / f"small.{kind}", folder / f"large.{kind}"
    write(small, 4_000_000)
    number = write(large, size)
    texts, rejects, grown = measure(small, large)
    assert (texts, rejects) == (number, 0)
    assert grown < 24


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
@pytest.mark.parametrize("size", [20_000_000, pytest.param(200_000_000, marks=pytest.mark.slow)])
def test_a_long_line_is_one_reject(folder: Path, kind: str, size: int) -> None:
    small, large = folder / f"small.{kind}", folder / f"large.{kind}"
    row = '{{"user_id": "u", "text": "{}"}}\n' if kind == "jsonl" else "u,{}\n"
    head = "" if kind == "jsonl" else "user_id,text\n"
    write(small, 4_000_000)
    with large.open("w") as file:
        file.write(head + row.format("before"))
        begin, end = row.format("-").split("-")
        file.write(begin)
        for _ in range(size // 1_000_000):
            file.write("a" * 1_000_000)
        file.write(end + row.format("behind"))
    texts, rejects, grown = measure(small, large)
    assert (texts, rejects) == (2, 1)
    assert grown < 24
