"""Adapter folders of a registry: list, copy, and remove them atomically.

An adapter appears and disappears by one rename: it is filled, and deleted, under a hidden name. A
killed process leaves a hidden folder, which the next writer deletes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import AdapterDamaged, AdapterError
from ..files import make_folder, new_file
from .checks import check_file, check_files, check_shape, checksum, read_manifest
from .lineage import Origin, read_people, write_people
from .manifest import CONFIG, FILES, MANIFEST, PEOPLE, Manifest, is_name, parse_name

_ADDING, _REMOVING = ".adding-", ".removing-"


@dataclass(frozen=True)
class Adapter:
    """An adapter of a registry.

    Attributes:
        path: The folder, in PEFT's format.
        manifest: Its manifest.
    """

    path: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        """Name of the adapter, `role@step`."""
        return self.manifest.name

    @property
    def role(self) -> str:
        """Role it was trained for."""
        return self.manifest.role

    @property
    def step(self) -> int:
        """Number within the role, from 1."""
        return self.manifest.step


def names_in(root: Path) -> list[str]:
    """Return the names of a folder's adapters by role, then step; none if it does not exist."""
    if not root.is_dir():
        return []
    found = (each.name for each in root.iterdir() if is_name(each.name) and each.is_dir())
    return sorted(found, key=parse_name)


def adapters_in(root: Path, report: Callable[[AdapterError], None]) -> tuple[Adapter, ...]:
    """Return the adapters of a folder; only their manifests are checked.

    Args:
        root: The folder.
        report: Called for each adapter with an unreadable manifest, which is skipped.
    """
    found = []
    for name in names_in(root):
        try:
            found.append(Adapter(root / name, read_manifest(root / name)))
        except AdapterDamaged as error:
            if (root / name).is_dir():  # else it was pruned concurrently
                report(error)
    return tuple(found)


def staging_folder(root: Path, name: str) -> Path:
    """Return the hidden folder in which an adapter is assembled before it is renamed."""
    return root / f"{_ADDING}{name}"


def remove(root: Path, name: str) -> None:
    """Hide an adapter by a rename, then delete it; the caller holds the lock."""
    hidden = root / f"{_REMOVING}{name}"
    os.rename(root / name, hidden)
    shutil.rmtree(hidden)


def clear_staging(root: Path) -> None:
    """Delete hidden folders left by killed processes; the caller holds the lock.

    Without the lock they might be in use by another process.
    """
    for mark in (_ADDING, _REMOVING):
        for remains in root.glob(f"{mark}*"):
            remains.unlink() if remains.is_symlink() else shutil.rmtree(remains)


def size_of(folder: Path) -> int:
    """Return the size of the files in a folder, in bytes."""
    return sum(path.stat().st_size for path in folder.iterdir())


def origins_in(root: Path) -> dict[str, Origin]:
    """Return the origin of each adapter of a folder; unreadable ones are marked incomplete."""
    found = {name: _origin(root / name) for name in names_in(root)}
    # An adapter that was pruned concurrently is not damaged but gone.
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
    except AdapterDamaged:  # the keys that remain still count
        return Origin(manifest.parent, people, complete=False)
    return Origin(manifest.parent, people, complete=True)


def copy_adapter(
    folder: Path, place: Path, manifest: Manifest, people: Iterable[str] | None
) -> Manifest:
    """Copy an adapter's files and manifest into a new folder, and check the copy.

    Args:
        folder: Output of PEFT's `save_pretrained`.
        place: The new folder.
        manifest: Its manifest; checksums in it are verified.
        people: Keys of the people whose texts trained it; None if unknown.

    Returns:
        The manifest with the checksums of all files.

    Raises:
        AdapterDamaged: A file is missing, unreadable, or differs from its checksum.
        AdapterUnfit: It can't share a batch with other adapters.
        ValueError: One of the people is not a valid key.
    """
    make_folder(place)
    for file in FILES:
        if not (folder / file).is_file():
            raise AdapterDamaged(
                f"adapter {manifest.name}: expected {' and '.join(FILES)} in {folder}, {file} is "
                f"missing: {_advise(folder)}",
                code="adapter_file_missing",
            )
        shutil.copyfile(folder / file, new_file(place / file))
        _flush(place / file)
    if people is not None:
        write_people(place / PEOPLE, people)
        _flush(place / PEOPLE)
    kept = FILES if people is None else (*FILES, PEOPLE)
    files = {file: checksum(manifest.name, place / file) for file in kept}
    check_files(manifest.name, place, {**files, **manifest.files})
    check_shape(manifest.name, place)
    text = manifest.model_copy(update={"files": files}).model_dump_json(indent=1)
    new_file(place / MANIFEST).write_text(text, encoding="utf-8")
    _flush(place / MANIFEST)
    return Manifest.model_validate_json(text)


def _advise(folder: Path) -> str:
    """Return what to do about a folder without an adapter in it.

    PEFT saves an adapter of another name than `default` in a sub-folder of that name.
    """
    below = sorted(path.parent.name for path in folder.glob(f"*/{CONFIG}"))
    if below:
        names = ", ".join(str(folder / name) for name in below)
        return f"PEFT saves an adapter that has a name in a sub-folder, as here; name it: {names}"
    if (folder / "adapter_model.bin").is_file():
        return "save it with PEFT's `save_pretrained(..., safe_serialization=True)`"
    return "save it with PEFT's `save_pretrained`"


def _flush(path: Path) -> None:
    """Sync a file to disk before the rename that makes it visible."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
