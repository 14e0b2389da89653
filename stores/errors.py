"""Errors of text stores and of the adapter registry, and reports of invalid fields.

A store raises `StoreError` and its subclasses. A message says in one line what was expected, what
was found, and what to do next; commands print it unchanged. Each error has a `code` for programs
(docs/errors.md).

- A caller's mistake is raised before anything is written: `InvalidText`, `InvalidFilter`,
  `InvalidQuery`, `EncoderMismatch`, `SchemaMismatch`, `NoSuchStore`.
- A transient fault (a commit conflict, a file deleted by a concurrent clean-up) is retried a
  bounded number of times; if it persists, `StoreBusy` is raised.
- A fault of the disk is `StoreFull`, `StoreReadOnly` or `StoreDamaged`: `retry` makes them of what
  LanceDB and the system say.
- `NotForgotten` carries the receipt of a removal that left bytes behind.

All adapter errors but `AdapterExists` mean that the adapter can't be used; the base model still
can.
"""

from __future__ import annotations

import reprlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError

    from .types import Receipt


_SHOWN_CHARACTERS = 80
_LONGEST_WORD = 200
_LONGEST_MESSAGE = 3_000
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = _SHOWN_CHARACTERS


def shortened(value: object) -> str:
    """Return a value as messages show it: as Python writes it, its middle left out if it is long.

    Every message that repeats what somebody gave does it by this: an id or a title may have a
    hundred thousand characters, and may be somebody's text.
    """
    try:
        return _SHORT.repr(value)
    except ValueError:  # a whole number of more than 4,300 digits
        return f"a number of type {type(value).__name__}"


def shorten_message(message: str) -> str:
    """Return a message on one line, in which no word is very long: the net below `shortened`.

    Commands print all their messages by it, also those of other libraries.
    """
    line = " ".join(
        word if len(word) <= _LONGEST_WORD else f"{word[:60]}...{word[-20:]}"
        for word in message.split()
    )
    return line if len(line) <= _LONGEST_MESSAGE else f"{line[:1_000]} ... {line[-200:]}"


@dataclass(frozen=True)
class InvalidField:
    """The first field that fails validation by a pydantic model.

    Attributes:
        place: Dotted path of the field; "" for the whole object.
        reason: Pydantic's message.
        value: The invalid value.
        kind: Pydantic's error type, such as `missing`.
        whole: Whether the reason says all: it is our own, and names the field and the value.
    """

    place: str
    reason: str
    value: object
    kind: str
    whole: bool = False

    @staticmethod
    def of(error: ValidationError) -> InvalidField:
        """Return the first invalid field of an error."""
        first = error.errors()[0]
        place = shorten_message(".".join(map(str, first["loc"])))
        whole = "message" in first.get("ctx", {})  # see `values.bad_value`
        return InvalidField(place, first["msg"], first["input"], first["type"], whole)

    def __str__(self) -> str:
        """Return place and reason."""
        return f"{self.place or 'the whole'}: {self.reason}"

    def with_value(self, place: str | None = None) -> str:
        """Return place, reason and value: `k: input should be a valid integer, got 'a'`."""
        if self.whole:  # "language 'x' is no tag" of the field `language`
            said = self.reason.removeprefix(f"{self.place} ")
            return f"{place or self.place}: {said}"
        return f"{place or self.place}: {self.reason.lower()}, got {shortened(self.value)}"


class CodedError(RuntimeError):
    """Base class of the errors of stores, loop, evaluation and training.

    A RuntimeError, because LangGraph's server sends its clients only the messages of built-in
    exceptions. `models.errors.ModelError` is its like: models and stores do not import each other.

    Args:
        message: What was expected, what came, what to do.
        code: Where a class of errors has several reasons, the name of this one.

    Attributes:
        code: Stable name of the kind of error.
    """

    code: str = "error"

    def __init__(self, message: str = "", *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class StoreError(CodedError):
    """Base class of store errors."""

    code = "store_failed"


class InvalidOption(StoreError, ValueError):
    """A value that names nothing there is: a format, an encoding, a column, a cleaning step.

    A ValueError, too, as all errors of a wrong argument are: commands exit with 2.
    """

    code = "invalid_option"


class InvalidText(StoreError):
    """A text that can't be stored: user or namespace missing or reserved, or broken characters."""

    code = "invalid_text"


class InvalidFilter(StoreError, ValueError):
    """A read or write without a namespace, or with a reserved one."""

    code = "invalid_filter"


class InvalidQuery(StoreError, ValueError):
    """A query vector of the wrong shape, or `k` below 1."""

    code = "invalid_query"


class EncoderMismatch(StoreError):
    """The store was filled with a different encoder from the one it is opened with."""

    code = "other_encoder"


class NoSuchStore(StoreError):
    """A store that is to be read only does not exist."""

    code = "no_such_store"


class SchemaMismatch(StoreError):
    """The tables were written by another version of the store, or by another program."""

    code = "other_schema"


class StoreBusy(StoreError):
    """Conflicts with other writers persisted through all retries."""

    code = "store_busy"


class StoreFull(StoreError):
    """The disk of the store, or its quota, is full. What was confirmed before is kept."""

    code = "store_full"


class StoreReadOnly(StoreError):
    """The store can be read and not be written: a read-only mount, or missing rights."""

    code = "store_read_only"


class StoreDamaged(StoreError):
    """A file of the store is missing, or is not what was written."""

    code = "store_damaged"


class NotForgotten(StoreError):
    """The store's files still contain bytes of a forgotten user's texts."""

    code = "not_forgotten"

    def __init__(self, message: str, receipt: Receipt) -> None:
        super().__init__(message)
        self.receipt = receipt


class AdapterError(StoreError):
    """Base class of the adapter registry's errors."""

    code = "adapter_failed"


class AdapterNotFound(AdapterError):
    """No such adapter, an invalid name, or no promotion to roll back."""

    code = "adapter_not_found"


class InvalidAdapterName(AdapterNotFound, ValueError):
    """A name that no adapter can have."""

    code = "invalid_adapter_name"


class AdapterDamaged(AdapterError):
    """A file is missing, unreadable, or changed since it was added."""

    code = "adapter_damaged"


class AdapterUnfit(AdapterError):
    """An adapter that can't share a batch with others, or that needs another base model."""

    code = "adapter_unfit"


class AdapterExists(AdapterError):
    """An adapter of this name exists already; adapters never change."""

    code = "adapter_exists"
