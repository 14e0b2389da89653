"""Data from elsewhere, made hostile field by field, and a guard that sees what it does."""

import contextlib
import json
import os
import pickle
import re
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import lancedb
import pyarrow as pa

Change = Callable[[Path, Any], None]
"""Changes a copy of the data to a hostile value."""


OUTSIDE = "outside/x"
"""Beside the data: what hostile data names, and nothing may read."""


@dataclass(frozen=True)
class Case:
    """One field of one file or table."""

    name: str
    change: Change


def hostile_values(folder: Path, port: int) -> dict[str, str]:
    """Return values that lead out of a folder, or to code.

    Args:
        folder: Where the data will lie; it holds `planted_code.py` and `planted.pkl`.
        port: Of a server on loopback that counts who connects.
    """
    return {
        "up": "../../x",
        "absolute": str(folder.parent / OUTSIDE),
        "drive": "C:\\x",
        "nul": "a\x00b",
        "long": "x" * 100_000,
        "python": "python:planted_code:make",
        "hub": "somebody/an-encoder",
        "url": f"http://127.0.0.1:{port}/x",
        "pickle": str(folder / "planted.pkl"),
        "nested": "[" * 50_000,
    }


class Ran:
    """What a pickle runs when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("ran",)


PICKLE = pickle.dumps(Ran())


def plant_code(folder: Path) -> None:
    """Put code and a pickle into a folder, which nothing may load."""
    (folder / "planted_code.py").write_text("import os\nos.mkdir('ran')\nmake = object\n")
    (folder / "planted.pkl").write_bytes(PICKLE)


# Fields.


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the paths of all values and keys in JSON data; a key's ends in None."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield (*path, key, None)
            yield from places(each, (*path, key))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from places(each, (*path, number))
    else:
        yield path


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Return JSON data with one value, or key, replaced."""
    if not path:
        return new
    first, *rest = path
    if rest == [None]:
        return {new if key == first else key: each for key, each in value.items()}
    if isinstance(value, dict):
        return {**value, first: replaced(value[first], tuple(rest), new)}
    return [
        replaced(each, tuple(rest), new) if at == first else each for at, each in enumerate(value)
    ]


def json_fields(text: str) -> Iterator[tuple[str, Callable[[Any], str]]]:
    """Yield each kind of field of a JSON text, and a function that returns the text changed."""
    data = json.loads(text)
    seen = set()
    for path in places(data):
        kind = ".".join("*" if isinstance(part, int) else str(part) for part in path)
        kind = re.sub(r"\d+", "N", kind)
        if kind not in seen:
            seen.add(kind)
            yield kind, partial(_dumped, data, path)


def _dumped(data: Any, path: tuple[Any, ...], new: Any) -> str:
    return json.dumps(replaced(data, path, new))


def file_cases(folder: Path) -> Iterator[Case]:
    """Yield a case for each field of each JSON file, and for each file as a whole."""
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        name = path.relative_to(folder)
        if path.suffix == ".json":
            for kind, changed in json_fields(path.read_text()):
                yield Case(f"{name}: {kind}", _writing(name, changed))
        elif path.suffix == ".jsonl":
            first, *rest = path.read_text().splitlines()
            for kind, changed in json_fields(first):
                lines = partial(_with_lines, changed, rest)
                yield Case(f"{name}: {kind}", _writing(name, lines))
        yield Case(f"{name}: a pickle", partial(_put_pickle, name))


def folder_cases(folder: Path) -> Iterator[Case]:
    """Yield a case for each kind of folder, and of file, below a folder: it becomes a link."""
    seen = set()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        kind = re.sub(r"[0-9a-f-]{16,}|\d+", "N", str(name))
        if kind not in seen:
            seen.add(kind)
            yield Case(f"{kind}: a link", partial(_link, name))


def _with_lines(changed: Callable[[Any], str], rest: list[str], new: Any) -> str:
    return "\n".join([changed(new), *rest])


def _writing(name: Path, changed: Callable[[Any], str]) -> Change:
    def change(root: Path, new: Any) -> None:
        (root / name).write_text(changed(new), encoding="utf-8")

    return change


def _put_pickle(name: Path, root: Path, _: Any) -> None:
    (root / name).write_bytes(PICKLE)


def _link(name: Path, root: Path, _: Any) -> None:
    """Move a file or folder out of the data, and leave a link to it."""
    moved = root.parent / "outside" / "moved"
    shutil.move(root / name, moved)
    (root / name).symlink_to(moved)


# Tables.


def table_cases(store: Path) -> Iterator[Case]:
    """Yield a case for each field of each table of a store, of its rows and its metadata."""
    database = lancedb.connect(str(store))
    for name in sorted(database.table_names()):
        table = database.open_table(name).to_arrow()
        for at, field in enumerate(table.schema):
            yield from _column_cases(name, at, field, table.column(at).to_pylist())
            for key, text in (field.metadata or {}).items():
                for kind, changed in _text_fields(text.decode()):
                    where = f"{name}.{field.name} {key.decode()} {kind}"
                    yield Case(where, _describing(name, at, key, changed))


def _column_cases(table: str, at: int, field: pa.Field, rows: list[Any]) -> Iterator[Case]:
    texts = pa.types.is_string(field.type)
    lists = pa.types.is_list(field.type) and pa.types.is_string(field.type.value_type)
    blobs = pa.types.is_list(field.type) and pa.types.is_large_binary(field.type.value_type)
    for row, value in enumerate(rows):
        named = f"{table}.{field.name}[{row if table == 'artefacts' else '*'}]"
        if texts and value is not None:
            for kind, changed in _text_fields(value):
                yield Case(f"{named} {kind}", _putting(table, at, row, changed))
        elif lists and value:
            for kind, changed in _each(value):
                yield Case(f"{named} {kind}", _putting(table, at, row, changed))
        elif blobs and value:
            for number, content in enumerate(value):
                for kind, make in _content_fields(content):
                    put = partial(_with_content, value, number, make)
                    yield Case(f"{named}[{number}] {kind}", _putting(table, at, row, put))
        if (texts or lists) and table != "artefacts" and value:
            return  # one row stands for all


def _with_content(
    value: list[bytes], number: int, make: Callable[[Any], bytes], new: Any
) -> list[bytes]:
    return [make(new) if at == number else each for at, each in enumerate(value)]


def _text_fields(text: str) -> Iterator[tuple[str, Callable[[Any], str]]]:
    yield "", str
    with contextlib.suppress(ValueError):
        if isinstance(json.loads(text), dict | list):
            yield from json_fields(text)


def _each(value: list[str]) -> Iterator[tuple[str, Callable[[Any], list[str]]]]:
    yield "a name", lambda new: [new, *value[1:]]
    yield "one more", lambda new: [*value, new]


def _content_fields(content: bytes) -> Iterator[tuple[str, Callable[[Any], bytes]]]:
    yield "a pickle", lambda new: PICKLE
    yield "other bytes", lambda new: str(new).encode()
    if content.startswith(b"{"):
        for kind, changed in json_fields(content.decode()):
            yield kind, partial(_encoded, changed)


def _encoded(changed: Callable[[Any], str], new: Any) -> bytes:
    return changed(new).encode()


def _putting(name: str, at: int, row: int, changed: Callable[[Any], Any]) -> Change:
    def change(root: Path, new: Any) -> None:
        def put(table: pa.Table) -> pa.Table:
            rows = table.column(at).to_pylist()
            rows[row] = changed(new)
            field = table.schema.field(at)
            return table.set_column(at, field, pa.array(rows, field.type))

        rewrite(root, name, put)

    return change


def _describing(name: str, at: int, key: bytes, changed: Callable[[Any], str]) -> Change:
    def change(root: Path, new: Any) -> None:
        def put(table: pa.Table) -> pa.Table:
            field = table.schema.field(at)
            metadata = {**field.metadata, key: changed(new).encode()}
            return table.cast(table.schema.set(at, field.with_metadata(metadata)))

        rewrite(root, name, put)

    return change


def rewrite(store: Path, name: str, put: Callable[[pa.Table], pa.Table]) -> None:
    """Write a table of a store anew."""
    database = lancedb.connect(str(store))
    table = put(database.open_table(name).to_arrow())
    database.create_table(name, table, schema=table.schema, mode="overwrite")


# The guard.

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = (
    "os.mkdir",
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.symlink",
    "os.link",
    "os.truncate",
)
_FORBIDDEN = (
    *("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"),
    *("subprocess.Popen", "os.system", "os.posix_spawn", "os.exec", "pickle.find_class"),
)


class Guard:
    """Notes what is done outside of a folder while it watches: files, sockets, code.

    What Python does is seen by an audit hook; what native code does by the files beside the folder
    and by a server on loopback to which nobody may connect.
    """

    def __init__(self) -> None:
        self._inside: Path | None = None
        self._seen: list[str] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.setblocking(False)
        self.port = int(self._server.getsockname()[1])
        sys.addaudithook(self._hook)

    def close(self) -> None:
        """Stop the server; the hook can't be removed, and does nothing from now on."""
        self._server.close()

    @contextlib.contextmanager
    def watching(self, folder: Path) -> Iterator[list[str]]:
        """Watch; what is yielded lists afterwards what was done outside of a folder."""
        before = _files_beside(folder)
        self._seen, self._inside = [], folder
        found: list[str] = []
        try:
            yield found
        finally:
            self._inside = None
            found += self._seen
            after = _files_beside(folder)
            changed = before.items() ^ after.items()
            found += sorted({f"changed: {path}" for path, _ in changed})
            with contextlib.suppress(BlockingIOError):
                self._server.accept()[0].close()
                found.append("a connection to the server")
            found += [
                f"imported: {name}"
                for name, module in list(sys.modules.items())
                if str(folder) in (getattr(module, "__file__", None) or "")
            ]

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if self._inside is None:
            return
        if event in _FORBIDDEN:
            self._seen.append(f"{event} {args[:2]}")
        elif event == "open":
            path, mode, flags = args
            if (flags or 0) & _WRITES or (isinstance(mode, str) and set(mode) & set("wax+")):
                self._check(event, path)
            elif str(path).startswith(str(self._inside.parent / OUTSIDE)):
                self._seen.append(f"read {path}")
        elif event in _CHANGES:
            for path in args[:2]:
                self._check(event, path)

    def _check(self, event: str, path: Any) -> None:
        if isinstance(path, bytes | str | os.PathLike) and self._inside is not None:
            whole = os.path.join(os.getcwd(), os.fsdecode(path))
            away = os.path.relpath(os.path.realpath(whole), os.path.realpath(self._inside))
            # The list of copies is the user's own: the environment says where it is, no data do.
            own = ("/dev/", "/proc/", os.path.dirname(os.environ["PATLM_COPIES"]))
            if away.startswith("..") and not whole.startswith(own):
                if "__pycache__" not in whole:
                    self._seen.append(f"{event} {whole}")


def _files_beside(folder: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of all files beside a folder."""
    return {
        str(path): (found.st_size, found.st_mtime_ns)
        for path in sorted(folder.parent.rglob("*"))
        if not path.is_relative_to(folder)
        for found in [path.lstat()]
    }
