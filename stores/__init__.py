"""What is kept: texts, users and topics on LanceDB, and how evidence is found in them.

Public names are resolved on first use (PEP 562), so that importing this package loads neither
LanceDB nor Arrow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import (
        EncoderMismatch,
        InvalidFilter,
        InvalidQuery,
        InvalidText,
        NotForgotten,
        SchemaMismatch,
        StoreBusy,
        StoreError,
    )
    from .outcomes import Added, Compacted, Receipt, StoreStats
    from .records import Encoder, Found, History, Hit, Neighbour, Text, Vectors
    from .text_store import TextStore

_MODULES = {
    "Added": "outcomes",
    "Compacted": "outcomes",
    "Encoder": "records",
    "EncoderMismatch": "errors",
    "Found": "records",
    "History": "records",
    "Hit": "records",
    "InvalidFilter": "errors",
    "InvalidQuery": "errors",
    "InvalidText": "errors",
    "Neighbour": "records",
    "NotForgotten": "errors",
    "Receipt": "outcomes",
    "SchemaMismatch": "errors",
    "StoreBusy": "errors",
    "StoreError": "errors",
    "StoreStats": "outcomes",
    "Text": "records",
    "TextStore": "text_store",
    "Vectors": "records",
}

__all__ = [
    "Added",
    "Compacted",
    "Encoder",
    "EncoderMismatch",
    "Found",
    "History",
    "Hit",
    "InvalidFilter",
    "InvalidQuery",
    "InvalidText",
    "Neighbour",
    "NotForgotten",
    "Receipt",
    "SchemaMismatch",
    "StoreBusy",
    "StoreError",
    "StoreStats",
    "Text",
    "TextStore",
    "Vectors",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f".{_MODULES[name]}", __name__)
    value = module.__dict__[name]
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
