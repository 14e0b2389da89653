"""Retry calls a bounded number of times after transient faults."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from .errors import StoreBusy

if TYPE_CHECKING:
    from tenacity.wait import wait_base

Result = TypeVar("Result")

ATTEMPTS = 8


async def with_retries(
    call: Callable[[], Awaitable[Result]],
    is_transient: Callable[[Exception], bool],
    *,
    attempts: int,
    wait: wait_base,
) -> Result:
    """Await a call, and retry it after transient faults; the last fault is raised unchanged.

    Args:
        call: Returns a new awaitable for each attempt.
        is_transient: Returns whether a fault is worth a retry.
        attempts: Maximum number of attempts.
        wait: Waiting time between attempts.
    """

    def may_pass(error: BaseException) -> bool:
        return isinstance(error, Exception) and is_transient(error)

    retrying = AsyncRetrying(
        stop=stop_after_attempt(attempts),
        wait=wait,
        retry=retry_if_exception(may_pass),
        reraise=True,
    )

    async def attempt() -> Result:  # tenacity awaits coroutine functions only, no lambdas
        return await call()

    return await retrying(attempt)


async def bounded(call: Callable[[], Awaitable[Result]]) -> Result:
    """Await a call of LanceDB with retries.

    Raises:
        StoreBusy: A transient fault (a commit conflict, a file deleted by a clean-up) persisted.
    """
    try:  # nearly every call succeeds, and a version is asked for faster than a retry is set up
        return await call()
    except (RuntimeError, OSError) as error:
        if not _is_transient(error):
            raise
    wait = wait_random_exponential(multiplier=0.05, max=1.0)
    try:
        return await with_retries(call, _is_transient, attempts=ATTEMPTS - 1, wait=wait)
    except (RuntimeError, OSError) as error:
        if not _is_transient(error):
            raise
        raise StoreBusy(
            f"gave up after {ATTEMPTS} attempts because of conflicts with other writers "
            f"({error}): try again when they are done"
        ) from error


def _is_transient(error: Exception) -> bool:
    # LanceDB raises bare RuntimeError and OSError; only the message identifies the fault.
    message = str(error).lower()
    return isinstance(error, (RuntimeError, OSError)) and any(
        sign in message for sign in ("conflict", "not found", "no such file", "concurrent")
    )
