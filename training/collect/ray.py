"""Collection spread over Ray: workers make episodes, this process alone writes them.

Each worker opens the model and the store for itself and is handed single targets; what comes back
is written here in the order of the targets. An episode follows from plan, target and source, not
from who made it, so the shards are the same however many workers there are.

Workers on other machines have to find the file, the folder of stores and the folder of adapters
under the same paths. `RAY_ADDRESS` names a cluster; without it Ray is started on this machine.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

from ...evaluation.dataset import read_benchmark
from ...evaluation.targets import Target
from ...stores.episodes.schema import Episode
from ..errors import TrainingError
from .collector import Collector
from .plan import BatchFill, CollectPlan
from .source import CollectRequest, open_collector

T = TypeVar("T")


class NoRay(TrainingError):
    """Ray is not installed."""


class WorkerLost(TrainingError):
    """A worker could not do its work."""


class Worker:
    """Makes episodes in a process of its own; opens what it needs with the first call."""

    def __init__(self, request: CollectRequest, plan: CollectPlan) -> None:
        """Take what is collected from, and how."""
        self._request, self._plan = request, plan
        self._fill = BatchFill()
        self._opened = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._collector: Collector | None = None

    async def fingerprint(self) -> str:
        """Return by which the collection knows its own episodes again."""
        return (await self._open()).fingerprint

    async def episode(self, target: Target) -> Episode:
        """Return the episode of a target."""
        return await (await self._open()).episode(target)

    async def rows(self) -> list[int]:
        """Return the rows of each batch that has run here."""
        return self._fill.rows

    async def close(self) -> None:
        """Close model and store."""
        await self._opened.aclose()

    async def _open(self) -> Collector:
        async with self._opening:
            if self._collector is None:
                request = self._request
                data = await asyncio.to_thread(read_benchmark, request.data, request.cleaning)
                self._collector = await self._opened.enter_async_context(
                    open_collector(request, self._plan, data, fill=self._fill)
                )
        return self._collector


class Workers:
    """Hands targets to workers, each time to the one that has least to do.

    Attributes:
        fingerprint: By which the collection knows its own episodes again.
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

    async def batch_fill(self) -> float | None:
        """Return how full the models' batches were, over all workers; None: they wrote none."""
        rows = [await _told(actor.rows.remote()) for actor in self._actors]
        # The last batch of each is left out.
        whole = [row for of_one in rows for row in of_one[:-1]]
        share = BatchFill([*whole, 0]).share()
        return None if share is None else round(share, 4)


@asynccontextmanager
async def open_workers(
    request: CollectRequest, plan: CollectPlan, number: int
) -> AsyncIterator[Workers]:
    """Start workers, and end them afterwards.

    Args:
        request: What is collected from.
        plan: How.
        number: Of workers.

    Raises:
        NoRay: Ray is not installed.
        WorkerLost: One could not be opened, or has another model than the others.
    """
    ray = _start_ray()  # in this thread, where it may handle signals; nothing waits for the loop
    try:
        # A share of the accelerators each, where there are some.
        gpus = min(1.0, ray.cluster_resources().get("GPU", 0.0) / number)
        remote = ray.remote(Worker).options(num_gpus=gpus, max_concurrency=1_000)
        actors = [remote.remote(request, plan) for _ in range(number)]
        # The first fills the store, where that has to be done.
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
    # Rounds collect in a thread of their own, and Ray warns that it can't handle signals there.
    spoken = logging.getLogger("ray._private.worker")
    level = spoken.level
    spoken.setLevel(logging.ERROR)
    try:
        ray.init(log_to_driver=False, include_dashboard=False, configure_logging=False)
    finally:
        spoken.setLevel(level)
    return ray


async def _told(reference: Awaitable[T]) -> T:
    """Wait for a worker; what it meets is told in one line."""
    from ray.exceptions import RayError, RayTaskError

    try:
        return await reference
    except RayTaskError as error:
        raise WorkerLost(f"a worker failed: {error.cause}") from error
    except RayError as error:
        raise WorkerLost(
            f"a worker was lost: {error}; run again: what is finished is not done twice"
        ) from error
