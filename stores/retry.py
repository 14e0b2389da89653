"""Retry calls a bounded number of times after transient faults, and name the faults of storage."""

from __future__ import annotations

import errno
import os
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from .errors import (
    CodedError,
    StoreBusy,
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreReadOnly,
    shorten_message,
)
from .files import files_below

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


async def bounded(call: Callable[[], Awaitable[Result]], root: Path | None = None) -> Result:
    """Await a call of LanceDB with retries: the one way to it, so that all its faults are ours.

    Args:
        call: Returns a new awaitable for each attempt.
        root: The store's directory, where damaged files are looked for; None: there is none.

    Raises:
        StoreBusy: Conflicts with other writers persisted.
        StoreFull, StoreReadOnly, StoreDamaged: See `fault_of`.
        StoreError: Another fault of LanceDB.
    """
    try:  # nearly every call succeeds, and a version is asked for faster than a retry is set up
        return await once(call, root)
    except StoreError as error:
        if not _may_pass(error):
            raise
    again: Counter[str] = Counter()

    def may_pass(error: Exception) -> bool:
        # A clean-up takes other files away each time; one that stays missing is lost.
        again[str(error)] += 1
        return _may_pass(error) and (again[str(error)] < SAME_FILE or _is_conflict(error))

    wait = wait_random_exponential(multiplier=0.05, max=1.0)
    try:
        return await with_retries(
            lambda: once(call, root), may_pass, attempts=ATTEMPTS - 1, wait=wait
        )
    except StoreError as error:
        if not _is_conflict(error):
            raise
        raise StoreBusy(
            f"gave up after {ATTEMPTS} attempts because of conflicts with other writers "
            f"({_first_words(error.__cause__ or error)}): try again when they are done"
        ) from error


SAME_FILE = 3
"""How often the same file may be missing."""


async def once(call: Callable[[], Awaitable[Result]], root: Path | None = None) -> Result:
    """Await a call of LanceDB that can't be repeated; its faults are those of `bounded`."""
    try:
        return await call()
    except CodedError:
        raise
    except _RAISED as error:
        raise fault_of(error, root) from error
    except BaseException as error:
        if _is_panic(error):
            raise fault_of(error, root) from error
        raise


_RAISED = (RuntimeError, OSError, ValueError)
"""What LanceDB and Arrow raise; only the message identifies the fault."""


def _is_panic(error: BaseException) -> bool:
    return type(error).__module__.startswith(("pyo3_runtime", "pyo3_async_runtimes"))


def _may_pass(error: BaseException) -> bool:
    gone = _has(error.__cause__, "not found", "no such file")
    return not isinstance(error, StoreBusy) and (gone or _is_conflict(error))


def _is_conflict(error: BaseException) -> bool:
    return _has(error.__cause__, "conflict", "concurrent")


def _has(error: BaseException | None, *signs: str) -> bool:
    message = str(error).lower()
    return not isinstance(error, CodedError) and any(sign in message for sign in signs)


_FULL = ("no space left", "os error 28)", "os error 27)", "os error 122)", "quota exceeded")
_READ_ONLY = ("read-only file system", "permission denied", "os error 30)", "os error 13)")
_REMOTE = ("error sending request", "timed out", "dns error", "connection refused")
_FILE = re.compile(r"[^\s'\"(,:]*\.lance(?:/[^\s'\"(),:]*)?")
_MADE_AGAIN = ("users.lance", "topics.lance")
"""Tables that are counted from the texts: `repair` makes them again where they are missing."""


def fault_of(error: BaseException, root: Path | None = None) -> StoreError:
    """Return our error for what LanceDB, Arrow or the system says of a store's files.

    Args:
        error: What was raised.
        root: The store's directory, where damaged files are looked for; None: there is none.
    """
    named = error.filename if isinstance(error, OSError) else None
    found = _FILE.search(str(error))
    place = str(named or (_whole_path(found.group()) if found else root or "the store"))
    reason = _first_words(error)
    if _has(error, *_FULL) or _errno(error) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StoreFull(
            f"the disk is full, so the store can't be written ({place}): make room and try again; "
            "what was confirmed before is kept"
        )
    if _has(error, *_READ_ONLY) or _errno(error) in (errno.EROFS, errno.EACCES, errno.EPERM):
        return StoreReadOnly(
            f"the store can't be written here, or a file not be read ({place}): {reason}; change "
            "the rights, or use a copy of the store"
        )
    if _has(error, *_REMOTE):
        return StoreError(f"the store can't be reached: {reason}: try again")
    if root is not None and not found:
        place = str(next(_without_end(root), root))
    again = [name for name in _MADE_AGAIN if name in place]
    mend = (
        f"delete the folder {place.partition(again[0])[0]}{again[0]}: it is made again from the "
        "texts"
        if again
        else "put a copy of the store in its place, or ingest its files into a new one"
    )
    return StoreDamaged(f"{place} is missing or damaged ({reason}): {mend}")


def _without_end(root: Path) -> Iterator[Path]:
    """Yield the files of LanceDB that do not end as all of them do: cut, emptied, overwritten."""
    for path in sorted(files_below(root)):
        if path.suffix in (".lance", ".manifest"):
            with suppress(FileNotFoundError), path.open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - len(_END)))
                if file.read() != _END:
                    yield path


_END = b"LANC"


def _errno(error: BaseException) -> int | None:
    return error.errno if isinstance(error, OSError) else None


def _whole_path(named: str) -> str:
    """Return a path as people write it: LanceDB leaves its first `/` out."""
    beginning = f"/{named}".partition(".lance")[0].rpartition("/")[0]
    local = not named.startswith("/") and "://" not in named and os.path.isdir(beginning)
    return f"/{named}" if local else named


def _first_words(error: BaseException) -> str:
    """Return what an error says without the places in LanceDB's sources, on one line."""
    said = re.split(r", /|, rust/|\n", str(error).strip(), maxsplit=1)[0]
    said = re.sub(r"^(lance error: |LanceError\(\w+\): )+", "", said)
    return shorten_message(said or type(error).__name__)[:_LONGEST_REASON]


_LONGEST_REASON = 200
