"""What a request reads of a store: the requester's own history, and evidence of others."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from . import preference_search, style_search
from .choices import ALIGNED, Choice
from .errors import InvalidQuery
from .filters import within
from .graph_form import GraphForm
from .length_axis import LengthAxis
from .records import Encoder, Found, History, Text, Vectors
from .rows import PLAIN_COLUMNS, texts_of_rows, vectors_of
from .schema import TEXTS
from .snapshots import Snapshots
from .tables import Tables


class StoreReader:
    """The reading half of a `TextStore`; it changes nothing in the tables.

    Args:
        tables: Open, once something is read.
        snapshots: What of them is in memory.
        style_encoder: What the style vectors were made with.
        topic_encoder: What the topic vectors were made with.
    """

    def __init__(
        self, tables: Tables, snapshots: Snapshots, style_encoder: Encoder, topic_encoder: Encoder
    ) -> None:
        self._tables, self._snapshots = tables, snapshots
        self._style_encoder, self._topic_encoder = style_encoder, topic_encoder
        self._length = LengthAxis(style_encoder)

    async def history(
        self, namespace: str, user_id: str, *, topic_id: str | None = None
    ) -> History:
        """Return the requester's side of a user: own history, latest first.

        Own history is the user's texts less targets, less those on the requested topic, less
        exact duplicates of a target; unshared texts are in it. A stranger's is empty.

        Args:
            namespace: The tenant.
            user_id: The requester.
            topic_id: What the request is about, where that is known.
        """
        return await self._snapshots.history(namespace, user_id, topic_id)

    async def search_by_style(
        self,
        history: History,
        query: Vectors,
        *,
        topic_id: str | None,
        k: int,
        choice: Choice = ALIGNED,
        request_text: str = "",
        exact: bool = False,
    ) -> Found:
        """Find users who write alike, and one telling text of each.

        Candidates are other users with a shared text that is not on the topic. A hit's score
        is its author's cosine to the query with the length left out, shrunk where the author has
        few texts (`length_axis`, `reliability`).

        Args:
            history: The requester, never found.
            query: Unit style vector, shape (style dimension,).
            topic_id: A topic whose texts are left out; None or "": none is.
            k: How many users, one text each.
            choice: Whose texts; those of the nearest users, or those of a control.
            request_text: The request's own text, where it has one: its near-copies are left out.
            exact: Look at all users in full, however many there are: to measure what is missed.

        Raises:
            InvalidQuery: If the query has another shape, or k is below 1.
        """
        _check_query(query, self._style_encoder, k)
        return await style_search.search_by_style(
            self._snapshots, history, query, topic_id, k, choice, request_text, self._length, exact
        )

    async def search_by_preference(
        self,
        history: History,
        query: Vectors,
        query_text: str,
        *,
        topic_id: str | None,
        k: int,
        choice: Choice = ALIGNED,
        request_text: str = "",
        exact: bool = False,
    ) -> Found:
        """Find what aligned people wrote on the topic.

        Texts of others on the topic, ranked by BM25 and topic vectors (reciprocal rank fusion),
        taken so that they do not say one thing (`apart`). An author's alignment with the requester
        is told, and weighs where `choice.weights` says so. The best text of each author comes
        first, second ones only fill up to k. A hit's score is in (0, 1], 1 for a text that is
        first in both rankings, times what alignment makes of it. Without a topic, or with one that
        nobody else wrote on, the nearest topics' texts serve.

        Args:
            history: The requester, whose own texts weigh in nowhere.
            query: Unit topic vector, shape (topic dimension,).
            query_text: The request's words, for BM25.
            topic_id: What the request is about; None or "" where that is not known.
            k: How many texts.
            choice: Whose texts; those that rank highest, or those of a control.
            request_text: The request's own text, where it has one: its near-copies are left out.
            exact: Read and rank all of the topic, however large it is: to measure what the fast
                way misses.

        Raises:
            InvalidQuery: If the query has another shape, or k is below 1.
        """
        _check_query(query, self._topic_encoder, k)
        return await preference_search.search_by_preference(
            self._snapshots,
            history,
            query,
            query_text,
            topic_id,
            k,
            choice,
            request_text,
            exact,
        )

    async def shared_texts(self, namespace: str) -> list[Text]:
        """Return all texts of a tenant that may serve others, in no order; all are in memory then.

        Args:
            namespace: The tenant.
        """
        rows = await self._tables.read(TEXTS, within(namespace, shared=True), PLAIN_COLUMNS)
        return await asyncio.to_thread(texts_of_rows, rows)

    async def shared_topic_vectors(self, namespace: str) -> tuple[list[Text], Vectors]:
        """Return what `shared_texts` does, and the texts' topic vectors, one row each.

        Args:
            namespace: The tenant.
        """
        columns = (*PLAIN_COLUMNS, "topic")
        rows = await self._tables.read(TEXTS, within(namespace, shared=True), columns)
        texts = await asyncio.to_thread(texts_of_rows, rows)
        return texts, await asyncio.to_thread(vectors_of, rows, "topic")

    def use_graph(self, forms: Mapping[str, GraphForm]) -> None:
        """Say who is aligned by a trained user-topic graph; otherwise the two-hop mean does.

        Args:
            forms: By namespace.
        """
        self._snapshots.use_graph(forms)


def _check_query(query: Vectors, encoder: Encoder, k: int) -> None:
    if query.shape != (encoder.dimension,) or k < 1:
        raise InvalidQuery(
            f"expected a query of shape ({encoder.dimension},) and k >= 1, got shape "
            f"{query.shape} and k = {k}: embed one text with {encoder.version!r} and take its row"
        )
