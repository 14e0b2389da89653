"""What can go wrong with a kept adapter, and how it is told.

Each is a `StoreError` and says in one line what was expected, what came and what to do. All but
`AdapterExists` mean that the adapter asked for can't be used; the base model still can.
"""

from __future__ import annotations

from .errors import StoreError


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
