"""Data types of a text store: texts, vectors, search results, and reports of its operations.

Frozen dataclasses without behaviour, except for derived values.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from .values import SEPARATOR

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Vectors: TypeAlias = "NDArray[np.float32]"

Sums: TypeAlias = "NDArray[np.float64]"
"""Exact sums of vectors (see `stores.texts.arrow.exact_sum`)."""


class Encoder(Protocol):
    """Embeds texts as unit vectors; a store takes two encoders (style and topic)."""

    @property
    def version(self) -> str:
        """A name that changes whenever the vectors of texts change."""

    @property
    def dimension(self) -> int:
        """Dimension of the vectors."""

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return one unit vector per text, shape (len(texts), dimension), float32. May block."""


@dataclass(frozen=True)
class StoreLimits:
    """Sizes from which a store searches by estimate, reads from disk, and compacts.

    Attributes:
        resident_texts: Texts of a namespace up to which all of them are kept in memory (about 2 KB
            each).
        exact_texts: Texts of a topic up to which it is ranked whole.
        picked_texts: Candidates read of a larger topic, the first by words and vectors: several
            times as many as are wanted, for near-copies and those that are filtered out.
        weighed_texts: The same where the author's alignment weighs, and may move a text far up.
        exact_users: Users up to which a search compares the whole style vector of each.
        nearest_users: Of more users, those whose cosine is computed in full.
        fragments: Fragments of all tables from which a write is followed by a compaction where a
            quarter of the texts is new.
        most_fragments: The same whatever is new.
    """

    resident_texts: int = 1_500_000
    exact_texts: int = 2_000
    picked_texts: int = 48
    weighed_texts: int = 150
    exact_users: int = 20_000
    nearest_users: int = 2_048
    fragments: int = 100
    most_fragments: int = 300


@dataclass(frozen=True)
class Text:
    """One text of a user.

    Attributes:
        user_id: The author.
        topic_id: The topic; "" if unknown.
        body: The text itself, with its original white space.
        rating: 1 to 5, or None.
        timestamp: Milliseconds since 1970, or None.
        position: Position in the source file; orders texts without a timestamp.
        target: Whether a benchmark asks for this text: evidence for others, never own history.
        shared: Whether it may serve as evidence for others.
        shared_id: Whether `user_id` is a display name that several people use.
        source_id: Id of the text in its source (a review's, say): a later text of the same author
            and id replaces it (see `source_ids`). Kept, but only `TextStore.texts_of` reads it
            back.
        more_source_ids: Other ids that the same text has in its source.
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
    source_id: str = field(default="", compare=False)
    more_source_ids: tuple[str, ...] = field(default=(), compare=False)

    @property
    def source_ids(self) -> tuple[str, ...]:
        """All ids of the text in its source."""
        return (self.source_id, *self.more_source_ids) if self.source_id else ()

    @cached_property
    def text_id(self) -> str:
        """Content hash (20 hex digits): adding the same text twice keeps one.

        The timestamp is not hashed: an app that adds a text again gives it a later one.
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
        # No id has the separator in it, so no other person's text gets this one's hash.
        return hashlib.sha1(SEPARATOR.join(parts).encode()).hexdigest()[:20]


@dataclass(frozen=True)
class Embedded:
    """Texts embedded outside the store, by the encoders that the store is opened with.

    Attributes:
        texts: The texts.
        style: Unit style vectors, shape (texts, style dimension).
        topic: Unit topic vectors, shape (texts, topic dimension).
    """

    texts: Sequence[Text]
    style: Vectors
    topic: Vectors


@dataclass(frozen=True)
class History:
    """A requester's own texts, and what to filter out of the requester's searches.

    Attributes:
        texts: Own history, latest first, without targets, texts on the requested topic, and exact
            duplicates of a target.
        style: Style vectors of `texts`, shape (len(texts), style dimension).
        topic_vectors: Topic vectors of `texts`, shape (len(texts), topic dimension).
        contributed: For each topic, the exact sum of the topic vectors of *all* the user's shared
            texts on it, and their number. They are subtracted from a topic's vector for this
            requester.
        hidden_bodies: Normalised bodies of the user's targets: a text that equals one of them is
            never evidence in this user's requests, whoever wrote it.
        version: Version of the store that the history was read from; searches for this history
            read the same one. 0: searches read the newest.
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
    """Another user and their similarity, in [-1, 1] for cosines."""

    user_id: str
    score: float


@dataclass(frozen=True)
class Hit:
    """A text retrieved for a request.

    Attributes:
        score: Ranking score, higher is better.
        reason: Human-readable explanation, with the figures that decided.
    """

    text: Text
    score: float
    reason: str


@dataclass(frozen=True)
class Found:
    """The result of one search.

    Attributes:
        hits: Hits, best first.
        neighbours: Neighbours that the hits come from, nearest first.
        pool_size: Number of candidates ranked (users for style, texts for preference).
        topic_known: Whether the store holds others' texts on the topic itself (preference only).
        topics: The topics whose texts were searched (preference only).
        nobody_shares: Whether no other user of the tenant has a text that may serve as evidence.
    """

    hits: tuple[Hit, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    pool_size: int = 0
    topic_known: bool = True
    topics: tuple[str, ...] = field(default=())
    nobody_shares: bool = False


class PrivateText(NamedTuple):
    """A text that others could read until now, by its namespace, author and id."""

    namespace: str
    user_id: str
    text_id: str


@dataclass(frozen=True)
class Added:
    """Counts of one `add`.

    Attributes:
        added: New texts.
        duplicates: Texts already in the store, or earlier in the same call.
        forgotten: Texts dropped because their users were forgotten during the call.
        replaced: Earlier texts that new ones of the same source id took the place of.
        other_ids: Duplicates that came under another source id than the text has: it has both.
        private: Stored texts that others could read, and that came again as private.
        text_ids: `Text.text_id` of each text in the order given, also of those that were held:
            from `Personalizer.add` and `add_many`; empty where many files are read.
    """

    added: int = 0
    duplicates: int = 0
    forgotten: int = 0
    replaced: int = 0
    other_ids: int = 0
    private: tuple[PrivateText, ...] = ()
    text_ids: tuple[str, ...] = ()

    def __add__(self, other: Added) -> Added:
        return Added(
            self.added + other.added,
            self.duplicates + other.duplicates,
            self.forgotten + other.forgotten,
            self.replaced + other.replaced,
            self.other_ids + other.other_ids,
            self.private + other.private,
            self.text_ids + other.text_ids,
        )


@dataclass(frozen=True)
class Compacted:
    """The result of a compaction.

    Attributes:
        compacted: Whether it ran; False if the store was below the threshold.
        threshold: Number of fragments from which it runs.
        fragments_before: Fragments of all tables before.
        fragments_after: Fragments of all tables after.
        bytes_removed: Bytes of pruned old versions.
        seconds: Duration.
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
    """Statistics of a store, over all namespaces.

    Attributes:
        shared: Texts that may serve as evidence for others.
        bytes: Size of the store's files (live data only if it is not a local directory).
        indexes: Names as `table.index`, sorted.
        style_encoder: Version of the style vectors' encoder.
        topic_encoder: Version of the topic vectors' encoder.
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
    """The receipt of forgetting a user, or of removing single texts, without any of the content.

    Attributes:
        removed: Number of removed records by kind (with `dry_run`: that would be removed).
        text_ids: Ids of the removed texts, where single ones were to be removed.
        pieces: Number of 20-character pieces of the removed titles and bodies that occur in no
            other text.
        bytes_found_before: Number of the pieces found in the store's files before; equal to
            `pieces`, else the count afterwards would prove nothing. None if the files can't be
            read (an object store).
        bytes_found_after: Number of the pieces found afterwards; 0. None with `dry_run` or if the
            files can't be read.
        adapters: Names of adapters trained on the user's texts, directly or through an ancestor.
        adapters_without_record: Names of other adapters without a complete training record.
        near_ids: Similar ids of users in the store, if there is no such user.
        copies: Files and folders outside the store that something was removed from.
        left: What holds something of the user and stays, or is out of reach: a sentence each.
    """

    user_id: str
    dry_run: bool
    removed: Mapping[str, int]
    text_ids: tuple[str, ...] = ()
    pieces: int = 0
    bytes_found_before: int | None = None
    bytes_found_after: int | None = None
    adapters: tuple[str, ...] = field(default=())
    adapters_without_record: tuple[str, ...] = field(default=())
    near_ids: tuple[str, ...] = field(default=())
    copies: tuple[str, ...] = field(default=())
    left: tuple[str, ...] = field(default=())
    seconds: float = 0.0

    @property
    def found(self) -> bool:
        """Whether there was anything of the user, an adapter trained on their texts included."""
        return bool(self.adapters) or any(self.removed.values())

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        found = {**asdict(self), "removed": dict(self.removed)}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in found.items()}
