"""Keep a row from writing the same n tokens twice."""

from __future__ import annotations

from collections import defaultdict


class RepeatGuard:
    """The n-grams one row has written, looked up in constant time a token.

    transformers' own processor searches the whole row again for every token, has one n for all
    rows of a batch, and counts the prompt: a title of n tokens could then never be taken up.
    """

    def __init__(self, size: int) -> None:
        """Start empty.

        Args:
            size: n; 0 bans nothing.
        """
        self._size = size
        self._written: list[int] = []
        self._followers: defaultdict[tuple[int, ...], set[int]] = defaultdict(set)

    def add(self, token_id: int) -> None:
        """Take note of a token that was written."""
        if not self._size:
            return
        if len(self._written) >= self._size - 1:
            self._followers[self._opening()].add(token_id)
        self._written.append(token_id)

    def banned(self) -> list[int]:
        """Return the tokens that would complete an n-gram for the second time."""
        if not self._size or len(self._written) < self._size - 1:
            return []
        return sorted(self._followers.get(self._opening(), ()))

    def _opening(self) -> tuple[int, ...]:
        """Return the last n - 1 tokens: () for n = 1, where a slice from -0 would be all."""
        return tuple(self._written[len(self._written) - self._size + 1 :])
