"""What a store reports of its own work: added, compacted, counted, forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Added:
    """How many texts one `add` kept.

    Attributes:
        added: New texts.
        duplicates: Texts the store, or an earlier place in the same call, already held.
        forgotten: Texts of users who were forgotten while the call was under way: they were
            handed in before the user left, so they are not kept.
    """

    added: int = 0
    duplicates: int = 0
    forgotten: int = 0

    def __add__(self, other: Added) -> Added:
        return Added(
            self.added + other.added,
            self.duplicates + other.duplicates,
            self.forgotten + other.forgotten,
        )


@dataclass(frozen=True)
class Compacted:
    """What a compaction did.

    Attributes:
        compacted: Whether it ran; False where the store was below the threshold.
        threshold: The number of fragments from which it runs.
        fragments_before: Fragments of all tables before it.
        fragments_after: Fragments of all tables after it.
        bytes_removed: Bytes of old versions that were pruned.
        seconds: How long it took.
    """

    compacted: bool
    threshold: int
    fragments_before: int
    fragments_after: int
    bytes_removed: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class StoreStats:
    """What is in a store, over all namespaces.

    Attributes:
        shared: Texts that may serve as evidence for others.
        bytes: Size of the store's files (live data only where it is not a local directory).
        indexes: Names as `table.index`, sorted.
        style_encoder: Version of the encoder the style vectors were made with.
        topic_encoder: Version of the encoder the topic vectors were made with.
    """

    texts: int
    users: int
    topics: int
    namespaces: int
    shared: int
    fragments: int
    bytes: int
    indexes: tuple[str, ...]
    style_encoder: str
    topic_encoder: str

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {**asdict(self), "indexes": list(self.indexes)}


@dataclass(frozen=True)
class Receipt:
    """What is left to say of a forgotten user; holds none of the content.

    Attributes:
        removed: How many of each kind were removed (with `dry_run`: would be).
        pieces: 20-character pieces of the user's titles and bodies that no other text holds.
        bytes_found_before: How many of the pieces stood in the store's files before; equal to
            `pieces`, or the count afterwards would prove nothing. None where the files can't be
            read (an object store).
        bytes_found_after: How many of them still do; 0. None with `dry_run` and where the files
            can't be read.
        adapters: Names of adapters that were trained on the user's texts, themselves or through
            one that they went on from.
        adapters_without_record: Names of further adapters of which nobody can tell.
    """

    user_id: str
    dry_run: bool
    removed: Mapping[str, int]
    pieces: int = 0
    bytes_found_before: int | None = None
    bytes_found_after: int | None = None
    adapters: tuple[str, ...] = field(default=())
    adapters_without_record: tuple[str, ...] = field(default=())
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        lists = {"adapters": list(self.adapters)}
        lists["adapters_without_record"] = list(self.adapters_without_record)
        return {**asdict(self), "removed": dict(self.removed), **lists}
