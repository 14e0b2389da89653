"""The steps of the rounds done for real: collecting, TRL's trainers, measuring, promoting.

Everything that holds texts (stores, answers, episodes, checkpoints) lies in a work folder of its
own, and is made again where it is gone; adapters and curves go to the folder of results.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ..graph.settings import Settings
from ..nodes.state import Task
from ..stores.adapters import AdapterRegistry
from ..stores.splits import Split
from .asked_model import AskedModel, open_asked_model
from .benchmark_cell import Material, cell_of
from .benchmark_data import BenchmarkData, open_benchmark
from .collect_plan import CollectPlan
from .collect_run import Asked, run_collect
from .configuration import Configuration
from .errors import TrainingError
from .item_runs import Unit, run_units
from .items import Item, ItemFile
from .memory import give_back_memory
from .named_adapters import NONE
from .rounds import Adapters, Trained
from .rounds_plan import REASONERS, WARM_UP, RoundsPlan
from .targets import ONE_INPUT, Target, targets_of
from .train import train
from .train_config import read_config
from .watch import Watch

NEW = "none"
"""The parent of new weights."""


class TrainingStopped(TrainingError):
    """A guard has stopped a training run, so there is no adapter to go on with."""


@dataclass(frozen=True)
class RealSteps:
    """Does what the rounds are made of.

    Attributes:
        plan: How much of it.
        data: The file.
        settings: The language model, its number format; adapters are those of `registry`.
        registry: Where adapters go.
        curves: Folder of the curves of each adapter's training.
        work: Folder of everything that holds texts.
        watch: Told how far it is.
        workers: Of Ray, over which collecting is spread; 0: it is done here.
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
        """Draw a role's summaries with these adapters, and train it on what came of them."""
        drawn = await self._draw(stage, (role,), adapters)
        return await self._train(stage, role, self.plan.method, drawn, adapters.get(role, NEW))

    async def measure(
        self, arm: str, configuration: Configuration | None, split: Split, history: str
    ) -> Sequence[Item]:
        """Run a configuration, or a floor, over the targets of a split; what is there is not run.

        Raises:
            TrainingError: All of it failed, or it can't be kept.
        """
        give_back_memory()
        used = {} if configuration is None else configuration.adapters
        targets = self._targets(split)
        self.watch.say(f"{arm} on {len(targets)} targets of {split}, history {history}")
        asked = ",".join(used.values()) or NONE
        with open_asked_model(self.settings, asked, self.work) as model:
            return await self._items(arm, configuration, targets, history, model)

    def promote(self, names: Sequence[str]) -> None:
        """Put adapters into use."""
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
        kept = ItemFile(self.work / "items.jsonl")
        try:
            async with open_benchmark(self.data, self._stores, encoder=self.settings.encoder) as (
                store,
                encoders,
            ):
                material = Material.of(self.data, store, encoders, model.chat)
                cell = cell_of(material, targets, history)
                units = [Unit(each, arm, configuration, self.plan.seed) for each in targets]
                keys = [cell.key(unit) for unit in units]
                self.watch.begin(len(keys), sum(key in kept.items for key in keys), "targets")
                await run_units(cell, units, kept, told=self.watch.advance)
        finally:
            kept.close()
        found = [kept.items[key] for key in keys if key in kept.items]
        if not found:
            raise TrainingError(f"all {len(keys)} runs of {arm} failed: look into {self.work}")
        return found

    async def _draw(self, stage: str, sides: Sequence[str], adapters: Adapters) -> Path:
        plan = CollectPlan(candidates=self.plan.candidates, sides=sides, seed=self.plan.seed)
        return await self._collect(stage, "drawn", plan, adapters, self.plan.targets)

    async def _collect(
        self, stage: str, kind: str, plan: CollectPlan, adapters: Adapters, limit: int
    ) -> Path:
        """Collect episodes with the adapters named, and return their folder."""
        give_back_memory()
        out = self.work / stage / kind
        self.watch.say(f"{stage}: collecting from {limit} targets of train at most")
        asked = Asked(
            data=self.plan.data,
            stores=self._stores,
            settings=self.settings,
            task=self.plan.task,
            limit=limit,
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
        """Train an adapter; one that a killed run has made stays.

        Raises:
            TrainingStopped: A guard has stopped it.
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
    def _stores(self) -> Path:
        return self.work / "stores"


def _copy_curves(run: Path, place: Path) -> None:
    place.mkdir(parents=True, exist_ok=True)
    for file in run.glob("curves.*"):
        shutil.copyfile(file, place / file.name)


def _about(report: Mapping[str, object]) -> dict[str, object]:
    """Return what the file of the rounds says of a training run; nothing of it is a text."""
    return {name: value for name, value in report.items() if value not in (None, {})}
