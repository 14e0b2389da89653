"""Sampling settings of one call, repetition blocking, incremental decoding and stop strings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from ..errors import CallRefused

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


class RepeatGuard:
    """The n-grams one row has written, looked up in constant time a token.

    transformers' own processor searches the whole row again for every token, has one n for all
    rows of a batch, and counts the prompt: a title of n tokens could then never be taken up.
    """

    def __init__(self, size: int) -> None:
        """Start empty.

        Args:
            size: n; 0 bans nothing.
        """
        self._size = size
        self._written: list[int] = []
        self._followers: defaultdict[tuple[int, ...], set[int]] = defaultdict(set)

    def add(self, token_id: int) -> None:
        """Take note of a token that was written."""
        if not self._size:
            return
        if len(self._written) >= self._size - 1:
            self._followers[self._opening()].add(token_id)
        self._written.append(token_id)

    def banned(self) -> list[int]:
        """Return the tokens that would complete an n-gram for the second time."""
        if not self._size or len(self._written) < self._size - 1:
            return []
        return sorted(self._followers.get(self._opening(), ()))

    def _opening(self) -> tuple[int, ...]:
        """Return the last n - 1 tokens: () for n = 1, where a slice from -0 would be all."""
        return tuple(self._written[len(self._written) - self._size + 1 :])


_INCOMPLETE = "\ufffd"


class TextPieces:
    """Decode one token after another; the pieces joined are the text.

    A token can be half a character, and the first token of a text may lose its space, so a token
    is decoded together with those since the last whole piece, as text-generation-inference does.
    """

    def __init__(self, decode: Callable[[list[int]], str]) -> None:
        """Start empty.

        Args:
            decode: Turns token ids into text, special tokens left out.
        """
        self._decode = decode
        self._ids: list[int] = []
        self._known = 0  # ids[:known] are out as text ...
        self._context = 0  # ... and ids[context:known] are decoded again, as context

    def add(self, token_id: int) -> str:
        """Return the text that this token completes; "" while a character is incomplete."""
        self._ids.append(token_id)
        piece = self._new_text()
        if piece.endswith(_INCOMPLETE):
            return ""
        self._context, self._known = self._known, len(self._ids)
        return piece

    def rest(self) -> str:
        """Return what is left at the end: a character that was never completed."""
        piece = self._new_text()
        self._context = self._known = len(self._ids)
        return piece

    def _new_text(self) -> str:
        before = self._decode(self._ids[self._context : self._known])
        return self._decode(self._ids[self._context :])[len(before) :]


class StopStrings:
    """Let text through up to a stop string, holding back what may become one."""

    def __init__(self, stops: Sequence[str]) -> None:
        """Start with nothing held back."""
        self._stops = tuple(stops)
        self._held = ""

    def feed(self, piece: str) -> tuple[str, bool]:
        """Return the text that is safe to show, and whether a stop string was met."""
        text = self._held + piece
        places = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        if places:
            self._held = ""
            return text[: min(places)], True
        held = self._longest_opening(text)
        self._held = text[len(text) - held :]
        return text[: len(text) - held], False

    def rest(self) -> str:
        """Return what was held back, once no more text comes."""
        held, self._held = self._held, ""
        return held

    def _longest_opening(self, text: str) -> int:
        """Return how many last characters of the text open a stop string."""
        longest = max((len(stop) for stop in self._stops), default=1) - 1
        for length in range(min(longest, len(text)), 0, -1):
            if any(stop.startswith(text[-length:]) for stop in self._stops):
                return length
        return 0
