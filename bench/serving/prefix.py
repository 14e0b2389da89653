"""What it could gain at most not to read the same beginning of a prompt twice.

A kept cache of keys and values would save reading the tokens with which a role's prompt begins as
the one of the iteration before did. At most: no row pays for finding and moving its cache.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import pairwise
from os.path import commonprefix

from ...stores.episodes.schema import Episode, Sample
from .calls import MAX_TOKENS
from .inputs import BareModel, Messages

PromptIds = Callable[[Messages], list[int]]


class Records:
    """Keeps the records of runs in memory."""

    def __init__(self) -> None:
        self.runs: list[Episode] = []

    def append(self, record: Episode) -> None:
        """Keep one."""
        self.runs.append(record)


async def measure_prefix(
    bare: BareModel, prompts: Sequence[Messages], runs: Sequence[Episode]
) -> dict[str, float]:
    """Return the share of prompt tokens that are read twice, and what saving them gains at most.

    Args:
        bare: Times reading alone against reading and writing.
        prompts: What it is timed on, in one batch.
        runs: Of the loop.
    """
    ids = [bare.prompt_ids(prompt) for prompt in prompts]
    _, reading = await asyncio.to_thread(bare.generate, ids, 1)
    _, whole = await asyncio.to_thread(bare.generate, ids, MAX_TOKENS)
    shared = share_read_twice(runs, bare.prompt_ids)
    return {
        "prefix_tokens_shared": shared,
        "reading_share": reading / whole,
        "prefix_gain_at_most": shared * reading / whole,
    }


def share_read_twice(runs: Sequence[Episode], prompt_ids: PromptIds) -> float:
    """Return the share of all prompt tokens that begin the same role's prompt before, too."""
    read = again = 0
    for run in runs:
        for role in {call.role for call in run.samples}:
            asked = [prompt_ids(_messages(call)) for call in run.samples if call.role == role]
            read += sum(map(len, asked))
            again += sum(len(commonprefix(pair)) for pair in pairwise(asked))
    return again / read if read else 0.0


def _messages(call: Sample) -> Messages:
    return [(message.role, message.content) for message in call.messages]
