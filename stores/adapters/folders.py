"""The folders of a registry: one for each adapter that is there, hidden ones for what is not whole.

An adapter comes and goes by one rename: it is filled under a name that nobody looks at, and emptied
under another. Whoever is killed between leaves such a folder, and the next writer deletes it.

Copy an adapter into a folder of its own: weights, the people who trained it, the manifest.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import AdapterDamaged, AdapterError
from .checks import check_file, check_files, check_shape, checksum, read_manifest
from .lineage import Origin, read_people, write_people
from .manifest import FILES, MANIFEST, PEOPLE, Manifest, is_name, parse_name

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


def copy_adapter(
    folder: Path, place: Path, manifest: Manifest, people: Iterable[str] | None
) -> Manifest:
    """Fill a new folder with an adapter's files and its manifest, and check what was written.

    Args:
        folder: What PEFT's `save_pretrained` wrote.
        place: Made here.
        manifest: Checksums that it holds are compared.
        people: Keys of those whose texts trained it; None: not known.

    Returns:
        The manifest with the checksums of all files.

    Raises:
        AdapterDamaged: A file is missing, can't be read, or differs from its checksum.
        AdapterUnfit: It can't share a batch with other adapters.
        ValueError: One of the people is no key.
    """
    place.mkdir()
    for file in FILES:
        if not (folder / file).is_file():
            raise AdapterDamaged(
                f"adapter {manifest.name}: expected {' and '.join(FILES)} in {folder}, {file} is "
                "missing: save it by PEFT's `save_pretrained`"
            )
        shutil.copyfile(folder / file, place / file)
        _flush(place / file)
    if people is not None:
        write_people(place / PEOPLE, people)
        _flush(place / PEOPLE)
    kept = FILES if people is None else (*FILES, PEOPLE)
    files = {file: checksum(manifest.name, place / file) for file in kept}
    check_files(manifest.name, place, {**files, **manifest.files})
    check_shape(manifest.name, place)
    text = manifest.model_copy(update={"files": files}).model_dump_json(indent=1)
    (place / MANIFEST).write_text(text, encoding="utf-8")
    _flush(place / MANIFEST)
    return Manifest.model_validate_json(text)


def _flush(path: Path) -> None:
    """Have a file on the disk before the rename that makes it visible."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
