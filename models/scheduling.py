"""Choose which waiting calls share the next batch.

The call that has waited longest is always in it, so nobody starves. Where more wait than fit, those
most like it come along: short prompts beside a long one are padding to be read, and short answers
beside a long one leave their places empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .rows import Row

NEW_TOKEN_COST = 7
"""What a new token costs beside one that is read (70 and 470 tokens/s on two cores)."""


@dataclass(frozen=True)
class BatchLimits:
    """How large a batch may become.

    Attributes:
        rows: Calls in one batch.
        tokens: Prompt and new tokens of all rows together, padding included; bounds the memory
            of keys and values (46 kB a token for the bundled model in fp32).
        gather_s: Go on waiting while calls come this close after one another, in seconds.
        gather_at_most_s: Start after this time, in seconds, whether or not more are coming.
        waiting: Calls in the queue before new ones are refused.
    """

    rows: int = 32
    tokens: int = 16_384
    gather_s: float = 0.004
    gather_at_most_s: float = 0.04
    waiting: int = 4_096


def next_batch(waiting: Sequence[Row], limits: BatchLimits) -> list[Row]:
    """Return the rows of the next batch.

    Args:
        waiting: The longest waiting first; at least one.
        limits: What a batch may hold. A row that exceeds it alone is a batch of its own.
    """
    first = waiting[0]
    alike = sorted(waiting[1:], key=lambda row: _distance(row, first))
    batch = [first]
    prompt, new = len(first.prompt_ids), first.sampling.max_tokens
    for row in alike:
        prompt_with = max(prompt, len(row.prompt_ids))
        new_with = max(new, row.sampling.max_tokens)
        if len(batch) == limits.rows or (len(batch) + 1) * (prompt_with + new_with) > limits.tokens:
            break
        batch.append(row)
        prompt, new = prompt_with, new_with
    return batch


def _distance(row: Row, other: Row) -> int:
    """Return how unlike the work of two rows is, in tokens read; ties stay in waiting order."""
    read = abs(len(row.prompt_ids) - len(other.prompt_ids))
    return read + NEW_TOKEN_COST * abs(row.sampling.max_tokens - other.sampling.max_tokens)
