"""A store that remembers less of each user: only so many of the latest own texts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..nodes.parts import Retrieval
from ..stores.records import Found, History


class HistoryCut:
    """A `nodes.parts.Retrieval` in front of another.

    Args:
        store: What is asked.
        known: Own texts that are known of each user, the latest first.
    """

    def __init__(self, store: Retrieval, known: int) -> None:
        self._store = store
        self._known = known

    async def history(
        self, namespace: str, user_id: str, *, topic_id: str | None = None
    ) -> History:
        """Return the requester's side of a user, the latest texts alone."""
        whole = await self._store.history(namespace, user_id, topic_id=topic_id)
        return replace(
            whole,
            texts=whole.texts[: self._known],
            style=whole.style[: self._known],
            topic_vectors=whole.topic_vectors[: self._known],
        )

    async def search_by_style(self, history: History, *given: Any, **options: Any) -> Found:
        """Ask the store."""
        return await self._store.search_by_style(history, *given, **options)

    async def search_by_preference(self, history: History, *given: Any, **options: Any) -> Found:
        """Ask the store."""
        return await self._store.search_by_preference(history, *given, **options)
