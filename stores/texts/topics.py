"""Sums of the vectors of the shared texts on a topic, and users' preference embeddings.

A topic's vector leaves out what the requester wrote on it; the sums are exact (see `arrow`), so
nothing of that remains. A user's preference embedding is made from the user's topics: by the
two-hop mean, or by a trained form (see `graph`) that the caller hands to the store.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..types import Sums, Text, Vectors
from .arrow import Merge, cast_columns, matrix, unit, vector_column


class GraphForm(Protocol):
    """Turns sums over users' topics into embeddings whose cosines measure alignment."""

    def embed(self, hop_sums: Vectors) -> Vectors:
        """Return the preference embeddings of users.

        Args:
            hop_sums: For each user the sum (or mean: only the direction counts) of the topics'
                unit vectors, shape (users, topic dimension); zeros where nothing is known.

        Returns:
            Unit rows, shape (users, embedding dimension); zeros where nothing is known.
        """


class TwoHop:
    """The training-free form: a GraphSAGE mean aggregator without weights."""

    def embed(self, hop_sums: Vectors) -> Vectors:
        """Return the sums at unit length, same shape."""
        return unit(hop_sums)


TWO_HOP = TwoHop()


TopicKey = tuple[str, str]
"""Namespace and topic id."""

Contributed = Mapping[str, tuple[Sums, int]]
"""By topic, the sum of a user's vectors on it and their number."""


@dataclass
class TopicTotals:
    """One topic's row while texts are counted in.

    Attributes:
        vector_sum: Exact sum of the shared texts' topic vectors.
        shared: How many shared texts.
    """

    vector_sum: Sums
    shared: int = 0


def count_topics(
    known: dict[TopicKey, TopicTotals], texts: Iterable[Text], vectors: Vectors, sign: int = 1
) -> dict[TopicKey, TopicTotals]:
    """Count texts into their topics' totals (`sign` -1: out of them); changes `known`."""
    for text, vector in zip(texts, vectors, strict=True):
        if not text.shared or not text.topic_id:
            continue
        key = (text.namespace, text.topic_id)
        if key not in known:
            known[key] = TopicTotals(np.zeros(vectors.shape[1]))
        known[key].vector_sum = known[key].vector_sum + sign * vector.astype(np.float64)
        known[key].shared += sign
    return known


def rows_of_topics(totals: Mapping[TopicKey, TopicTotals], schema: pa.Schema) -> pa.Table:
    """Return totals as rows of the table `topics`."""
    dimension = schema.field("vector_sum").type.list_size
    sums = np.array([total.vector_sum for total in totals.values()]).reshape(-1, dimension)
    columns = {
        "namespace": pa.array([namespace for namespace, _ in totals]),
        "topic_id": pa.array([topic for _, topic in totals]),
        "shared": pa.array([total.shared for total in totals.values()]),
        "vector_sum": vector_column(sums),
    }
    return cast_columns(columns, schema)


def totals_of_rows(rows: pa.Table) -> dict[TopicKey, TopicTotals]:
    """Return rows of the table `topics` as totals to count into."""
    dimension = rows.schema.field("vector_sum").type.list_size
    sums = matrix(rows.column("vector_sum"), dimension).astype(np.float64)
    keys = rows.select(["namespace", "topic_id", "shared"]).to_pylist()
    return {
        (row["namespace"], row["topic_id"]): TopicTotals(vector_sum, row["shared"])
        for row, vector_sum in zip(keys, sums, strict=True)
    }


@dataclass(frozen=True)
class Topics:
    """All topics of one namespace at one version of the store, sorted by id.

    Attributes:
        ids: Ids of the topics with a shared text.
        row: Place of each id.
        shared: Shared texts on each, shape (topics,).
        sums: Exact sums of their vectors, shape (topics, topic dimension), float64.
        units: The same at unit length, float32.
        form: How users' embeddings are made.
    """

    ids: tuple[str, ...]
    row: Mapping[str, int]
    shared: NDArray[np.int64]
    sums: Sums
    units: Vectors
    form: GraphForm = TWO_HOP

    def updated(self, rows: pa.Table) -> Topics:
        """Return these topics with changed rows of the table `topics`."""
        fresh = topics_of_rows(rows)
        merge = Merge.of(self.ids, fresh.ids, fresh.ids)
        return Topics(
            ids=merge.ids,
            row={topic: row for row, topic in enumerate(merge.ids)},
            shared=merge.rows(self.shared, fresh.shared),
            sums=merge.rows(self.sums, fresh.sums),
            units=merge.rows(self.units, fresh.units),
            form=self.form,
        )

    def others_on(self, topic_id: str, contributed: Contributed) -> int:
        """Return how many shared texts others than the requester wrote on a topic."""
        row = self.row.get(topic_id)
        own = contributed[topic_id][1] if topic_id in contributed else 0
        return 0 if row is None else int(self.shared[row]) - own

    def units_for(self, topic_ids: Sequence[str], contributed: Contributed) -> Vectors:
        """Return topics' unit vectors less the requester's share, shape (n, dimension).

        A topic that only the requester wrote on, or that is not known, is a row of zeros.
        """
        units = np.zeros((len(topic_ids), self.units.shape[1]), np.float32)
        rows = np.array([self.row.get(topic, -1) for topic in topic_ids], np.int64)
        known = np.flatnonzero(rows >= 0)
        units[known] = self.units[rows[known]]
        own = [at for at in known.tolist() if topic_ids[at] in contributed]
        if own:
            shares = np.stack([contributed[topic_ids[at]][0] for at in own])
            units[own] = unit(self.sums[rows[own]] - shares)
        return units

    def nearest(
        self, query: Vectors, contributed: Contributed, limit: int
    ) -> list[tuple[str, float]]:
        """Return others' topics and their cosines to the query, nearest first, ties by id."""
        cosines = np.vecdot(self.units, query)
        others = self.shared.copy()
        for topic, (own, texts) in contributed.items():
            row = self.row.get(topic)
            if row is not None:
                cosines[row] = (unit(self.sums[row] - own) * query).sum()
                others[row] -= texts
        rows = np.flatnonzero(others > 0)
        rows = rows[np.argsort(-cosines[rows], kind="stable")][:limit]
        return [(self.ids[row], float(cosines[row])) for row in rows]


def topics_of_rows(rows: pa.Table, form: GraphForm = TWO_HOP) -> Topics:
    """Return the topics that rows of the table `topics`, of one namespace, describe."""
    rows = rows.sort_by("topic_id").combine_chunks()
    ids = tuple(rows.column("topic_id").to_pylist())
    dimension = rows.schema.field("vector_sum").type.list_size
    sums = matrix(rows.column("vector_sum"), dimension).astype(np.float64)
    return Topics(
        ids=ids,
        row={topic: row for row, topic in enumerate(ids)},
        shared=rows.column("shared").to_numpy(),
        sums=sums,
        units=unit(sums),
        form=form,
    )
