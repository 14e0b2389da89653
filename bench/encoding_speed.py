"""How many texts a second the style encoder reads, beside MiniLM on the same texts."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any

from ..stores.records import Encoder

TEXTS = 256
REPEATS = 3
"""Turns of each encoder, one after the other, so that both meet the same hours of the machine."""


def measure_speed(
    data: str, bodies: Sequence[str], ours: Encoder, minilm: Encoder
) -> dict[str, Any]:
    """Encode the same texts by turns.

    Args:
        data: What the texts are of.
        bodies: The first `TEXTS` are taken.
        ours: The style encoder; trained and untrained form do the same work.
        minilm: The reference.

    Returns:
        `data`, `texts`, `patlm_per_s` and `minilm_per_s` (medians, texts a second), and `ratio`,
        the median of patlm / minilm over the turns.
    """
    chosen = list(bodies[:TEXTS])
    ours.encode(chosen[:8])  # what is loaded at the first call is no part of the speed
    minilm.encode(chosen[:8])
    turns = [(_per_second(ours, chosen), _per_second(minilm, chosen)) for _ in range(REPEATS)]
    return {
        "data": data,
        "texts": len(chosen),
        "patlm_per_s": round(statistics.median(mine for mine, _ in turns), 1),
        "minilm_per_s": round(statistics.median(theirs for _, theirs in turns), 1),
        "ratio": round(statistics.median(mine / theirs for mine, theirs in turns), 2),
    }


def _per_second(encoder: Encoder, bodies: Sequence[str]) -> float:
    started = time.perf_counter()
    encoder.encode(bodies)
    return len(bodies) / (time.perf_counter() - started)
