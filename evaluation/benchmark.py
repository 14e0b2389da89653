"""Run arms, controls and floors on benchmarks; `bench personalization` is built on it.

Each item is appended to `items.jsonl` as soon as it is measured, and answers of the language model
are cached: a killed run resumes, and a second run with one more arm runs only that arm. Results and
report are computed from the items at the end.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..graph.encoders import Encoders
from ..graph.open import chat_role
from ..graph.settings import ROLES
from ..models.encoders.remembered import RememberedEncoder
from ..models.open import token_counter
from ..nodes.budget import BUDGETS, Budget
from ..nodes.dependencies import ChatRole, Parts
from ..nodes.guards.personal_data import GuardSettings
from ..nodes.prompts.files import prompt_set
from ..nodes.state import Task
from ..nodes.strategies import STRATEGIES, with_oracle
from ..stores.datasets.splits import Split
from ..stores.texts.store import TextStore
from ..stores.values import FIVE_STARS, RatingScale
from .arms.configuration import Arm
from .arms.floors import NeighbourTexts
from .arms.registry import BASELINE
from .cache import RememberedChat
from .dataset import BenchmarkData, HistoryCut, open_benchmark, read_benchmark
from .errors import EvaluationError
from .evaluator import Evaluator
from .items import Item, ItemFile
from .progress import Watch
from .runner import RunSetup, Unit, run_units
from .scores.leakage import LeakCheck
from .scores.metrics import Draft
from .targets import ONE_INPUT, Target, targets_of

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

WHOLE = "all"
"""History without a limit."""


@dataclass(frozen=True)
class DataSetup:
    """Everything that the runs on one data set share.

    Attributes:
        data: The data set.
        store: Store filled with the data set.
        style: Style encoder of the store.
        topic: Topic encoder of the store.
        model: Language model with cached answers.
        made_of: Versions of everything that determines the results: data, encoders, model,
            budget and prompts.
        budget: Limits of prompts and answers.
        prompt_folder: Folder of files that replace the wording of prompts.
        guards: What of other people's texts is replaced, and may not be repeated.
    """

    data: BenchmarkData
    store: TextStore
    style: RememberedEncoder
    topic: RememberedEncoder
    model: RememberedChat
    made_of: str
    budget: Budget = BUDGETS["small"]
    prompt_folder: Path | None = None
    guards: GuardSettings = GuardSettings()

    @classmethod
    def of(
        cls,
        data: BenchmarkData,
        store: TextStore,
        encoders: Encoders,
        model: RememberedChat,
        *,
        about: Sequence[str] = (),
        budget: Budget = BUDGETS["small"],
        prompt_folder: Path | None = None,
        guards: GuardSettings = GuardSettings(),  # noqa: B008 - frozen
    ) -> DataSetup:
        """Build the setup of a data set.

        Args:
            data: The data set.
            store: Store filled with it.
            encoders: Encoders of the store.
            model: The language model.
            about: Anything else that determines the results, such as users whose texts are not
                shared.
            budget: Limits of prompts and answers.
            prompt_folder: Folder of files that replace the wording of prompts.
            guards: As in serving.
        """
        prompts = prompt_set(budget.prompts, prompt_folder).version
        versions = [encoders.style.version, encoders.topic.version, budget.fingerprint, prompts]
        versions.append(guards.version)
        ratings = () if data.scale == FIVE_STARS else (f"ratings {data.scale}",)
        made_of = (data.sha1, *data.cleanings, *versions, model.identity, *ratings, *about)
        return cls(
            data,
            store,
            RememberedEncoder(encoders.style),
            RememberedEncoder(encoders.topic),
            model,
            "\x1f".join(made_of),
            budget,
            prompt_folder,
            guards,
        )


def setup_of(material: DataSetup, targets: Sequence[Target], history: str) -> RunSetup:
    """Return the run setup of one task and history.

    Args:
        material: Setup of the data set.
        targets: All targets of the task.
        history: Maximum number of own texts: `all` or a number.
    """
    known = material.store if history == WHOLE else HistoryCut(material.store, int(history))
    real = {target.text.user_id: target.real for target in targets}
    encoders = {"style": material.style, "preference": material.topic}
    parts = Parts(
        store=known,
        style_encoder=material.style,
        topic_encoder=material.topic,
        chat=_chat(material.model),
        count=token_counter(material.model.inner),
        budget=material.budget,
        prompt_folder=material.prompt_folder,
        guards=material.guards,
        strategies=with_oracle(STRATEGIES, encoders, real),
        rating_scale=material.data.scale,
    )
    wordnet = os.environ.get("PATLM_WORDNET")
    return RunSetup(
        history=history,
        evaluator=Evaluator(parts),
        neighbours=NeighbourTexts(parts),
        draft=partial(
            Draft,
            style=material.style,
            topic=material.topic,
            wordnet=Path(wordnet) if wordnet else None,
            scale=material.data.scale,
        ),
        leaks=LeakCheck(material.data.texts),
        made_of="\x1f".join([material.made_of, wordnet or ""]),
    )


def _chat(model: RememberedChat) -> Mapping[str, ChatRole]:
    inner: BaseChatModel = model.inner
    role = replace(chat_role(inner), model=model)
    return dict.fromkeys(ROLES, role)


STORES = "stores"
"""Folder of the stores of data files, in the cache."""

ITEMS = "items.jsonl"

DONORS = 4
"""Number of targets whose summaries may be lent; the first suitable one is used."""

Place = tuple[str, str, str]
"""Data set, task and history."""


@dataclass(frozen=True)
class Plan:
    """Plan of a measurement.

    Attributes:
        data: Files of the data sets.
        tasks: Tasks; if empty, `free` for LaMP and LongLaMP, `long` for others.
        arms: Arms to compare.
        against: Name of the baseline of the gains.
        history: Maximum numbers of own texts: `all` or numbers.
        split: Split of the targets; None: all splits.
        least_own: Minimum number of own texts on other topics.
        inductive: Whether texts of the measured users are excluded from evidence.
        cleaning: Names of cleanings.
        rating_scale: Scale of the ratings of all files; None: that of each file's format, or 1 to
            5.
        limit: Maximum number of targets per file and task; None: no limit.
        seeds: Random seeds; every item runs once per seed.
        adapters: LoRA adapter of each role, in all arms.
        budget: Limits of prompts and answers.
        prompt_folder: Folder of files that replace the wording of prompts.
        guards: What of other people's texts is replaced, and may not be repeated.
    """

    data: Sequence[Path]
    arms: Sequence[Arm]
    tasks: Sequence[Task] = ()
    against: str = BASELINE
    history: Sequence[str] = (WHOLE,)
    split: Split | None = "report"
    least_own: int = 0
    inductive: bool = False
    cleaning: Sequence[str] = ()
    rating_scale: RatingScale | None = None
    limit: int | None = None
    seeds: Sequence[int] = (0,)
    adapters: Mapping[str, str] = field(default_factory=dict)
    budget: Budget = BUDGETS["small"]
    prompt_folder: Path | None = None
    guards: GuardSettings = GuardSettings()


@dataclass(frozen=True)
class TaskTargets:
    """Targets of one file and task."""

    data: BenchmarkData
    task: Task
    targets: Sequence[Target]


@dataclass(frozen=True)
class Measured:
    """Results of a run.

    Attributes:
        asked: Files, tasks and their targets.
        items: All items by file, task and history.
        failed: Number of failed items by file, task, history and arm.
        why: Error of the first failed item, or None.
        seconds: Duration of the run.
    """

    asked: Sequence[TaskTargets]
    items: Mapping[Place, Sequence[Item]]
    failed: Mapping[tuple[str, str, str, str], int]
    why: str | None
    seconds: float


def read_targets(plan: Plan) -> list[TaskTargets]:
    """Read the files and choose the targets; no model or store is opened.

    Raises:
        FormatError: A file can't be read.
        NoTargets: A file has no target for a task.
        EvaluationError: Two files have the same name.
    """
    files = [read_benchmark(path, plan.cleaning, plan.rating_scale) for path in plan.data]
    names = [data.name for data in files]
    if len(set(names)) < len(names):
        raise EvaluationError(
            f"two files have the same name among {', '.join(names)}: rename one",
            code="same_file_names",
        )
    return [
        TaskTargets(data, task, _chosen(plan, data, task))
        for data in files
        for task in plan.tasks or (_usual_task(data),)
    ]


async def measure_personalization(
    plan: Plan,
    asked: Sequence[TaskTargets],
    model: RememberedChat,
    out: Path,
    cache: Path,
    watch: Watch,
    *,
    encoder: str = "bundled",
) -> Measured:
    """Run the missing items and return all items.

    Args:
        plan: Plan of the measurement.
        asked: Targets from `read_targets`.
        model: Language model of all roles.
        out: Folder of the items.
        cache: Folder of the stores.
        watch: Receives progress.
        encoder: The topic encoder.

    Raises:
        EvaluationError: Results can't be written.
        StoreError: A store can't be filled.
    """
    began = time.perf_counter()
    kept = ItemFile(out / ITEMS)
    failed: list[Item] = []

    def on_item(item: Item) -> None:
        watch.advance(item)
        if item.failed is not None:
            failed.append(item)

    async with AsyncExitStack() as opened:
        jobs: list[tuple[RunSetup, list[Unit]]] = []
        for each in asked:
            material = await _open(plan, each, model, cache, watch, encoder, opened)
            for history in plan.history:
                setup = setup_of(material, each.targets, history)
                jobs.append((setup, list(_units(plan, each))))
        keys = {setup.key(unit) for setup, units in jobs for unit in units}
        watch.begin(len(keys), len(keys & kept.items.keys()), "items")
        for setup, units in jobs:
            await run_units(setup, units, kept, on_item=on_item)
    return _measured(asked, plan, jobs, kept, failed, time.perf_counter() - began)


async def _open(
    plan: Plan,
    asked: TaskTargets,
    model: RememberedChat,
    cache: Path,
    watch: Watch,
    encoder: str,
    opened: AsyncExitStack,
) -> DataSetup:
    """Open the store of a file; an inductive one excludes the texts of measured users."""
    hidden = sorted({t.text.user_id for t in asked.targets}) if plan.inductive else []

    def progress(done: int, of: int) -> None:
        watch.say(f"{asked.data.name}: {done} of {of} texts stored")

    store, encoders = await opened.enter_async_context(
        open_benchmark(
            asked.data, cache / STORES, unshared=hidden, encoder=encoder, progress=progress
        )
    )
    watch.say(f"{asked.data.name} {asked.task}: {len(asked.targets)} targets")
    return DataSetup.of(
        asked.data,
        store,
        encoders,
        model,
        about=hidden,
        budget=plan.budget,
        prompt_folder=plan.prompt_folder,
        guards=plan.guards,
    )


def _usual_task(data: BenchmarkData) -> Task:
    return "free" if data.format in ONE_INPUT else "long"


def _chosen(plan: Plan, data: BenchmarkData, task: Task) -> list[Target]:
    found = targets_of(
        data.name,
        data.texts,
        task,
        splits=data.splits,
        split=plan.split,
        least_own=plan.least_own,
        one_input=data.format in ONE_INPUT,
    )
    return found[: plan.limit]


def _units(plan: Plan, asked: TaskTargets) -> Iterator[Unit]:
    """Yield the requested items target by target, so that arms share cached answers."""
    arms = [arm for arm in plan.arms if asked.task in arm.tasks]
    for seed in plan.seeds:
        donors = _donors(asked.targets, seed)
        for target in asked.targets:
            for arm in arms:
                borrows = arm.configuration is not None and arm.configuration.borrows_summaries
                if borrows and not donors[target.id]:
                    continue  # a single target has no lender
                yield Unit(target, arm, seed, donors[target.id] if borrows else ())


def _donors(targets: Sequence[Target], seed: int) -> dict[str, tuple[Target, ...]]:
    """Return the possible lenders of each target: its successors in a seeded circular order."""
    circle = list(targets)
    random.Random(seed).shuffle(circle)
    return {
        target.id: tuple((circle[at + 1 :] + circle[:at])[:DONORS])
        for at, target in enumerate(circle)
    }


def _measured(
    asked: Sequence[TaskTargets],
    plan: Plan,
    jobs: Sequence[tuple[RunSetup, list[Unit]]],
    kept: ItemFile,
    failed: Sequence[Item],
    seconds: float,
) -> Measured:
    items: dict[Place, list[Item]] = {}
    for setup, units in jobs:
        place = (units[0].target.data, units[0].target.task, setup.history)
        wanted = [setup.key(unit) for unit in units]
        items[place] = [kept.items[key] for key in wanted if key in kept.items]
    lost: dict[tuple[str, str, str, str], int] = {}
    for item in failed:
        place_of = (item.data, item.task, item.key.history, item.key.arm)
        lost[place_of] = lost.get(place_of, 0) + 1
    return Measured(asked, items, lost, failed[0].failed if failed else None, seconds)
