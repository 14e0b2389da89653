"""Sums over a user's shared texts: the user as a *candidate*, whose texts are evidence for others.

A requester is never read from here but from their own texts (`History`), so that a target can't
show through a sum.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..search.large_topics import CoarseVectors, first_places
from ..types import StoreLimits, Sums, Text, Vectors
from .arrow import Merge, cast_columns, matrix, unit, vector_column

UserKey = tuple[str, str]
"""Namespace and user id."""


@dataclass
class Edge:
    """A user's shared texts on one topic: an edge of the user-topic graph.

    Attributes:
        texts: How many.
        rating_sum: Sum of their ratings.
        ratings: How many of them have one.
    """

    texts: int = 0
    rating_sum: float = 0.0
    ratings: int = 0

    def count(self, rating: float | None, sign: int = 1) -> None:
        """Count one more text, or (`sign` -1) one less."""
        self.texts += sign
        if rating is not None:
            self.rating_sum += sign * rating
            self.ratings += sign


@dataclass
class UserTotals:
    """One user's row while texts are counted in.

    Attributes:
        texts: All texts of the user.
        shared: Those that may serve as evidence.
        style_sum: Exact sum of the shared texts' style vectors.
        edges: The user's topics; texts without a topic are on none.
    """

    style_sum: Sums
    texts: int = 0
    shared: int = 0
    edges: dict[str, Edge] = field(default_factory=dict)

    def count(self, text: Text, style: Vectors, sign: int = 1) -> None:
        """Count one more text, or (`sign` -1) one less."""
        self.texts += sign
        if not text.shared:
            return
        self.shared += sign
        self.style_sum = self.style_sum + sign * style
        if text.topic_id:
            edge = self.edges.setdefault(text.topic_id, Edge())
            edge.count(text.rating, sign)
            if not edge.texts:
                del self.edges[text.topic_id]


def count_users(
    known: dict[UserKey, UserTotals], texts: Iterable[Text], style: Vectors, sign: int = 1
) -> dict[UserKey, UserTotals]:
    """Count texts into their users' totals (`sign` -1: out of them); changes `known`."""
    for text, vector in zip(texts, style, strict=True):
        key = (text.namespace, text.user_id)
        if key not in known:
            known[key] = UserTotals(np.zeros(style.shape[1]))
        known[key].count(text, vector, sign)
    return known


def rows_of_users(totals: Mapping[UserKey, UserTotals], schema: pa.Schema) -> pa.Table:
    """Return totals as rows of the table `users`."""
    edges = [[total.edges[topic] for topic in total.edges] for total in totals.values()]
    dimension = schema.field("style_sum").type.list_size
    sums = np.array([total.style_sum for total in totals.values()]).reshape(-1, dimension)
    columns = {
        "namespace": pa.array([namespace for namespace, _ in totals]),
        "user_id": pa.array([user for _, user in totals]),
        "texts": pa.array([total.texts for total in totals.values()]),
        "shared": pa.array([total.shared for total in totals.values()]),
        "style_sum": vector_column(sums),
        "edge_topics": pa.array([list(total.edges) for total in totals.values()]),
        "edge_texts": pa.array([[edge.texts for edge in of_one] for of_one in edges]),
        "edge_rating_sums": pa.array([[edge.rating_sum for edge in of_one] for of_one in edges]),
        "edge_ratings": pa.array([[edge.ratings for edge in of_one] for of_one in edges]),
    }
    return cast_columns(columns, schema)


def totals_of_rows(rows: pa.Table) -> dict[UserKey, UserTotals]:
    """Return rows of the table `users` as totals to count into."""
    dimension = rows.schema.field("style_sum").type.list_size
    sums = matrix(rows.column("style_sum"), dimension)
    plain = rows.drop_columns(["style_sum"]).to_pylist()
    totals = {}
    for row, style_sum in zip(plain, sums, strict=True):
        edges = zip(
            row["edge_topics"],
            row["edge_texts"],
            row["edge_rating_sums"],
            row["edge_ratings"],
            strict=True,
        )
        totals[row["namespace"], row["user_id"]] = UserTotals(
            style_sum=style_sum.astype(np.float64),
            texts=row["texts"],
            shared=row["shared"],
            edges={topic: Edge(*figures) for topic, *figures in edges},
        )
    return totals


@dataclass(frozen=True)
class Users:
    """All candidates of one namespace at one version of the store, sorted by id.

    Attributes:
        ids: Ids of the users with a shared text.
        row: Place of each id.
        shared: Shared texts of each, shape (users,).
        style: Mean style vectors at unit length, shape (users, style dimension), float32.
        edge_start: Where each user's edges begin in the arrays below, shape (users + 1,).
        edge_topic: Topic of each edge, an index into `topic_ids`.
        edge_rating: Mean rating of each edge, NaN where there is none.
        sole_topic: The topic of users all of whose shared texts are on one, else -1.
    """

    ids: tuple[str, ...]
    row: Mapping[str, int]
    shared: NDArray[np.int64]
    style: Vectors
    edge_start: NDArray[np.int64]
    edge_topic: NDArray[np.int64]
    edge_rating: NDArray[np.float64]
    sole_topic: NDArray[np.int64]
    topic_ids: tuple[str, ...]
    topic_code: Mapping[str, int]

    def edges(self, user_id: str) -> dict[str, float]:
        """Return a user's topics and mean ratings (NaN: not rated); none for a stranger."""
        row = self.row.get(user_id)
        if row is None:
            return {}
        place = slice(self.edge_start[row], self.edge_start[row + 1])
        ratings = zip(self.edge_topic[place], self.edge_rating[place], strict=True)
        return {self.topic_ids[topic]: float(rating) for topic, rating in ratings}

    def outside(self, topic_id: str | None) -> NDArray[np.bool_]:
        """Return which users have a shared text that is not on the topic, shape (users,)."""
        code = None if not topic_id else self.topic_code.get(topic_id)
        if code is None:
            return np.ones(len(self.ids), np.bool_)
        outside: NDArray[np.bool_] = self.sole_topic != code
        return outside

    @cached_property
    def coarse(self) -> CoarseVectors:
        """What finds the nearest of very many; made when first asked for."""
        return CoarseVectors.of(self.style)

    def cosines(self, query: Vectors, limits: StoreLimits, *, exact: bool) -> Vectors:
        """Return the cosine of each user's style to a query, shape (users,).

        Of more than `limits.exact_users` users only the nearest have it in full, unless `exact`.
        """
        if exact or len(self.ids) <= limits.exact_users:
            cosines: Vectors = np.vecdot(self.style, query)
            return cosines
        cosines = self.coarse.cosines(query)
        nearest = first_places(cosines, limits.nearest_users)
        cosines[nearest] = np.vecdot(self.style[nearest], query)
        return cosines

    def updated(self, rows: pa.Table) -> Users:
        """Return these users with changed rows of the table `users`."""
        fresh = users_of_rows(rows)
        merge = Merge.of(self.ids, rows.column("user_id").to_pylist(), fresh.ids)
        topic_ids = list(dict.fromkeys([*self.topic_ids, *fresh.topic_ids]))
        code = {topic: at for at, topic in enumerate(topic_ids)}
        codes = np.array([code[topic] for topic in fresh.topic_ids], np.int64)
        edge_starts, edges = merge.ragged(self.edge_start, fresh.edge_start)
        return Users(
            ids=merge.ids,
            row={user: row for row, user in enumerate(merge.ids)},
            shared=merge.rows(self.shared, fresh.shared),
            style=merge.rows(self.style, fresh.style),
            edge_start=edge_starts,
            edge_topic=edges(self.edge_topic, codes[fresh.edge_topic]),
            edge_rating=edges(self.edge_rating, fresh.edge_rating),
            sole_topic=merge.rows(
                self.sole_topic,
                np.where(fresh.sole_topic < 0, -1, codes[fresh.sole_topic])
                if len(codes)
                else fresh.sole_topic,
            ),
            topic_ids=tuple(topic_ids),
            topic_code=code,
        )

    def on(self, topic_id: str | None) -> NDArray[np.bool_]:
        """Return which users have a shared text on the topic, shape (users,)."""
        code = None if not topic_id else self.topic_code.get(topic_id)
        wrote = np.zeros(len(self.ids), np.bool_)
        if code is not None:
            edges = np.flatnonzero(self.edge_topic == code)
            wrote[np.searchsorted(self.edge_start, edges, side="right") - 1] = True
        return wrote


def users_of_rows(rows: pa.Table) -> Users:
    """Return the candidates that rows of the table `users`, of one namespace, describe."""
    import pyarrow.compute as pc

    rows = rows.filter(pc.field("shared") > 0).sort_by("user_id").combine_chunks()
    ids = tuple(rows.column("user_id").to_pylist())
    dimension = rows.schema.field("style_sum").type.list_size
    topics = rows.column("edge_topics").combine_chunks()
    starts = np.concatenate([[0], np.cumsum(pc.list_value_length(topics).to_numpy())])
    encoded = topics.flatten().dictionary_encode()
    edge_topic = encoded.indices.to_numpy().astype(np.int64)
    topic_ids = tuple(encoded.dictionary.to_pylist())
    texts, sums, counts = (
        rows.column(name).combine_chunks().flatten().to_numpy()
        for name in ("edge_texts", "edge_rating_sums", "edge_ratings")
    )
    shared = rows.column("shared").to_numpy()
    # Only a user's single edge can hold all of the user's texts.
    sole = np.full(len(ids), -1, np.int64)
    single = np.flatnonzero(np.diff(starts) == 1)
    single = single[texts[starts[single]] == shared[single]]
    sole[single] = edge_topic[starts[single]]
    return Users(
        ids=ids,
        row={user: row for row, user in enumerate(ids)},
        shared=shared,
        style=unit(matrix(rows.column("style_sum"), dimension)),
        edge_start=starts.astype(np.int64),
        edge_topic=edge_topic,
        edge_rating=np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0),
        sole_topic=sole,
        topic_ids=topic_ids,
        topic_code={topic: code for code, topic in enumerate(topic_ids)},
    )
