"""Finds pieces of text in files and tables: the eyes of the proof of forgetting.

A piece is 20 characters, in UTF-8 at least 20 bytes. Looking for hundreds of thousands of them
one by one, or by an automaton over them, takes minutes or gigabytes; this takes a pass over the
data with array arithmetic, and is exact:

1. Wherever a piece stands, its first 20 bytes cover a run of 16 bytes that begins at a multiple
   of 4. So only those runs are looked at: each is hashed to 24 bits and looked up in a table of
   the hashes of all runs that occur in pieces. Almost every byte of vectors ends here.
2. Where one is met, the four windows of 20 bytes that hold it are compared with the pieces.
"""

from __future__ import annotations

import mmap
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .ragged import Places

PIECE = 20
"""Characters of a piece, and bytes of its head."""

RUN = 16
STEP = 4
TABLE_BITS = 24
CHUNK = 1 << 16
"""Runs hashed at once: what fits a core's cache."""

_ODD = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F], np.uint64)

Bytes = NDArray[np.uint8]


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
    """Looks for a set of pieces.

    Args:
        pieces: Pieces of at least 20 bytes each.
    """

    def __init__(self, pieces: Collection[bytes]) -> None:
        self._by_head: dict[bytes, list[bytes]] = {}
        for piece in sorted(pieces):
            self._by_head.setdefault(piece[:PIECE], []).append(piece)
        names = list(self._by_head)
        heads = np.frombuffer(b"".join(names), np.uint8).reshape(-1, PIECE)
        self._weights = _injective_weights(heads)
        hashes = _hash_windows(heads, self._weights)
        order = np.argsort(hashes)
        self._hashes, self._heads = hashes[order], heads[order]
        self._names = [names[at] for at in order]
        # Whether a head is all there is of its piece, as everywhere in plain ASCII.
        self._whole = np.array([self._by_head[name] == [name] for name in self._names], np.bool_)
        self._runs = np.zeros(1 << TABLE_BITS, np.bool_)
        for begin in range(STEP):
            runs = np.ascontiguousarray(self._heads[:, begin : begin + RUN]).view("<u8")
            self._runs[_hash_runs(runs[:, 0], runs[:, 1])] = True

    def __len__(self) -> int:
        return sum(map(len, self._by_head.values()))

    def in_files(self, paths: Iterable[Path]) -> set[bytes]:
        """Return the pieces that stand in any of the files."""
        found: set[bytes] = set()
        if not len(self._heads):
            return found
        for path in paths:
            if path.stat().st_size < PIECE:
                continue
            with (
                path.open("rb") as file,
                mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
            ):
                found |= self._in(data, None)
        return found

    def in_column(self, column: pa.ChunkedArray) -> set[bytes]:
        """Return the pieces that stand within one value of a column of strings."""
        found: set[bytes] = set()
        for chunk in column.chunks if len(self._heads) else ():
            _, offsets, data = chunk.buffers()
            if data is None:
                continue
            # A chunk may be a slice: its values lie somewhere within the buffer.
            ends = np.frombuffer(offsets, "<i4")[chunk.offset : chunk.offset + len(chunk) + 1]
            part = data[int(ends[0]) : int(ends[-1])]
            if part.size >= PIECE:
                found |= self._in(part, ends - ends[0])
        return found

    def _in(self, data: bytes | mmap.mmap, ends: NDArray[np.int32] | None) -> set[bytes]:
        view = np.frombuffer(data, np.uint8)
        found: set[bytes] = set()
        for at in self._candidates(view):
            found |= self._compare(view, at, ends)
        # A mapped file can't be closed while an array still looks at it.
        del view
        return found

    def _candidates(self, view: Bytes) -> Iterator[Places]:
        """Yield places at which a run of a piece may begin."""
        for shift in (0, STEP):
            count = (len(view) - shift) // 8
            words = view[shift : shift + count * 8].view("<u8")
            for begin in range(0, count - 1, CHUNK):
                part = words[begin : begin + CHUNK + 1]
                hits = np.flatnonzero(self._runs[_hash_runs(part[:-1], part[1:])])
                if len(hits):
                    yield (hits + begin) * 8 + shift

    def _compare(self, view: Bytes, runs: Places, ends: NDArray[np.int32] | None) -> set[bytes]:
        """Return the pieces around the places at which runs begin."""
        at = (runs[:, None] - np.arange(STEP)).reshape(-1)
        at = at[(at >= 0) & (at + PIECE <= len(view))]
        windows = view[at[:, None] + np.arange(PIECE)]
        head = np.searchsorted(self._hashes, _hash_windows(windows, self._weights))
        head[head == len(self._hashes)] = 0
        same = np.flatnonzero((self._heads[head] == windows).all(axis=1))
        head, at = head[same], at[same]
        room = (len(view) if ends is None else ends[np.searchsorted(ends, at, "right")]) - at
        whole = self._whole[head]
        found = {self._names[one] for one in np.unique(head[whole & (room >= PIECE)])}
        for one, place, space in zip(head[~whole], at[~whole], room[~whole], strict=True):
            for piece in self._by_head[self._names[one]]:
                if len(piece) <= space and view[place : place + len(piece)].tobytes() == piece:
                    found.add(piece)
        return found


def _hash_runs(first: NDArray[np.uint64], second: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return the table places of runs of 16 bytes, given as two words each."""
    mixed = first * _ODD[0] + second * _ODD[1]
    places: NDArray[np.int64] = (mixed >> np.uint64(64 - TABLE_BITS)).view(np.int64)
    return places


def _hash_windows(windows: Bytes, weights: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return a 64-bit hash of each window of 20 bytes."""
    hashes = np.zeros(len(windows), np.uint64)
    for place in range(PIECE):
        hashes += windows[:, place] * weights[place]
    return hashes


def _injective_weights(heads: Bytes) -> NDArray[np.uint64]:
    """Return weights under which no two heads have one hash: else one would hide the other."""
    seed = 0
    while True:
        weights = np.random.default_rng(seed).integers(1, 2**63, PIECE, np.uint64)
        if len(np.unique(_hash_windows(heads, weights))) == len(heads):
            return weights
        seed += 1
