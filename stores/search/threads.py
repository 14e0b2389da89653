"""Run long CPU work in a thread, short work inline.

Short work of many small steps holds Python's lock; in a thread it waits for the lock, and the
thread that holds it waits in turn: both retrievals of a request took 15 ms with eight threads, and
11 without.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    import pyarrow as pa

    from ..types import Encoder, Vectors

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

MANY_ROWS = 500
"""Texts from which work on texts takes more than a few milliseconds."""

MANY_BYTES = 400_000
"""The same where the texts are long."""

MANY_TERMS = 100_000
"""Words of all texts together from which comparing them takes more than a few milliseconds."""

LONG_WORDS = 20_000
"""Characters of a request from which comparing it with texts takes long."""

MANY_VECTORS = 20_000
"""Vectors from which comparing all of them takes long."""


def are_many(rows: pa.Table) -> bool:
    """Return whether work on the texts of some rows takes more than a few milliseconds."""
    return len(rows) > MANY_ROWS or rows.nbytes > MANY_BYTES


async def in_thread_if(
    long: bool,
    work: Callable[Parameters, Result],
    *args: Parameters.args,
    **kwargs: Parameters.kwargs,
) -> Result:
    """Return the result of some work, done in a thread if it takes long."""
    if long:
        return await asyncio.to_thread(work, *args, **kwargs)
    return work(*args, **kwargs)


async def encode(encoder: Encoder, texts: Sequence[str]) -> Vectors:
    """Return the vectors of some texts, made in a thread unless the encoder is quick with them."""
    return await in_thread_if(not is_quick(encoder, texts), encoder.encode, texts)


def is_quick(encoder: Encoder, texts: Sequence[str]) -> bool:
    """Return whether an encoder is quick with some texts; most can't say, and so are not."""
    says = getattr(encoder, "is_quick", None)
    return says is not None and says(texts)
