"""Calls that are tried again a bounded number of times after a transient fault."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import (
    AsyncRetrying,
    RetryError,
    retry_if_exception,
    stop_after_attempt,
    wait_random_exponential,
)

from .errors import StoreBusy

Result = TypeVar("Result")

ATTEMPTS = 8


async def bounded(call: Callable[[], Awaitable[Result]]) -> Result:
    """Await a call, again a bounded number of times after a transient fault.

    Raises:
        StoreBusy: If the fault stayed.
    """
    retrying = AsyncRetrying(
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_random_exponential(multiplier=0.05, max=1.0),
        retry=retry_if_exception(_is_transient),
    )

    async def run() -> Result:
        return await call()

    try:
        # tenacity awaits only what it knows for a coroutine function, no lambda.
        return await retrying(run)
    except RetryError as error:
        cause = error.last_attempt.exception()
        raise StoreBusy(
            f"gave up after {ATTEMPTS} attempts, other writers kept getting in the way "
            f"({cause}): try again when they are done"
        ) from cause


def _is_transient(error: BaseException) -> bool:
    # LanceDB raises bare RuntimeError and OSError; only the message tells what happened.
    message = str(error).lower()
    return isinstance(error, (RuntimeError, OSError)) and any(
        sign in message for sign in ("conflict", "not found", "no such file", "concurrent")
    )
