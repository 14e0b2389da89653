"""What is given as a store and is none: one clear line from every command. Nothing is changed."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from patlm.stores.errors import NoSuchStore, StoreError
from patlm.stores.texts.connection import TABLE_FOLDER, check_exists, check_place
from patlm.stores.texts.schema import TEXTS
from processes import call
from raising import raises

COMMANDS = {
    "ingest": "ingest DATA --store STORE",
    "write": "write --user u --title x --store STORE",
    "retrieve": "retrieve --user u --title x --store STORE",
    "stats": "stats --store STORE",
    "forget": "forget --user u --store STORE",
    "texts list": "texts list u --store STORE",
    "texts remove": "texts remove u 1 --store STORE",
    "reembed": "reembed --store STORE",
    "index": "index --store STORE",
    "train-encoder": "train-encoder --store STORE --out OUT",
}
"""All commands that open a store; `ingest` makes one where there is none."""

PLACES = ("a file", "below a file", "other files", "an empty folder", "nothing", "a torn table")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    row = {"user_id": "u_1", "text": "A text.", "topic": "t"}
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n")
    return tmp_path


def place(folder: Path, kind: str) -> Path:
    store = folder / "store"
    if kind == "a file":
        store.write_text("no store")
    elif kind == "below a file":
        store.write_text("no store")
        return store / "inner"
    elif kind == "other files":
        store.mkdir()
        (store / "letter.txt").write_text("Dear all,")
    elif kind == "an empty folder":
        store.mkdir()
    elif kind == "a torn table":
        (store / TABLE_FOLDER / "_versions").mkdir(parents=True)
    return store


def files(folder: Path) -> Iterator[tuple[str, bytes | None]]:
    for path in sorted(folder.rglob("*")):
        if ".patlm-writer" not in path.name:  # the lock of a store
            yield str(path), path.read_bytes() if path.is_file() else None


WRONG = [
    (command, kind)
    for command in COMMANDS
    for kind in PLACES
    # An ingest makes a store there.
    if command != "ingest" or kind not in ("other files", "an empty folder", "nothing")
]


@pytest.mark.parametrize(("command", "kind"), WRONG)
def test_what_is_no_store_is_told_in_a_line(folder: Path, command: str, kind: str) -> None:
    store = place(folder, kind)
    named = {"DATA": folder / "a.jsonl", "STORE": store, "OUT": folder / "out"}
    before = list(files(folder))
    result = call(*[named.get(word, word) for word in COMMANDS[command].split()])
    assert isinstance(result.exception, SystemExit), result.exception
    assert (result.exit_code, result.stdout) == (1, "")
    said = result.stderr.strip().splitlines()[-1]
    assert said.startswith("patlm: ") and str(store) in said
    assert "rust" not in said.lower() and ".rs" not in said and len(said) < 400
    assert list(files(folder)) == before


def test_a_store_without_a_name_is_refused(folder: Path) -> None:
    result = call("ingest", folder / "a.jsonl", "--store", " ")
    assert result.exit_code == 2 and "--store" in result.stderr


def test_an_unreadable_folder_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> Iterator[Path]:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)  # permissions do not bind the administrator
    with raises(StoreError, "cannot_open_store", folder, "Permission denied"):
        check_place(str(folder))
    result = call("stats", "--store", folder)
    assert result.exit_code == 1 and "Permission denied" in result.stderr


def test_a_store_is_known_by_its_table() -> None:
    assert f"{TEXTS}.lance" == TABLE_FOLDER


def test_an_unknown_scheme_is_told_in_a_line(folder: Path) -> None:
    result = call("stats", "--store", "ftp://somewhere/store")
    assert result.exit_code == 1 and len(result.stderr) < 400 and ".rs" not in result.stderr
    with raises(NoSuchStore, "no_such_store", folder):
        check_exists(str(folder))
