"""A marked person goes through every command and API that writes, is forgotten, and is gone.

Whatever is below one root, home, cache and temporary files included, is read as what it is and
searched for the mark: none is left, or the receipt names the place.
"""

import asyncio
import gzip
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from marking import MARK, echoing_model
from patlm.graph import Personalizer
from patlm.graph import open as opening
from planted import write_planted
from processes import call, output
from store_fixtures import cheap_encoders

WHO = "person 3 of many"
MODEL = "python:marking:echoing_model"
SPLIT = ("--split", "all")


@pytest.fixture(autouse=True)
def _own_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is written goes below one root."""
    monkeypatch.setattr(opening, "open_encoders", cheap_encoders)
    for name in ("home", "temporary"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("CACHE", "DATA", "STATE", "CONFIG"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / "home" / name.lower()))
    monkeypatch.setenv("PATLM_CACHE", str(tmp_path / "home" / "patlm-cache"))
    monkeypatch.delenv("PATLM_COPIES")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home" / "hf"))
    monkeypatch.chdir(tmp_path / "home")


def marked_data(root: Path, people: int = 12) -> Path:
    """Write a data file in which one person's texts bear the mark, and a row is rejected."""
    file = write_planted(root / "planted.jsonl", people=people)
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    for row in rows:
        if row["user_id"] == WHO:
            row["text"] = f"{row['text']} {MARK} {row['topic_id']}"
    rows.append({"user_id": WHO, "topic_id": "lamp", "text": "x", "timestamp": MARK})
    rows.append({"user_id": "", "topic_id": MARK, "text": MARK})
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


async def use_the_api(store: Path, trace: Path) -> None:
    async with Personalizer(store, model=echoing_model(), trace=trace) as app:
        await app.add(WHO, f"In the attic: {MARK}.", topic_id="attic", shared=True)
        other: dict[str, Any] = {"topic_id": "attic", "title": "An attic", "max_iterations": 1}
        read = await app.awrite("person 1 of many", **other)
        assert MARK in str(read.evidence), "or nobody reads the text"
        own = await app.awrite(WHO, title=f"On {MARK}", topic_id="lamp", max_iterations=1)
        stranger = await app.awrite("newcomer", **other)
        await app.feedback(own.run_id, edited=f"Better: {MARK}.", rating=4, add=True)
        await app.feedback(read.run_id, edited=f"I say with them: {MARK}.")
        await app.feedback(stranger.run_id, accepted=True)
        batch = [{"user_id": WHO, "title": "A lamp"}, {"user_id": "dee", **other}]
        await app.abatch([{k: v for k, v in each.items() if k[0] != "m"} for each in batch])
        async for _ in app.astream("person 5 of many", **other):
            pass
        await app.feedback((await app.awrite(WHO, title="x", topic_id="hut")).run_id, rating=2)


def parts(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a file, and of what is packed in it."""
    yield path.read_bytes()
    if path.suffix == ".parquet":
        yield json.dumps(pq.read_table(path).to_pylist(), ensure_ascii=False).encode()
    elif path.suffix == ".arrow":
        is_file = path.read_bytes().startswith(b"ARROW1")  # as LanceDB's; else a stream
        with pa.memory_map(str(path)) as file:
            reader = pa.ipc.open_file(file) if is_file else pa.ipc.open_stream(file)
            rows = reader.read_all().to_pylist()
            yield json.dumps(rows, ensure_ascii=False, default=str).encode()
    elif path.suffix == ".gz":
        yield gzip.decompress(path.read_bytes())
    elif path.suffix == ".sqlite":
        with sqlite3.connect(path) as opened:
            yield "\n".join(opened.iterdump()).encode()
    elif path.suffix in (".zst", ".bz2", ".xz", ".zip"):
        raise AssertionError(f"{path}: what is packed so has to be unpacked here")


def marked(root: Path) -> dict[str, int]:
    """Return how often the mark is in each file."""
    found = {}
    for path in sorted(root.rglob("*")):
        if path.is_file():
            count = sum(part.lower().count(MARK.lower().encode()) for part in parts(path))
            if count:
                found[str(path.relative_to(root))] = count
    return found


def works(*words: object) -> None:
    done = call(*words)
    assert done.exit_code == 0, (words, done.output, done.exception)


def test_what_is_known_of_a_marked_person_is_gone(tmp_path: Path) -> None:
    data, store, out = marked_data(tmp_path), tmp_path / "store", tmp_path / "out"
    out.mkdir()
    works("ingest", data, "--store", store)
    asyncio.run(use_the_api(store, out / "trace"))
    on = ("--topic", "attic", "--title", "Up there", "--model", MODEL)
    works("write", "--user", "person 7 of many", "--store", store, "--trace", out / "more", *on)
    works("view", out / "trace", "--html", out / "runs.html")
    works("index", "--store", store)
    before = marked(tmp_path)
    assert len(before) >= 7, before
    receipt = output("forget", "--user", WHO, "--store", store)
    left = marked(tmp_path)
    assert set(left) == {"planted.jsonl"}, left
    assert any(str(data) in each for each in receipt["left"])


@pytest.mark.slow
def test_no_command_leaves_a_marked_person_anywhere(tmp_path: Path) -> None:
    data, store, out = marked_data(tmp_path, 120), tmp_path / "store", tmp_path / "out"
    out.mkdir()
    works("ingest", data, "--store", store)
    asyncio.run(use_the_api(store, out / "trace"))
    for command in commands(data, store, out):
        works(*command)
    before = marked(tmp_path)
    assert len(before) >= 20, before
    planned = output("forget", "--user", WHO, "--store", store, "--dry-run")
    assert marked(tmp_path) == before, "a dry run changes nothing"
    receipt = output("forget", "--user", WHO, "--store", store)
    left = marked(tmp_path)
    assert set(left) == {"planted.jsonl"}, left
    assert any(str(data) in each for each in receipt["left"])
    assert any(str(out / "encoder") in each for each in receipt["left"])
    assert planned["removed"]["traces"] == receipt["removed"]["traces"] > 0


def commands(data: Path, store: Path, out: Path) -> list[list[object]]:
    """Return a call of every command that writes something, and of some that only read."""
    on = ["--topic", "attic", "--title", "Up there"]
    bench = ["--data", data, "--model", MODEL, *SPLIT]
    cache = tmp = out.parent / "bench-cache"
    return [
        ["write", "--user", "person 7 of many", "--store", store, "--trace", out / "more",
         "--model", MODEL, *on],
        ["retrieve", "--user", "person 7 of many", "--store", store, *on],
        ["show", out / "trace", "--all"],
        ["view", out / "trace", "--html", out / "runs.html", "--all"],
        ["view", out / "more", "--html", out / "more" / "in-the-folder.html"],
        ["compare", *bench, "--limit", 24, "--modes", "none,quoted", "--html", out / "two.html",
         "--markdown", out / "two.md", "--cache", tmp / "compared"],
        ["collect", "--data", data, "--limit", 60, "--out", out / "episodes", "--model", MODEL,
         "--adapters", "none"],
        ["episodes", "stats", out / "episodes"],
        ["episodes", "export", out / "episodes", "--to", out / "samples.parquet"],
        ["episodes", "export", out / "trace", "--to", out / "samples"],
        ["bench", "personalization", *bench, "--out", out / "results", "--cache", cache,
         "--arms", "no_context,both,floors", "--limit", 12],
        ["bench", "report", out / "results"],
        ["index", "--store", store, "--train", "--epochs", 1],
        ["train-encoder", "--store", store, "--out", out / "encoder", "--epochs", 1],
        ["reembed", "--store", store],
        ["texts", "list", WHO, "--store", store],
        ["stats", "--store", store],
        ["episodes", "check", out / "trace"],
    ]  # fmt: skip
