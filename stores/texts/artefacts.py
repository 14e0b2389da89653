"""What is learnt from a store's texts and kept with them: encoders, the graph's weights.

Artefacts lie in a table of the store, so that a store in a bucket has them too. Each is one row, so
a reader never sees half of one. Their contents are read from memory: the names of their files
become no paths. Size and checksums are looked at before a byte of them is parsed.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ..errors import NoSuchStore, StoreError, shorten_message, shortened
from ..files import load_object
from ..retry import bounded
from ..values import FIVE_STARS, RatingScale
from .connection import WriteLock, check_exists, connected, is_table, local_root, table_made

if TYPE_CHECKING:
    from lancedb import AsyncConnection, AsyncTable

ARTEFACTS = "artefacts"

RATING_SCALE = "rating-scale"
"""Name of the artefact that holds the scale of a store's ratings."""

MOST_BYTES = 256_000_000
"""Bytes of the files of one artefact at most; a graph has some 50 KB a namespace."""

OF_TEXTS = "of_texts"
"""Key of what is kept of an artefact: whether texts of the store, or of any user, went into it."""

_SUMS = "sha256"
"""Key of the files' checksums among what is kept of an artefact; earlier versions kept none."""

_SCHEMA = pa.schema(
    [
        pa.field("name", pa.string()),
        pa.field("about", pa.string()),
        pa.field("file_names", pa.list_(pa.string())),
        pa.field("file_bytes", pa.list_(pa.large_binary())),
    ]
)


@dataclass(frozen=True)
class Artefact:
    """Something learnt, in files.

    Attributes:
        name: Its name in the store.
        about: What it was made from and how good it is; plain data for JSON.
        files: Contents by relative path.
    """

    name: str
    about: Mapping[str, Any]
    files: Mapping[str, bytes]


class Artefacts:
    """The artefacts of one store; written only while `Tables.writing`."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection, self._root = connection, local_root(connection.uri)
        self._opened: AsyncTable | None = None

    async def version(self) -> int | None:
        """Return a number that changes with every artefact that is kept; None: there is none yet.

        Other processes' artefacts count, too.
        """
        if self._opened is None:
            if not await self._is_there():
                return None
            self._opened = await self._open()
        return await bounded(self._opened.version, self._root)

    async def _is_there(self) -> bool:
        return await is_table(self._connection, self._root, ARTEFACTS)

    async def _open(self) -> AsyncTable:
        return await bounded(lambda: self._connection.open_table(ARTEFACTS), self._root)

    async def find(self, name: str) -> Artefact | None:
        """Return the artefact of that name, or None.

        Raises:
            StoreError: What is kept there was not written by `keep`.
        """
        if not await self._is_there():
            return None
        table = await self._open()
        # All of a handful, so that names need no escaping.
        rows = await bounded(lambda: table.query().to_list(), self._root)
        for row in rows:
            if row["name"] == name:
                return _artefact(row)
        return None

    async def learned(self) -> list[str]:
        """Return the names of what learnt from texts; where it is not known, it counts as such."""
        if not await self._is_there():
            return []
        table = await self._open()
        query = table.query().select(["name", "about", "file_names"])
        rows = await bounded(query.to_list, self._root)
        found = [row for row in rows if row["file_names"]]
        return sorted(
            row["name"]
            for row in found
            if (load_object(row["about"].encode()) or {}).get(OF_TEXTS, True)
        )

    async def keep(self, artefact: Artefact) -> None:
        """Keep an artefact; it replaces one of the same name."""
        row = {
            "name": artefact.name,
            "about": json.dumps({**artefact.about, _SUMS: _sums(artefact.files)}, sort_keys=True),
            "file_names": list(artefact.files),
            "file_bytes": list(artefact.files.values()),
        }
        create = self._connection.create_table
        made = partial(create, ARTEFACTS, schema=_SCHEMA, exist_ok=True)
        table = await table_made(made, self._root, ARTEFACTS)

        async def run() -> object:
            merge = table.merge_insert(["name"]).when_matched_update_all()
            merge = merge.when_not_matched_insert_all()
            return await merge.execute(pa.Table.from_pylist([row], _SCHEMA))

        await bounded(run, self._root)


def other_scale(now: RatingScale, wanted: RatingScale) -> StoreError:
    """Return the error for ratings on another scale than a store's."""
    return StoreError(
        f"the ratings in this store are on the scale {now}, those to be added on {wanted}: keep "
        "them in a store of their own",
        code="other_rating_scale",
    )


class KeptScale:
    """The scale of a store's ratings, which any process may set as long as there is no rating.

    Attributes:
        now: As it was when `read` was last called: 1 to 5, unless another was kept.
    """

    def __init__(self, artefacts: Artefacts) -> None:
        self._artefacts = artefacts
        self._version: int | None = None
        self.now = FIVE_STARS

    async def read(self) -> RatingScale:
        """Return the scale that the store has now; half a millisecond if it is still the same."""
        version = await self._artefacts.version()
        if version != self._version:
            kept = await self._artefacts.find(RATING_SCALE)
            self.now = FIVE_STARS if kept is None else _scale_of(kept)
            self._version = version
        return self.now

    async def keep(self, scale: RatingScale) -> None:
        """Keep a scale; only while `Tables.writing`."""
        await self._artefacts.keep(Artefact(RATING_SCALE, {"scale": str(scale)}, {}))
        await self.read()


async def find_rating_scale(uri: str) -> RatingScale | None:
    """Return the scale that the ratings in a store are on, without opening it.

    Returns:
        None: There is no store, or none of its texts has a rating.
    """
    from .schema import TEXTS
    from .tables import any_rated

    try:
        await asyncio.to_thread(check_exists, uri)
    except NoSuchStore:
        return None
    async with connected(uri) as connection:
        root = local_root(uri)
        if TEXTS not in (await bounded(connection.list_tables, root)).tables:
            return None
        texts = await bounded(lambda: connection.open_table(TEXTS), root)
        rated = await bounded(lambda: any_rated(texts), root)
        return await KeptScale(Artefacts(connection)).read() if rated else None


async def find_artefact(uri: str, name: str) -> Artefact | None:
    """Return an artefact of the store at a place, without opening that store."""
    async with connected(uri) as connection:
        return await Artefacts(connection).find(name)


async def keep_artefact(uri: str, artefact: Artefact) -> None:
    """Keep an artefact at a place where there may be no store yet."""
    async with connected(uri) as connection, WriteLock(local_root(uri)).held():
        await Artefacts(connection).keep(artefact)


def _artefact(row: Mapping[str, Any]) -> Artefact:
    try:
        files = dict(zip(row["file_names"], row["file_bytes"], strict=True))
        if (size := sum(map(len, files.values()))) > MOST_BYTES:
            raise ValueError(f"expected at most {MOST_BYTES:,} bytes of files, got {size:,}")
        about = json.loads(row["about"])
        if not isinstance(about, dict):
            raise TypeError("expected a JSON object about it")
        if (sums := about.pop(_SUMS, None)) not in (None, _sums(files)):
            raise ValueError(f"expected files of the checksums {sums}")
    except (ValueError, TypeError, RecursionError) as error:
        raise _damaged(str(row["name"]), error) from error
    return Artefact(row["name"], about, files)


def _sums(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


def _scale_of(kept: Artefact) -> RatingScale:
    try:
        return RatingScale.parse(kept.about["scale"])
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(kept.name, error) from error


def _damaged(name: str, error: Exception) -> StoreError:
    return StoreError(
        f"the artefact {shortened(name)} in this store is damaged ({shorten_message(str(error))}): "
        "make it again with the command that made it",
        code="damaged_artefact",
    )
