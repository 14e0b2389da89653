"""Sampling settings of a call, n-gram blocking, incremental decoding, and stop strings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from ..errors import CallRefused

BASE = "base"
"""Name of the base model in place of an adapter's name."""


@dataclass(frozen=True)
class Sampling:
    """Settings of one call; calls with different ones share a batch.

    Attributes:
        max_tokens: Maximum number of new tokens, at least 1.
        min_tokens: Number of new tokens before the end token is allowed; `max_tokens` wins.
        temperature: Sampling temperature; 0 is greedy.
        top_p: Probability mass of the likeliest tokens to sample from, (0, 1].
        seed: Random seed; samples do not depend on the batch. None for a random one.
        stop: Strings that end the text; they are not part of it.
        no_repeat_ngram_size: Size of n-grams that may not repeat; 0 allows repeats. Only generated
            tokens count: n-grams of the prompt may be copied.
        repetition_penalty: Makes a token less likely that was generated already, 1 or more: its
            logit is divided by it, or multiplied where it is negative (CTRL, arXiv 1909.05858). The
            words of the prompt stay as likely.
        adapter: LoRA adapter as `role@step`; None or "base" for the base model.
        adapter_fallback: Whether the base model answers if the adapter can't be used.
        role: Role of the call in statistics; does not affect generation.
        capture: Whether the answer includes prompt and new token ids and their log-probabilities.
    """

    max_tokens: int = 256
    min_tokens: int = 0
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    no_repeat_ngram_size: int = 0
    repetition_penalty: float = 1.0
    adapter: str | None = None
    adapter_fallback: bool = False
    role: str | None = None
    capture: bool = False

    def __post_init__(self) -> None:
        """Validate the settings.

        Raises:
            CallRefused: A value is out of range.
        """
        if self.max_tokens < 1:
            raise CallRefused(
                f"max_tokens must be 1 or more; got {self.max_tokens}", code="invalid_option"
            )
        if self.min_tokens < 0:
            raise CallRefused(
                f"min_tokens must be 0 or more; got {self.min_tokens}", code="invalid_option"
            )
        if self.temperature < 0:
            raise CallRefused(
                f"temperature must be 0 or more; got {self.temperature}", code="invalid_option"
            )
        if not 0 < self.top_p <= 1:
            raise CallRefused(
                f"top_p must be above 0 and at most 1; got {self.top_p}", code="invalid_option"
            )
        if self.no_repeat_ngram_size < 0:
            raise CallRefused(
                f"no_repeat_ngram_size must be 0 or more; got {self.no_repeat_ngram_size}",
                code="invalid_option",
            )
        if self.repetition_penalty < 1:
            raise CallRefused(
                f"repetition_penalty must be 1 or more; got {self.repetition_penalty}",
                code="invalid_option",
            )
        if self.adapter == BASE:
            object.__setattr__(self, "adapter", None)

    def for_call(self, options: Mapping[str, Any], stop: Sequence[str] | None) -> Sampling:
        """Return these settings overridden by those of a call.

        Args:
            options: Keyword arguments of the call; None keeps the default. "stream" is LangChain's
                own and ignored.
            stop: LangChain's stop argument.

        Raises:
            CallRefused: An unknown option, or a value out of range.
        """
        known = {field.name for field in fields(self)}
        given = {name: value for name, value in options.items() if name != "stream"}
        if unknown := sorted(given.keys() - known):
            raise CallRefused(
                f"this model has no option {', '.join(unknown)}; it takes "
                f"{', '.join(sorted(known))}",
                code="unknown_option",
            )
        changes = {name: value for name, value in given.items() if value is not None}
        if stop is not None:
            changes["stop"] = stop
        if "stop" in changes:
            stops = changes["stop"]
            changes["stop"] = (stops,) if isinstance(stops, str) else tuple(filter(None, stops))
        return replace(self, **changes)

    def with_room(self, tokens: int) -> Sampling:
        """Return these settings with `max_tokens` limited to the rest of the context window."""
        return self if self.max_tokens <= tokens else replace(self, max_tokens=tokens)


class RepeatGuard:
    """The n-grams of one row, with a constant-time lookup per token.

    transformers' own processor searches the whole row for every token, has one n for all rows of a
    batch, and includes the prompt: a title of n tokens could then never be copied.
    """

    def __init__(self, size: int) -> None:
        """Start empty.

        Args:
            size: Size of n-grams; 0 bans nothing.
        """
        self._size = size
        self._written: list[int] = []
        self._followers: defaultdict[tuple[int, ...], set[int]] = defaultdict(set)

    def add(self, token_id: int) -> None:
        """Record a generated token."""
        if not self._size:
            return
        if len(self._written) >= self._size - 1:
            self._followers[self._prefix()].add(token_id)
        self._written.append(token_id)

    def banned(self) -> list[int]:
        """Return the tokens that would repeat an n-gram."""
        if not self._size or len(self._written) < self._size - 1:
            return []
        return sorted(self._followers.get(self._prefix(), ()))

    def _prefix(self) -> tuple[int, ...]:
        """Return the last n - 1 tokens; () for n = 1, where a slice from -0 would return all."""
        return tuple(self._written[len(self._written) - self._size + 1 :])


_INCOMPLETE = "\ufffd"


class TextPieces:
    """Incremental detokenization: the concatenated pieces are the text.

    A token can be half a character, and the first token of a text may lose its space. So a token is
    decoded together with those since the last complete piece, as in text-generation-inference.
    """

    def __init__(self, decode: Callable[[list[int]], str]) -> None:
        """Start empty.

        Args:
            decode: Decodes token ids, skipping special tokens.
        """
        self._decode = decode
        self._ids: list[int] = []
        self._known = 0  # ids[:known] were returned as text
        self._context = 0  # ids[context:known] are decoded again, as context

    def add(self, token_id: int) -> str:
        """Return the text completed by this token; "" while a character is incomplete."""
        self._ids.append(token_id)
        piece = self._new_text()
        if piece.endswith(_INCOMPLETE):
            return ""
        self._context, self._known = self._known, len(self._ids)
        return piece

    def rest(self) -> str:
        """Return the remaining text at the end: a character that was never completed."""
        piece = self._new_text()
        self._context = self._known = len(self._ids)
        return piece

    def _new_text(self) -> str:
        before = self._decode(self._ids[self._context : self._known])
        return self._decode(self._ids[self._context :])[len(before) :]


class StopStrings:
    """Cut streamed text at the first stop string; buffers the beginning of a possible one."""

    def __init__(self, stops: Sequence[str]) -> None:
        """Start with an empty buffer."""
        self._stops = tuple(stops)
        self._held = ""

    def feed(self, piece: str) -> tuple[str, bool]:
        """Add text; return the text that is safe to emit, and whether a stop string was found."""
        text = self._held + piece
        places = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        if places:
            self._held = ""
            return text[: min(places)], True
        held = self._longest_prefix(text)
        self._held = text[len(text) - held :]
        return text[: len(text) - held], False

    def rest(self) -> str:
        """Return and clear the buffer, at the end of the text."""
        held, self._held = self._held, ""
        return held

    def _longest_prefix(self, text: str) -> int:
        """Return the length of the longest suffix of the text that begins a stop string."""
        longest = max((len(stop) for stop in self._stops), default=1) - 1
        for length in range(min(longest, len(text)), 0, -1):
            if any(stop.startswith(text[-length:]) for stop in self._stops):
                return length
        return 0
