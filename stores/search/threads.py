"""Work beside the event loop where it is long, and in it where a thread would cost more than it.

Short work of many small steps holds Python's lock; in a thread it waits for the lock, and who
holds it waits in turn: a request of both retrievals took 15 ms with eight threads, and 11 without.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

MANY_ROWS = 500
"""Texts from which work on texts is long: more than a few milliseconds."""

MANY_VECTORS = 20_000
"""Vectors from which comparing all of them is long."""


async def beside(
    long: bool,
    work: Callable[Parameters, Result],
    *args: Parameters.args,
    **kwargs: Parameters.kwargs,
) -> Result:
    """Return what work returns; in a thread if it is long."""
    if long:
        return await asyncio.to_thread(work, *args, **kwargs)
    return work(*args, **kwargs)
