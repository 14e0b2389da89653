"""What a store keeps and gives back: texts, an encoder's contract, histories and hits.

Frozen data without behaviour, apart from values that follow from it.

What a store reports of its own work: added, compacted, counted, forgotten.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Vectors: TypeAlias = "NDArray[np.float32]"

Sums: TypeAlias = "NDArray[np.float64]"
"""Exact sums of vectors (see `sums`)."""


class Encoder(Protocol):
    """Turns texts into unit vectors; a store is handed two of them (style and topic)."""

    @property
    def version(self) -> str:
        """A name that changes whenever the same text would get another vector."""

    @property
    def dimension(self) -> int:
        """Length of one vector."""

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return one unit row a text, shape (len(texts), dimension), float32. May block."""


@dataclass(frozen=True)
class Text:
    """One piece that somebody wrote.

    Attributes:
        user_id: Who wrote it.
        topic_id: What it is about; "" where that is not known.
        body: The text itself, white space as it was written.
        rating: 1 to 5, or None.
        timestamp: Milliseconds since 1970, or None.
        position: Its place in the file it came from; orders texts that have no time.
        target: A benchmark's text that has to be written: evidence for others, never own history.
        shared: Whether it may serve as evidence for others.
        shared_id: Whether `user_id` is a display name that several people use.
    """

    user_id: str
    body: str
    topic_id: str = ""
    title: str = ""
    rating: float | None = None
    timestamp: int | None = None
    position: int = 0
    language: str = "en"
    target: bool = False
    shared: bool = True
    shared_id: bool = False
    namespace: str = "default"

    @cached_property
    def text_id(self) -> str:
        """Content hash (20 hex digits): adding the same text twice keeps one.

        The time is no content: an app that adds a text again gives it a later one.
        """
        rating = "" if self.rating is None else f"{self.rating:g}"
        parts = (
            self.namespace,
            self.user_id,
            self.topic_id,
            self.title,
            self.body,
            rating,
            "target" if self.target else "",
        )
        return hashlib.sha1("\x1f".join(parts).encode()).hexdigest()[:20]


@dataclass(frozen=True)
class Embedded:
    """Texts whose vectors were made elsewhere, by the encoders that the store is opened with.

    Attributes:
        texts: What was written.
        style: Unit style vectors, shape (texts, style dimension).
        topic: Unit topic vectors, shape (texts, topic dimension).
    """

    texts: Sequence[Text]
    style: Vectors
    topic: Vectors


@dataclass(frozen=True)
class History:
    """The requester's side of a user: own history, and what has to be left out for this user.

    Attributes:
        texts: Own history, latest first: the user's texts less targets, less those on the
            requested topic, less exact duplicates of a target.
        style: Style vectors of `texts`, shape (len(texts), style dimension).
        topic_vectors: Topic vectors of `texts`, shape (len(texts), topic dimension).
        contributed: For each topic, the exact sum of the topic vectors of *all* the user's shared
            texts on it and their number. A topic's vector leaves them out for this requester.
        hidden_bodies: Normalised bodies of the user's targets: a text that equals one of them is
            never evidence in this user's requests, whoever wrote it.
        version: The store's version that the history was read at: searches for this history read
            the same one. 0: they ask for the newest.
    """

    namespace: str
    user_id: str
    texts: tuple[Text, ...]
    style: Vectors
    topic_vectors: Vectors
    contributed: Mapping[str, tuple[Sums, int]]
    hidden_bodies: frozenset[str]
    version: int = 0


@dataclass(frozen=True)
class Neighbour:
    """Another user and how near they are, in [-1, 1] for cosines."""

    user_id: str
    score: float


@dataclass(frozen=True)
class Hit:
    """A text found for a request.

    Attributes:
        score: What it was ranked by, higher is better.
        reason: Why it was taken, for people, with the figures that decided.
    """

    text: Text
    score: float
    reason: str


@dataclass(frozen=True)
class Found:
    """What one search brought back.

    Attributes:
        hits: Best first.
        neighbours: The users behind it, nearest first.
        pool_size: How many candidates were ranked (users for style, texts for preference).
        topic_known: Preference only: whether the store holds others' texts on the topic itself.
        topics: The topics whose texts were searched (preference only).
    """

    hits: tuple[Hit, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    pool_size: int = 0
    topic_known: bool = True
    topics: tuple[str, ...] = field(default=())


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
