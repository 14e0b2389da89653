"""Files that are written whole or not at all, and lines that survive a kill."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from patlm.stores.files import append_line, read_lines, write_atomic, write_json


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_fault_leaves_the_file_and_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "new" / "a.json"
    write_json(path, {"a": "ä"})
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="No space") as told:
        write_atomic(path, "other")
    assert told.value.filename == str(path)
    assert (path.read_bytes(), list(path.parent.iterdir())) == (before, [path])


def test_bytes_come_in_pieces(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a", (b"1\n", b"2\n"))
    assert (tmp_path / "a").read_bytes() == b"1\n2\n"


def test_a_line_after_a_torn_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.jsonl"
    append_line(path, "{}")
    path.write_bytes(path.read_bytes() + b'{"to')
    append_line(path, "[]", sync=False)
    assert list(read_lines(path)) == [(1, b"{}\n"), (2, b'{"to\n'), (3, b"[]\n")]


def test_a_full_disk_is_an_error_that_names_the_file() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(OSError, match="No space") as told:
        append_line(full, "{}")
    assert told.value.filename == str(full)
