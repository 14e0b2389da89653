"""Forget a user, or single texts, down to the bytes in the files, and prove it.

LanceDB keeps deleted rows: in the old version for seven days, and in the file itself where they are
a small share of a lone fragment, which no optimisation rewrites. So after the removal a marker row
is added: it makes a second fragment, merging the two rewrites the first, and then every old version
and index is erased.

The proof: every 20-character piece of the removed titles and bodies that no other text holds is
searched for in every byte of every file, before (all must be found, or the search would prove
nothing) and after (none may be).
"""

from __future__ import annotations

import asyncio
import mmap
import os
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..errors import NotForgotten, shortened
from ..files import files_below
from ..forgotten import Forgotten, key_of, keys_to_forget, with_erasing
from ..types import Receipt
from .arrow import Places
from .artefacts import Artefacts
from .cache import SnapshotCache
from .filters import Filter, all_but, every_namespace, within
from .repair import COUNTED_COLUMNS, Tally
from .schema import TEXTS, TOPICS, USERS
from .tables import Tables

PIECE = 20
"""Characters of a piece, and bytes of its head."""

RUN = 16
STEP = 4
TABLE_BITS = 22
CHUNK = 1 << 14
"""Words of 8 bytes hashed at once; with tables of 4 MB, what stays in a core's cache."""

COMPARED = 1 << 15
"""Places compared at once, at least."""

_ODD = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F], np.uint64)
_NOT_ASCII = np.uint64(0x8080808080808080)

Bytes = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def pieces_of(texts: Iterable[str]) -> set[bytes]:
    """Return every 20-character piece of some texts, in UTF-8."""
    pieces: set[bytes] = set()
    for text in texts:
        if text.isascii():
            data = text.encode()
            pieces.update(data[at : at + PIECE] for at in range(len(data) - PIECE + 1))
        else:
            signs = range(len(text) - PIECE + 1)
            pieces.update(text[at : at + PIECE].encode() for at in signs)
    return pieces


class PieceFinder:
    """Finds pieces of text in files and columns, exactly.

    A piece is 20 characters, in UTF-8 at least 20 bytes. Searching for hundreds of thousands of
    them one by one, or by an automaton, takes minutes or gigabytes; this is one pass over the data
    with array arithmetic:

    1. Wherever a piece stands, its first 20 bytes (its head) cover a run of 16 bytes that begins at
       a multiple of 4. Each such run is hashed and looked up in two tables of the hashes of all
       runs that occur in heads (a Bloom filter), which rules out almost all of a file.
    2. For the others, the four windows of 20 bytes around the run are compared with the heads, and
       what is longer than its head is compared byte by byte.

    Attributes:
        pieces: The pieces in the order of the masks that searches return.
    """

    def __init__(self, pieces: Collection[bytes]) -> None:
        given = list(pieces)
        heads = np.frombuffer(b"".join([piece[:PIECE] for piece in given]), np.uint8)
        heads = heads.reshape(-1, PIECE)
        self._weights, order = _injective_order(heads)
        self.pieces = [given[at] for at in order]
        self._heads = heads[order]
        self._hashes = _hash_windows(self._heads, self._weights)
        # Whether a head is all there is to compare: no longer, and of one piece only.
        again = self._hashes[1:] == self._hashes[:-1]
        lengths = np.fromiter(map(len, self.pieces), np.int64, len(given))
        self._plain = lengths == PIECE
        self._plain[1:] &= ~again
        self._plain[:-1] &= ~again
        self._ascii = not (self._heads >= 0x80).any()
        self._tables = np.zeros((2, 1 << TABLE_BITS), np.bool_)
        for begin in range(STEP):
            runs = np.ascontiguousarray(self._heads[:, begin : begin + RUN]).view("<u8")
            hashes = _hash_runs(runs[:, 0], runs[:, 1])
            self._tables[0][_first_place(hashes)] = True
            self._tables[1][_second_place(hashes)] = True

    def __len__(self) -> int:
        return len(self.pieces)

    def less(self, found: Mask) -> PieceFinder:
        """Return a finder of the pieces that the mask does not mark."""
        if not found.any():
            return self
        return PieceFinder(list(compress(self.pieces, ~found)))

    def in_files(self, paths: Iterable[Path]) -> Mask:
        """Return which pieces occur in any of the files that are there, shape (pieces,)."""
        found = np.zeros(len(self), np.bool_)
        for path in paths if len(self) else ():
            with suppress(FileNotFoundError), path.open("rb") as file:
                if os.fstat(file.fileno()).st_size < PIECE:
                    continue
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                    self._look(data, None, found)
        return found

    def in_data(self, data: bytes) -> bool:
        """Return whether any piece occurs in some bytes."""
        found = np.zeros(len(self), np.bool_)
        if len(data) >= PIECE and len(self):
            self._look(data, None, found)
        return bool(found.any())

    def in_column(self, column: pa.ChunkedArray) -> Mask:
        """Return which pieces occur within one value of a column of strings, shape (pieces,)."""
        found = np.zeros(len(self), np.bool_)
        for chunk in column.chunks if len(self) else ():
            _, offsets, data = chunk.buffers()
            if data is None:
                continue
            # A chunk may be a slice: its values lie somewhere within the buffer.
            ends = np.frombuffer(offsets, "<i4")[chunk.offset : chunk.offset + len(chunk) + 1]
            part = data[int(ends[0]) : int(ends[-1])]
            if part.size >= PIECE:
                self._look(part, ends - ends[0], found)
        return found

    def _look(self, data: bytes | mmap.mmap, ends: NDArray[np.int32] | None, found: Mask) -> None:
        """Mark the pieces that occur in the data, within one of the values that end at `ends`."""
        view = np.frombuffer(data, np.uint8)
        waiting: list[Places] = []
        for begin in range(0, len(view), 8 * CHUNK):
            for shift in (0, STEP):
                # A word more at the end: the last run reaches into it.
                part = view[begin + shift : begin + shift + 8 * (CHUNK + 1)]
                runs = self._candidates(part[: len(part) // 8 * 8].view("<u8"))
                if len(runs):
                    waiting.append(runs * 8 + begin + shift)
            # Together: comparing costs the same for ten places as for a thousand.
            if sum(map(len, waiting)) >= COMPARED:
                self._compare(view, np.concatenate(waiting), ends, found)
                waiting.clear()
        if waiting:
            self._compare(view, np.concatenate(waiting), ends, found)
        # A mapped file can't be closed while an array refers to it.
        del view, part

    def _candidates(self, words: NDArray[np.uint64]) -> Places:
        """Return the words at which a run of a head may begin."""
        first, second = words[:-1], words[1:]
        if self._ascii:
            # Vectors have a bit beyond ASCII in all but one of 256 words.
            at = np.flatnonzero((first & _NOT_ASCII) == 0)
            at = at[self._tables[0][_first_place(_hash_runs(first[at], second[at]))]]
        else:
            at = np.flatnonzero(self._tables[0][_first_place(_hash_runs(first, second))])
        places: Places = at[self._tables[1][_second_place(_hash_runs(first[at], second[at]))]]
        return places

    def _compare(
        self, view: Bytes, runs: Places, ends: NDArray[np.int32] | None, found: Mask
    ) -> None:
        """Mark the pieces around the places at which runs begin."""
        at = (runs[:, None] - np.arange(STEP)).reshape(-1)
        at = at[(at >= 0) & (at + PIECE <= len(view))]
        windows = view[at[:, None] + np.arange(PIECE)]
        piece = np.searchsorted(self._hashes, _hash_windows(windows, self._weights))
        piece[piece == len(self)] = 0
        same = np.flatnonzero((self._heads[piece] == windows).all(axis=1))
        piece, at = piece[same], at[same]
        room = (len(view) if ends is None else ends[np.searchsorted(ends, at, "right")]) - at
        plain = self._plain[piece]
        found[piece[plain & (room >= PIECE)]] = True
        for first, place, space in zip(piece[~plain], at[~plain], room[~plain], strict=True):
            one = int(first)
            while one < len(self) and self._hashes[one] == self._hashes[first]:
                sought = self.pieces[one]
                if len(sought) <= space and not found[one]:
                    found[one] = view[place : place + len(sought)].tobytes() == sought
                one += 1


def _hash_runs(first: NDArray[np.uint64], second: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return a 64-bit hash of each run of 16 bytes, given as two words."""
    hashes: NDArray[np.uint64] = first * _ODD[0]
    hashes += second * _ODD[1]
    return hashes


def _first_place(hashes: NDArray[np.uint64]) -> Places:
    places: Places = (hashes >> np.uint64(64 - TABLE_BITS)).view(np.int64)
    return places


def _second_place(hashes: NDArray[np.uint64]) -> Places:
    kept = hashes >> np.uint64(64 - 2 * TABLE_BITS)
    places: Places = (kept & np.uint64((1 << TABLE_BITS) - 1)).view(np.int64)
    return places


def _hash_windows(windows: Bytes, weights: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return a 64-bit hash of each window of 20 bytes, shape (windows, 20)."""
    parts = np.ascontiguousarray(windows).view("<u4")
    hashes = np.zeros(len(windows), np.uint64)
    for place in range(PIECE // 4):
        hashes += parts[:, place] * weights[place]
    # The weights are odd, so the highest bits depend on all of a part, the lowest hardly.
    hashes ^= hashes >> np.uint64(32)
    return hashes


def _injective_order(heads: Bytes) -> tuple[NDArray[np.uint64], Places]:
    """Return weights under which no two heads have one hash, and the heads' order by hash.

    Two with one hash would hide each other from the search.
    """
    seed = 0
    while True:
        weights = 2 * np.random.default_rng(seed).integers(
            0, 2**63, PIECE // 4, np.uint64
        ) + np.uint64(1)
        hashes = _hash_windows(heads, weights)
        order = np.argsort(hashes)
        equal = np.flatnonzero(np.diff(hashes[order]) == 0)
        if (heads[order[equal]] == heads[order[equal + 1]]).all():
            return weights, order
        seed += 1


async def say_unfinished(tables: Tables, forgotten: Forgotten) -> str:
    """Say whose removal was cut off or is under way, and what to run; "" if nobody's.

    Notes have hashes alone: people are named whose texts are still there.
    """
    unfinished = (await forgotten.notes()).unfinished
    if not unfinished:
        return ""
    rows = await tables.read(USERS, every_namespace(), ["namespace", "user_id"])
    names = (rows.column(name).to_pylist() for name in ("namespace", "user_id"))
    left = [user for each, user in zip(*names, strict=True) if key_of(each, user) in unfinished]
    shown = ", ".join(map(shortened, left[:_SHOWN])) + (", ..." if len(left) > _SHOWN else "")
    whose = f" (still there: {shown})" if left else ""
    return (
        f"a removal of people or texts is under way, or was cut off{whose}: if none is running, "
        "give the same command again, which finishes it: "
        f"`patlm forget --user {shortened(left[0]) if left else 'ID'}`"
    )


_SHOWN = 5


def _named_by(
    keys: Collection[str], *columns: pa.ChunkedArray
) -> dict[tuple[str, str], list[str] | None]:
    """Return the texts that some keys name by person, from namespaces, users and ids of texts."""
    whole: dict[tuple[str, str], bool] = {}
    named: dict[tuple[str, str], list[str] | None] = {}
    for namespace, user, text_id in zip(*(each.to_pylist() for each in columns), strict=True):
        person = namespace, user
        if person not in whole:
            whole[person] = key_of(*person) in keys
        if whole[person]:
            named[person] = None
        elif key_of(*person, text_id=text_id) in keys:
            named[person] = [*(named.get(person) or ()), text_id]
    return named


ROUNDS = 6
"""Passes over one table at most. Three are usual: only fragments that are indexed alike are
merged, so the first indexes the marker, the second merges, the third finds nothing to do."""

PROVEN_COLUMNS = ("title", "body")
OTHER_COLUMNS = (*PROVEN_COLUMNS, "user_id", "topic_id")
"""Where a piece may occur for another reason than the removed texts."""


@dataclass(frozen=True)
class Forgetting:
    """Removes users, or single texts of theirs, from one store."""

    tables: Tables
    cache: SnapshotCache
    forgotten: Forgotten
    tally: Tally
    artefacts: Artefacts

    async def forget(
        self,
        namespace: str,
        user_id: str,
        *,
        text_ids: Collection[str] | None = None,
        dry_run: bool,
    ) -> Receipt:
        """Remove a user or, with `text_ids`, only these texts; see `TextStore.forget`."""
        begin = time.perf_counter()
        # From here on, what a running `add` still holds of them is dropped, in any process.
        # The words of single texts, too: `TextStore.removing` noted them, and this settles them.
        which = within(namespace, user=user_id, text_ids=text_ids or ())
        bodies = (await self.tables.read(TEXTS, which, ["body"])).column("body").to_pylist()
        keys = with_erasing(keys_to_forget(namespace, user_id, text_ids, bodies))
        noted = self.forgotten.removing(keys)
        if dry_run:  # without the right to write, which another process may hold for minutes
            receipt = await self._remove(namespace, user_id, text_ids, dry_run)
            return replace(receipt, seconds=time.perf_counter() - begin)
        async with noted:
            async with self.tables.writing():
                async with self.tally.step():
                    receipt = await self._remove(namespace, user_id, text_ids, dry_run)
                self.cache.clear()
            receipt = replace(receipt, seconds=time.perf_counter() - begin)
            if receipt.bytes_found_after:
                raise NotForgotten(
                    f"expected no piece of the removed texts in the files, found "
                    f"{receipt.bytes_found_after} of {receipt.pieces}: stop whatever else works on "
                    "this store, and remove them again",
                    receipt,
                )
        return receipt

    async def _remove(
        self, namespace: str, user_id: str, text_ids: Collection[str] | None, dry_run: bool
    ) -> Receipt:
        of_user = within(namespace, user=user_id)
        which = of_user if text_ids is None else within(namespace, user=user_id, text_ids=text_ids)
        rows = await self.tables.read(TEXTS, which, (*COUNTED_COLUMNS, "text_id"))
        user_stays = await self.tables.count(TEXTS, of_user) > rows.num_rows
        topics = await self.tally.topics_without(namespace, rows)
        removed = {
            "texts": rows.num_rows,
            "vectors": 2 * rows.num_rows,
            "users": 0 if user_stays else await self.tables.count(USERS, of_user),
            "topics": sum(total.shared == 0 for total in topics.values()),
        }
        finder = await self._finder(which, rows)
        receipt = Receipt(
            user_id=user_id,
            dry_run=dry_run,
            removed=removed,
            text_ids=() if text_ids is None else tuple(rows.column("text_id").to_pylist()),
            pieces=len(finder),
            bytes_found_before=await self._found(finder),
        )
        if dry_run:
            return receipt
        await self.tables.delete(TEXTS, which)
        await self.tally.count_out(namespace, user_id, rows, topics, user_stays=user_stays)
        return replace(receipt, bytes_found_after=await self._erase(finder))

    async def cut_off(self) -> dict[tuple[str, str], list[str] | None]:
        """Return whose removal was cut off: ids of texts by person, None for all of the person.

        Of those of whom the store still has something; nobody while a removal is under way.
        """
        unfinished = (await self.forgotten.notes()).unfinished
        if not unfinished or not await self.forgotten.is_nobody_removing():
            return {}
        # Read anew: one that was under way may have ended since.
        unfinished = (await self.forgotten.notes()).unfinished
        names = ("namespace", "user_id", "text_id")
        rows = await self.tables.read(TEXTS, every_namespace(), names)
        return await asyncio.to_thread(_named_by, unfinished, *map(rows.column, names))

    async def finish_erasing(self) -> bool:
        """Erase what removals left that were cut off between their rows and their bytes.

        Nobody is named any more: first finish those of whom there is still something (`cut_off`).
        """
        begun = (await self.forgotten.notes()).erasing
        if not begun or not await self.forgotten.is_nobody_removing():
            return False
        async with self.forgotten.removing(with_erasing(begun)), self.tables.writing():
            await self._erase(PieceFinder(()))
            self.cache.clear()
        return True

    async def finder(
        self, namespace: str, user_id: str, text_ids: Collection[str] | None = None
    ) -> tuple[PieceFinder, frozenset[str]]:
        """Return what finds a user's texts, or only some, in any bytes, and the texts' ids."""
        which = within(namespace, user=user_id, text_ids=text_ids)
        rows = await self.tables.read(TEXTS, which, (*PROVEN_COLUMNS, "text_id"))
        return await self._finder(which, rows), frozenset(rows.column("text_id").to_pylist())

    async def _finder(self, which: Filter, rows: pa.Table) -> PieceFinder:
        """Return a finder of the pieces that only these texts hold."""
        if not rows.num_rows:
            return PieceFinder(())
        others = await self.tables.read(TEXTS, all_but(which), OTHER_COLUMNS)

        def find_own() -> PieceFinder:
            texts = (text for name in PROVEN_COLUMNS for text in rows.column(name).to_pylist())
            finder = PieceFinder(pieces_of(texts))
            held = [finder.in_column(others.column(name)) for name in OTHER_COLUMNS]
            return finder.less(np.any(held, axis=0))

        return await asyncio.to_thread(find_own)

    async def _found(self, finder: PieceFinder) -> int | None:
        """Return how many pieces occur in the store's files; None where there are no files."""
        root = self.tables.root
        if root is None:
            return None
        found = await asyncio.to_thread(lambda: finder.in_files(files_below(root)))
        return int(found.sum())

    async def _erase(self, finder: PieceFinder) -> int | None:
        """Rewrite the tables without the deleted rows; return how many pieces are left."""
        found = await self._erase_once(finder)
        if found:  # an index may be damaged; LanceDB logs that, and merges nothing
            for name in (TEXTS, TOPICS, USERS):
                await self.tables.remake_indexes(name)
            found = await self._erase_once(finder)
        return found

    async def _erase_once(self, finder: PieceFinder) -> int | None:
        for name in (TEXTS, TOPICS, USERS):  # users last: see `Tables.store_version`
            await self.tables.mark_removed(name)
            for _ in range(ROUNDS):
                if not await self.tables.erase_old(name):
                    break
        return await self._found(finder)
