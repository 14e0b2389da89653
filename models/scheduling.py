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
        steps: Tokens that those who run get before others may join them: whoever joins is read
            while they wait.
        waiting: Calls in the queue before new ones are refused.
    """

    rows: int = 32
    tokens: int = 16_384
    gather_s: float = 0.004
    gather_at_most_s: float = 0.04
    steps: int = 4
    waiting: int = 4_096


@dataclass(frozen=True)
class Load:
    """What calls that share a batch take, each padded to the largest of them.

    Attributes:
        rows: So many.
        read: Tokens read, or written already.
        new: Tokens that are still to be written at most.
    """

    rows: int = 0
    read: int = 0
    new: int = 0

    def with_row(self, row: Row) -> Load:
        """Return what they and one more take."""
        read = max(self.read, len(row.prompt_ids))
        return Load(self.rows + 1, read, max(self.new, row.sampling.max_tokens))

    def within(self, limits: BatchLimits) -> bool:
        """Return whether that is allowed; one row alone always is."""
        tokens = self.rows * (self.read + self.new)
        return self.rows <= limits.rows and (self.rows == 1 or tokens <= limits.tokens)


def next_batch(waiting: Sequence[Row], limits: BatchLimits, running: Load = Load()) -> list[Row]:
    """Return the rows that are to be read next.

    Args:
        waiting: The longest waiting first.
        limits: What a batch may hold. A row that exceeds it alone is a batch of its own.
        running: What runs already and goes on beside them.

    Returns:
        No rows where nobody waits, or where the one that has waited longest does not fit beside
        those that run: it is not passed by for smaller ones.
    """
    alike = sorted(waiting, key=lambda row: _distance(row, waiting[0]))
    batch: list[Row] = []
    load = running
    for row in alike:
        load = load.with_row(row)
        if not load.within(limits):
            break
        batch.append(row)
    return batch


def _distance(row: Row, other: Row) -> int:
    """Return how unlike the work of two rows is, in tokens read; ties stay in waiting order."""
    read = abs(len(row.prompt_ids) - len(other.prompt_ids))
    return read + NEW_TOKEN_COST * abs(row.sampling.max_tokens - other.sampling.max_tokens)
