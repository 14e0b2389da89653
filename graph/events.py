"""The events of a run that `Personalizer.astream` yields."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from langgraph.types import StreamMode

from ..nodes.state import Result


@dataclass(frozen=True)
class DraftToken:
    """A part of the draft while it is generated; a new `iteration` starts a new draft."""

    text: str
    iteration: int


@dataclass(frozen=True)
class NodeUpdate:
    """The update that a node wrote to the state."""

    node: str
    update: Mapping[str, Any]


Event = DraftToken | NodeUpdate | Result
"""An event of `Personalizer.astream`; the last one is the `Result`."""

STREAM_MODES: tuple[StreamMode, ...] = ("updates", "messages", "values")
"""The stream modes of the graph that `read_events` needs."""


async def read_events(stream: AsyncIterator[Any]) -> AsyncIterator[Event]:
    """Turn the graph's stream, in `STREAM_MODES`, into events, the result last."""
    result, iteration = None, 1
    async for mode, chunk in stream:
        if mode == "messages":
            message, metadata = chunk
            if metadata.get("langgraph_node") == "integrate" and message.text:
                yield DraftToken(str(message.text), iteration)
        elif mode == "updates":
            for node, update in chunk.items():
                iteration = (update or {}).get("iteration", iteration)
                yield NodeUpdate(node, update or {})
        else:
            result = chunk
    yield Result.model_validate(result)
