"""The texts that floors copy: what others wrote on a target's topic, the best first."""

from __future__ import annotations

import asyncio

from ..nodes.parts import Parts
from ..nodes.state import Request
from ..nodes.strategies import Question
from ..stores.records import Text
from .floors import MOST
from .targets import Target


class NeighbourTexts:
    """Asks a store as the preference trajectory does.

    Args:
        parts: With the store, the topic encoder and the strategies.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def of(self, target: Target) -> list[Text]:
        """Return others' texts, as many as floors look at."""
        parts, request = self._parts, Request.model_validate(dict(target.request))
        history, vectors = await asyncio.gather(
            parts.store.history(parts.namespace, request.user_id, topic_id=request.topic_id),
            asyncio.to_thread(parts.topic_encoder.encode, [request.words]),
        )
        question = Question(
            history,
            vectors[0],
            request.words,
            request.topic_id,
            MOST,
            0,
            text=request.text or "",
        )
        found = await parts.strategies["preference"]["aligned"](parts.store, question)
        return [hit.text for hit in found.hits]
