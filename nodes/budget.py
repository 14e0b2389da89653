"""Fit a prompt into its token budget: one function for every role.

Request and draft have fixed shares. The rest is divided equally among the evidence; tokens that a
short text does not need go to the longer ones. Texts are cut between words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Count = Callable[[str], int]


@dataclass(frozen=True)
class Fitted:
    """Texts after cutting.

    Attributes:
        texts: The cut texts in their order, without the dropped ones.
        tokens: Tokens before cutting.
        kept_tokens: Tokens after cutting.
    """

    texts: tuple[str, ...]
    tokens: int
    kept_tokens: int

    @property
    def cut_share(self) -> float:
        """Share of the tokens that was cut, 0 to 1."""
        return 1 - self.kept_tokens / self.tokens if self.tokens else 0.0


def cut(text: str, tokens: int, count: Count) -> str:
    """Return as many whole words from the start of `text` as fit into `tokens`.

    A word is cut only if not even the first one fits: a script without spaces is one word.
    """
    if count(text) <= tokens:
        return text
    words = list(re.finditer(r"\S+", text))
    if not words:
        return ""
    first = words[0]
    # A word has at least half a token in any tokenizer, so longer prefixes can be skipped.
    ends = [word.end() for word in words[: 2 * tokens]]
    return _front(text, ends, tokens, count) or _front(
        text, range(first.start() + 1, first.end()), tokens, count
    )


def _front(text: str, ends: Sequence[int], tokens: int, count: Count) -> str:
    """Return the longest prefix that fits and ends at one of `ends`, by bisection."""
    low, high = 0, len(ends)
    while low < high:
        middle = (low + high + 1) // 2
        if count(text[: ends[middle - 1]]) <= tokens:
            low = middle
        else:
            high = middle - 1
    return text[: ends[low - 1]] if low else ""


def shares(sizes: Sequence[int], room: int) -> list[int]:
    """Divide `room` tokens among texts: equal shares, none larger than its text.

    >>> shares([10, 100, 100], 90)
    [10, 40, 40]
    """
    given = [0] * len(sizes)
    order = sorted(range(len(sizes)), key=lambda i: sizes[i])
    for place, i in enumerate(order):
        given[i] = min(sizes[i], room // (len(sizes) - place))
        room -= given[i]
    return given


def _too_small(sizes: Sequence[int], room: int, smallest_share: int) -> bool:
    given = shares(sizes, room)
    return any(share < min(smallest_share, size) for share, size in zip(given, sizes, strict=True))


def fit(
    texts: Sequence[str], room: int, smallest_share: int, count: Count, *, around: int = 0
) -> Fitted:
    """Cut texts to equal shares of `room`; drop the last ones if the shares would be too small.

    Args:
        texts: Strongest first.
        room: Tokens for all of them.
        smallest_share: A text whose equal share is below this is dropped, weakest first, unless it
            is shorter than that.
        count: Counts the tokens of a text.
        around: Tokens of the frame around each text (dash, delimiters).
    """
    sizes = [count(text) for text in texts]
    keep = len(texts)
    while keep and _too_small(sizes[:keep], room - around * keep, smallest_share):
        keep -= 1
    given = shares(sizes[:keep], room - around * keep)
    fitted = tuple(cut(text, share, count) for text, share in zip(texts[:keep], given, strict=True))
    return Fitted(fitted, sum(sizes), sum(count(text) for text in fitted))
