"""Copies of a person's texts are found by the list, and by name; each kind removes only theirs."""

import gzip
import json
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from patlm.evaluation.cache import Answers
from patlm.stores.copies.kinds import KINDS
from patlm.stores.copies.ledger import made_of, note_copy, origin, read_copies
from patlm.stores.copies.search import Sought
from patlm.stores.copies.sweep import CopyPlace, places_of, sweep
from patlm.stores.errors import InvalidOption
from patlm.stores.texts.forget import PieceFinder, pieces_of
from raising import raises

WORDS = "Nobody but me says zwieback like this, or “Grütze” either."
OTHER = "What somebody else wrote about rusks and porridge."
TEXT_ID = "0" * 19 + "a"
SOUGHT = Sought("default", "ann", PieceFinder(pieces_of([WORDS])), frozenset([TEXT_ID]))


def rejects(path: Path) -> int:
    lines = [{"line": 1, "reason": f"got {WORDS}"}, {"line": 2, "reason": OTHER}]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")
    return 1


def items(path: Path) -> int:
    read = {"draft": "x", "evidence": {"style": [[TEXT_ID, 0.5]]}}
    lines = [{"draft": WORDS}, read, {"draft": OTHER}]
    path.write_text("\n".join(json.dumps(each) for each in lines) + '\n{"torn": ')
    return 2


def examples(path: Path) -> int:
    by = [{"arms": [{"own": [{"user_id": user, "body": "b"}]}]} for user in ("ann", "bob")]
    path.write_text(json.dumps({"examples": [*by, {"real": OTHER}, {"real": WORDS}]}))
    return 2


def page(path: Path) -> int:
    path.write_text("<p>Nobody but me says zwieback like this, or &#8220;Gr&uuml;tze")
    return 1


def answers(path: Path) -> int:
    cache = Answers(path)
    for key, said in (("1", WORDS), ("2", OTHER), ("3", f"As {WORDS.upper()} {WORDS}")):
        cache.put(key, {"text": said})
    cache.close()
    return 2


def checkpoints(path: Path) -> int:
    """As `langgraph-checkpoint-sqlite` makes them; thread 1 has the words in one table alone."""
    with sqlite3.connect(path) as opened:
        opened.execute("CREATE TABLE checkpoints (thread_id TEXT, checkpoint BLOB, metadata BLOB)")
        opened.execute("CREATE TABLE writes (thread_id TEXT, idx INTEGER, value BLOB)")
        said = (("1", b"\x81\xa1"), ("2", b"\x81" + OTHER.encode()))
        opened.executemany("INSERT INTO checkpoints VALUES (?, ?, '{}')", said)
        opened.execute("INSERT INTO writes VALUES ('1', 0, ?)", (b"\xd9" + WORDS.encode(),))
    return 1


FILLED = {
    "rejects": ("in.rejects.jsonl", rejects),
    "items": ("items.jsonl", items),
    "examples": ("examples.json", examples),
    "page": ("runs.html", page),
    "answers": ("answers.sqlite", answers),
    "checkpoints": ("checkpoints.sqlite", checkpoints),
}


@pytest.mark.parametrize("kind", FILLED)
def test_each_kind_removes_what_is_the_persons_and_proves_it(kind: str, tmp_path: Path) -> None:
    name, fill = FILLED[kind]
    path, entry = tmp_path / name, KINDS[kind]
    count = fill(path)
    assert entry.find is not None and entry.remove is not None
    assert entry.find(path, SOUGHT) == count and not entry.prove(path, SOUGHT)
    assert entry.remove(path, SOUGHT) == count
    assert not path.exists() or entry.prove(path, SOUGHT)
    left = b"".join(each.read_bytes() for each in tmp_path.rglob("*"))
    assert b"zwieback" not in left and TEXT_ID.encode() not in left
    assert kind == "page" or OTHER.encode() in left, "what is others' stays"


@pytest.mark.parametrize(("by_id", "found"), [(True, 1), (False, 0)])
def test_an_id_counts_only_where_it_is_the_same_person(
    by_id: bool, found: int, tmp_path: Path
) -> None:
    line = {"user_id": "ann", "draft": OTHER}
    (tmp_path / "items.jsonl").write_text(json.dumps(line))
    sought = Sought("default", "ann", SOUGHT.finder, by_id=by_id)
    assert KINDS["items"].find is not None
    assert KINDS["items"].find(tmp_path / "items.jsonl", sought) == found


def test_what_was_made_of_something_belongs_to_where_that_came_from(tmp_path: Path) -> None:
    store, data = tmp_path / "store", tmp_path / "rows.csv"
    note_copy("source", data, of=store)
    note_copy("items", tmp_path / "items.jsonl", of=data)
    note_copy("traces", tmp_path / "trace", of=f"{store}/")
    note_copy("page", tmp_path / "runs.html", of=tmp_path / "trace")
    note_copy("page", tmp_path / "runs.html", of=tmp_path / "trace")
    note_copy("traces", tmp_path / "others", of=tmp_path / "another-store")
    note_copy("page", tmp_path / "others.html", of=tmp_path / "others")
    assert len(read_copies()) == 6, "each once"
    own = made_of(read_copies(), [origin(store)])
    assert {each.path.name for each in own} == {"rows.csv", "trace", "items.jsonl", "runs.html"}
    names = {place.path.name for place in places_of(str(store))}
    assert "others" not in names and "others.html" not in names, "records of runs on other stores"


def test_a_page_goes_with_the_records_that_it_shows(tmp_path: Path) -> None:
    trace, shown = tmp_path / "trace", tmp_path / "runs.html"
    trace.mkdir()
    record = {"run_id": "1", "namespace": "default", "request": {"user_id": "ann"}}
    (trace / "traces-20260101.jsonl").write_text(json.dumps(record) + "\n")
    shown.write_text("a run of somebody")
    note_copy("page", shown, of=trace)
    places = places_of(str(tmp_path / "store"), trace=trace)
    assert sweep(SOUGHT, places, dry_run=True).removed == {"traces": 1} and shown.exists()
    assert sweep(SOUGHT, places).removed == {"traces": 1, "page": 1} and not shown.exists()


@pytest.mark.parametrize("fill", [rejects, items, examples, answers, checkpoints])
def test_a_folder_that_is_named_is_searched_whatever_is_in_it(
    fill: Callable[[Path], int], tmp_path: Path
) -> None:
    name = next(name for name, made in FILLED.values() if made is fill)
    folder = tmp_path / "given" / "deep"
    folder.mkdir(parents=True)
    fill(folder / name)
    (folder / "notes.txt").write_text(f"kept by hand: {WORDS}")
    swept = sweep(SOUGHT, places_of(None, copies=[tmp_path / "given"]))
    assert swept.changed == (str(folder / name),)
    assert [str(folder / "notes.txt") in each for each in swept.left] == [True]
    assert (folder / "notes.txt").exists(), "a file of nobody knows whom is named, not removed"


@pytest.mark.parametrize("cut", [False, True])
def test_a_file_that_is_not_packed_as_its_name_says_is_searched(tmp_path: Path, cut: bool) -> None:
    packed = gzip.compress(random.Random(0).randbytes(9_000))
    (tmp_path / "notes.gz").write_bytes(packed[:4_000] + WORDS.encode() if cut else WORDS.encode())
    (said,) = sweep(SOUGHT, places_of(None, copies=[tmp_path])).left
    assert str(tmp_path / "notes.gz") in said


def test_copies_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with raises(InvalidOption, "invalid_option", tmp_path / "nowhere"):
        places_of(None, copies=[tmp_path / "nowhere"])


def test_a_copy_that_cannot_be_changed_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "answers.sqlite"
    broken.write_bytes(b"SQLite format 3\x00" + b"\xff" * 200)
    swept = sweep(SOUGHT, [CopyPlace(KINDS["answers"], broken)])
    assert swept.removed == {} and str(broken) in swept.left[0]


def test_a_list_that_cannot_be_written_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("PATLM_COPIES", str(tmp_path / "file" / "copies.jsonl"))
    note_copy("page", tmp_path / "runs.html", of=None)
    assert "runs.html" in caplog.text and "--copies" in caplog.text
