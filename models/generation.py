"""Run one transformers `generate` over rows that each have their own settings.

`generate` itself always decodes greedily. What a row wants is done in two hooks: a logits
processor leaves a row that samples just the token that was drawn for it, and a stopping criterion
pushes each new token into its row and says which rows are done. So rows of any temperature, seed,
length and stop strings share a batch, and a row draws the same tokens whoever is beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
)

from .adapter_slots import AdapterSlots
from .capture import Capture
from .rows import Row


def generate_rows(slots: AdapterSlots, rows: Sequence[Row], pad_id: int) -> float:
    """Push tokens into rows until each is done.

    Args:
        slots: A causal language model and its adapters.
        rows: At least one; those whose callers went away are left out.
        pad_id: Fills short prompts from the left; masked, so any token does.

    Returns:
        Seconds of it that capturing log-probabilities took.
    """
    rows = _with_adapters(slots, [row for row in rows if row.start()])
    if not rows:
        return 0.0
    model, adapters = slots.model_for([row.adapter for row in rows])
    input_ids, attention_mask = left_pad([row.prompt_ids for row in rows], pad_id)
    settings = GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=max(row.sampling.max_tokens for row in rows),
        do_sample=False,
        pad_token_id=pad_id,
        eos_token_id=slots.base.generation_config.eos_token_id,
    )
    capture = Capture(rows)
    model.generate(
        input_ids=input_ids.to(slots.base.device),
        attention_mask=attention_mask.to(slots.base.device),
        generation_config=settings,
        logits_processor=LogitsProcessorList([_ChooseTokens(rows, capture)]),
        stopping_criteria=StoppingCriteriaList([_PushTokens(rows, capture)]),
        **adapters,
    )
    return capture.seconds


def _with_adapters(slots: AdapterSlots, rows: Sequence[Row]) -> list[Row]:
    """Return the rows whose adapters are loaded; the others fail, or run on the base model."""
    refused = slots.hold(row.adapter for row in rows if row.adapter is not None)
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


class _ChooseTokens(LogitsProcessor):
    """Ban repeated n-grams, and leave rows that sample only the token drawn for them."""

    def __init__(self, rows: Sequence[Row], capture: Capture) -> None:
        self._rows, self._capture = rows, capture
        self._generators = [_generator(row) for row in rows]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self._capture.look(scores)
        for place, row in enumerate(self._rows):
            if row.done:
                continue
            if banned := row.repeats.banned():
                scores[place, banned] = -torch.inf
            generator = self._generators[place]
            if generator is not None:
                wanted = row.sampling
                token_id = draw(scores[place], wanted.temperature, wanted.top_p, generator)
                scores[place] = -torch.inf
                scores[place, token_id] = 0.0
        return scores


class _PushTokens(StoppingCriteria):
    """Hand each row its new token, and say which rows are done."""

    def __init__(self, rows: Sequence[Row], capture: Capture) -> None:
        self._rows, self._capture = rows, capture

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        newest = input_ids[:, -1]
        self._capture.keep(newest)  # before the push: a row that is done takes nothing more
        pairs = zip(self._rows, newest.tolist(), strict=True)
        done = [row.push(token_id) for row, token_id in pairs]
        return torch.tensor(done, device=input_ids.device)


def _generator(row: Row) -> torch.Generator | None:
    if row.sampling.temperature == 0:
        return None
    generator = torch.Generator()
    if row.sampling.seed is None:
        generator.seed()
    else:
        generator.manual_seed(row.sampling.seed)
    return generator
