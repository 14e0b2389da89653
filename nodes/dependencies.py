"""What the nodes work with: handed in by whoever builds the graph, never looked up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from .strategies import STRATEGIES, Search, Strategies

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from ..stores.episodes.schema import Episode
    from ..stores.types import Encoder, History

Role = Literal["style", "preference", "integrate"]


class Retrieval(Search, Protocol):
    """What the nodes ask of a store; `TextStore` is the real one."""

    async def history(
        self, namespace: str, user_id: str, *, topic_id: str | None = None
    ) -> History:
        """Return the requester's side of a user."""


class Trace(Protocol):
    """Where records of runs go; `EpisodeWriter` is the real one."""

    def append(self, record: Episode) -> None:
        """Keep one record. May block."""


@dataclass(frozen=True)
class ChatRole:
    """The language model that does one role.

    Attributes:
        name: How the model is called in results and traces.
        options: Decoding options that this model knows (temperature, n-grams not to repeat).
        takes_adapters: Whether it knows the options `role`, `adapter` and `adapter_fallback`.
        base: Fingerprint of its weights where they are loaded in this process; such a model knows
            the option `capture` too.
    """

    model: BaseChatModel
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    takes_adapters: bool = False
    base: str | None = None


@dataclass(frozen=True)
class PromptBudget:
    """How long prompts and answers may be, in tokens (defaults are for the bundled model).

    Attributes:
        first: A whole prompt in the first iteration.
        later: A whole prompt from the second iteration on (draft and partner's summary join).
        request: What the request may take of it.
        draft: What the current draft may take of it.
        smallest_share: A piece of evidence that would get less is dropped, weakest first.
        summary: Length of a summary.
        answer: Length of a draft, by task.
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
        count: Tokens of a text.
        least_confidence: Below it a retrieval makes its side abstain without a call.
        promoted: Returns the promoted adapter of each role; asked once a run, in a thread.
        strategies: How evidence can be picked, by side and name.
        trace: Where the record of each run goes, or None.
        capture: Whether calls keep token ids and log-probabilities, where the model gives them.
        namespace: Tenant of runs whose context names none.
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

    def role(self, name: str) -> ChatRole:
        """Return the model of a role."""
        return self.chat.get(name) or self.chat["preference"]


ProvideParts = Callable[[], Awaitable[Parts]]
"""Opens the parts on first use, so that a graph compiles without loading anything."""
