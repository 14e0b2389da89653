"""Interfaces that receive the progress of long operations."""

from __future__ import annotations

from typing import Protocol


class Counting(Protocol):
    """Receives the progress of a list of items."""

    def begin(self, items: int, done: int, things: str) -> None:
        """Start with the number of items, the number of finished ones, and what they are called."""

    def advance(self, item: object) -> None:
        """Report an item as finished."""


class Watch(Counting, Protocol):
    """Receives the name of each stage and the progress in it."""

    def say(self, part: str) -> None:
        """Report the stage that starts."""


class Unwatched:
    """A `Watch` that ignores everything."""

    def say(self, part: str) -> None:
        """Do nothing."""

    def begin(self, items: int, done: int, things: str) -> None:
        """Do nothing."""

    def advance(self, item: object) -> None:
        """Do nothing."""
