"""Calls of a model outside of the graph are asked again as its nodes are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_exponential

from ..graph.builder import is_transient

T = TypeVar("T")

ATTEMPTS = 3
FIRST_WAIT_S = 0.2


async def with_retries(call: Callable[[], Awaitable[T]]) -> T:
    """Return what a call brings; where its fault may pass, it is made three times at most.

    Args:
        call: Makes it.

    Raises:
        ModelCallError: It failed for good.
    """
    attempts = AsyncRetrying(
        retry=retry_if_exception(_may_pass),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_exponential(FIRST_WAIT_S),
        reraise=True,
    )

    async def attempt() -> T:  # tenacity awaits only what it knows for a coroutine function
        return await call()

    return await attempts(attempt)


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, Exception) and is_transient(error)
