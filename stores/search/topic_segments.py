"""The parts that a large topic is made of: an old one of most texts, and small ones of new texts.

A new text makes a segment of its own; a segment is merged with the one before it unless that is
`RATIO` times as large (a log-structured merge, O'Neil et al. 1996). So a text is copied a few
times in all, however it came, and there are at most log(texts)/log(RATIO) + 1 segments.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..texts.arrow import Places, matrix, starts_of
from ..types import Vectors
from .rotated_vectors import RotatedVectors, Rotation
from .word_index import WordIndex

RATIO = 8


@dataclass(frozen=True)
class Segment:
    """Some texts of a topic.

    Attributes:
        ids: Text ids.
        order: Place of each text in the order of ids.
        users: The distinct authors, ascending.
        authors: Whose each text is, indices into `users`.
        words: Their terms.
        vectors: Their topic vectors.
    """

    ids: pa.StringArray
    order: NDArray[np.int32]
    users: pa.StringArray
    authors: NDArray[np.int32]
    words: WordIndex
    vectors: RotatedVectors

    @classmethod
    def build(cls, rows: pa.Table, rotation: Rotation) -> Segment:
        """Return the segment of some rows (see `LargeTopic.build`)."""
        import pyarrow.compute as pc

        rows = rows.combine_chunks()
        terms = rows.column("terms").combine_chunks()
        starts = starts_of(pc.list_value_length(terms).to_numpy())
        ids = rows.column("text_id").combine_chunks()
        users, authors = _coded(rows.column("user_id").combine_chunks())
        words = WordIndex.build(terms.flatten().to_numpy(), starts)
        vectors = RotatedVectors.build(topic_vectors(rows), rotation)
        return cls(ids, _order(ids), users, authors, words, vectors)

    def __len__(self) -> int:
        return len(self.ids)

    def followed_by(self, other: Segment) -> Segment:
        """Return these texts and then the other's."""
        ids = pa.concat_arrays([self.ids, other.ids])
        parts = [part.users.take(pa.array(part.authors)) for part in (self, other)]
        users, authors = _coded(pa.concat_arrays(parts))
        words = self.words.followed_by(other.words)
        return Segment(
            ids, _order(ids), users, authors, words, self.vectors.followed_by(other.vectors)
        )

    def places_of(self, user: str) -> Places:
        """Return the places of a user's texts, ascending."""
        at = bisect_left(range(len(self.users)), user, key=lambda code: self.users[code].as_py())
        if at == len(self.users) or self.users[at].as_py() != user:
            return np.zeros(0, np.int64)
        return np.flatnonzero(self.authors == at)

    def unknown(self, rows: pa.Table) -> pa.Table:
        """Return the rows whose text is not among these."""
        import pyarrow.compute as pc

        new = rows.column("text_id").combine_chunks()
        known = self.ids.filter(pc.is_in(self.ids, value_set=new))
        return rows.filter(pc.invert(pc.is_in(new, value_set=known))) if len(known) else rows


def topic_vectors(rows: pa.Table) -> Vectors:
    """Return the topic vectors, shape (rows, d): a view, where the rows lie in one chunk."""
    vectors = matrix(rows.column("topic"), rows.schema.field("topic").type.list_size)
    return vectors.astype(np.float32, copy=False)


def merged(segments: tuple[Segment, ...]) -> tuple[Segment, ...]:
    """Return the segments, those merged that have grown near the size of the one before."""
    kept = list(segments)
    while len(kept) > 1 and len(kept[-2]) < RATIO * len(kept[-1]):
        last = kept.pop()
        kept[-1] = kept[-1].followed_by(last)
    return tuple(kept)


def _order(ids: pa.StringArray) -> NDArray[np.int32]:
    """Return the place of each id in ascending order."""
    import pyarrow.compute as pc

    order = np.empty(len(ids), np.int32)
    order[pc.array_sort_indices(ids).to_numpy()] = np.arange(len(ids), dtype=np.int32)
    return order


def _coded(names: pa.StringArray) -> tuple[pa.StringArray, NDArray[np.int32]]:
    """Return the distinct names in ascending order, and which each is."""
    coded = names.dictionary_encode()
    order = _order(coded.dictionary)
    codes: NDArray[np.int32] = order[coded.indices.to_numpy()]
    return coded.dictionary.take(pa.array(np.argsort(order))), codes
