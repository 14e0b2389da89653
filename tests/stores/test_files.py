"""Files that are written whole or not at all, and lines that survive a kill."""

import errno
import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from patlm.stores.errors import StoreDamaged
from patlm.stores.files import (
    append_line,
    below,
    episode_shards,
    load_object,
    put_folder,
    read_lines,
    remove_unfinished,
    write_atomic,
    write_json,
)
from raising import raises

FULL = "No space left on device"
CALLS = [(os, "write"), (os, "fsync"), (os, "replace")]
CALLS += [(Path, "open"), (Path, "write_text"), (Path, "rename")]


class Killed(BaseException):
    """Ends the process at a call."""


def break_call(patch: pytest.MonkeyPatch, number: int, error: BaseException) -> list[str]:
    """Raise at the n-th call that changes files, after half of its bytes; return what was hit."""
    calls, hit = itertools.count(1), []

    def wrap(owner: object, name: str) -> None:
        real = getattr(owner, name)

        def call(target: object, *given: object, **named: object) -> object:
            if next(calls) != number:
                return real(target, *given, **named)
            hit.append(name)
            if name.startswith("write"):
                real(target, given[0][: len(given[0]) // 2], **named)  # type: ignore[index, arg-type]
            raise error

        patch.setattr(owner, name, call)

    for owner, name in CALLS:
        wrap(owner, name)
    return hit


def at_every_call(
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    prepare: Callable[[], None],
    work: Callable[[], None],
    check: Callable[[bool], None],
    *,
    cleans: bool = True,
) -> None:
    """Break each call of some work in turn, and check the files after each fault."""
    for number in itertools.count(1):
        prepare()
        with monkeypatch.context() as patch:
            hit = break_call(patch, number, error)
            if not cleans:
                patch.setattr(Path, "unlink", lambda *_, **__: None)
            try:
                work()
            except type(error) as caught:
                assert isinstance(caught, Killed) or caught.filename is not None
        check(bool(hit))
        if not hit:
            assert number > 2, "nothing was broken"
            return


errors = pytest.mark.parametrize("error", [OSError(errno.ENOSPC, FULL), Killed()])


@errors
@pytest.mark.parametrize("content", ["new\n", (b"ne", b"w\n")])
def test_a_fault_at_any_call_leaves_the_old_file_and_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, content: str
) -> None:
    path = tmp_path / "new" / "a.json"

    def check(broken: bool) -> None:
        assert path.read_text() == ("old\n" if broken else "new\n")
        assert list(path.parent.iterdir()) == [path]

    def prepare() -> None:
        write_atomic(path, "old\n")

    at_every_call(monkeypatch, error, prepare, lambda: write_atomic(path, content), check)


def test_a_draft_that_a_kill_leaves_is_never_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = tmp_path / "a.jsonl"

    def check(broken: bool) -> None:
        assert episode_shards(tmp_path) == [shard]
        assert shard.read_text() == ("old\n" if broken else "new\n")
        remove_unfinished(tmp_path)
        assert list(tmp_path.iterdir()) == [shard]

    at_every_call(
        monkeypatch,
        Killed(),
        lambda: write_atomic(shard, "old\n"),
        lambda: write_atomic(shard, "new\n"),
        check,
        cleans=False,
    )


@errors
def test_a_fault_at_any_call_of_an_append_costs_that_line_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    path = tmp_path / "new" / "a.jsonl"

    def prepare() -> None:
        path.unlink(missing_ok=True)
        append_line(path, '{"n": 1}')

    def check(broken: bool) -> None:
        append_line(path, '{"n": 3}', sync=False)
        found = [load_object(line) for _, line in read_lines(path)]
        assert found[0] == {"n": 1} and found[-1] == {"n": 3}
        assert found[1:-1] in ([[], [None], [{"n": 2}]] if broken else [[{"n": 2}]])

    at_every_call(monkeypatch, error, prepare, lambda: append_line(path, '{"n": 2}'), check)


def test_a_folder_is_put_whole_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh, path = tmp_path / "fresh", tmp_path / "folder"
    for content in ("first", "second"):
        fresh.mkdir()
        write_atomic(fresh / "a", content)
        put_folder(fresh, path)
        assert (path / "a").read_text() == "first" and not fresh.exists()
    fresh.mkdir()
    break_call(monkeypatch, 1, OSError(errno.ENOSPC, FULL))
    with pytest.raises(OSError) as told:
        put_folder(fresh, tmp_path / "other")
    assert told.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_no_regular_file_is_never_replaced(tmp_path: Path) -> None:
    folder, pipe = tmp_path / "folder", tmp_path / "pipe"
    folder.mkdir()
    os.mkfifo(pipe)
    for there in (folder, pipe, Path("."), Path("..")):
        with pytest.raises(FileExistsError):
            write_atomic(there, "text")
    assert folder.is_dir() and pipe.is_fifo()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["folder", "pipe"]


def test_json_is_written_as_it_is(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": "ä", "a": 1}, sort_keys=True)
    assert (tmp_path / "a.json").read_text() == '{\n "a": 1,\n "b": "ä"\n}\n'


def test_a_full_disk_is_an_error_that_names_the_file() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(OSError) as told:
        append_line(full, "{}")
    assert (told.value.errno, told.value.filename) == (errno.ENOSPC, str(full))


LEADS_OUT = [
    "../x",
    "/x",
    "C:\\x",
    "a\x00b",
    "a/b",
    ".",
    "..",
    "",
    "x" * 300,
    "http://a/b",
    "\ud800",
]


@pytest.mark.parametrize("name", LEADS_OUT)
def test_a_name_that_leads_out_is_no_path(tmp_path: Path, name: str) -> None:
    with raises(StoreDamaged, "store_damaged", tmp_path):
        below(tmp_path, name)


def test_neither_is_a_link_that_leads_out_nor_a_device(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "inside").write_text("kept")
    (folder / "near").symlink_to(folder / "inside")
    (folder / "far").symlink_to(tmp_path / "outside")
    (folder / "circle").symlink_to(folder / "circle")
    os.mkfifo(folder / "pipe")
    for name in ("far", "circle", "pipe"):
        with raises(StoreDamaged, "store_damaged", name):
            below(folder, name)
    assert [below(folder, name).name for name in ("near", "inside", "new file")]
