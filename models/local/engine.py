"""Generate many rows with one transformers model; rows may join and leave while it runs.

Iteration-level scheduling (Orca, Yu et al. 2022) on `generate`: new rows are prefilled alone, then
share every decoding step with the rows that run already. transformers' own continuous batching has
a paged cache and takes four times as long as one `generate` on a CPU (docs/serving.md).

`generate` itself decodes greedily. Two hooks give each row its own settings: a logits processor
leaves a sampling row only the token that was drawn for it, and a stopping criterion hands each new
token to its row and reports which rows are done. So rows of any temperature, seed, length and stop
strings share a batch, and a row draws the same tokens in every batch.

`Capture` keeps the log-probability of each generated token for training: log-softmax(logits /
temperature) over the whole vocabulary, before bans, top-p and top-k. Where none of them cuts, this
is exactly the policy that the token was drawn from. Temperature 0 counts as 1.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import pad
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
)

from .adapters import AdapterSlots
from .batcher import Load
from .kv_cache import Piece, RoomyCache, holds_plain_layers, joined
from .rows import Row


class Capture:
    """The log-probabilities of the rows of one batch that ask for them.

    Attributes:
        seconds: Time spent in here.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        """Take the rows of a batch, in their order."""
        self.seconds = 0.0
        self._rows = [(place, row) for place, row in enumerate(rows) if row.sampling.capture]
        self._places = torch.tensor([place for place, _ in self._rows])
        temperatures = [[row.sampling.temperature or 1.0] for _, row in self._rows]
        self._temperatures = torch.tensor(temperatures)
        self._scaled = self._norms = torch.zeros(0)

    def look(self, logits: torch.Tensor) -> None:
        """Take note of the logits of the next token, shape (rows, vocabulary), before any cut."""
        if not self._rows:
            return
        begin = time.perf_counter()
        places, temperatures = (
            tensor.to(logits.device) for tensor in (self._places, self._temperatures)
        )
        self._scaled = logits[places].float() / temperatures
        self._norms = self._scaled.logsumexp(dim=-1)
        self.seconds += time.perf_counter() - begin

    def keep(self, newest: torch.Tensor) -> None:
        """Give each row the log-probability of its new token; ids of all rows, shape (rows,)."""
        if not self._rows:
            return
        begin = time.perf_counter()
        chosen = newest[self._places.to(newest.device)].unsqueeze(1)
        logprobs = self._scaled.gather(1, chosen).squeeze(1) - self._norms
        for (_, row), logprob in zip(self._rows, logprobs.tolist(), strict=True):
            if not row.done:
                row.logprobs.append(logprob)
        self.seconds += time.perf_counter() - begin


class ChooseTokens(LogitsProcessor):
    """Ban repeated n-grams, and leave rows that sample only the token drawn for them.

    Args:
        rows: In the order of the batch.
        generators: The random numbers of each row; None where it is greedy.
        capture: Looks at the logits first.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        generators: Sequence[torch.Generator | None],
        capture: Capture,
    ) -> None:
        self._rows, self._generators, self._capture = rows, generators, capture

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return the scores, each (rows, vocabulary), that the greedy choice shall see."""
        self._capture.look(scores)
        for place, (row, generator) in enumerate(zip(self._rows, self._generators, strict=True)):
            if row.done:
                continue
            if banned := row.repeats.banned():
                scores[place, banned] = -torch.inf
            if generator is not None:
                wanted = row.sampling
                token_id = draw(scores[place], wanted.temperature, wanted.top_p, generator)
                scores[place] = -torch.inf
                scores[place, token_id] = 0.0
        return scores


class PushTokens(StoppingCriteria):
    """Hand each row its new token, and say which rows are done.

    Args:
        rows: In the order of the batch.
        capture: Keeps what it looked at, for the token that came of it.
        enough: Told after each token how many there were; True ends the `generate`.
    """

    def __init__(
        self, rows: Sequence[Row], capture: Capture, enough: Callable[[int], bool]
    ) -> None:
        self._rows, self._capture, self._enough = rows, capture, enough
        self._pushed = 0

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        """Return which rows are done, bool of shape (rows,)."""
        newest = input_ids[:, -1]
        self._capture.keep(newest)  # before the push: a row that is done takes nothing more
        pairs = zip(self._rows, newest.tolist(), strict=True)
        done = [row.push(token_id) for row, token_id in pairs]
        self._pushed += 1
        if self._enough(self._pushed):
            done = [True] * len(done)
        return torch.tensor(done, device=input_ids.device)


def generator_of(row: Row) -> torch.Generator | None:
    """Return the random numbers of a row, from its seed if it has one; None for a greedy one."""
    if row.sampling.temperature == 0:
        return None
    generator = torch.Generator()
    if row.sampling.seed is None:
        generator.seed()
    else:
        generator.manual_seed(row.sampling.seed)
    return generator


def draw(logits: torch.Tensor, temperature: float, top_p: float, generator: torch.Generator) -> int:
    """Draw one token by inverting the cumulative distribution of softmax(logits / temperature).

    One uniform number a token, from the row's own generator: that is what makes a draw
    independent of the other rows. `torch.multinomial` takes one generator for the whole batch.

    Args:
        logits: Shape (vocabulary,); -inf is never drawn.
        temperature: Above 0.
        top_p: Keep the likeliest tokens that together reach this probability, (0, 1].
        generator: On the CPU.
    """
    probs = torch.softmax(logits.double().cpu() / temperature, dim=-1)
    order = None
    if top_p < 1:
        probs, order = probs.sort(descending=True)
        # A token stays if those before it do not reach top_p yet: the first always does.
        probs[probs.cumsum(0) - probs >= top_p] = 0
    cumulative = probs.cumsum(0)
    uniform = torch.rand((), generator=generator, dtype=torch.float64) * cumulative[-1]
    place = int(torch.searchsorted(cumulative, uniform, right=True))
    return place if order is None else int(order[place])


READ_AT_ONCE = 1_024
"""Tokens of prompts, on a CPU: reading them together gains nothing there, and rows that are read
before others show their first token before them."""

SHARE_GONE = 0.25
"""Of a batch; so many rows have to be done before the others are moved together."""


@dataclass(frozen=True)
class _Writer:
    row: Row
    generator: torch.Generator | None


@dataclass(frozen=True)
class _Part:
    """Rows, and what the model remembers of them; the mask has shape (rows, tokens)."""

    writers: Sequence[_Writer]
    mask: torch.Tensor
    cache: RoomyCache


class RunningBatch:
    """The rows that a model is writing. Only the generating thread may use it.

    Attributes:
        admits: Whether rows may join while others run; else a batch runs to its end when read.
        capture_seconds: Spent on capturing log-probabilities so far.
    """

    def __init__(self, slots: AdapterSlots, pad_id: int) -> None:
        """Take a model.

        Args:
            slots: A causal language model and its adapters.
            pad_id: Fills short prompts from the left; masked, so any token does.
        """
        self._slots, self._pad_id = slots, pad_id
        self._config = slots.base.config
        self.admits = holds_plain_layers(self._config)
        self.capture_seconds = 0.0
        self.clear()

    @property
    def rows(self) -> list[Row]:
        """Those that are not done."""
        writers = self._running.writers if self._running else ()
        return [writer.row for writer in writers if not writer.row.done]

    @property
    def load(self) -> Load:
        """What runs now."""
        rows = self.rows
        if self._running is None or not rows:
            return Load()
        new = max(row.sampling.max_tokens - row.drawn for row in rows)
        return Load(rows=len(rows), read=self._running.mask.shape[1], new=new)

    def clear(self) -> None:
        """Forget all rows."""
        self._running: _Part | None = None

    def admit(self, rows: Sequence[Row]) -> None:
        """Read prompts and write the first token of each.

        Rows whose callers went away are left out; rows whose adapters can't be loaded fail.
        """
        rows = self._with_adapters([row for row in rows if row.start()])
        if not rows:
            return
        if not self.admits:
            self._read(rows, None, enough=lambda pushed: False)
            return
        parts = []
        for group in self._groups(rows):
            cache = RoomyCache(self._config)
            writers, mask = self._read(group, cache, enough=lambda pushed: True)
            parts.append(_Part(writers, mask, cache))
        self._keep([*filter(None, [self._running]), *parts])

    def write(self, enough: Callable[[int], bool]) -> None:
        """Write on until `enough` says so, or a good part of the rows is done.

        Args:
            enough: Told after each token how many there were since the beginning of this.
        """
        if self._running is None:
            return
        writers, mask, cache = self._running.writers, self._running.mask, self._running.cache
        # Only the newest tokens are read: all others are in the cache.
        input_ids = torch.full((len(writers), mask.shape[1] + 1), self._pad_id)
        input_ids[:, -1] = torch.tensor([writer.row.newest for writer in writers])

        def stop(pushed: int) -> bool:
            return enough(pushed) or len(self.rows) <= (1 - SHARE_GONE) * len(writers)

        self._generate(writers, input_ids, _wider(mask, 1), cache, stop)
        new = cache.get_seq_length() - mask.shape[1]
        self._keep([_Part(writers, _wider(mask, new), cache)])

    def _groups(self, rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
        """Part rows into those that are read at once."""
        most = READ_AT_ONCE if self._slots.base.device.type == "cpu" else sys.maxsize
        group: list[Row] = []
        longest = 0
        for row in rows:
            longest = max(longest, len(row.prompt_ids))
            if group and longest * (len(group) + 1) > most:
                yield group
                group, longest = [], len(row.prompt_ids)
            group.append(row)
        yield group

    def _read(
        self, rows: Sequence[Row], cache: RoomyCache | None, enough: Callable[[int], bool]
    ) -> tuple[list[_Writer], torch.Tensor]:
        writers = [_Writer(row, generator_of(row)) for row in rows]
        input_ids, mask = left_pad([row.prompt_ids for row in rows], self._pad_id)
        self._generate(writers, input_ids, mask, cache, enough)
        return writers, mask

    def _generate(
        self,
        writers: Sequence[_Writer],
        input_ids: torch.Tensor,
        mask: torch.Tensor,
        cache: RoomyCache | None,
        enough: Callable[[int], bool],
    ) -> None:
        rows = [writer.row for writer in writers]
        base = self._slots.base
        model, adapters = self._slots.model_for([row.adapter for row in rows])
        capture = Capture(rows)
        choose = ChooseTokens(rows, [writer.generator for writer in writers], capture)
        settings = GenerationConfig(  # type: ignore[no-untyped-call]
            max_new_tokens=max(row.sampling.max_tokens - row.drawn for row in rows),
            do_sample=False,
            pad_token_id=self._pad_id,
            eos_token_id=base.generation_config.eos_token_id,
        )
        model.generate(
            input_ids=input_ids.to(base.device),
            attention_mask=mask.to(base.device),
            past_key_values=cache,
            generation_config=settings,
            logits_processor=LogitsProcessorList([choose]),
            stopping_criteria=StoppingCriteriaList([PushTokens(rows, capture, enough)]),
            **adapters,
        )
        self.capture_seconds += capture.seconds

    def _keep(self, parts: Sequence[_Part]) -> None:
        """Go on with the rows of some parts that are not done, as one batch."""
        pieces, masks, going_on = [], [], []
        for part in parts:
            places = [place for place, writer in enumerate(part.writers) if not writer.row.done]
            if not places:
                continue
            mask = part.mask[places]
            begin = int(mask.any(dim=0).int().argmax())
            pieces.append(Piece(part.cache, places, begin))
            masks.append(mask[:, begin:])
            going_on += [part.writers[place] for place in places]
        if len(parts) == 1 and len(going_on) == len(parts[0].writers):
            self._running = parts[0]  # nobody came and nobody left
        elif not pieces:
            self._running = None
        else:
            tokens = max(mask.shape[1] for mask in masks)
            mask = torch.cat([pad(mask, (tokens - mask.shape[1], 0)) for mask in masks])
            self._running = _Part(going_on, mask, joined(pieces, self._config))

    def _with_adapters(self, rows: Sequence[Row]) -> list[Row]:
        """Return the rows whose adapters are loaded; the others fail, or run on the base model."""
        everybody = [*self.rows, *rows]
        refused = self._slots.hold(row.adapter for row in everybody if row.adapter is not None)
        ready = []
        for row in rows:
            error = None if row.adapter is None else refused.get(row.adapter)
            if error is not None and not row.sampling.adapter_fallback:
                row.fail(error)
                continue
            if error is not None:
                row.adapter = None
            ready.append(row)
        return ready


def left_pad(prompts: Sequence[Sequence[int]], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return token ids and attention mask, each of shape (prompts, longest), int64."""
    longest = max(map(len, prompts))
    input_ids = torch.full((len(prompts), longest), pad_id)
    attention_mask = torch.zeros_like(input_ids)
    for row, prompt in enumerate(prompts):
        start = longest - len(prompt)
        input_ids[row, start:] = torch.tensor(prompt)
        attention_mask[row, start:] = 1
    return input_ids, attention_mask


def _wider(mask: torch.Tensor, tokens: int) -> torch.Tensor:
    return pad(mask, (0, tokens), value=1)
