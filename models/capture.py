"""Keep the log-probability of every token that a row writes, for training on it later.

log-softmax(logits / temperature) over the whole vocabulary, before bans, top-p and top-k: where
none of them cuts, exactly the policy that the token was drawn from. Temperature 0 counts as 1.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

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
