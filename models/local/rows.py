"""One call in progress: prompt, settings, and the tokens generated so far."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass

from .sampling import RepeatGuard, Sampling, StopStrings, TextPieces


@dataclass(frozen=True)
class Completion:
    """What one call got.

    Attributes:
        text: Without special tokens and without the stop string.
        prompt_ids: The templated prompt, exactly as the model read it.
        token_ids: Exactly as generated, the end-of-text token included.
        finish_reason: "stop", "length" or "cancelled".
        adapter: What it was generated with; None: the base model.
        logprobs: Of each new token, where the call asked for them (see `capture`); else None.
    """

    text: str
    prompt_ids: tuple[int, ...]
    token_ids: tuple[int, ...]
    finish_reason: str
    adapter: str | None = None
    logprobs: tuple[float, ...] | None = None


@dataclass
class Times:
    """When a call came to what, in seconds of `time.perf_counter`; 0 where it has not yet."""

    queued: float = 0.0
    started: float = 0.0
    first_token: float = 0.0
    ended: float = 0.0


class Row:
    """A call in a batch. The generating thread pushes tokens; any thread may cancel or wait."""

    def __init__(
        self,
        prompt_ids: Sequence[int],
        sampling: Sampling,
        *,
        decode: Callable[[list[int]], str],
        end_ids: frozenset[int],
        on_text: Callable[[str], None] | None = None,
        gone: threading.Event | None = None,
    ) -> None:
        """Prepare a call.

        Args:
            prompt_ids: The templated prompt.
            sampling: Settings of this call.
            decode: Turns token ids into text, special tokens left out.
            end_ids: Tokens that end the text.
            on_text: Called from the generating thread with each piece of text; must not raise.
            gone: Set when the caller went away; the row is then freed at its next token.
        """
        self.prompt_ids = tuple(prompt_ids)
        self.sampling = sampling
        self.adapter = sampling.adapter
        self.logprobs: list[float] = []
        self.times = Times(queued=time.perf_counter())
        self.repeats = RepeatGuard(sampling.no_repeat_ngram_size)
        self.future: Future[Completion] = Future()
        self._end_ids = end_ids
        self._on_text = on_text
        self._gone = gone or threading.Event()
        self._token_ids: list[int] = []
        self._pieces = TextPieces(decode)
        self._stops = StopStrings(sampling.stop)
        self._text: list[str] = []

    @property
    def done(self) -> bool:
        """Whether the caller has an answer, an error, or went away."""
        return self.future.done()

    @property
    def drawn(self) -> int:
        """Tokens generated so far."""
        return len(self._token_ids)

    @property
    def newest(self) -> int:
        """The token generated last; 0 before the first one."""
        return self._token_ids[-1] if self._token_ids else 0

    def start(self) -> bool:
        """Claim the row for a batch; False where its caller went away while it waited."""
        if self._gone.is_set():
            self.future.cancel()
        if self.future.done() and not self.future.cancelled():
            return False  # closed in the meantime
        self.times.started = time.perf_counter()
        return self.future.set_running_or_notify_cancel()

    def cancel(self) -> None:
        """Free the row: at once where it waits, at its next token where it runs."""
        self._gone.set()
        self.future.cancel()

    def fail(self, error: BaseException) -> None:
        """Give the caller an error, unless there is an answer already."""
        with suppress(InvalidStateError):
            self.future.set_exception(error)

    def push(self, token_id: int) -> bool:
        """Take the next token; return whether the row is done."""
        if self.done:
            return True
        if not self._token_ids:
            self.times.first_token = time.perf_counter()
        self._token_ids.append(token_id)
        self.repeats.add(token_id)
        ended = token_id in self._end_ids
        text, stopped = self._stops.feed("" if ended else self._pieces.add(token_id))
        self._show(text)
        if ended or stopped:
            self._finish("stop", cut=stopped)
        elif self._gone.is_set():
            self._finish("cancelled")
        elif self.drawn >= self.sampling.max_tokens:
            self._finish("length")
        return self.done

    def _show(self, text: str) -> None:
        if not text:
            return
        self._text.append(text)
        if self._on_text is not None:
            self._on_text(text)

    def _finish(self, reason: str, *, cut: bool = False) -> None:
        if not cut:
            last, _ = self._stops.feed(self._pieces.rest())
            self._show(last + self._stops.rest())
        if reason != "cancelled":
            self.times.ended = time.perf_counter()
        completion = Completion(
            text="".join(self._text),
            prompt_ids=self.prompt_ids,
            token_ids=tuple(self._token_ids),
            finish_reason=reason,
            adapter=self.adapter,
            logprobs=tuple(self.logprobs) if self.sampling.capture else None,
        )
        with suppress(InvalidStateError):  # the model was closed in the meantime
            self.future.set_result(completion)
