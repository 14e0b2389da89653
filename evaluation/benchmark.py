"""Is it true? Arms, controls and floors over benchmarks: every figure of `bench personalization`.

Items go to `items.jsonl` as they come, answers of the language model to a cache, so that a run that
was killed goes on where it was and a second one with one more arm runs that arm alone. What is read
from them (`results.json`, the report) is made anew in the end.

What one data set, task and history are run with: a store, an evaluator, floors, metrics.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..graph.encoders import Encoders
from ..graph.open import ROLES, chat_role
from ..models.open import token_counter
from ..nodes.dependencies import ChatRole, Parts
from ..nodes.state import Task
from ..nodes.strategies import STRATEGIES, with_oracle
from ..stores.datasets.splits import Split
from ..stores.texts.store import TextStore
from .arms.floors import NeighbourTexts, floors_of
from .arms.registry import BASELINE, SHUFFLED, Arm
from .cache import RememberedChat, RememberedEncoder
from .dataset import BenchmarkData, HistoryCut, open_benchmark, read_benchmark
from .errors import EvaluationError
from .evaluator import Evaluator
from .items import Item, ItemFile
from .progress import Watch
from .runner import Cell, Scorer, Unit, run_units
from .scores.leakage import LeakCheck
from .targets import ONE_INPUT, Target, targets_of

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

WHOLE = "all"
"""The history that is not cut."""


@dataclass(frozen=True)
class Material:
    """What the cells of one data set share.

    Attributes:
        data: The file.
        store: Filled with it.
        style: The store's style encoder.
        topic: The store's topic encoder.
        model: The language model, in front of whatever answers.
        made_of: What decides the results of this data set and model.
    """

    data: BenchmarkData
    store: TextStore
    style: RememberedEncoder
    topic: RememberedEncoder
    model: RememberedChat
    made_of: str

    @classmethod
    def of(
        cls,
        data: BenchmarkData,
        store: TextStore,
        encoders: Encoders,
        model: RememberedChat,
        *,
        about: Sequence[str] = (),
    ) -> Material:
        """Put the material of a data set together.

        Args:
            data: The file.
            store: Filled with it.
            encoders: Of the store.
            model: The language model.
            about: What else decides the results, such as users whose texts are not shared.
        """
        versions = (encoders.style.version, encoders.topic.version)
        made_of = (data.sha1, *data.cleanings, *versions, model.identity, *about)
        return cls(
            data,
            store,
            RememberedEncoder(encoders.style),
            RememberedEncoder(encoders.topic),
            model,
            "\x1f".join(made_of),
        )


def cell_of(material: Material, targets: Sequence[Target], history: str) -> Cell:
    """Return what the items of one task and history are run with.

    Args:
        material: Of the data set.
        targets: All of the task.
        history: Own texts that are known: `all` or a number.
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
        strategies=with_oracle(STRATEGIES, encoders, real),
    )
    wordnet = os.environ.get("PATLM_WORDNET")
    return Cell(
        history=history,
        evaluator=Evaluator(parts),
        neighbours=NeighbourTexts(parts),
        scorer=Scorer(material.style, material.topic, Path(wordnet) if wordnet else None),
        leaks=LeakCheck(material.data.texts),
        made_of="\x1f".join([material.made_of, wordnet or ""]),
    )


def _chat(model: RememberedChat) -> Mapping[str, ChatRole]:
    inner: BaseChatModel = model.inner
    role = replace(chat_role(inner), model=model)
    return dict.fromkeys(ROLES, role)


ITEMS = "items.jsonl"

DONORS = 4
"""Targets that are asked in turn to lend their summaries."""

Place = tuple[str, str, str]
"""Data set, task and history."""


@dataclass(frozen=True)
class Plan:
    """What is to be measured.

    Attributes:
        data: Files.
        tasks: What is to be written; none: `free` for LaMP and LongLaMP, `long` for others.
        arms: What is compared.
        against: Name of the baseline of the gains.
        history: Own texts that are known: `all` or numbers.
        split: Whose targets; None: all.
        least_own: Only people with so many own texts on other topics.
        inductive: Whether texts of people who are measured are nobody's evidence.
        cleaning: Names of cleanings.
        limit: Targets of a file and task at most; None: all.
        seeds: Of what is drawn.
        adapters: LoRA adapter of each role, in all arms.
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
    limit: int | None = None
    seeds: Sequence[int] = (0,)
    adapters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """The targets of one file and task."""

    data: BenchmarkData
    task: Task
    targets: Sequence[Target]


@dataclass(frozen=True)
class Measured:
    """What a run has brought.

    Attributes:
        asked: Files, tasks and their targets.
        items: Every item of these, by file, task and history.
        failed: How many have failed, by file, task, history and arm.
        why: Why the first of them failed, or None.
        seconds: How long it took.
    """

    asked: Sequence[Asked]
    items: Mapping[Place, Sequence[Item]]
    failed: Mapping[tuple[str, str, str, str], int]
    why: str | None
    seconds: float


def read_targets(plan: Plan) -> list[Asked]:
    """Read the files and choose the targets, before anything is loaded.

    Raises:
        FormatError: A file can't be read.
        NoTargets: A file has nothing of what a task needs.
        EvaluationError: Two files bear one name.
    """
    files = [read_benchmark(path, plan.cleaning) for path in plan.data]
    names = [data.name for data in files]
    if len(set(names)) < len(names):
        raise EvaluationError(f"two files go by one name among {', '.join(names)}: rename one")
    return [
        Asked(data, task, _chosen(plan, data, task))
        for data in files
        for task in plan.tasks or (_usual_task(data),)
    ]


async def measure_personalization(
    plan: Plan,
    asked: Sequence[Asked],
    model: RememberedChat,
    out: Path,
    cache: Path,
    watch: Watch,
    *,
    encoder: str = "bundled",
) -> Measured:
    """Run what is missing, and return all items.

    Args:
        plan: What is measured.
        asked: Its targets, from `read_targets`.
        model: Answers in all roles.
        out: Folder of the items.
        cache: Folder of stores.
        watch: Told how far it is.
        encoder: The topic encoder.

    Raises:
        EvaluationError: Results can't be kept.
        StoreError: A store can't be filled.
    """
    began = time.perf_counter()
    kept = ItemFile(out / ITEMS)
    failed: list[Item] = []

    def told(item: Item) -> None:
        watch.advance(item)
        if item.failed is not None:
            failed.append(item)

    async with AsyncExitStack() as opened:
        jobs: list[tuple[Cell, list[Unit]]] = []
        for each in asked:
            material = await _open(plan, each, model, cache, watch, encoder, opened)
            for history in plan.history:
                cell = cell_of(material, each.targets, history)
                jobs.append((cell, list(_units(plan, each))))
        keys = {cell.key(unit) for cell, units in jobs for unit in units}
        watch.begin(len(keys), len(keys & kept.items.keys()), "items")
        for cell, units in jobs:
            await run_units(cell, units, kept, told=told)
    return _measured(asked, plan, jobs, kept, failed, time.perf_counter() - began)


async def _open(
    plan: Plan,
    asked: Asked,
    model: RememberedChat,
    cache: Path,
    watch: Watch,
    encoder: str,
    opened: AsyncExitStack,
) -> Material:
    """Open the store of a file; the inductive one hides whom a task measures."""
    hidden = sorted({t.text.user_id for t in asked.targets}) if plan.inductive else []

    def progress(done: int, of: int) -> None:
        watch.say(f"{asked.data.name}: {done} of {of} texts are in the store")

    store, encoders = await opened.enter_async_context(
        open_benchmark(
            asked.data, cache / "stores", unshared=hidden, encoder=encoder, progress=progress
        )
    )
    watch.say(f"{asked.data.name} {asked.task}: {len(asked.targets)} targets")
    return Material.of(asked.data, store, encoders, model, about=hidden)


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


def _units(plan: Plan, asked: Asked) -> Iterator[Unit]:
    """Yield the wanted items, target by target: so what arms have in common is at hand."""
    floors = floors_of(asked.task)
    arms = [arm for arm in plan.arms if arm.kind != "floor" or arm.name in floors]
    for seed in plan.seeds:
        donors = _donors(asked.targets, seed)
        for target in asked.targets:
            for arm in arms:
                lenders = donors[target.id] if arm.name == SHUFFLED else ()
                if arm.name == SHUFFLED and not lenders:
                    continue  # a lone target has nobody to swap with
                yield Unit(target, arm.name, arm.configuration, seed, lenders)


def _donors(targets: Sequence[Target], seed: int) -> dict[str, tuple[Target, ...]]:
    """Return for each target the next ones in a circle whose order the seed decides."""
    circle = list(targets)
    random.Random(seed).shuffle(circle)
    return {
        target.id: tuple((circle[at + 1 :] + circle[:at])[:DONORS])
        for at, target in enumerate(circle)
    }


def _measured(
    asked: Sequence[Asked],
    plan: Plan,
    jobs: Sequence[tuple[Cell, list[Unit]]],
    kept: ItemFile,
    failed: Sequence[Item],
    seconds: float,
) -> Measured:
    items: dict[Place, list[Item]] = {}
    for cell, units in jobs:
        place = (units[0].target.data, units[0].target.task, cell.history)
        wanted = [cell.key(unit) for unit in units]
        items[place] = [kept.items[key] for key in wanted if key in kept.items]
    lost: dict[tuple[str, str, str, str], int] = {}
    for item in failed:
        place_of = (item.data, item.task, item.key.history, item.key.arm)
        lost[place_of] = lost.get(place_of, 0) + 1
    return Measured(asked, items, lost, failed[0].failed if failed else None, seconds)
