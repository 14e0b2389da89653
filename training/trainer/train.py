"""Train an adapter from episodes and add it to the registry.

    report = train(TrainConfig(role="style", method="dpo", episodes=..., out=...))
    report.adapter  # "style@1", added and not promoted

A run loads the role's parent, selects the training data, runs TRL's trainer under guards and adds
the adapter to the registry atomically. A killed run resumes from its latest checkpoint. Under
`torchrun` and `accelerate launch` every process calls `train`; only the first one writes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...evaluation.progress import Unwatched, Watch
from ...graph.settings import Settings, adapters_folder
from ...models.catalogue import CATALOGUE
from ...models.device import choose_device, choose_dtype, dtype_name, fit_threads
from ...models.installed import model_path
from ...models.open import resolved_name
from ...stores.adapters.folders import Adapter
from ...stores.adapters.lineage import people_in
from ...stores.adapters.manifest import Manifest
from ...stores.adapters.registry import AdapterRegistry
from ...stores.copies.ledger import note_copy
from ...stores.errors import AdapterExists
from ..data.samples import Needs, Skipped, load_episodes
from ..data.token_ids import encoded
from ..errors import WrongWorldSize
from ..methods import METHODS
from .config import TrainConfig, settled
from .method import CHECKPOINTS, Inputs, Reward, TrainData, build_trainer, process_count
from .model import Base, open_base, save_adapter, with_adapter
from .quiet import quiet_training, silence, writing_to
from .run_folder import RunFolder, latest_checkpoint, run_key, write_curves

if TYPE_CHECKING:
    from .guards import Guards


def register(
    registry: AdapterRegistry,
    folder: Path,
    report: TrainReport,
    data: TrainData,
    *,
    run: str,
    base_name: str,
) -> str:
    """Add an adapter and return its name; one that a killed run of this key added is reused.

    Args:
        registry: The registry.
        folder: Folder of PEFT's files.
        report: Report of the run.
        data: Data of the run.
        run: Key of the run.
        base_name: Display name of the base model.
    """
    for kept in registry.adapters():
        if kept.manifest.metrics.get("run") == run:
            return kept.name
    trained_on = people_in(*data.episodes)
    while True:
        step = registry.next_step(report.role)
        manifest = manifest_of(report, data, step=step, run=run, base_name=base_name)
        try:
            return registry.add(folder, manifest, trained_on=trained_on).name
        except AdapterExists:  # another process was faster
            continue


def manifest_of(
    report: TrainReport, data: TrainData, *, step: int, run: str, base_name: str
) -> Manifest:
    """Return the manifest of an adapter; arguments as in `register`."""
    episodes = data.episodes
    return Manifest(
        role=report.role,
        step=step,
        base=report.base,
        base_name=base_name,
        episode_shards=shard_names(data.config.episodes),
        split=_only({episode.split for episode in episodes}),
        data=_only({each.target.data for each in episodes if each.target is not None}),
        task=_only({str(episode.request.get("task")) for episode in episodes}),
        method=report.method,
        parent=report.parent,
        metrics={
            "run": run,
            "steps": report.steps,
            "samples": report.samples,
            "loss_first": report.loss_first,
            "loss_last": report.loss_last,
            "skipped": dict(report.skipped_by),
            **report.details,
        },
    )


def shard_names(path: Path) -> tuple[str, ...]:
    """Return the names of the shards that episodes were read from."""
    return (
        tuple(sorted(each.name for each in path.glob("*.jsonl"))) if path.is_dir() else (path.name,)
    )


def _only(found: set[str] | set[str | None]) -> str | None:
    """Return the common value, or None if they differ."""
    return next(iter(found)) if len(found) == 1 else None


@dataclass(frozen=True)
class TrainReport:
    """Result of a run.

    Attributes:
        role: Role of the adapter.
        method: Training method.
        adapter: Name in the registry; None if a guard found the adapter unusable.
        steps: Number of optimiser steps.
        samples: Number of pairs, samples of groups or examples.
        skipped: Number of skipped ones.
        skipped_by: Number of skipped ones by reason.
        loss_first: Loss of the first step.
        loss_last: Loss of the last step.
        stopped: Why a guard stopped the run early; None if it did not.
        seconds: Duration, including the start of this process.
        parent: Adapter that training continued from.
        base: Fingerprint of the base model.
        device: cpu or cuda.
        dtype: Number format of the base model's weights.
        processes: Number of processes.
        resumed_from: Optimiser steps of earlier processes.
        details: Further metrics of the method.
    """

    role: str
    method: str
    adapter: str | None
    steps: int
    samples: int
    skipped: int
    skipped_by: dict[str, int]
    loss_first: float | None
    loss_last: float | None
    stopped: str | None
    seconds: float
    parent: str | None
    base: str
    device: str
    dtype: str
    processes: int
    resumed_from: int = 0
    details: dict[str, Any] = field(default_factory=dict)


def settle_here(config: TrainConfig) -> tuple[TrainConfig, str]:
    """Return the settings with open ones chosen for this machine, and the device."""
    device = choose_device()
    bf16 = dtype_name(choose_dtype("auto", device)) == "bf16"
    return settled(config, device=device, bf16=bf16), device


def train(
    config: TrainConfig, *, watch: Watch | None = None, reward: Reward | None = None
) -> TrainReport:
    """Train one role's adapter and add it to the registry, not promoted. Blocks.

    Args:
        config: The settings.
        watch: Receives progress.
        reward: TRL's reward function for answers that GRPO samples from the policy; None: a frozen
            copy replays integrate (`replay_reward`), with the encoders of `config.store`.

    Raises:
        TrainingError: Settings or episodes can't be used, the adapter does not learn, the number of
            processes differs from the required one, or the disk is full.
        AdapterError: The parent can't be used.
        ModelError: The base model can't be loaded.
    """
    began = time.monotonic()
    watch = watch or Unwatched()
    _check_processes(config)
    chosen, device = settle_here(config)
    fit_threads()
    watch.say("loading the base model")
    base = _open(chosen, device)
    registry = AdapterRegistry(adapters_folder(chosen.adapters))
    parent = _parent(chosen, registry, base)
    watch.say("reading episodes")
    name = parent.name if parent else None
    with _rewarding(chosen, reward) as given:
        inputs = _inputs(chosen, config, base, name, device, given)
        data = METHODS[chosen.method].prepare(inputs)
        key = run_key(data.config, base=base.fingerprint, parent=name, rows=data.token_ids)
        run = _Run(RunFolder(config.out, key), registry, base, parent, data, device)
        report = run.done_before()
        if report is not None:
            return report
        note_copy("run", run.folder.rows, of=config.episodes)
        with quiet_training():
            report = run.run(watch)
    report = replace(report, seconds=round(time.monotonic() - began, 1))
    run.keep(report)
    return report


class _Run:
    """A run with its selected data."""

    def __init__(
        self,
        folder: RunFolder,
        registry: AdapterRegistry,
        base: Base,
        parent: Adapter | None,
        data: TrainData,
        device: str,
    ) -> None:
        self.folder, self.registry, self.base = folder, registry, base
        self.parent, self.data, self.device = parent, data, device
        self._first = True

    def done_before(self) -> TrainReport | None:
        """Return the report of this run if it is already finished."""
        found = self.folder.finished()
        if found is None or found["adapter"] is None or not self.data.config.resume:
            return None
        kept = {adapter.name for adapter in self.registry.adapters()}
        names = TrainReport.__dataclass_fields__
        report = TrainReport(**{name: value for name, value in found.items() if name in names})
        return report if report.adapter in kept else None

    def run(self, watch: Watch) -> TrainReport:
        """Train and add the adapter; the report still lacks its duration."""
        from .guards import Guards

        parent = self.parent.path if self.parent else None
        model = with_adapter(self.base, parent, seed=self.data.config.seed)
        arguments = self.data.arguments()
        with arguments.main_process_first(local=False):
            self._first = arguments.process_index == 0
            checkpoint = self._begin()
        guards = Guards(model, checkpoint=checkpoint, watch=watch)
        try:
            with writing_to(self.folder.path):
                trainer = build_trainer(
                    self.data.trainer,
                    model,
                    self.base.tokenizer,
                    self.data.rows,
                    arguments,
                    folder=self.folder.rows,
                    callbacks=[guards],
                )
                _check_world(trainer)
                silence(trainer)
                trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
                report = self._report(trainer, guards, checkpoint)
                usable = guards.stopped is None or not guards.spoilt
                return replace(report, adapter=self._add(trainer, model, report, usable))
        finally:
            if self._first:
                self.folder.clear_rows()

    def keep(self, report: TrainReport) -> None:
        """Write the report, in the first process only."""
        if self._first:
            with writing_to(self.folder.path):
                self.folder.end(asdict(report))

    def _begin(self) -> Path | None:
        if self._first:
            return self.folder.begin(resume=self.data.config.resume)
        return latest_checkpoint(self.folder.path / CHECKPOINTS)

    def _report(self, trainer: Any, guards: Guards, checkpoint: Path | None) -> TrainReport:
        config, history = self.data.config, trainer.state.log_history
        losses = [entry["loss"] for entry in history if "loss" in entry]
        details = dict(self.data.details)
        if guards.groups_without_variance is not None:
            details["groups_without_variance"] = round(guards.groups_without_variance, 2)
        skipped = {reason: n for reason, n in sorted(self.data.skipped.items()) if n}
        return TrainReport(
            role=config.role,
            method=config.method,
            adapter=None,
            steps=trainer.state.global_step,
            samples=self.data.samples,
            skipped=sum(skipped.values()),
            skipped_by=skipped,
            loss_first=losses[0] if losses else None,
            loss_last=losses[-1] if losses else None,
            stopped=guards.stopped,
            seconds=0.0,
            parent=self.parent.name if self.parent else None,
            base=self.base.fingerprint,
            device=self.device,
            dtype=config.dtype,
            processes=trainer.accelerator.num_processes,
            resumed_from=int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0,
            details=details,
        )

    def _add(self, trainer: Any, model: Any, report: TrainReport, usable: bool) -> str | None:
        """Add the adapter to the registry in the first process; return its name in all."""
        from accelerate.utils import broadcast_object_list

        state = trainer.accelerator.get_state_dict(trainer.model_wrapped, unwrap=True)
        name: list[str | None] = [None]
        if self._first:
            write_curves(trainer.state.log_history, self.folder.path)
            if usable:
                place = self.folder.path / "adapter"
                save_adapter(model, place, state=state)
                key, base = self.folder.key, self.base.name
                name = [register(self.registry, place, report, self.data, run=key, base_name=base)]
        broadcast_object_list(name)
        return name[0]


def _inputs(
    config: TrainConfig,
    asked: TrainConfig,
    base: Base,
    parent: str | None,
    device: str,
    reward: Reward | None,
) -> Inputs:
    """Read the episodes and return the inputs of the method."""
    skipped = Skipped()
    needs = Needs(
        role=config.role,
        base=base.fingerprint,
        copy_limit=config.copy_limit,
        max_tokens=config.max_tokens,
        encode=partial(encoded, base.tokenizer, base.fingerprint) if config.inexact else None,
    )
    episodes = load_episodes(config.episodes, skipped)
    return Inputs(config, asked, base.tokenizer, device, parent, reward, episodes, needs, skipped)


@contextmanager
def _rewarding(config: TrainConfig, reward: Reward | None) -> Iterator[Reward | None]:
    """Yield the reward of sampled answers: the given one, or integrate replayed by a copy."""
    draws = METHODS[config.method].draws(config)
    if reward is not None or not draws or config.store is None:
        yield reward
        return
    from ..rewards.replay import open_replay_reward

    settings = Settings(
        store=config.store, model=config.model, dtype=config.dtype, adapters=config.adapters
    )
    episodes = load_episodes(config.episodes, Skipped())
    with open_replay_reward(episodes, settings) as opened:
        yield opened


def _open(config: TrainConfig, device: str) -> Base:
    model = resolved_name(config.model, config.dtype)
    path = str(model_path(model)) if model in CATALOGUE else model
    name = model if model in CATALOGUE else Path(model).name
    return open_base(path, dtype=config.dtype, device=device, name=name)


def _parent(config: TrainConfig, registry: AdapterRegistry, base: Base) -> Adapter | None:
    """Return the adapter to continue from, checked against the base model."""
    if config.parent == "none":
        return None
    name = registry.promoted().get(config.role) if config.parent == "promoted" else config.parent
    return None if name is None else registry.get(name, base=base.fingerprint)


def _check_processes(config: TrainConfig) -> None:
    if config.processes is not None and config.processes != process_count():
        raise WrongWorldSize(
            f"expected {config.processes} processes, got {process_count()}: start them with "
            f"`torchrun --nproc_per_node {config.processes}` (`accelerate launch --cpu` starts one)"
        )


def _check_world(trainer: Any) -> None:
    """Check that the trainer uses all launched processes."""
    found = trainer.accelerator.num_processes
    if found != process_count():
        raise WrongWorldSize(
            f"expected the trainer to use {process_count()} processes (WORLD_SIZE), got "
            f"{found}: each would train alone on all data"
        )
