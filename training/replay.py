"""What would integrate have written, had one side said something else? Asked in a fixed context.

    replay = Replay(parts, context)
    draft, call = await replay.draft(request, {"style": "Short.", "preference": None}, iteration=1)

All but the summaries is held: request, iteration, adapters, and greedy decoding as in serving, its
ban of repeated n-grams included. So what differs between two drafts is the summaries' doing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from ..nodes.integrate import write_draft
from ..nodes.parts import Parts
from ..nodes.prompts import REASONERS
from ..nodes.state import Request, RunContext
from ..nodes.turn import Turn
from .retries import with_retries

Draft = tuple[str, dict[str, Any]]
"""What was written, and the call's record."""


class Replay:
    """Asks integrate again, each different thing once.

    Args:
        parts: With the model of integrate, prompts' budget and token counter.
        context: Of the run that is replayed; its adapters are named, none stands for the base.
    """

    def __init__(self, parts: Parts, context: RunContext) -> None:
        self._parts = parts
        self._context = context
        self._asked: dict[tuple[str, int, frozenset[tuple[str, str]]], asyncio.Future[Draft]] = {}

    async def draft(
        self, request: Request, summaries: Mapping[str, str | None], iteration: int
    ) -> Draft:
        """Return the draft that the summaries lead to, and the record of the call.

        Those who ask the same wait for one call, and get the same record.

        Args:
            request: What is to be written.
            summaries: By side; None where one abstains or is left out.
            iteration: From 1; prompts may be longer from the second on.

        Raises:
            ModelCallError: The model failed for good.
        """
        said = frozenset((side, text) for side, text in summaries.items() if text is not None)
        key = (request.model_dump_json(), iteration, said)
        if key not in self._asked:
            self._asked[key] = asyncio.ensure_future(self._write(request, summaries, iteration))
        return await asyncio.shield(self._asked[key])

    async def _write(
        self, request: Request, summaries: Mapping[str, str | None], iteration: int
    ) -> Draft:
        turn = Turn(
            state={"log": {}},
            request=request,
            context=self._context,
            parts=self._parts,
            run="replay",
            iteration=iteration,
            started=time.time(),
            adapters=self._context.adapters or {},
        )
        draft, entry = await with_retries(lambda: write_draft(turn, summaries, REASONERS))
        return draft, entry["call"]
