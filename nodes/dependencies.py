"""The dependencies of the nodes: handed in by the caller that builds the graph, never looked up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ..stores.values import FIVE_STARS, RatingScale
from .strategies import STRATEGIES, Search, Strategies

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from ..stores.episodes.schema import Episode
    from ..stores.types import Encoder, History


class Retrieval(Search, Protocol):
    """The part of a store that the nodes use; `TextStore` implements it."""

    async def history(
        self, namespace: str, user_id: str, *, topic_id: str | None = None
    ) -> History:
        """Return the requester's side of a user."""


class Trace(Protocol):
    """Stores records of runs; `EpisodeWriter` implements it."""

    def append(self, record: Episode) -> None:
        """Keep one record. May block."""


@dataclass(frozen=True)
class ChatRole:
    """The language model of one role.

    Attributes:
        name: Name of the model in results and traces.
        options: Decoding options that this model accepts (temperature, n-gram blocking).
        takes_adapters: Whether it accepts the options `role`, `adapter` and `adapter_fallback`.
        base: Fingerprint of its weights if they are loaded in this process; such a model accepts
            the option `capture` too.
    """

    model: BaseChatModel
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    takes_adapters: bool = False
    base: str | None = None


@dataclass(frozen=True)
class PromptBudget:
    """Maximum lengths of prompts and answers in tokens (defaults fit smollm2-135m).

    Attributes:
        first: The whole prompt in the first iteration.
        later: The whole prompt from the second iteration on (with draft and partner's summary).
        request: The request's share of a prompt.
        draft: The current draft's share of a prompt.
        smallest_share: Evidence that would get less is dropped, weakest first.
        summary: A summary.
        answer: A draft, by task.
    """

    first: int = 300
    later: int = 400
    request: int = 110
    draft: int = 60
    smallest_share: int = 16
    summary: int = 48
    answer: Mapping[str, int] = field(
        default_factory=lambda: {"long": 100, "short": 24, "rating": 8, "free": 100}
    )


@dataclass(frozen=True)
class Parts:
    """Everything a run works with.

    Attributes:
        chat: The language model of each role; another trajectory's role falls back to
            `preference`'s.
        count: Counts the tokens of a text.
        least_confidence: A side abstains without a call if its retrieval has less confidence.
        promoted: Returns the promoted adapter of each role; called once a run, in a thread.
        strategies: Retrieval strategies by name.
        trace: Stores the record of each run, or None.
        capture: Whether calls keep token ids and log-probabilities, if the model returns them.
        namespace: Tenant of runs whose context names none.
        rating_scale: The scale of the store's ratings.
    """

    store: Retrieval
    style_encoder: Encoder
    topic_encoder: Encoder
    chat: Mapping[str, ChatRole]
    count: Callable[[str], int]
    budget: PromptBudget = field(default_factory=PromptBudget)
    least_confidence: Mapping[str, float] = field(default_factory=dict)
    promoted: Callable[[], Mapping[str, str]] | None = None
    strategies: Strategies = field(default_factory=lambda: STRATEGIES)
    trace: Trace | None = None
    capture: bool = False
    namespace: str = "default"
    rating_scale: RatingScale = FIVE_STARS

    def role(self, name: str) -> ChatRole:
        """Return the model of a role."""
        return self.chat.get(name) or self.chat["preference"]


ProvideParts = Callable[[], Awaitable[Parts]]
"""Opens the parts on first use, so a graph compiles without loading anything."""
