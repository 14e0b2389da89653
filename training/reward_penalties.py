"""What is held against a summary or a draft: copies, topic words in a summary of style, length.

Penalties are in [0, 1], higher is worse, and are subtracted. None where there is nothing to hold
against: the side abstained, or the call failed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from ..stores.words import folded
from .metrics import copied_run, copy_rate
from .rewards import Completion, Reward, text_of
from .shared_phrases import stop_words

LEAST_RUN = 5
"""Words of a run from which it counts as copied: shorter ones are how everybody talks."""

LEAST_LETTERS = 4
"""Of a topic word: shorter ones are mostly names of nothing."""

FREE_SHARE = 0.75
"""Share of its budget that a summary may take for nothing."""

_WORD = re.compile(r"[^\W\d_]+")


def copying(
    completions: Sequence[Completion | None], *, evidence: Sequence[Sequence[str]], **_: Any
) -> list[float | None]:
    """Return how much of each text is one run of words of its evidence.

    c = n / N, n the longest run of words that it shares with any piece of evidence, N its words;
    0 where n is below 5. In [0, 1]; 1 is a copy. Of a draft it is `draft_copying` among the
    components, of a summary `summary_copying` (source: `metrics.copied_run`).

    Args:
        completions: Drafts or summaries; None where there is none.
        evidence: For each, the texts that were read.

    >>> read = ["I say the view is grand and the beds are soft."]
    >>> copying(["The view is grand and cheap", "A grand view"], evidence=[read, read])
    [0.833333, 0.0]
    """
    return [
        None if given is None else _copied(text_of(given), read)
        for given, read in zip(completions, evidence, strict=True)
    ]


def topic_words(
    completions: Sequence[Completion | None], *, words: Sequence[str], **_: Any
) -> list[float | None]:
    """Return the share of a style summary's words that are about the topic.

    w = |words of the summary among the topic's| / |words of the summary|, in [0, 1]; the topic's
    are those of the request with four letters or more that are no stop words of English or
    Portuguese, in one case and without accents. A style is how somebody writes about anything.

    Args:
        completions: Style summaries; None where that side abstained.
        words: For each, the request's own words.

    >>> topic_words(["Warm, about the kettle"], words=["A kettle for two"])
    [0.25]
    """
    return [
        None if given is None else _about(text_of(given), asked)
        for given, asked in zip(completions, words, strict=True)
    ]


def build_overlong(count: Callable[[str], int], budget: int) -> Reward:
    """Return the penalty for length beyond the budget.

    With L the tokens of a text, B the budget and F = 0.75 B what is free:
    o = 0 where L <= F, 1 where L >= B, else (L - F) / (B - F). In [0, 1]. A model is cut off at its
    budget, so one that never ends its sentence is at B: the ramp before it tells which way is out
    (the soft overlong punishment of DAPO, Yu et al. 2025, eq. 13, with B - F for its cache).

    Args:
        count: Tokens of a text.
        budget: Tokens that a summary may have.

    >>> overlong = build_overlong(lambda text: len(text.split()), 8)
    >>> overlong(["one two three", "1 2 3 4 5 6 7", "1 2 3 4 5 6 7 8 9", None])
    [0.0, 0.5, 1.0, None]
    """
    free = FREE_SHARE * budget

    def overlong(completions: Sequence[Completion | None], **_: Any) -> list[float | None]:
        return [
            None
            if given is None
            else min(1.0, max(0.0, (count(text_of(given)) - free) / (budget - free)))
            for given in completions
        ]

    return overlong


def _copied(text: str, read: Sequence[str]) -> float:
    return round(copy_rate(text, read), 6) if copied_run(text, read) >= LEAST_RUN else 0.0


def _about(summary: str, asked: str) -> float:
    topic = {
        word
        for word in _words(asked)
        if len(word) >= LEAST_LETTERS and word not in _stop_words_folded()
    }
    said = _words(summary)
    return round(sum(word in topic for word in said) / len(said), 6) if said else 0.0


def _words(text: str) -> list[str]:
    return _WORD.findall(folded(text))


@cache
def _stop_words_folded() -> frozenset[str]:
    return frozenset(map(folded, stop_words()))
