"""One call of a batch (a row): prompt, settings, and the tokens generated so far."""

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
    """The result of one call.

    Attributes:
        text: Generated text, without special tokens and the stop string.
        prompt_ids: Token ids of the templated prompt.
        token_ids: Generated token ids, including the end token.
        finish_reason: "stop", "length" or "cancelled".
        adapter: Adapter it was generated with; None for the base model.
        logprobs: Log-probability of each new token if the call captures them, else None.
    """

    text: str
    prompt_ids: tuple[int, ...]
    token_ids: tuple[int, ...]
    finish_reason: str
    adapter: str | None = None
    logprobs: tuple[float, ...] | None = None


@dataclass
class Times:
    """Timestamps of a call, in seconds of `time.perf_counter`; 0 if not reached yet."""

    queued: float = 0.0
    started: float = 0.0
    first_token: float = 0.0
    ended: float = 0.0


class Row:
    """A call in a batch; the generating thread pushes tokens, any thread may cancel or wait."""

    def __init__(
        self,
        prompt_ids: Sequence[int],
        sampling: Sampling,
        *,
        decode: Callable[[list[int]], str],
        end_ids: frozenset[int],
        on_text: Callable[[str], None] | None = None,
        gone: threading.Event | None = None,
        inside: bool = False,
    ) -> None:
        """Prepare a call.

        Args:
            prompt_ids: Token ids of the templated prompt.
            sampling: Settings of the call.
            decode: Decodes token ids, skipping special tokens.
            end_ids: End tokens.
            on_text: Called from the generating thread with each piece of text; must not raise.
            gone: Set when the caller is gone; the row is then freed at its next token.
            inside: Whether the prompt ends inside reasoning (see `answers.read_answer`).
        """
        self.prompt_ids = tuple(prompt_ids)
        self.sampling = sampling
        self.adapter = sampling.adapter
        self.inside = inside
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
        """Whether the call is answered, failed or cancelled."""
        return self.future.done()

    @property
    def drawn(self) -> int:
        """Number of tokens generated so far."""
        return len(self._token_ids)

    @property
    def newest(self) -> int:
        """The latest token; 0 before the first one."""
        return self._token_ids[-1] if self._token_ids else 0

    def banned(self) -> list[int]:
        """Return the tokens that may not come next: repeated n-grams, an end that is too early."""
        banned = self.repeats.banned()
        return banned if self.drawn >= self.sampling.min_tokens else [*banned, *self._end_ids]

    def penalised(self) -> list[int]:
        """Return the tokens that are to be less likely: where there is a penalty, all it has."""
        return [] if self.sampling.repetition_penalty == 1 else sorted(set(self._token_ids))

    def start(self) -> bool:
        """Claim the row for a batch; return False if it was cancelled while it waited."""
        if self._gone.is_set():
            self.future.cancel()
        if self.future.done() and not self.future.cancelled():
            return False  # closed in the meantime
        self.times.started = time.perf_counter()
        return self.future.set_running_or_notify_cancel()

    def cancel(self) -> None:
        """Free the row: at once if it waits, at its next token if it runs."""
        self._gone.set()
        self.future.cancel()

    def fail(self, error: BaseException) -> None:
        """Pass an error to the caller, unless the call is answered already."""
        with suppress(InvalidStateError):
            self.future.set_exception(error)

    def push(self, token_id: int) -> bool:
        """Append the next token; return whether the row is done."""
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
