"""The parts of a process: opened on first use in a thread, shared by all runs, closed at exit.

A graph factory runs for every request of `langgraph dev`, so it must not load anything. It passes
`Runtime.parts` to the graph, and the first node that runs opens store and models.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError, Future
from contextlib import AbstractAsyncContextManager, ExitStack, suppress
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from ..nodes.dependencies import Parts
from ..nodes.errors import LoopError
from ..stores.texts.connection import FORKED, check_not_forked

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal

    from .builder import LoopApp
    from .settings import Settings

T = TypeVar("T")

OpenParts = Callable[[], AbstractAsyncContextManager[Parts]]


class Runtime:
    """Parts that live in their own thread and serve any event loop.

    Args:
        open_parts: Context manager that opens and closes the parts; entered once.
    """

    def __init__(self, open_parts: OpenParts) -> None:
        self._open_parts = open_parts
        self._lock = threading.Lock()
        self._opening: _Opening | None = None
        self._process = os.getpid()

    async def parts(self) -> Parts:
        """Return the parts, opening them on the first call.

        A cancelled caller (its deadline passed) does not stop the opening for others.

        Raises:
            LoopError: This process is a fork of the one that opened them.
            StoreError: The store can't be opened; the next call tries again.
            ModelError: A model can't be loaded; the next call tries again.
        """
        opening = self._begin()
        if opening.parts.done():
            return opening.parts.result()
        opened = asyncio.wrap_future(opening.parts)
        # Where every caller's deadline has passed, nobody is left to read the error.
        opened.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(opened)

    def run(self, call: Callable[[], Awaitable[T]]) -> T:
        """Run a coroutine in the parts' event loop, for callers without one. Blocks.

        Threads that each run their own loop would deadlock on each other's locks. The parts may
        still be being opened: what the coroutine does about its deadline holds for that, too.
        """
        portal = self._begin().portal.result()
        try:
            return portal.call(call)
        except CancelledError as error:  # by `close`, with all that waited for the opening
            raise _closed() from error
        except RuntimeError as error:
            # Errors of ours are RuntimeErrors, too: why it could not be opened must be told.
            if self._opening is None and type(error) is RuntimeError:
                raise _closed() from error
            raise

    def close(self) -> None:
        """Close the parts. Blocks; the next call of `parts` opens them again."""
        if self._process != os.getpid():
            return  # they belong to the process that this one is a fork of
        with self._lock:
            opening, self._opening = self._opening, None
        if opening is not None:
            opening.close()
        atexit.unregister(self.close)

    def _begin(self) -> _Opening:
        """Return what is opened or being opened; begin to open it if nothing is.

        Raises:
            LoopError: This process is a fork of the one that opened it: threads, and so event loop,
                store and models, do not survive a fork.
            StoreError: It is a fork of one that had opened another store; with the code `forked`.
        """
        if self._opening is not None and self._process != os.getpid():
            raise LoopError(FORKED, code="forked")
        # Before a thread is started: at the fork, modules may have been half imported.
        check_not_forked()
        with self._lock:
            opening = self._opening  # the thread sets it to None where it fails
            if opening is None:
                self._process = os.getpid()
                opening = self._opening = _Opening()
                threading.Thread(target=self._open, args=(opening,), daemon=True).start()
                atexit.register(self.close)
            return opening

    def _open(self, opening: _Opening) -> None:
        try:
            # The portal's event loop outlives every run, so objects bound to a loop stay valid.
            from anyio.from_thread import start_blocking_portal

            portal = opening.exits.enter_context(start_blocking_portal())
            opening.portal.set_result(portal)
            parts = portal.wrap_async_context_manager(self._open_parts())
            opening.parts.set_result(opening.exits.enter_context(parts))
        # The boundary of a thread: every error is passed on to the waiting callers.
        except BaseException as error:  # noqa: BLE001
            if self._opening is opening:
                self._opening = None
            if isinstance(error, asyncio.CancelledError):  # by `close`; nobody's own cancellation
                error = _closed()
            opening.parts.set_exception(error)
            if not opening.portal.done():
                opening.portal.set_exception(error)
            opening.exits.close()


def _closed() -> LoopError:
    return LoopError("closed while a call was under way: call again to open anew", code="closed")


class _Opening:
    """What `Runtime` opens: first the event loop, then the parts in it."""

    def __init__(self) -> None:
        self.portal: Future[BlockingPortal] = Future()
        self.parts: Future[Parts] = Future()
        self.exits = ExitStack()

    def close(self) -> None:
        """Close what is open; what is still being opened is stopped: nobody will use it."""
        if self.portal.exception() is None and not self.parts.done():
            portal = self.portal.result()
            with suppress(RuntimeError):  # it has just ended
                portal.call(portal.stop, True)
        self.parts.exception()  # waits for the opening thread
        self.exits.close()


@cache
def get_runtime(settings: Settings) -> Runtime:
    """Return the process's runtime for these settings."""
    from .open import open_parts

    return Runtime(lambda: open_parts(settings))


def make_graph(config: Any = None) -> LoopApp:
    """Return the compiled loop, without loading anything (see langgraph.json).

    Compiled bare: the server brings its own checkpointer and store.

    Args:
        config: Passed by the server; not used.
    """
    from .settings import Settings

    return _compiled(Settings())


@cache
def _compiled(settings: Settings) -> LoopApp:
    from .builder import build_graph

    runtime = get_runtime(settings)
    return build_graph(runtime.parts, run=runtime.run, tracing=settings.tracing).compile(
        name="patlm"
    )
