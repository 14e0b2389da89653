"""How a trained adapter gets into the registry: its manifest, once a run, whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..stores.adapter_errors import AdapterExists
from ..stores.adapter_manifest import Manifest
from ..stores.adapter_people import people_in
from ..stores.adapters import AdapterRegistry

if TYPE_CHECKING:
    from .train import TrainReport
    from .train_data import TrainData


def register(
    registry: AdapterRegistry,
    folder: Path,
    report: TrainReport,
    data: TrainData,
    *,
    run: str,
    base_name: str,
) -> str:
    """Add an adapter, and return its name; one that a killed run of this key added stays.

    Args:
        registry: Where it goes.
        folder: What PEFT saved.
        report: Of the run.
        data: What was learnt.
        run: The run's key.
        base_name: What the base model is called.
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
        except AdapterExists:  # another process was quicker
            continue


def manifest_of(
    report: TrainReport, data: TrainData, *, step: int, run: str, base_name: str
) -> Manifest:
    """Return what is written down beside the weights; arguments as `register`."""
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
    """Return what all have in common, or None."""
    return next(iter(found)) if len(found) == 1 else None
