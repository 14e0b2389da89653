"""Generate a batch of rows with one transformers model; rows can join and leave at any step.

Iteration-level scheduling (Orca, Yu et al. 2022) on `generate`: new rows are prefilled alone, then
share every decoding step with the rows that run already. transformers' own continuous batching has
a paged cache and takes four times as long as one `generate` on a CPU (docs/serving.md).

`generate` itself decodes greedily. Two hooks give each row its own settings: a logits processor
masks all tokens of a sampling row but the one sampled for it, and a stopping criterion appends each
new token to its row and reports which rows are done. So rows of any temperature, seed, length and
stop strings share a batch, and a row's samples do not depend on the batch.

`Capture` keeps the log-probability of each generated token for training: log-softmax(logits /
temperature) over the whole vocabulary, before bans, top-p and top-k. If none of them applies, this
is exactly the policy that the token was sampled from. Temperature 0 counts as 1.
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
from .kv_cache import CacheRows, PreallocatedCache, holds_plain_layers, joined
from .rows import Row


class Capture:
    """Captures log-probabilities for the rows of one batch that request them.

    Attributes:
        seconds: Time spent on capturing.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        """Take the rows of a batch in order."""
        self.seconds = 0.0
        self._rows = [(place, row) for place, row in enumerate(rows) if row.sampling.capture]
        self._places = torch.tensor([place for place, _ in self._rows])
        temperatures = [[row.sampling.temperature or 1.0] for _, row in self._rows]
        self._temperatures = torch.tensor(temperatures)
        self._scaled = self._norms = torch.zeros(0)

    def record_logits(self, logits: torch.Tensor) -> None:
        """Record the unprocessed logits of the next token, shape (rows, vocabulary)."""
        if not self._rows:
            return
        begin = time.perf_counter()
        places, temperatures = (
            tensor.to(logits.device) for tensor in (self._places, self._temperatures)
        )
        self._scaled = logits[places].float() / temperatures
        self._norms = self._scaled.logsumexp(dim=-1)
        self.seconds += time.perf_counter() - begin

    def record_tokens(self, newest: torch.Tensor) -> None:
        """Append the log-probability of each row's new token; token ids, shape (rows,)."""
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
    """Ban repeated n-grams and early ends, make repetition costly, and choose sampled tokens.

    All tokens of a sampling row but the one sampled for it are masked.

    Args:
        rows: Rows in the order of the batch.
        generators: Random generator of each row; None for greedy rows.
        capture: Records the unprocessed logits.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        generators: Sequence[torch.Generator | None],
        capture: Capture,
    ) -> None:
        self._rows, self._generators, self._capture = rows, generators, capture

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return the masked scores for greedy decoding, shape (rows, vocabulary)."""
        self._capture.record_logits(scores)
        for place, (row, generator) in enumerate(zip(self._rows, self._generators, strict=True)):
            if row.done:
                continue
            if penalised := row.penalised():
                known, penalty = scores[place, penalised], row.sampling.repetition_penalty
                less = torch.where(known > 0, known / penalty, known * penalty)
                scores[place, penalised] = less
            if banned := row.banned():
                scores[place, banned] = -torch.inf
            if generator is not None:
                sampling = row.sampling
                token_id = draw(scores[place], sampling.temperature, sampling.top_p, generator)
                scores[place] = -torch.inf
                scores[place, token_id] = 0.0
        return scores


class PushTokens(StoppingCriteria):
    """Append each row's new token to it, and report which rows are done.

    Args:
        rows: Rows in the order of the batch.
        capture: Records the log-probabilities of the tokens.
        enough: Called with the number of tokens after each one; True stops `generate`.
    """

    def __init__(
        self, rows: Sequence[Row], capture: Capture, enough: Callable[[int], bool]
    ) -> None:
        self._rows, self._capture, self._enough = rows, capture, enough
        self._pushed = 0

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        """Return which rows are done, bool, shape (rows,)."""
        newest = input_ids[:, -1]
        self._capture.record_tokens(newest)  # before the push, which may finish the row
        pairs = zip(self._rows, newest.tolist(), strict=True)
        done = [row.push(token_id) for row, token_id in pairs]
        self._pushed += 1
        if self._enough(self._pushed):
            done = [True] * len(done)
        return torch.tensor(done, device=input_ids.device)


def generator_of(row: Row) -> torch.Generator | None:
    """Return the random generator of a row, seeded if it has a seed; None for a greedy row."""
    if row.sampling.temperature == 0:
        return None
    generator = torch.Generator()
    if row.sampling.seed is None:
        generator.seed()
    else:
        generator.manual_seed(row.sampling.seed)
    return generator


def draw(logits: torch.Tensor, temperature: float, top_p: float, generator: torch.Generator) -> int:
    """Sample a token by inverting the cumulative distribution of softmax(logits / temperature).

    One uniform number per token from the row's own generator makes the sample independent of other
    rows; `torch.multinomial` takes one generator for the whole batch.

    Args:
        logits: Logits, shape (vocabulary,); tokens of -inf are never sampled.
        temperature: Sampling temperature, above 0.
        top_p: Probability mass of the likeliest tokens to keep, (0, 1].
        generator: Random generator on the CPU.
    """
    probs = torch.softmax(logits.double().cpu() / temperature, dim=-1)
    order = None
    if top_p < 1:
        probs, order = probs.sort(descending=True)
        # Keep a token if those before it do not reach top_p: the first is always kept.
        probs[probs.cumsum(0) - probs >= top_p] = 0
    cumulative = probs.cumsum(0)
    uniform = torch.rand((), generator=generator, dtype=torch.float64) * cumulative[-1]
    place = int(torch.searchsorted(cumulative, uniform, right=True))
    return place if order is None else int(order[place])


PREFILL_TOKENS = 1_024
"""Maximum prompt tokens per prefill on a CPU, padding included: larger prefills are no faster there
and delay the first tokens."""

SHARE_DONE = 0.25
"""Share of a batch's rows that must be done before the cache is compacted to the others."""


@dataclass(frozen=True)
class _SeededRow:
    row: Row
    generator: torch.Generator | None


@dataclass(frozen=True)
class _Part:
    """Rows with their cache; the mask has shape (rows, tokens)."""

    seeded: Sequence[_SeededRow]
    mask: torch.Tensor
    cache: PreallocatedCache


class RunningBatch:
    """The batch that a model is generating; used by the generating thread only.

    Attributes:
        admits: Whether rows can join a running batch; if not, `admit` generates to the end.
        capture_seconds: Time spent on capturing log-probabilities so far.
    """

    def __init__(self, slots: AdapterSlots, pad_id: int) -> None:
        """Start with an empty batch.

        Args:
            slots: A causal language model and its adapters.
            pad_id: Token for left padding; masked, so any token works.
        """
        self._slots, self._pad_id = slots, pad_id
        self._config = slots.base.config
        self.admits = holds_plain_layers(self._config)
        self.capture_seconds = 0.0
        self.clear()

    @property
    def rows(self) -> list[Row]:
        """Rows that are not done."""
        seeded = self._running.seeded if self._running else ()
        return [each.row for each in seeded if not each.row.done]

    @property
    def load(self) -> Load:
        """The size of the running batch."""
        rows = self.rows
        if self._running is None or not rows:
            return Load()
        new = max(row.sampling.max_tokens - row.drawn for row in rows)
        return Load(rows=len(rows), read=self._running.mask.shape[1], new=new)

    def clear(self) -> None:
        """Remove all rows."""
        self._running: _Part | None = None

    def admit(self, rows: Sequence[Row]) -> None:
        """Prefill rows and generate the first token of each.

        Rows of cancelled calls are skipped; rows whose adapters can't be loaded fail.
        """
        rows = self._with_adapters([row for row in rows if row.start()])
        if not rows:
            return
        if not self.admits:
            self._prefill(rows, None, enough=lambda pushed: False)
            return
        parts = []
        for group in self._groups(rows):
            cache = PreallocatedCache(self._config)
            seeded, mask = self._prefill(group, cache, enough=lambda pushed: True)
            parts.append(_Part(seeded, mask, cache))
        self._keep([*filter(None, [self._running]), *parts])

    def write(self, enough: Callable[[int], bool]) -> None:
        """Decode until `enough` returns True, or until `SHARE_DONE` of the rows are done.

        Args:
            enough: Called with the number of tokens of this call after each one.
        """
        if self._running is None:
            return
        seeded, mask, cache = self._running.seeded, self._running.mask, self._running.cache
        # Only the newest tokens are processed: all others are in the cache.
        input_ids = torch.full((len(seeded), mask.shape[1] + 1), self._pad_id)
        input_ids[:, -1] = torch.tensor([each.row.newest for each in seeded])

        def stop(pushed: int) -> bool:
            return enough(pushed) or len(self.rows) <= (1 - SHARE_DONE) * len(seeded)

        self._generate(seeded, input_ids, _wider(mask, 1), cache, stop)
        new = cache.get_seq_length() - mask.shape[1]
        self._keep([_Part(seeded, _wider(mask, new), cache)])

    def _groups(self, rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
        """Yield the rows of each prefill."""
        limit = PREFILL_TOKENS if self._slots.base.device.type == "cpu" else sys.maxsize
        group: list[Row] = []
        longest = 0
        for row in rows:
            longest = max(longest, len(row.prompt_ids))
            if group and longest * (len(group) + 1) > limit:
                yield group
                group, longest = [], len(row.prompt_ids)
            group.append(row)
        yield group

    def _prefill(
        self, rows: Sequence[Row], cache: PreallocatedCache | None, enough: Callable[[int], bool]
    ) -> tuple[list[_SeededRow], torch.Tensor]:
        seeded = [_SeededRow(row, generator_of(row)) for row in rows]
        input_ids, mask = left_pad([row.prompt_ids for row in rows], self._pad_id)
        self._generate(seeded, input_ids, mask, cache, enough)
        return seeded, mask

    def _generate(
        self,
        seeded: Sequence[_SeededRow],
        input_ids: torch.Tensor,
        mask: torch.Tensor,
        cache: PreallocatedCache | None,
        enough: Callable[[int], bool],
    ) -> None:
        rows = [each.row for each in seeded]
        base = self._slots.base
        model, adapters = self._slots.model_for([row.adapter for row in rows])
        capture = Capture(rows)
        choose = ChooseTokens(rows, [each.generator for each in seeded], capture)
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
        """Merge the unfinished rows of all parts into one batch."""
        kept, masks, unfinished = [], [], []
        for part in parts:
            places = [place for place, each in enumerate(part.seeded) if not each.row.done]
            if not places:
                continue
            mask = part.mask[places]
            begin = int(mask.any(dim=0).int().argmax())
            kept.append(CacheRows(part.cache, places, begin))
            masks.append(mask[:, begin:])
            unfinished += [part.seeded[place] for place in places]
        if len(parts) == 1 and len(unfinished) == len(parts[0].seeded):
            self._running = parts[0]  # no row joined or left
        elif not kept:
            self._running = None
        else:
            tokens = max(mask.shape[1] for mask in masks)
            mask = torch.cat([pad(mask, (tokens - mask.shape[1], 0)) for mask in masks])
            self._running = _Part(unfinished, mask, joined(kept, self._config))

    def _with_adapters(self, rows: Sequence[Row]) -> list[Row]:
        """Load the rows' adapters; rows without theirs fail, or fall back to the base model."""
        all_rows = [*self.rows, *rows]
        refused = self._slots.hold(row.adapter for row in all_rows if row.adapter is not None)
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
    """Return token ids and attention mask, each of shape (prompts, longest prompt), int64."""
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
