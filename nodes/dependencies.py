"""The dependencies of the nodes: handed in by the caller that builds the graph, never looked up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..stores.search.request import MIN_AUTHORS
from ..stores.values import FIVE_STARS, MAX_CHARACTERS, RatingScale
from .budget import BUDGETS, Budget
from .guards.personal_data import GuardSettings
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


class ScaleSource(Protocol):
    """What knows the scale of a store's ratings; `TextStore` implements it."""

    @property
    def rating_scale(self) -> RatingScale:
        """The scale as it was last read."""

    async def read_rating_scale(self) -> RatingScale:
        """Return the scale as it is now: another process may have set it."""


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
            the options `capture` and `min_tokens` too.
        takes_seed: Whether it accepts the option `seed`.
        streamed: Whether its answers are shown while they come, where a run is streamed.
        parameters: Number of its parameters if it is loaded in this process.
        device: Where it is loaded, such as `cpu`; None if it is not loaded in this process.
        window: Its context window in tokens; None if it is not known.
        reasoning_room: Tokens that an answer may have beyond its limit, for reasoning before it.
    """

    model: BaseChatModel
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    takes_adapters: bool = False
    base: str | None = None
    takes_seed: bool = False
    streamed: bool = True
    parameters: int | None = None
    device: str | None = None
    window: int | None = None
    reasoning_room: int = 0


@dataclass(frozen=True)
class SizeLimits:
    """Characters of what a request may bring; longer is refused, never cut.

    Attributes:
        title: Of the title.
        text: Of the text, and of the instruction.
    """

    title: int = MAX_CHARACTERS
    text: int = MAX_CHARACTERS


@dataclass(frozen=True)
class Parts:
    """Everything a run works with.

    Attributes:
        chat: The language model of each role; another trajectory's role falls back to
            `preference`'s.
        count: Counts the tokens of a text.
        budget: Limits of prompts and answers.
        prompt_folder: Folder of files that replace the wording of prompts; None: ours.
        least_confidence: A side abstains without a call if its retrieval has less confidence.
        min_authors: Authors whose texts a preference needs at least, where a run does not say.
        promoted: Returns the promoted adapter of each role; called once a run, in a thread.
        strategies: Retrieval strategies by name.
        trace: Stores the record of each run, or None.
        capture: Whether calls keep token ids and log-probabilities, if the model returns them.
        namespace: Tenant of runs whose context names none.
        one_tenant: Whether a context that names another one is refused.
        rating_scale: The scale of the store's ratings.
        scale_source: Where each run asks for it anew; None: `rating_scale` stays.
        limits: How long a request's texts may be.
        guards: What of other people's texts is replaced, and may not be repeated.
    """

    store: Retrieval
    style_encoder: Encoder
    topic_encoder: Encoder
    chat: Mapping[str, ChatRole]
    count: Callable[[str], int]
    budget: Budget = BUDGETS["small"]
    prompt_folder: Path | None = None
    least_confidence: Mapping[str, float] = field(default_factory=dict)
    min_authors: int = MIN_AUTHORS
    promoted: Callable[[], Mapping[str, str]] | None = None
    strategies: Strategies = field(default_factory=lambda: STRATEGIES)
    trace: Trace | None = None
    capture: bool = False
    namespace: str = "default"
    one_tenant: bool = False
    rating_scale: RatingScale = FIVE_STARS
    scale_source: ScaleSource | None = None
    limits: SizeLimits = SizeLimits()
    guards: GuardSettings = GuardSettings()

    def role(self, name: str) -> ChatRole:
        """Return the model of a role."""
        return self.chat.get(name) or self.chat["preference"]

    async def scale(self, *, anew: bool) -> RatingScale:
        """Return the scale of the store's ratings.

        Args:
            anew: Whether to ask the store, which takes half a millisecond.
        """
        if self.scale_source is None:
            return self.rating_scale
        return (
            await self.scale_source.read_rating_scale() if anew else self.scale_source.rating_scale
        )


ProvideParts = Callable[[], Awaitable[Parts]]
"""Opens the parts on first use, so a graph compiles without loading anything."""
