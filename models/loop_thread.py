"""An event loop in a thread of its own, for what must not move from one loop to another.

Connections of an async HTTP client belong to the loop that opened them: a program that calls
`asyncio.run` twice, or that has a loop in each of several threads, gets "Event loop is closed" from
a client that is shared. Here all of them hand their work to one loop that outlives theirs.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from .errors import ModelClosed

T = TypeVar("T")


class LoopThread:
    """Runs coroutines for callers in any thread or loop.

    Args:
        name: Of the thread. It is a daemon: a forgotten `close` keeps no program alive.
    """

    def __init__(self, name: str) -> None:
        self._closed = False
        self._lock = threading.Lock()  # held for microseconds
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Start a coroutine; cancelling the future cancels it.

        Raises:
            ModelClosed: After `close`.
        """
        with self._lock:
            if not self._closed:
                return asyncio.run_coroutine_threadsafe(self._until_closed(work), self._loop)
        work.close()
        raise ModelClosed("this model was closed; open it again")

    def close(self) -> None:
        """End the loop; work under way ends with `ModelClosed`. Blocks."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            # One turn later: what was submitted just before has then begun, and can be told.
            self._loop.call_soon_threadsafe(self._loop.call_soon, self._loop.stop)
        self._thread.join()

    async def _until_closed(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return await work
        except asyncio.CancelledError:
            if self._closed:
                raise ModelClosed("the model was closed before this call was answered") from None
            raise

    def _serve(self) -> None:
        # The runner cancels what is left when it closes, and waits for it.
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.get_loop().run_forever()
