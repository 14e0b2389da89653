"""Who is told how far long work is: a bar of a command, or nobody."""

from __future__ import annotations

from typing import Protocol


class Counting(Protocol):
    """Told of things that are done one by one."""

    def begin(self, items: int, done: int, things: str) -> None:
        """Tell how many there are to do, how many were done before, and what they are."""

    def advance(self, item: object) -> None:
        """Tell of one more that is done."""


class Watch(Counting, Protocol):
    """Told of parts, and of the things in each."""

    def say(self, part: str) -> None:
        """Tell what is done next."""


class Unwatched:
    """A `Watch` that tells nobody."""

    def say(self, part: str) -> None:
        """Pass it over."""

    def begin(self, items: int, done: int, things: str) -> None:
        """Pass it over."""

    def advance(self, item: object) -> None:
        """Pass it over."""
