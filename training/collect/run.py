"""One run of `patlm collect`: from a file and a model's name to shards of episodes.

Many targets run concurrently. Episodes are written in the order of their targets, so a collection
gives the same shards however it was distributed. Existing episodes are kept: a killed collection
resumes. The episode of a failed run is kept, and its target is collected again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from ...evaluation.dataset import BenchmarkData
from ...evaluation.errors import EvaluationError
from ...evaluation.progress import Counting, Watch
from ...evaluation.targets import Target
from ...stores.copies.ledger import note_copy
from ...stores.episodes.schema import Episode
from ...stores.episodes.shards import COLLECTED, EpisodeWriter, read_episodes
from ...stores.forgotten import Notes
from ..errors import TrainingError
from .plan import BatchFill, CollectPlan, CollectReport, CollectTally
from .source import TRAIN, CollectRequest, open_collector, training_targets

IN_FLIGHT = 12
"""Concurrent targets: each makes ten to twelve calls at once, the largest batch holds 32."""


class EpisodesLost(TrainingError):
    """An episode can't be written; all before it are kept."""

    code = "episodes_lost"


class MakesEpisodes(Protocol):
    """Makes the episodes of one collection; `Collector` does so in this process."""

    @property
    def fingerprint(self) -> str:
        """Identifies the episodes of this collection."""

    @property
    def notes(self) -> Callable[[], Awaitable[Notes]] | None:
        """Returns what was forgotten in the store; None: nobody can be."""

    async def episode(self, target: Target) -> Episode:
        """Return the episode of a target."""


async def gather_episodes(
    makes: MakesEpisodes,
    targets: Sequence[Target],
    out: Path,
    *,
    in_flight: int = IN_FLIGHT,
    watch: Counting | None = None,
    fill: BatchFill | None = None,
) -> CollectReport:
    """Collect one episode a target, of those that are not there yet.

    Args:
        makes: Makes the episodes.
        targets: All of the split `train`.
        out: Folder of the shards.
        in_flight: Targets at once.
        watch: Told how far it is.
        fill: Watches the model's batches.

    Raises:
        EpisodesLost: An episode can't be written.
    """
    began = time.perf_counter()
    tally = CollectTally()
    done = await asyncio.to_thread(_read_done, out, makes.fingerprint, targets, tally)
    missing = [target for target in targets if target.id not in done]
    if watch is not None:
        watch.begin(len(targets), len(targets) - len(missing), "targets")
    notes = makes.notes
    # An episode is written in a thread, which has no event loop of its own.
    forgotten = None if notes is None else lambda: asyncio.run(_told(notes))
    writing = _InOrder(EpisodeWriter(out, COLLECTED, forgotten=forgotten), tally)
    waiting = iter(enumerate(missing))

    async def work() -> None:
        for place, target in waiting:  # one iterator for all workers: each takes the next
            await writing.put(place, await makes.episode(target))
            if watch is not None:
                watch.advance(target)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(in_flight, len(missing))):
                group.create_task(work())
    except* EvaluationError as errors:
        raise errors.exceptions[0] from None
    return tally.report(
        targets=len(targets),
        resumed=len(done),
        seconds=time.perf_counter() - began,
        batch_fill=None if fill is None else fill.share(),
        shards=sorted(path.name for path in out.glob("*.jsonl")),
    )


class _InOrder:
    """Writes episodes in the order of their targets, as soon as the previous ones are written."""

    def __init__(self, writer: EpisodeWriter, tally: CollectTally) -> None:
        self._writer, self._tally = writer, tally
        self._held: dict[int, Episode] = {}
        self._next = 0
        self._writing = asyncio.Lock()

    async def put(self, place: int, episode: Episode) -> None:
        self._held[place] = episode
        async with self._writing:
            while (ready := self._held.pop(self._next, None)) is not None:
                try:
                    await asyncio.to_thread(self._writer.append, ready)
                except OSError as error:
                    raise EpisodesLost(
                        f"episodes can't be written to {self._writer.folder}: "
                        f"{error.strerror or error}; make room and run again: the {self._next} "
                        "of this run before are kept"
                    ) from error
                self._tally.add(ready)
                self._next += 1


async def _told(notes: Callable[[], Awaitable[Notes]]) -> Notes:
    return await notes()


def _read_done(
    out: Path, fingerprint: str, targets: Iterable[Target], tally: CollectTally
) -> set[str]:
    """Return the targets with an episode and count them; failed episodes don't count.

    A damaged line is counted, too: a kill has torn it, or it was made by hand.
    """
    wanted = {target.id for target in targets}
    done: set[str] = set()
    if not out.is_dir():
        return done
    for episode in read_episodes(out, report=tally.damaged.append):
        mine = episode.settings.get("fingerprint") == fingerprint
        if not mine or episode.target is None or episode.error is not None:
            continue
        if episode.target.id in wanted and episode.target.id not in done:
            done.add(episode.target.id)
            tally.add(episode)
    return done


class NothingCollected(TrainingError):
    """All runs failed."""

    code = "nothing_collected"


def run_collect(
    request: CollectRequest, plan: CollectPlan, out: Path, watch: Watch, *, workers: int = 0
) -> CollectReport:
    """Collect episodes into a folder. Blocks.

    Args:
        request: What to collect.
        plan: What is drawn; its adapters are set here.
        out: Folder of the shards.
        watch: Receives the progress.
        workers: Number of Ray workers; 0 collects in this process.

    Raises:
        FormatError: The file can't be read.
        EvaluationError: There is nothing to collect, it can't be written, or a worker failed.
        ModelError: A model can't be opened.
        StoreError: The store can't be filled.
    """
    data, targets = training_targets(request)  # errors are raised before anything is loaded
    note_copy("episodes", out, of=request.data)
    note_copy("stores", request.stores, of=request.data)
    watch.say(f"{data.name} {targets[0].task}: {len(targets)} targets of the split {TRAIN}")
    if workers:
        report = asyncio.run(_spread(request, plan, targets, out, watch, workers))
    else:
        report = asyncio.run(_alone(request, plan, data, targets, out, watch))
    if not report.episodes:
        raise NothingCollected(
            f"all {report.targets} runs failed and are kept as failed; the first: {report.why}"
        )
    return report


async def _alone(
    request: CollectRequest,
    plan: CollectPlan,
    data: BenchmarkData,
    targets: Sequence[Target],
    out: Path,
    watch: Watch,
) -> CollectReport:
    fill = BatchFill()
    async with open_collector(request, plan, data, fill=fill, watch=watch) as collector:
        return await gather_episodes(collector, targets, out, watch=watch, fill=fill)


async def _spread(
    request: CollectRequest,
    plan: CollectPlan,
    targets: Sequence[Target],
    out: Path,
    watch: Watch,
    workers: int,
) -> CollectReport:
    from .ray import open_workers

    watch.say(f"{workers} workers are opening the model")
    async with open_workers(request, plan, workers) as makes:
        report = await gather_episodes(
            makes, targets, out, in_flight=workers * IN_FLIGHT, watch=watch
        )
        return replace(report, batch_fill=await makes.batch_fill())
