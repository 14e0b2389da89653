"""What processes of their own do to a registry; imports no torch, so that they start at once."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import Literal

from adapter_fixtures import manifest
from patlm.stores.adapters import registry as module
from patlm.stores.adapters.registry import AdapterRegistry
from patlm.stores.errors import AdapterExists


def promote_in_turn(root: Path, role: str, times: int) -> None:
    """Promote the first two adapters of a role, one after the other, again and again."""
    registry = AdapterRegistry(root)
    for turn in range(times):
        registry.promote(f"{role}@{1 + turn % 2}")


def add_as_next(root: Path, folder: Path, times: int) -> None:
    """Add an adapter under the next free name, whoever else takes names meanwhile."""
    registry = AdapterRegistry(root)
    for _ in range(times):
        while True:
            try:
                registry.add(folder, manifest(f"style@{registry.next_step('style')}"))
                break
            except AdapterExists:
                continue


def add_and_die(root: Path, folder: Path) -> None:
    """Be killed in the middle of adding `style@1`."""
    module.os.rename = _die
    AdapterRegistry(root).add(folder, manifest("style@1"))


def prune_and_die(root: Path, place: Literal["rename", "delete"]) -> None:
    """Be killed in the middle of pruning down to one adapter a role."""
    if place == "rename":
        module.os.rename = _die
    else:
        shutil.rmtree = _die  # type: ignore[assignment]
    AdapterRegistry(root).prune(1)


def _die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
