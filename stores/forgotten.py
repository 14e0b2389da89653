"""Notes of what was forgotten, kept in the store: hashed ids and times, nothing else.

A removal is noted before anything is removed, and once more when it is done. Whoever writes
something that was read before (the record of a run, texts of an ingest that is under way in any
process) looks at the notes when it writes: what is noted since it began to read is not kept.
Who is added after the removal is there again.

While a removal is under way its process holds a lock, which ends with it: so one that was cut off
is known, and the next process that opens the store can finish it.

    async with forgotten.removing(keys):    # by `forget`
        ...
    notes = await forgotten.notes()         # by a writer, at the time of writing
    dropped = notes.since(began) | notes.unfinished
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa
from pydantic_core import PydanticCustomError

from .retry import bounded
from .texts.connection import is_table, table_made
from .values import id_to_find

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

if TYPE_CHECKING:
    from lancedb import AsyncConnection, AsyncTable

FORGOTTEN = "forgotten"
"""Name of the table."""

_SCHEMA = pa.schema(
    [
        pa.field("key", pa.string()),
        pa.field("at", pa.int64()),
        pa.field("done", pa.bool_()),
    ]
)
_ALIVE_FILE = ".patlm-forgetting.lock"
_COMPACTED_EVERY = 32
_UNREAD = timedelta(minutes=10)

Writing = Callable[[], AbstractAsyncContextManager[None]]
"""Gives the right to write into the store."""


def key_of(
    namespace: str, user_id: str, *, text_id: str | None = None, body: str | None = None
) -> str:
    """Return the key of a person, or of a text of theirs by its id or its words.

    It is a pseudonym, not a secret: who knows the id can compute it.
    """
    named = json.dumps([namespace, user_id, text_id, None if body is None else body.strip()])
    return hashlib.sha256(named.encode()).hexdigest()[:32]


def private_key(namespace: str, user_id: str, text_id: str) -> str:
    """Return the key of a text that others may no longer read: only their records drop it."""
    named = json.dumps([namespace, user_id, text_id, None, "private"])
    return hashlib.sha256(named.encode()).hexdigest()[:32]


def keys_to_forget(
    namespace: str, user_id: str, text_ids: Iterable[str] | None, bodies: Iterable[str] = ()
) -> list[str]:
    """Return the keys of a user or, with `text_ids`, of single texts."""
    if text_ids is None:
        return [key_of(namespace, user_id)]
    by_id = [key_of(namespace, user_id, text_id=text_id) for text_id in text_ids]
    return [*by_id, *(key_of(namespace, user_id, body=body) for body in bodies)]


_ERASING = "/erasing"


def with_erasing(keys: Iterable[str]) -> list[str]:
    """Return some keys, and for each the one that says that rows go, and bytes are to be erased."""
    return [noted for key in keys for noted in (key, f"{key}{_ERASING}")]


def now_us() -> int:
    """Return the time as notes have it: microseconds since 1970."""
    return time.time_ns() // 1000


@dataclass(frozen=True)
class Notes:
    """The notes of a store at one moment.

    Attributes:
        at: Time of each key, in microseconds since 1970: of the end of the removal, or of its
            beginning where it has not ended.
        unfinished: Keys of removals that are under way, or were cut off.
    """

    at: Mapping[str, int] = field(default_factory=dict)
    unfinished: frozenset[str] = frozenset()

    @property
    def erasing(self) -> list[str]:
        """Keys of unfinished removals whose rows may be gone while their bytes are not."""
        return [key.removesuffix(_ERASING) for key in self.unfinished if key.endswith(_ERASING)]

    def since(self, began_us: int) -> frozenset[str]:
        """Return the keys that were noted at a time or later."""
        return frozenset(key for key, at in self.at.items() if at >= began_us)


class Forgotten:
    """The notes of one store.

    Args:
        connection: An open LanceDB connection; the caller closes it.
        root: The store's directory; None for an object store.
        writing: Gives the right to write; it is held for the time of a note only.
    """

    def __init__(self, connection: AsyncConnection, root: Path | None, writing: Writing) -> None:
        self._connection, self._root, self._writing = connection, root, writing
        self._table: AsyncTable | None = None
        self._read: tuple[int, Notes] = (0, Notes())

    @asynccontextmanager
    async def removing(self, keys: Iterable[str]) -> AsyncIterator[None]:
        """Frame a removal: noted before, and as done afterwards, unless it fails."""
        sought = sorted(set(keys))
        file = await asyncio.to_thread(_open_lock, self._root)
        with nullcontext() if file is None else file:
            if file is not None and fcntl is not None:
                await asyncio.to_thread(fcntl.flock, file, fcntl.LOCK_SH)
            async with self._writing():
                await self._note(sought, done=False)
            yield
            async with self._writing():
                await self._note(sought, done=True)

    async def is_nobody_removing(self) -> bool:
        """Say whether no process is removing anything; False where that can't be known.

        An object store has no lock, nor has Windows one that ends with its process.
        """
        file = await asyncio.to_thread(_open_lock, self._root)
        if file is None or fcntl is None:
            return False
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    async def note(self, keys: Iterable[str]) -> None:
        """Note keys as done; only while `Tables.writing`."""
        await self._note(sorted(set(keys)), done=True)

    async def notes(self) -> Notes:
        """Return the newest notes."""
        table = await self._opened()
        if table is None:
            return Notes()
        # Without it, a read from an object store may be some seconds old.
        await bounded(table.checkout_latest, self._root)
        version = await bounded(table.version, self._root)
        if version != self._read[0]:
            rows = (await bounded(lambda: table.query().to_arrow(), self._root)).to_pylist()
            at = {row["key"]: row["at"] for row in rows}
            unfinished = frozenset(row["key"] for row in rows if not row["done"])
            self._read = (version, Notes(at, unfinished))
        return self._read[1]

    async def _opened(self) -> AsyncTable | None:
        if self._table is None:
            if not await is_table(self._connection, self._root, FORGOTTEN):
                return None
            self._table = await bounded(lambda: self._connection.open_table(FORGOTTEN), self._root)
        return self._table

    async def _note(self, keys: list[str], *, done: bool) -> None:
        made = [{"key": key, "at": now_us(), "done": done} for key in keys]
        rows = pa.Table.from_pylist(made, _SCHEMA)
        create = self._connection.create_table
        begun = partial(create, FORGOTTEN, schema=_SCHEMA, exist_ok=True)
        table = await table_made(begun, self._root, FORGOTTEN)

        async def run() -> object:
            merge = table.merge_insert(["key"]).when_matched_update_all()
            return await merge.when_not_matched_insert_all().execute(rows)

        await bounded(run, self._root)
        if await bounded(table.version, self._root) % _COMPACTED_EVERY == 0:
            await bounded(lambda: table.optimize(cleanup_older_than=_UNREAD), self._root)


def _open_lock(root: Path | None) -> IO[bytes] | None:
    """Open the file to lock; None where there is none, or nothing can be written or removed."""
    if root is None:
        return None
    try:
        return os.fdopen(os.open(root / _ALIVE_FILE, os.O_CREAT | os.O_RDWR, 0o600), "r+b")
    except OSError:
        return None


def keys_in(record: Mapping[str, Any]) -> Iterator[str]:
    """Yield the keys of all people and texts in a record of a run, of any version."""
    namespace = str(record.get("namespace"))
    request, target = record.get("request"), record.get("target")
    own = recorded_user(request.get("user_id")) if isinstance(request, Mapping) else None
    for user, text_id in _named_in(record):
        yield key_of(namespace, user)
        if text_id is not None:
            yield key_of(namespace, user, text_id=text_id)
            if user != own:
                yield private_key(namespace, user, text_id)
    if isinstance(request, Mapping):
        user = recorded_user(request.get("user_id"))
        real = target.get("real") if isinstance(target, Mapping) else None
        for said in (*request.values(), real):
            if isinstance(said, str):
                yield key_of(namespace, user, body=said)


def _named_in(content: object) -> Iterator[tuple[str, str | None]]:
    if isinstance(content, Mapping):
        if "user_id" in content:
            text_id = content.get("text_id")
            user = recorded_user(content["user_id"])
            yield user, text_id if isinstance(text_id, str) else None
        for value in content.values():
            yield from _named_in(value)
    elif isinstance(content, list | tuple):
        for value in content:
            yield from _named_in(value)


def recorded_user(value: object) -> str:
    """Return a user's id in its normal form, as records of earlier versions may not have it."""
    try:
        return id_to_find("user_id", value)
    except PydanticCustomError:  # no id, in a record that was made by hand
        return str(value)
