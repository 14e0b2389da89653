"""The folders of a registry: one for each adapter that is there, hidden ones for what is not whole.

An adapter comes and goes by one rename: it is filled under a name that nobody looks at, and emptied
under another. Whoever is killed between leaves such a folder, and the next writer deletes it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .adapter_checks import check_file, read_manifest
from .adapter_errors import AdapterDamaged, AdapterError
from .adapter_lineage import Origin
from .adapter_manifest import PEOPLE, Manifest, is_name, parse_name
from .adapter_people import read_people

_COMING, _GOING = ".adding-", ".removing-"


@dataclass(frozen=True)
class Adapter:
    """One adapter that is kept.

    Attributes:
        path: Its folder, in PEFT's format.
        manifest: Where it comes from and what it was made for.
    """

    path: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        """What it is called: `role@step`."""
        return self.manifest.name

    @property
    def role(self) -> str:
        """The job it was trained for."""
        return self.manifest.role

    @property
    def step(self) -> int:
        """Its number within the role, from 1."""
        return self.manifest.step


def names_in(root: Path) -> list[str]:
    """Return the adapters of a folder by role, then step; none where there is no such folder."""
    if not root.is_dir():
        return []
    found = (each.name for each in root.iterdir() if is_name(each.name) and each.is_dir())
    return sorted(found, key=parse_name)


def adapters_in(root: Path, report: Callable[[AdapterError], None]) -> tuple[Adapter, ...]:
    """Return the adapters of a folder, going by their manifests alone.

    Args:
        root: The folder.
        report: Told of each whose manifest can't be read, which is passed over.
    """
    found = []
    for name in names_in(root):
        try:
            found.append(Adapter(root / name, read_manifest(root / name)))
        except AdapterDamaged as error:
            if (root / name).is_dir():  # else it was pruned meanwhile
                report(error)
    return tuple(found)


def place_to_fill(root: Path, name: str) -> Path:
    """Return where an adapter is put together before a rename shows it."""
    return root / f"{_COMING}{name}"


def remove(root: Path, name: str) -> None:
    """Take an adapter out of sight in one step, then off the disk; the caller holds the lock."""
    going = root / f"{_GOING}{name}"
    os.rename(root / name, going)
    shutil.rmtree(going)


def clear_remains(root: Path) -> None:
    """Delete what a process that was killed had half added or removed; the caller holds the lock.

    Without the lock it would be what another one is busy with.
    """
    for mark in (_COMING, _GOING):
        for remains in root.glob(f"{mark}*"):
            shutil.rmtree(remains)


def size_of(folder: Path) -> int:
    """Return the bytes of the files in a folder."""
    return sum(path.stat().st_size for path in folder.iterdir())


def origins_in(root: Path) -> dict[str, Origin]:
    """Return where each adapter of a folder comes from; what can't be read is not complete."""
    found = {name: _origin(root / name) for name in names_in(root)}
    # What was pruned meanwhile was read in part: it is not damaged but gone.
    return {name: origin for name, origin in found.items() if (root / name).is_dir()}


def _origin(folder: Path) -> Origin:
    try:
        people = read_people(folder)
    except AdapterDamaged:
        people = None
    try:
        manifest = read_manifest(folder)
    except AdapterError:
        return Origin(None, people or frozenset(), complete=False)
    if people is None:
        return Origin(manifest.parent, frozenset(), complete=False)
    try:
        check_file(folder.name, folder, PEOPLE, manifest.files)
    except AdapterDamaged:  # what it still holds counts
        return Origin(manifest.parent, people, complete=False)
    return Origin(manifest.parent, people, complete=True)
