"""The inputs of a collection: targets of the split `train`, a store of its texts, a model.

Targets come from the split `train`, and evidence from a store that holds texts of `train` only, so
no prompt shows a text that is used for measuring.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ...evaluation.dataset import (
    BenchmarkData,
    HistoryCut,
    open_benchmark,
    read_benchmark,
    store_fingerprint,
)
from ...evaluation.models import NONE, check_splits, identity_of, named_adapters
from ...evaluation.progress import Watch
from ...evaluation.targets import ONE_INPUT, Target, targets_of
from ...graph.encoders import Encoders
from ...graph.open import chat_role, open_chat, opened_budget
from ...graph.settings import ROLES, Settings
from ...models.encoders.remembered import RememberedEncoder
from ...models.open import token_counter
from ...nodes.budget import Budget
from ...nodes.dependencies import Parts
from ...nodes.prompts.files import prompt_set
from ...nodes.state import Task
from ...stores.datasets.splits import Split
from ...stores.texts.store import TextStore
from ...stores.values import RatingScale
from ..errors import TrainingError
from .collector import Collector
from .plan import BatchFill, CollectPlan, CollectSource

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

WHOLE = "all"
"""The value of `history` for the whole history."""

TRAIN: Split = "train"
"""The only split that may be used for training."""


class NotForLearning(TrainingError):
    """The requested split can't be used for training."""

    code = "not_for_learning"


@dataclass(frozen=True)
class CollectRequest:
    """What to collect.

    Attributes:
        data: The file.
        task: The task; None for `free` (LaMP, LongLaMP) or `long` (other formats).
        limit: Maximum number of targets; None for all. The first n do not depend on the limit.
        split: The split of the targets; only `train` is allowed.
        history: Number of own texts that are known: `all` or a number.
        cleaning: Names of cleaning steps.
        rating_scale: Scale of the ratings; None: that of the file's format, or 1 to 5.
        adapters: `none`, `promoted`, or a comma-separated list of `role@step`.
        stores: Folder in which the file's store is made and kept.
        settings: Language model, number format, folder of adapters, topic encoder.
    """

    data: Path
    stores: Path
    settings: Settings
    task: Task | None = None
    limit: int | None = None
    split: str = TRAIN
    history: str = WHOLE
    cleaning: Sequence[str] = ()
    rating_scale: RatingScale | None = None
    adapters: str = NONE

    def read(self) -> BenchmarkData:
        """Read the file.

        Raises:
            FormatError: It can't be read.
        """
        return read_benchmark(self.data, self.cleaning, self.rating_scale)


def training_targets(request: CollectRequest) -> tuple[BenchmarkData, list[Target]]:
    """Read the file and choose the targets.

    Raises:
        NotForLearning: Another split than `train` is named.
        FormatError: The file can't be read.
        NoTargets: The file has no target for the task.
    """
    if request.split != TRAIN:
        raise NotForLearning(
            f"the split {request.split!r} can't be used for training: gate decides promotions and "
            "report gives the reported figures, so a model trained on them would be measured on "
            f"texts that it has seen; collect from {TRAIN}"
        )
    data = request.read()
    one_input = data.format in ONE_INPUT
    task: Task = request.task or ("free" if one_input else "long")
    found = targets_of(
        data.name, data.texts, task, splits=data.splits, split=TRAIN, one_input=one_input
    )
    may_train = data.splits.may_train
    fit = [each for each in found if may_train(each.text.user_id, each.text.topic_id)]
    return data, fit[: request.limit]


@asynccontextmanager
async def open_collector(
    request: CollectRequest,
    plan: CollectPlan,
    data: BenchmarkData,
    *,
    fill: BatchFill,
    watch: Watch | None = None,
) -> AsyncIterator[Collector]:
    """Open model and store, and yield a collector that uses them.

    Args:
        request: What to collect.
        plan: What is drawn; its adapters are set here.
        data: The content of the file.
        fill: Counts the model's batches.
        watch: Receives the progress of filling the store.

    Raises:
        ModelError: A model can't be opened.
        StoreError: The store can't be filled.
        UnfitAdapter: An adapter can't be used here.
        AdapterError: An adapter does not exist or is damaged.
    """

    def progress(done: int, of: int) -> None:
        if watch is not None:
            watch.say(f"{data.name}: {done} of {of} texts of {TRAIN} are in the store")

    settings, exits = request.settings, ExitStack()
    try:
        opened = open_chat(settings, watches=[fill])
        model = await asyncio.to_thread(exits.enter_context, opened)
        chosen = await asyncio.to_thread(named_adapters, request.adapters, settings, model)
        check_splits(settings, chosen, {data.name: data.splits.fingerprint})
        async with open_benchmark(
            data, request.stores, train_only=True, encoder=settings.encoder, progress=progress
        ) as (store, encoders):
            budget = opened_budget(settings, [chat_role(model)])
            prompts = prompt_set(budget.prompts, settings.prompts).version
            identity = (
                *(identity_of(model, settings, chosen), budget.fingerprint, prompts),
                settings.guards.version,
            )
            yield Collector(
                _parts(store, encoders, model, request, budget),
                replace(plan, adapters=chosen),
                _source(request, data, encoders, "\x1f".join(identity)),
                store.forgotten,
            )
    finally:
        await asyncio.to_thread(exits.close)


def _parts(
    store: TextStore,
    encoders: Encoders,
    model: BaseChatModel,
    request: CollectRequest,
    budget: Budget,
) -> Parts:
    """Return the parts of the loop, as in serving with two exceptions.

    No side abstains for lack of confidence, because benchmarks measure all targets; and encoders
    cache vectors, because they embed the same texts repeatedly.
    """
    return Parts(
        store=store if request.history == WHOLE else HistoryCut(store, int(request.history)),
        style_encoder=RememberedEncoder(encoders.style),
        topic_encoder=RememberedEncoder(encoders.topic),
        chat=dict.fromkeys(ROLES, chat_role(model)),
        count=token_counter(model),
        budget=budget,
        prompt_folder=request.settings.prompts,
        guards=request.settings.guards,
        rating_scale=store.rating_scale,
    )


def _source(
    request: CollectRequest, data: BenchmarkData, encoders: Encoders, identity: str
) -> CollectSource:
    held = store_fingerprint(data, encoder=request.settings.encoder, train_only=True)
    versions = (encoders.style.version, encoders.topic.version)
    store = hashlib.sha1("\x1f".join((held, *versions)).encode()).hexdigest()[:12]
    return CollectSource(
        split=data.splits.fingerprint,
        store=store,
        made_of="\x1f".join((identity, request.history)),
    )
