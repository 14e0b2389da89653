"""One run of `patlm collect`: from a file and a model's name to shards of episodes.

What may be learnt from is decided here: targets are those of the split `train`, and evidence comes
from a store that holds texts of `train` only, so that no prompt shows anything that is measured on.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..graph.encoders import Encoders
from ..graph.opening import ROLES, chat_role, open_chat
from ..graph.settings import Settings
from ..models.token_count import token_counter
from ..nodes.parts import Parts
from ..nodes.state import Task
from ..stores.splits import Split
from ..stores.text_store import TextStore
from .batch_fill import BatchFill
from .benchmark_data import BenchmarkData, open_benchmark, read_benchmark, store_fingerprint
from .collect import IN_FLIGHT, gather_episodes
from .collect_plan import CollectPlan, Source
from .collect_report import CollectReport
from .collector import Collector
from .errors import TrainingError
from .history_cut import HistoryCut
from .named_adapters import NONE, check_splits, identity_of, named_adapters
from .remembered_encoder import RememberedEncoder
from .targets import ONE_INPUT, Target, targets_of
from .watch import Watch

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

WHOLE = "all"
"""The history that is not cut."""

TRAIN: Split = "train"
"""The only split that may be learnt from."""


class NotForLearning(TrainingError):
    """A split was named that nothing may be learnt from."""


class NothingCollected(TrainingError):
    """Not one run came to anything."""


@dataclass(frozen=True)
class Asked:
    """What is to be collected from.

    Attributes:
        data: The file.
        task: What is to be written; None: `free` for LaMP and LongLaMP, `long` for others.
        limit: Targets at most; None: all. The first n are the same whatever n is.
        split: Whose targets; nothing but `train` is taken.
        history: Own texts that are known: `all` or a number.
        cleaning: Names of cleanings.
        adapters: `none`, `promoted`, or `role@step` with commas.
        stores: Folder in which the file's store is made, and kept.
        settings: The language model, its number format, where adapters are, the topic encoder.
    """

    data: Path
    stores: Path
    settings: Settings
    task: Task | None = None
    limit: int | None = None
    split: str = TRAIN
    history: str = WHOLE
    cleaning: Sequence[str] = ()
    adapters: str = NONE


def run_collect(
    asked: Asked, plan: CollectPlan, out: Path, watch: Watch, *, workers: int = 0
) -> CollectReport:
    """Collect episodes into a folder. Blocks.

    Args:
        asked: What from.
        plan: What is drawn; its adapters are set here.
        out: Folder of the shards.
        watch: Told how far it is.
        workers: Of Ray, over which it is spread; 0: it is done here.

    Raises:
        FormatError: The file can't be read.
        TrainingError: There is nothing to collect, it can't be kept, or a worker was lost.
        ModelError: A model can't be opened.
        StoreError: The store can't be filled.
    """
    data, targets = training_targets(asked)  # what can't be is said before anything is loaded
    watch.say(f"{data.name} {targets[0].task}: {len(targets)} targets of the split {TRAIN}")
    if workers:
        report = asyncio.run(_spread(asked, plan, targets, out, watch, workers))
    else:
        report = asyncio.run(_alone(asked, plan, data, targets, out, watch))
    if not report.episodes:
        raise NothingCollected(
            f"all {report.targets} runs failed and are kept as failed; the first: {report.why}"
        )
    return report


async def _alone(
    asked: Asked,
    plan: CollectPlan,
    data: BenchmarkData,
    targets: Sequence[Target],
    out: Path,
    watch: Watch,
) -> CollectReport:
    fill = BatchFill()
    async with open_collector(asked, plan, data, fill=fill, watch=watch) as collector:
        return await gather_episodes(collector, targets, out, watch=watch, fill=fill)


async def _spread(
    asked: Asked,
    plan: CollectPlan,
    targets: Sequence[Target],
    out: Path,
    watch: Watch,
    workers: int,
) -> CollectReport:
    from .collect_workers import open_workers

    watch.say(f"{workers} workers are opening the model")
    async with open_workers(asked, plan, workers) as makes:
        report = await gather_episodes(
            makes, targets, out, in_flight=workers * IN_FLIGHT, watch=watch
        )
        return replace(report, batch_fill=await makes.batch_fill())


def training_targets(asked: Asked) -> tuple[BenchmarkData, list[Target]]:
    """Read the file and choose the targets.

    Raises:
        NotForLearning: Another split than `train` is named.
        FormatError: The file can't be read.
        NoTargets: It has nothing of what the task needs.
    """
    if asked.split != TRAIN:
        raise NotForLearning(
            f"nothing may be learnt from the split {asked.split!r}: gate decides what is promoted "
            "and report what is reported, so what was trained on them would be measured on what "
            f"it has seen; collect from {TRAIN}"
        )
    data = read_benchmark(asked.data, asked.cleaning)
    one_input = data.format in ONE_INPUT
    task: Task = asked.task or ("free" if one_input else "long")
    found = targets_of(
        data.name, data.texts, task, splits=data.splits, split=TRAIN, one_input=one_input
    )
    may_train = data.splits.may_train
    fit = [each for each in found if may_train(each.text.user_id, each.text.topic_id)]
    return data, fit[: asked.limit]


@asynccontextmanager
async def open_collector(
    asked: Asked,
    plan: CollectPlan,
    data: BenchmarkData,
    *,
    fill: BatchFill,
    watch: Watch | None = None,
) -> AsyncIterator[Collector]:
    """Open model and store, and yield what makes episodes with them.

    Args:
        asked: What from.
        plan: What is drawn; its adapters are set here.
        data: The file, read.
        fill: Watches the model's batches.
        watch: Told how far a store is that has to be filled.

    Raises:
        ModelError: A model can't be opened.
        StoreError: The store can't be filled.
        UnfitAdapter: Adapters are named that can't be used.
        AdapterError: One is not there, or damaged.
    """

    def progress(done: int, of: int) -> None:
        if watch is not None:
            watch.say(f"{data.name}: {done} of {of} texts of {TRAIN} are in the store")

    settings, exits = asked.settings, ExitStack()
    try:
        opened = open_chat(settings, watches=[fill])
        model = await asyncio.to_thread(exits.enter_context, opened)
        chosen = await asyncio.to_thread(named_adapters, asked.adapters, settings, model)
        check_splits(settings, chosen, {data.name: data.splits.fingerprint})
        async with open_benchmark(
            data, asked.stores, train_only=True, encoder=settings.encoder, progress=progress
        ) as (store, encoders):
            yield Collector(
                _parts(store, encoders, model, asked.history),
                replace(plan, adapters=chosen),
                _source(asked, data, encoders, identity_of(model, settings, chosen)),
            )
    finally:
        await asyncio.to_thread(exits.close)


def _parts(store: TextStore, encoders: Encoders, model: BaseChatModel, history: str) -> Parts:
    """Return what the loop works with, as in serving but for two things.

    No side abstains for want of confidence, for benchmarks measure all targets; and encoders
    remember, for they are asked about the same texts again and again.
    """
    return Parts(
        store=store if history == WHOLE else HistoryCut(store, int(history)),
        style_encoder=RememberedEncoder(encoders.style),
        topic_encoder=RememberedEncoder(encoders.topic),
        chat=dict.fromkeys(ROLES, chat_role(model)),
        count=token_counter(model),
    )


def _source(asked: Asked, data: BenchmarkData, encoders: Encoders, identity: str) -> Source:
    held = store_fingerprint(data, encoder=asked.settings.encoder, train_only=True)
    versions = (encoders.style.version, encoders.topic.version)
    store = hashlib.sha1("\x1f".join((held, *versions)).encode()).hexdigest()[:12]
    return Source(
        split=data.splits.fingerprint,
        store=store,
        made_of="\x1f".join((identity, asked.history)),
    )
