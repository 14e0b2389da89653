"""Collect episodes on Ray: workers make them, this process alone writes them.

Each worker opens its own model and store and receives single targets. Episodes are written here in
the order of the targets. An episode depends on plan, target and source only, so the shards are the
same for any number of workers.

Workers on other machines need the file, the folder of stores and the folder of adapters under the
same paths. `RAY_ADDRESS` names a cluster; without it Ray is started on this machine.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

from ...evaluation.targets import Target
from ...stores.episodes.schema import Episode
from ...stores.forgotten import Notes
from ..errors import TrainingError
from .collector import Collector
from .plan import BatchFill, CollectPlan
from .source import CollectRequest, open_collector

T = TypeVar("T")


class NoRay(TrainingError):
    """Ray is not installed."""

    code = "missing_extra"


class WorkerLost(TrainingError):
    """A worker failed."""

    code = "worker_lost"


class Worker:
    """Makes episodes in its own process; opens model and store on the first call."""

    def __init__(self, request: CollectRequest, plan: CollectPlan) -> None:
        """Take what is collected from, and how."""
        self._request, self._plan = request, plan
        self._fill = BatchFill()
        self._opened = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._collector: Collector | None = None

    async def fingerprint(self) -> str:
        """Return the fingerprint of this collection."""
        return (await self._open()).fingerprint

    async def episode(self, target: Target) -> Episode:
        """Return the episode of a target."""
        return await (await self._open()).episode(target)

    async def notes(self) -> Notes:
        """Return what was forgotten in the store."""
        collector = await self._open()
        return Notes() if collector.notes is None else await collector.notes()

    async def rows(self) -> list[int]:
        """Return the number of rows of each finished batch."""
        return self._fill.rows

    async def close(self) -> None:
        """Close model and store."""
        await self._opened.aclose()

    async def _open(self) -> Collector:
        async with self._opening:
            if self._collector is None:
                request = self._request
                data = await asyncio.to_thread(request.read)
                self._collector = await self._opened.enter_async_context(
                    open_collector(request, self._plan, data, fill=self._fill)
                )
        return self._collector


class Workers:
    """Distributes targets to workers, each to the least busy one.

    Attributes:
        fingerprint: Identifies the episodes of this collection.
    """

    def __init__(self, actors: Sequence[Any], fingerprint: str) -> None:
        """Take the handles of Ray's actors, whose worker is open."""
        self.fingerprint = fingerprint
        self._actors = actors
        self._busy = [0] * len(actors)

    async def episode(self, target: Target) -> Episode:
        """Return the episode of a target.

        Raises:
            WorkerLost: Its worker died, or could not go on.
        """
        place = self._busy.index(min(self._busy))
        self._busy[place] += 1
        try:
            found: Episode = await _told(self._actors[place].episode.remote(target))
        finally:
            self._busy[place] -= 1
        return found

    async def notes(self) -> Notes:
        """Return what was forgotten in the store; all workers have the same one.

        Raises:
            WorkerLost: The worker that is asked died.
        """
        found: Notes = await _told(self._actors[0].notes.remote())
        return found

    async def batch_fill(self) -> float | None:
        """Return how full the models' batches were, over all workers; None if there were none."""
        rows = [await _told(actor.rows.remote()) for actor in self._actors]
        # The last batch of each worker is left out.
        whole = [row for of_one in rows for row in of_one[:-1]]
        share = BatchFill([*whole, 0]).share()
        return None if share is None else round(share, 4)


@asynccontextmanager
async def open_workers(
    request: CollectRequest, plan: CollectPlan, number: int
) -> AsyncIterator[Workers]:
    """Start workers, and end them afterwards.

    Args:
        request: What is collected.
        plan: How.
        number: Of workers.

    Raises:
        NoRay: Ray is not installed.
        WorkerLost: One could not be opened, or has another model than the others.
    """
    ray = _start_ray()  # in this thread, which may handle signals; nothing waits for the loop
    try:
        # Each worker gets a share of the accelerators, if there are any.
        gpus = min(1.0, ray.cluster_resources().get("GPU", 0.0) / number)
        remote = ray.remote(Worker).options(num_gpus=gpus, max_concurrency=1_000)
        actors = [remote.remote(request, plan) for _ in range(number)]
        # The first worker fills the store if needed.
        first = await _told(actors[0].fingerprint.remote())
        for actor in actors[1:]:
            if (other := await _told(actor.fingerprint.remote())) != first:
                raise WorkerLost(
                    f"the workers would not make the same episodes ({first} and {other}): give "
                    "all machines the same model, and name its number format by --dtype"
                )
        yield Workers(actors, first)
        await asyncio.gather(*(_told(actor.close.remote()) for actor in actors))
    finally:
        await asyncio.to_thread(ray.shutdown)


def _start_ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise NoRay(
            "collecting by workers needs Ray, which is not there: pip install 'patlm[ray]', or "
            "leave --ray out"
        ) from error
    # Rounds collect in a separate thread, and Ray warns that it can't handle signals there.
    spoken = logging.getLogger("ray._private.worker")
    level = spoken.level
    spoken.setLevel(logging.ERROR)
    try:
        ray.init(log_to_driver=False, include_dashboard=False, configure_logging=False)
    finally:
        spoken.setLevel(level)
    return ray


async def _told(reference: Awaitable[T]) -> T:
    """Wait for a worker; its errors are reported in one line."""
    from ray.exceptions import RayError, RayTaskError

    try:
        return await reference
    except RayTaskError as error:
        raise WorkerLost(f"a worker failed: {error.cause}") from error
    except RayError as error:
        raise WorkerLost(
            f"a worker was lost: {error}; run again: what is finished is not done twice"
        ) from error
