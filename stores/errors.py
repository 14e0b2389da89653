"""Errors of stores and of kept adapters, and how invalid fields are reported.

Every error a store raises on purpose is a `StoreError`; its message says what was expected, what
came, and what to do next, in one line, so that a command can print it as it is.

- The caller's mistake is raised at once, before anything is written: `InvalidText`,
  `InvalidFilter`, `InvalidQuery`, `EncoderMismatch`, `SchemaMismatch`, `NoSuchStore`.
- A transient fault (a commit conflict, a file that a concurrent clean-up took away) is tried
  again a bounded number of times; if it stays it becomes `StoreBusy`.
- `NotForgotten` carries the receipt of a removal that left bytes behind.

What LanceDB or the file system raises otherwise (no space, no permission) passes unchanged: the
store knows no better message for it.

Of the errors of kept adapters all but `AdapterExists` mean that the adapter can't be used; the base
model still can.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError

    from .types import Receipt


@dataclass(frozen=True)
class InvalidField:
    """The first field that a pydantic model refuses.

    Attributes:
        place: Its path, with dots; "" for the whole.
        reason: What is wrong with it, in pydantic's words.
        value: What was given.
        kind: Pydantic's name of the error, such as `missing`.
    """

    place: str
    reason: str
    value: object
    kind: str

    @staticmethod
    def of(error: ValidationError) -> InvalidField:
        """Return the first field of an error."""
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        return InvalidField(place, first["msg"], first["input"], first["type"])

    def __str__(self) -> str:
        """Return place and reason."""
        return f"{self.place or 'the whole'}: {self.reason}"

    def with_value(self, place: str | None = None) -> str:
        """Return place, reason and value: `k: input should be a valid integer, got 'a'`."""
        return f"{place or self.place}: {self.reason.lower()}, got {self.value!r}"


class StoreError(RuntimeError):
    """Base of everything a store raises on purpose.

    A RuntimeError, because LangGraph's server tells its clients the messages of built-in kinds of
    error only.
    """


class InvalidText(StoreError):
    """A text that can't be kept: no user, no namespace, a reserved one, or broken characters."""


class InvalidFilter(StoreError):
    """A read or write that names no namespace, or a reserved one."""


class InvalidQuery(StoreError):
    """A query of the wrong shape, or `k` below one."""


class EncoderMismatch(StoreError):
    """The store was filled with another encoder than the one it is opened with."""


class NoSuchStore(StoreError):
    """There is no store at a place that was to be looked at only."""


class SchemaMismatch(StoreError):
    """The tables at this place were written by another version of the store, or by others."""


class StoreBusy(StoreError):
    """Another writer kept getting in the way for longer than the bounded retry lasts."""


class NotForgotten(StoreError):
    """Bytes of a forgotten user's texts are still in the store's files."""

    def __init__(self, message: str, receipt: Receipt) -> None:
        super().__init__(message)
        self.receipt = receipt


class AdapterError(StoreError):
    """Base of everything the registry of adapters raises on purpose."""


class AdapterNotFound(AdapterError):
    """No adapter of this name is kept, the name is none, or there is none to go back to."""


class AdapterDamaged(AdapterError):
    """A file is missing, can't be read, or is not the one that was added."""


class AdapterUnfit(AdapterError):
    """An adapter that can't share a batch with others, or was made for another base model."""


class AdapterExists(AdapterError):
    """An adapter of this name is kept already; what is kept never changes."""
