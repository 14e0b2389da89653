"""Where a store lies, connections to that place, and the lock that lets one writer in at a time.

Appends retry by themselves, but deletes and merges conflict, and a clean-up removes files that
another writer has not committed yet. So there is one writer at a time: within a process and, in a
local store, across processes.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import stat
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import aiologic
from filelock import AsyncFileLock, Timeout

from ..errors import NoSuchStore, StoreBusy, StoreDamaged, StoreError
from ..files import make_folder
from ..retry import bounded, fault_of

if TYPE_CHECKING:
    from lancedb import AsyncConnection, AsyncTable


TABLE_FOLDER = "texts.lance"
"""What tells a store's folder: that of `schema.TEXTS`, whose module takes a second to import."""


def local_root(uri: str) -> Path | None:
    """Return the directory a store lies in, or None for an object store."""
    if uri.startswith("file://"):
        return Path(uri.removeprefix("file://"))
    return None if "://" in uri else Path(uri)


REMOTE_CONSISTENCY = timedelta(seconds=5)
"""How old a read from an object store may be: asking for the newest version is a round trip."""


def check_exists(uri: str) -> None:
    """Check that there is a store in a folder; an object store is asked when it is opened.

    Raises:
        NoSuchStore: There is none.
        StoreError: The place can't be a store, or can't be read.
    """
    check_place(uri)
    root = local_root(uri)
    if root is not None and not (root / TABLE_FOLDER).is_dir():
        raise missing(uri)


def check_place(uri: str) -> None:
    """Check that a store may lie at a place: in a folder that can be read, or in none yet.

    Raises:
        StoreError: It is a file, can't be read, or is not named.
    """
    if not uri.strip():
        raise StoreError(
            "expected a folder or a URI of a store, got an empty name: --store FOLDER",
            code="cannot_open_store",
        )
    root = local_root(uri)
    if root is None:
        return
    try:
        next(root.iterdir(), None)
    except FileNotFoundError:
        return
    except NotADirectoryError:
        said = "expected the folder of a store, got a file" if root.exists() else "a file is above"
        raise StoreError(
            f"{uri}: {said}: name a folder (--store, PATLM_STORE)", code="cannot_open_store"
        ) from None
    except OSError as error:
        raise StoreError(
            f"cannot read the store at {uri}: {error.strerror}", code="cannot_open_store"
        ) from None


def _check_is_data(uri: str) -> None:
    """Check that a local store's files are its own: LanceDB follows links, and addresses in tables.

    Raises:
        StoreDamaged: There is a link among them, or a table has its rows elsewhere.
    """
    root = local_root(uri)
    for path, is_plain in () if root is None else _files_of(root):
        lists_rows = path.parent.name == _VERSIONS
        if not is_plain or (lists_rows and _ROWS_ELSEWHERE in _fields_of(path)):
            raise StoreDamaged(
                f"expected a store whose files all lie in its folder, got {path}, which leads "
                "elsewhere, where patlm neither reads nor writes: put what it leads to in its "
                "place, or ingest the texts into a new store"
            )


def _files_of(root: Path) -> Iterator[tuple[Path, bool]]:
    """Yield what lies below a folder, and whether it is a file or a folder: no link, no device."""
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            try:
                kind = os.lstat(os.path.join(folder, name)).st_mode
            except FileNotFoundError:  # a clean-up of another process
                continue
            yield Path(folder, name), stat.S_ISREG(kind) or stat.S_ISDIR(kind)


_VERSIONS = "_versions"
_ROWS_ELSEWHERE = 18
"""Number of the field `base_paths` of a version: places outside of the table that hold its rows."""


def _fields_of(manifest: Path) -> set[int]:
    """Return the numbers of the fields of a version's file, a protobuf message of Lance's format.

    The file ends with the message's position (8 bytes), two numbers and `LANC`. What can't be read
    LanceDB will say.
    """
    try:
        content = manifest.read_bytes()
        at = int.from_bytes(content[-16:-8], "little")
        message = content[at + 4 : at + 4 + int.from_bytes(content[at : at + 4], "little")]
        found, at = set(), 0
        while at < len(message):
            key, at = _varint(message, at)
            found.add(key >> 3)
            size, at = _varint(message, at) if key & 7 in (0, 2) else (0, at)
            at += {0: 0, 1: 8, 2: size, 5: 4}[key & 7]
    except (OSError, IndexError, KeyError):
        return set()
    return found


_MOST_BITS = 63


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while message[at] > 127 and shift < _MOST_BITS:
        value, shift, at = value | (message[at] & 127) << shift, shift + 7, at + 1
    return value | message[at] << shift, at + 1


def missing(uri: str) -> NoSuchStore:
    """Return the error that there is no store at a place."""
    return NoSuchStore(f"there is no store at {uri}: `patlm ingest FILE --store {uri}` makes one")


_CLIENT = "lance_namespace_urllib3_client"


def _import_lancedb() -> ModuleType:
    """Import lancedb without the HTTP client of its catalogues, which it imports and never calls.

    The client's decorated methods take a second and 12 MB. Its package is entered without being
    run; the first name that is looked up there runs it after all.
    """
    spec = importlib.util.find_spec(_CLIENT)
    if _CLIENT not in sys.modules and spec is not None and spec.loader is not None:
        client, loader = importlib.util.module_from_spec(spec), spec.loader

        def run(name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            del client.__getattr__
            loader.exec_module(client)
            return getattr(client, name)

        client.__getattr__ = run  # type: ignore[method-assign]
        sys.modules[_CLIENT] = client
    # Its warnings of damaged files come as errors, too; as lines on stderr nobody can use them.
    os.environ.setdefault("LANCEDB_LOG", "error")
    return importlib.import_module("lancedb")


@cache
def _connecting_process() -> int:
    """Return the process that connected first: this one, or one that this is a fork of."""
    return os.getpid()


def check_not_forked() -> None:
    """Check that this process is no fork of one that had opened a store.

    LanceDB's threads do not survive a fork, and what is opened anew there hangs or crashes.

    Raises:
        StoreError: It is one.
    """
    if _connecting_process.cache_info().currsize and _connecting_process() != os.getpid():
        raise StoreError(FORKED, code="forked")


FORKED = (
    "this process is a fork of one that had opened a store, and that store's threads are not here: "
    "open no store before the fork (gunicorn without --preload), or start processes by spawn"
)
"""What is said in such a process, by stores and by the loop."""


CACHES = 256_000_000, 64_000_000
"""Bytes that LanceDB may keep of indexes, and of files' heads.

By its own limits, 6 GB and 1 GB, each write of a text would cost a quarter of a megabyte for good:
it makes new files, and what was read of the old ones stays.
"""


@asynccontextmanager
async def connected(uri: str, caches: tuple[int, int] = CACHES) -> AsyncIterator[AsyncConnection]:
    """Connect to a place, and close the connection in the end.

    Args:
        uri: The place.
        caches: Bytes that LanceDB may keep of indexes, and of files' heads.

    Raises:
        StoreError: It can't be a store (see `check_place`), the URI's scheme is unknown, or this
            process is a fork of one that had opened a store.
        StoreDamaged: Its files lead out of its folder.
    """
    check_not_forked()
    _connecting_process()
    await asyncio.to_thread(check_place, uri)
    await asyncio.to_thread(_check_is_data, uri)
    # In a thread: the first import takes seconds, and would block every other request.
    lancedb = await asyncio.to_thread(_import_lancedb)
    root = local_root(uri)
    interval = timedelta(0) if root else REMOTE_CONSISTENCY
    try:
        if root is not None:
            await asyncio.to_thread(make_folder, root)
        connection: AsyncConnection = await lancedb.connect_async(
            uri,
            read_consistency_interval=interval,
            session=lancedb.Session(*caches),
        )
    except (ValueError, RuntimeError, OSError) as error:  # an unknown scheme, a missing right
        raise unreadable(uri, error) from error
    try:
        yield connection
    finally:
        connection.close()  # type: ignore[no-untyped-call]


async def is_table(connection: AsyncConnection, root: Path | None, name: str) -> bool:
    """Return whether there is a table of this name.

    One whose making was cut off, as by a full disk, is none: LanceDB lists its folder, and could
    not open it. It never held a row.
    """
    if name not in (await bounded(connection.list_tables, root)).tables:
        return False
    return root is None or not await asyncio.to_thread(_holds_nothing, root / f"{name}.lance")


def _holds_nothing(folder: Path) -> bool:
    """Return whether a table's folder is missing, or has neither a version nor rows."""
    kept = (folder / "_versions").glob("*.manifest"), (folder / "data").glob("*")
    return not any(any(found) for found in kept)


async def table_made(
    create: Callable[[], Awaitable[AsyncTable]], root: Path | None, name: str
) -> AsyncTable:
    """Return a table that is made if it is missing; what LanceDB writes is for this user alone.

    Args:
        create: Makes it, or opens one that is there.
        root: The store's directory, which may be one that others read; None for an object store.
        name: Its name.
    """
    folder = None if root is None else root / f"{name}.lance"
    if folder is None or not await asyncio.to_thread(_holds_nothing, folder):
        return await bounded(create, root)
    table = await bounded(create, root)
    await asyncio.to_thread(folder.chmod, 0o700)
    return table


def unreadable(uri: str, error: Exception) -> StoreError:
    """Return the error for a place that LanceDB can't open; its own has lines of Rust in it."""
    lines = str(error).split(", /")[0].splitlines() or [type(error).__name__]
    return StoreError(f"no store can be opened at {uri}: {lines[0]}", code="cannot_open_store")


LOCK_FILE = ".patlm-writer.lock"
LOCK_TIMEOUT_S = 600.0


class WriteLock:
    """The right to write into the store at a place.

    Args:
        root: The store's directory; None: an object store, where one process only may write.
    """

    def __init__(self, root: Path | None) -> None:
        self._root = root
        self._here = aiologic.Lock()

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Hold the lock.

        Raises:
            StoreBusy: If another process held it for ten minutes.
            StoreReadOnly, StoreFull: Nothing can be written there.
        """
        async with self._here, self._across_processes():
            yield

    @asynccontextmanager
    async def _across_processes(self) -> AsyncIterator[None]:
        if self._root is None:
            yield
            return
        lock = AsyncFileLock(str(self._root / LOCK_FILE), mode=0o600, thread_local=False)
        try:
            await asyncio.to_thread(make_folder, self._root)
            await lock.acquire(timeout=LOCK_TIMEOUT_S)
        except Timeout as error:
            raise StoreBusy(
                f"expected to write within {LOCK_TIMEOUT_S:.0f} s, but another process holds "
                f"{lock.lock_file}: wait for it to end and try again"
            ) from error
        except OSError as error:
            raise fault_of(error) from error
        try:
            yield
        finally:
            await lock.release()
