"""Receivers of the progress of long work."""

from __future__ import annotations

from typing import Protocol


class Counting(Protocol):
    """Receives the progress of a list of items."""

    def begin(self, items: int, done: int, things: str) -> None:
        """Start: how many items there are, how many are done, and what they are called."""

    def advance(self, item: object) -> None:
        """Report one more item as done."""


class Watch(Counting, Protocol):
    """Receives the names of stages, and the progress in each."""

    def say(self, part: str) -> None:
        """Report what is done next."""


class Unwatched:
    """A `Watch` that ignores everything."""

    def say(self, part: str) -> None:
        """Ignore it."""

    def begin(self, items: int, done: int, things: str) -> None:
        """Ignore it."""

    def advance(self, item: object) -> None:
        """Ignore it."""
