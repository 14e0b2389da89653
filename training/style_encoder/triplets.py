"""Triplets of authorship verification with topic control.

Anchor and positive are two texts of one author on different topics; the negative is another
author's text on the *positive's* topic. A topic encoder fails on them (Wegmann et al. 2022).
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from ...stores.search.words import bare
from ...stores.types import Text, Vectors

PAIRS = 20
"""Maximum number of ordered pairs per author."""

NEGATIVES = 3
"""Number of negatives per pair."""

FOLDS = 4
"""Number of folds: two halves of users x two halves of topics."""

Places = NDArray[np.int64]

Rows: TypeAlias = "Vectors | csr_matrix"
"""Unit rows, dense or sparse."""


@dataclass(frozen=True)
class Triplets:
    """Indices into a list of texts, arrays of shape (triplets,).

    Attributes:
        anchor: Anchor texts.
        positive: Texts of the same author on another topic.
        negative: Texts of another author on the positive's topic.
        author: The anchor's author, an index into `authors`.
        fold: Fold of all authors and topics of the triplet, see `Halves`.
        authors: Ids of the authors.
    """

    anchor: Places
    positive: Places
    negative: Places
    author: Places
    fold: Places
    authors: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.anchor)

    def right(self, rows: Rows) -> NDArray[np.float64]:
        """Return 1 if the positive is nearer by cosine, ½ on ties, else 0, shape (triplets,).

        Args:
            rows: One unit row per text.
        """
        near = _cosines(rows, self.anchor, self.positive)
        far = _cosines(rows, self.anchor, self.negative)
        right: NDArray[np.float64] = (near > far) + 0.5 * (near == far)
        return right

    def by_author(self, right: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the mean over each author's triplets, shape (authors,)."""
        sums = np.bincount(self.author, right, len(self.authors))
        means: NDArray[np.float64] = sums / np.bincount(self.author, minlength=len(self.authors))
        return means


@dataclass(frozen=True)
class Halves:
    """Halves of users and topics; fold = 2 x the user's half + the topic's half.

    A model that is trained on one fold has seen neither the users nor the topics of the opposite
    one.
    """

    users: Mapping[str, int]
    topics: Mapping[str, int]

    @classmethod
    def of(cls, texts: Iterable[Text]) -> Halves:
        """Split the users and the topics of texts into halves with equally many texts."""
        texts = list(texts)
        return cls(
            _halved(Counter(text.user_id for text in texts)),
            _halved(Counter(text.topic_id for text in texts)),
        )

    def fold(self, text: Text) -> int:
        """Return the fold of a text."""
        return 2 * self.users[text.user_id] + self.topics[text.topic_id]

    @staticmethod
    def opposite(fold: int) -> int:
        """Return the fold that shares neither users nor topics with this one."""
        return FOLDS - 1 - fold


def make_triplets(
    texts: Sequence[Text],
    *,
    seed: int,
    folds: Halves | None,
    pairs: int = PAIRS,
    negatives: int = NEGATIVES,
) -> Triplets:
    """Sample triplets whose authors and topics are in one fold.

    Texts without a topic are left out, and no text is compared with its own copy.

    Args:
        texts: The texts that triplets index.
        seed: Random seed.
        folds: Halves of users and topics; None: all are fold 0.
        pairs: Maximum number of ordered pairs per author.
        negatives: Maximum number of negatives per pair.
    """

    def fold_of(text: Text) -> int:
        return 0 if folds is None else folds.fold(text)

    bodies = [bare(text.body) for text in texts]
    on_topic: dict[tuple[int, str], list[int]] = defaultdict(list)
    of_author: dict[tuple[int, str], list[int]] = defaultdict(list)
    for place, text in enumerate(texts):
        if text.topic_id and text.body.strip():
            on_topic[fold_of(text), text.topic_id].append(place)
            of_author[fold_of(text), text.user_id].append(place)
    random = np.random.default_rng(seed)
    rows: list[tuple[int, int, int, str, int]] = []
    for author in sorted({user for _, user in of_author}):
        drawn = [
            (fold, *pair)
            for fold in range(FOLDS)
            for pair in _pairs(of_author.get((fold, author), []), texts, bodies)
        ]
        for at in random.permutation(len(drawn))[:pairs]:
            fold, anchor, positive = drawn[at]
            others = _others(positive, on_topic[fold, texts[positive].topic_id], texts, bodies)
            for negative in random.permutation(others)[:negatives]:
                rows.append((anchor, positive, int(negative), author, fold))
    authors = tuple(sorted({row[3] for row in rows}))
    number = {author: place for place, author in enumerate(authors)}
    columns = np.array(
        [(a, p, n, number[author], fold) for a, p, n, author, fold in rows], np.int64
    ).reshape(-1, 5)
    anchor, positive, negative, author_of, its_fold = columns.T
    return Triplets(anchor, positive, negative, author_of, its_fold, authors)


def _cosines(rows: Rows, one: Places, other: Places) -> NDArray[np.float64]:
    if isinstance(rows, np.ndarray):
        cosines: NDArray[np.float64] = np.einsum("nd,nd->n", rows[one], rows[other])
        return cosines
    return np.asarray(rows[one].multiply(rows[other]).sum(axis=1)).ravel()


def _pairs(
    places: Sequence[int], texts: Sequence[Text], bodies: Sequence[str]
) -> list[tuple[int, int]]:
    """Return the ordered pairs of one author's texts on different topics."""
    return [
        (one, other)
        for one in places
        for other in places
        if texts[one].topic_id != texts[other].topic_id and bodies[one] != bodies[other]
    ]


def _others(
    positive: int, places: Sequence[int], texts: Sequence[Text], bodies: Sequence[str]
) -> list[int]:
    """Return the texts of other authors that are not copies of the positive."""
    return [
        place
        for place in places
        if texts[place].user_id != texts[positive].user_id and bodies[place] != bodies[positive]
    ]


def _halved(sizes: Mapping[str, int]) -> dict[str, int]:
    """Assign names to two halves, largest first, each to the smaller half so far."""
    held = [0, 0]
    halves = {}
    for name in sorted(sizes, key=lambda name: (-sizes[name], _sha1(name))):
        half = int(held[1] < held[0])
        halves[name] = half
        held[half] += sizes[name]
    return halves


def _sha1(name: str) -> str:
    return hashlib.sha1(name.encode()).hexdigest()
