"""A store's encoders, as the store itself knows them: before it is opened, and from outside."""

from __future__ import annotations

import asyncio

from .artefacts import Artefact, Artefacts
from .connecting import check_exists, connected, missing
from .errors import NoSuchStore
from .generations import Generation, generations_of
from .location import local_root
from .recorded_encoder import RecordedEncoder, recorded_encoders
from .records import Encoder
from .refit import Progress, Refitted, refit
from .schema import TEXTS, USERS
from .write_lock import WriteLock


async def recorded_style(uri: str) -> RecordedEncoder | None:
    """Return the style encoder that a store is filled with; None: no store is there yet."""
    recorded = await recorded_pair(uri)
    return None if recorded is None else recorded[0]


async def recorded_pair(uri: str) -> tuple[RecordedEncoder, RecordedEncoder] | None:
    """Return the style and the topic encoder of a store; None: no store is there yet.

    Raises:
        SchemaMismatch: An older version wrote it, or it is no store of ours.
    """
    try:
        await asyncio.to_thread(check_exists, uri)
    except NoSuchStore:
        return None
    async with connected(uri) as connection:
        names = (await connection.list_tables()).tables
        if not {TEXTS, USERS} & set(names):
            return None
        # A lone table of texts is somebody else's, which its schema tells.
        table = await connection.open_table(USERS if USERS in names else TEXTS)
        return recorded_encoders(await table.schema(), uri)


async def style_generations(uri: str) -> list[Generation]:
    """Return the style encoders that a store has vectors of, the earliest first.

    Raises:
        NoSuchStore: There is none.
    """
    await asyncio.to_thread(check_exists, uri)
    async with connected(uri) as connection:
        if USERS not in (await connection.list_tables()).tables:
            raise missing(uri)
        table = await connection.open_table(USERS)
        return generations_of(await table.schema())


async def find_artefact(uri: str, name: str) -> Artefact | None:
    """Return something learnt that is kept at a place, without opening its store."""
    async with connected(uri) as connection:
        return await Artefacts(connection).find(name)


async def keep_artefact(uri: str, artefact: Artefact) -> None:
    """Keep something learnt at a place where there may be no store yet."""
    async with connected(uri) as connection, WriteLock(local_root(uri)).held():
        await Artefacts(connection).keep(artefact)


async def refit_store(uri: str, encoder: Encoder, progress: Progress | None = None) -> Refitted:
    """Embed a store again with another style encoder; see `refit`.

    Raises:
        NoSuchStore: There is none.
        StoreBusy: Other writers kept getting in the way; the same call goes on from there.
    """
    await asyncio.to_thread(check_exists, uri)
    async with connected(uri) as connection:
        if not {TEXTS, USERS} <= set((await connection.list_tables()).tables):
            raise missing(uri)
        return await refit(connection, encoder, progress)


async def first_bodies(uri: str, limit: int) -> list[str]:
    """Return the bodies of the texts that were written into a store first, at most `limit`."""
    await asyncio.to_thread(check_exists, uri)
    async with connected(uri) as connection:
        if TEXTS not in (await connection.list_tables()).tables:
            raise missing(uri)
        table = await connection.open_table(TEXTS)
        rows = await table.query().select(["body"]).limit(limit).to_arrow()
        return [body for body in rows.column("body").to_pylist() if body is not None]
