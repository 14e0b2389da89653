"""How one call wants its tokens chosen, and where its text ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from .errors import CallRefused

BASE = "base"
"""How the base model is called where an adapter's name may stand."""


@dataclass(frozen=True)
class Sampling:
    """Settings of one call; calls with different ones share a batch.

    Attributes:
        max_tokens: New tokens at most, at least 1.
        temperature: 0 takes the likeliest token (greedy); above it, tokens are drawn.
        top_p: Draw only among the likeliest tokens that together have this probability, (0, 1].
        seed: Draw the same tokens again, whatever else is in the batch; None draws anew.
        stop: End before the first of these strings; they are not part of the text.
        no_repeat_ngram_size: Never write the same n tokens twice; 0 allows it. Only what is
            written counts: the prompt's own words may be taken up.
        adapter: LoRA adapter as `role@step`; None or "base" for the base model.
        adapter_fallback: Whether the base model may answer where the adapter can't be used.
        role: What the call is for, as statistics name it; changes nothing.
        capture: Whether the answer brings prompt and new token ids and their log-probabilities.
    """

    max_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    no_repeat_ngram_size: int = 0
    adapter: str | None = None
    adapter_fallback: bool = False
    role: str | None = None
    capture: bool = False

    def __post_init__(self) -> None:
        """Check every value.

        Raises:
            CallRefused: Naming the value, and what is allowed.
        """
        if self.max_tokens < 1:
            raise CallRefused(f"max_tokens must be 1 or more; got {self.max_tokens}")
        if self.temperature < 0:
            raise CallRefused(f"temperature must be 0 or more; got {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise CallRefused(f"top_p must be above 0 and at most 1; got {self.top_p}")
        if self.no_repeat_ngram_size < 0:
            raise CallRefused(
                f"no_repeat_ngram_size must be 0 or more; got {self.no_repeat_ngram_size}"
            )
        if self.adapter == BASE:
            object.__setattr__(self, "adapter", None)

    def for_call(self, options: Mapping[str, Any], stop: Sequence[str] | None) -> Sampling:
        """Return these settings with those of one call in their place.

        Args:
            options: Keyword arguments of the call; None keeps the default, "stream" is
                LangChain's own and decides nothing here.
            stop: LangChain's stop argument.

        Raises:
            CallRefused: An option that this model does not have, or a bad value.
        """
        known = {field.name for field in fields(self)}
        given = {name: value for name, value in options.items() if name != "stream"}
        if unknown := sorted(given.keys() - known):
            raise CallRefused(
                f"this model has no option {', '.join(unknown)}; it takes "
                f"{', '.join(sorted(known))}"
            )
        changes = {name: value for name, value in given.items() if value is not None}
        if stop is not None:
            changes["stop"] = stop
        if "stop" in changes:
            stops = changes["stop"]
            changes["stop"] = (stops,) if isinstance(stops, str) else tuple(filter(None, stops))
        return replace(self, **changes)

    def with_room(self, tokens: int) -> Sampling:
        """Return these settings with `max_tokens` cut to what the model's window leaves."""
        return self if self.max_tokens <= tokens else replace(self, max_tokens=tokens)
