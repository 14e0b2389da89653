"""The events of a run that `Personalizer.astream` yields."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessageChunk, BaseMessage
from langgraph.types import StreamMode

from ..models.answers import VisibleText, visible_content
from ..nodes.state import Result


@dataclass(frozen=True)
class DraftToken:
    """A part of the draft while it is generated, before it is checked.

    Of several drafts (`drafts`) the chosen one comes whole, when it is chosen.

    Attributes:
        text: The part.
        iteration: A new one starts a new draft.
        attempt: Counts the answers of an iteration from 1; a new one starts the draft again.
    """

    text: str
    iteration: int
    attempt: int = 1


@dataclass(frozen=True)
class NodeStart:
    """A node begins its work; its `NodeUpdate` says that it has ended."""

    node: str


@dataclass(frozen=True)
class NodeUpdate:
    """The update that a node wrote to the state."""

    node: str
    update: Mapping[str, Any]


Event = NodeStart | DraftToken | NodeUpdate | Result
"""An event of `Personalizer.astream`; the last one is the `Result`."""

STREAM_MODES: tuple[StreamMode, ...] = ("tasks", "updates", "messages", "values")
"""The stream modes of the graph that `read_events` needs."""


async def read_events(stream: AsyncIterator[Any]) -> AsyncGenerator[Event, None]:
    """Turn the graph's stream, in `STREAM_MODES`, into events, the result last.

    Reasoning is no part of the tokens. A foreign model that ends its reasoning without having
    marked its beginning can't be told in time: its tokens show it, its draft does not hold it.
    """
    result, iteration, answers = None, 1, _Answers()
    async for mode, chunk in stream:
        if mode == "messages":
            message, metadata = chunk
            if metadata.get("langgraph_node") == "integrate" and (text := answers.feed(message)):
                yield DraftToken(text, iteration, answers.number)
        elif mode == "tasks":
            if "input" in chunk:  # a start; an end has a result, and an update besides
                yield NodeStart(chunk["name"])
        elif mode == "updates":
            if "integrate" in chunk:
                if text := answers.rest():
                    yield DraftToken(text, iteration, answers.number)
                # One of several drafts: none was shown while they came.
                elif not answers.begun and (draft := (chunk["integrate"] or {}).get("draft")):
                    yield DraftToken(draft, iteration)
                answers = _Answers()
            for node, update in chunk.items():
                iteration = (update or {}).get("iteration", iteration)
                yield NodeUpdate(node, update or {})
        else:
            result = chunk
    yield Result.model_validate(result)


class _Answers:
    """The visible text of a model's answers, one after the other."""

    def __init__(self) -> None:
        self._id: str | None = None
        self._text = VisibleText()
        self.number = 1

    @property
    def begun(self) -> bool:
        """Whether there was an answer."""
        return self._id is not None

    def feed(self, message: BaseMessage) -> str:
        """Add a piece of an answer, or a whole one; return what can be shown."""
        rest = ""
        if message.id != self._id:
            rest = self._text.rest()
            self.number += self._id is not None
            self._id, self._text = message.id, VisibleText()
        text = self._text.feed(visible_content(message.content))
        whole = not isinstance(message, AIMessageChunk)
        return rest + text + (self._text.rest() if whole else "")

    def rest(self) -> str:
        """Return what is left at the end of the last answer."""
        return self._text.rest()
