"""The two hooks into transformers' `generate` that give every row of a batch its own settings.

`generate` itself always decodes greedily. A logits processor leaves a row that samples just the
token that was drawn for it, and a stopping criterion pushes each new token into its row and says
which rows are done. So rows of any temperature, seed, length and stop strings share a batch, and a
row draws the same tokens whoever is beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import LogitsProcessor, StoppingCriteria

from .capture import Capture
from .rows import Row


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
