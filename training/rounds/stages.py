"""Implement the operations of the rounds: collecting, TRL's trainers, measuring, promoting.

Everything with texts (stores, answers, episodes, checkpoints) is in a separate work folder and is
created again if it is missing; adapters and curves go to the results folder. Freed memory is
returned to the system between the steps of a long run.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...evaluation.arms.configuration import Arm, Configuration
from ...evaluation.arms.registry import ARMS
from ...evaluation.benchmark import ITEMS, STORES, DataSetup, setup_of
from ...evaluation.dataset import BenchmarkData, open_benchmark, read_benchmark
from ...evaluation.items import Item, ItemFile
from ...evaluation.models import ANSWERS, NONE, AskedModel, open_asked_model
from ...evaluation.progress import Watch
from ...evaluation.runner import Unit, run_units
from ...evaluation.targets import ONE_INPUT, Target, targets_of
from ...graph.settings import Settings
from ...nodes.state import Task
from ...stores.adapters.registry import AdapterRegistry
from ...stores.copies.ledger import note_copy
from ...stores.datasets.splits import Split
from ...stores.files import make_folder, new_file
from ..collect.plan import CollectPlan
from ..collect.run import run_collect
from ..collect.source import CollectRequest
from ..errors import TrainingError
from ..trainer.config import read_config
from ..trainer.train import train
from .loop import Adapters, Trained, run_rounds
from .plan import REASONERS, WARM_UP, RoundsPlan, numbered
from .state import RoundsState


def give_back_memory() -> None:
    """Return freed memory of this process to the system.

    glibc retains the memory of a model's tensors in arenas of each thread: in the rounds of one
    cell 3 GB at the beginning were 17 GB after the warm-up. Between three trainings in one process,
    this reduced resident memory from 2.9 GB to 0.7 to 0.8. Without `malloc_trim` in the C library
    only garbage is collected.
    """
    gc.collect()
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


NEW = "none"
"""Parent of new weights."""


class TrainingStopped(TrainingError):
    """A guard stopped a training run, so the next stage has no adapter."""

    code = "training_stopped"


@dataclass(frozen=True)
class RealSteps:
    """The operations of the rounds on real models and data.

    Attributes:
        plan: Plan of the rounds.
        data: The data set.
        settings: Settings of the language model; its adapters are those of `registry`.
        registry: Registry of the adapters.
        curves: Folder of each adapter's training curves.
        work: Folder of everything with texts.
        watch: Receives progress.
        workers: Number of Ray workers for collecting; 0: collect in this process.
    """

    plan: RoundsPlan
    data: BenchmarkData
    settings: Settings
    registry: AdapterRegistry
    curves: Path
    work: Path
    watch: Watch
    workers: int = 0

    async def warm_up(self) -> Sequence[Trained]:
        """Train integrate on real texts, then both reasoners on the better of two teachers."""
        plan = CollectPlan(candidates=0, reasoner="extractive", seed=self.plan.seed)
        read = await self._collect(WARM_UP, "extractive", plan, {}, self.plan.warm_up_targets)
        integrate = await self._train(WARM_UP, "integrate", "sft", read, NEW)
        drawn = await self._draw(WARM_UP, REASONERS, {"integrate": integrate.name})
        reasoners = [
            await self._train(WARM_UP, role, "sft", drawn, NEW, also=read) for role in REASONERS
        ]
        return [integrate, *reasoners]

    async def train_reasoner(self, stage: str, role: str, adapters: Adapters) -> Trained:
        """Sample a role's summaries with these adapters, and train it on them."""
        drawn = await self._draw(stage, (role,), adapters)
        return await self._train(stage, role, self.plan.method, drawn, adapters.get(role, NEW))

    async def measure(
        self, arm: str, configuration: Configuration | None, split: Split, history: str
    ) -> Sequence[Item]:
        """Run a configuration, or a floor, on the targets of a split; existing items are reused.

        Raises:
            TrainingError: All runs failed, or items can't be written.
        """
        give_back_memory()
        used = {} if configuration is None else configuration.adapters
        targets = self._targets(split)
        self.watch.say(f"{arm} on {len(targets)} targets of {split}, history {history}")
        asked = ",".join(used.values()) or NONE
        with open_asked_model(self.settings, asked, self.work) as model:
            return await self._items(arm, configuration, targets, history, model)

    def promote(self, names: Sequence[str]) -> None:
        """Promote adapters."""
        for name in names:
            self.registry.promote(name)

    async def _items(
        self,
        arm: str,
        configuration: Configuration | None,
        targets: Sequence[Target],
        history: str,
        model: AskedModel,
    ) -> Sequence[Item]:
        stage = Arm(arm, "main", "a stage of the rounds", configuration)
        how = ARMS[arm] if configuration is None else stage
        kept = ItemFile(self.work / ITEMS)
        async with open_benchmark(self.data, self.stores, encoder=self.settings.encoder) as (
            store,
            encoders,
        ):
            material = DataSetup.of(self.data, store, encoders, model.chat)
            setup = setup_of(material, targets, history)
            units = [Unit(each, how, self.plan.seed) for each in targets]
            keys = [setup.key(unit) for unit in units]
            self.watch.begin(len(keys), sum(key in kept.items for key in keys), "targets")
            await run_units(setup, units, kept, on_item=self.watch.advance)
        found = [kept.items[key] for key in keys if key in kept.items]
        if not found:
            raise TrainingError(f"all {len(keys)} runs of {arm} failed: see {self.work}")
        return found

    async def _draw(self, stage: str, sides: Sequence[str], adapters: Adapters) -> Path:
        plan = CollectPlan(candidates=self.plan.candidates, sides=sides, seed=self.plan.seed)
        return await self._collect(stage, "drawn", plan, adapters, self.plan.targets)

    async def _collect(
        self, stage: str, kind: str, plan: CollectPlan, adapters: Adapters, limit: int
    ) -> Path:
        """Collect episodes with the given adapters and return their folder."""
        give_back_memory()
        out = self.work / stage / kind
        self.watch.say(f"{stage}: collecting from at most {limit} targets of train")
        asked = CollectRequest(
            data=self.plan.data,
            stores=self.stores,
            settings=self.settings,
            task=self.plan.task,
            limit=limit,
            rating_scale=self.plan.rating_scale,
            adapters=",".join(adapters.values()) or NONE,
        )
        await asyncio.to_thread(run_collect, asked, plan, out, self.watch, workers=self.workers)
        return out

    async def _train(
        self,
        stage: str,
        role: str,
        method: str,
        episodes: Path,
        parent: str,
        *,
        also: Path | None = None,
    ) -> Trained:
        """Train an adapter; one that a killed run added is reused.

        Raises:
            TrainingStopped: A guard stopped the run.
        """
        give_back_memory()
        out = self.work / stage / role
        settings = {
            "role": role,
            "method": method,
            "episodes": episodes,
            "also": also,
            "out": out,
            "adapters": self.registry.root,
            "parent": parent,
            "model": self.settings.model,
            "dtype": self.settings.dtype,
            "rollouts": "logged",
            "seed": self.plan.seed,
            "examples": self.plan.reasoner_examples if also else None,
        }
        config = read_config(None, settings)
        self.watch.say(f"{stage}: training {role} by {method}")
        report = await asyncio.to_thread(train, config, watch=self.watch)
        if report.adapter is None:
            raise TrainingStopped(f"{stage}: the training of {role} was stopped: {report.stopped}")
        _copy_curves(out, self.curves / report.adapter)
        return Trained(report.adapter, _about(asdict(report)))

    def _targets(self, split: Split) -> Sequence[Target]:
        task: Task = self.plan.task
        one_input = self.data.format in ONE_INPUT
        found = targets_of(
            self.data.name,
            self.data.texts,
            task,
            splits=self.data.splits,
            split=split,
            one_input=one_input,
        )
        most = {"gate": self.plan.gate_targets, "report": self.plan.report_targets}
        return found[: most[split]]

    @property
    def stores(self) -> Path:
        """Folder of the stores of the data file."""
        return self.work / STORES


def _copy_curves(run: Path, place: Path) -> None:
    make_folder(place)
    for file in run.glob("curves.*"):
        shutil.copyfile(file, new_file(place / file.name))


def _about(report: Mapping[str, object]) -> dict[str, object]:
    """Return a training run's entry in the file of the rounds, without texts."""
    return {name: value for name, value in report.items() if value not in (None, {})}


def run_whole_rounds(
    plan: RoundsPlan, settings: Settings, out: Path, work: Path, watch: Watch, *, workers: int = 0
) -> Mapping[str, Any]:
    """Run the unfinished stages and return the content of `rounds-{data}-{task}.json`.

    Args:
        plan: Plan of the rounds.
        settings: Settings of the language model; `out` determines the location of adapters.
        out: Results folder: metrics and hashed ids, `adapters/{data}-{task}` and
            `curves/{data}-{task}`.
        work: Folder of everything with texts, with a subfolder per data set and task.
        watch: Receives progress.
        workers: Number of Ray workers for collecting; 0: collect in this process.

    Raises:
        FormatError: The file can't be read.
        EvaluationError: A stage does not exist or fails; finished stages are saved.
        ModelError: A model can't be opened.
    """
    numbered(plan.stages)  # fail before anything is loaded
    data = read_benchmark(plan.data, scale=plan.rating_scale)
    cell = f"{data.name}-{plan.task}"
    state = RoundsState(out, data.name, plan, data.splits.fingerprint)
    registry = AdapterRegistry(out / "adapters" / cell)
    steps = RealSteps(
        plan=plan,
        data=data,
        settings=settings.model_copy(update={"adapters": registry.root}),
        registry=registry,
        curves=out / "curves" / cell,
        work=work / cell,
        watch=watch,
        workers=workers,
    )
    for kind, place in (
        ("items", steps.work / ITEMS),
        ("stores", steps.stores),
        ("answers", steps.work / ANSWERS),
    ):
        note_copy(kind, place, of=plan.data)
    asyncio.run(run_rounds(plan, steps, state, watch.say))
    return state.results
