"""The adapters of a folder: added whole, never changed, promoted and rolled back.

    registry = AdapterRegistry(Path("adapters"))
    registry.add(trained, Manifest(role="style", step=registry.next_step("style"), ...))
    registry.promote("style@1")
    registry.promoted()  # {"style": "style@1"}

Each adapter is a folder named `role@step` with what PEFT saved and a `manifest.json`; beside them
lies `promoted.json`. All methods block: in an event loop they belong in `asyncio.to_thread`.
Reading needs no lock and no right to write; writers of all processes take turns.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from .adapter_checks import check_files, check_shape, checksum, read_manifest
from .adapter_errors import (
    AdapterDamaged,
    AdapterError,
    AdapterExists,
    AdapterNotFound,
    AdapterUnfit,
)
from .adapter_manifest import FILES, MANIFEST, Manifest, is_name, parse_name
from .adapter_promotions import Promotions

_log = logging.getLogger(__name__)
_LOCK = ".adapters.lock"
_PARTIAL = ".adding-"


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


class AdapterRegistry:
    """All adapters of a folder; safe from any thread and process. Every method blocks.

    Attributes:
        root: The folder, which is made with the first adapter.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._promotions = Promotions(root / "promoted.json", self._lock)

    def add(self, folder: Path, manifest: Manifest) -> Adapter:
        """Keep a copy of an adapter: checked, and visible only once it is whole.

        Args:
            folder: What PEFT's `save_pretrained` wrote; other files in it are left behind.
            manifest: Its `files` may be empty; checksums that it holds are compared.

        Returns:
            The adapter as it is kept, with all checksums in its manifest.

        Raises:
            AdapterNotFound: There is no such folder.
            AdapterDamaged: A file is missing, can't be read, or differs from its checksum.
            AdapterUnfit: It can't share a batch with other adapters.
            AdapterExists: One of this name is kept already.
        """
        place, partial = self.root / manifest.name, self.root / f"{_PARTIAL}{manifest.name}"
        if not folder.is_dir():
            raise AdapterNotFound(
                f"adapter {manifest.name}: expected a folder with {' and '.join(FILES)}, there is "
                f"none at {folder}: save it by PEFT's `save_pretrained`"
            )
        with self._lock():
            if place.exists():
                raise AdapterExists(
                    f"adapter {manifest.name} is kept already and never changes: add this one as "
                    f"step {self.next_step(manifest.role)}"
                )
            for remains in self.root.glob(f"{_PARTIAL}*"):  # of a process that was killed
                shutil.rmtree(remains)
            try:
                kept = _copy(folder, partial, manifest)
                os.rename(partial, place)
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise
        return Adapter(place, kept)

    def adapters(
        self, *, report: Callable[[AdapterError], None] | None = None
    ) -> tuple[Adapter, ...]:
        """Return all adapters by role, then step, going by their manifests alone.

        Args:
            report: Told of each whose manifest can't be read, which is passed over; by default it
                is logged as a warning.
        """
        found = []
        for folder in self._folders():
            try:
                found.append(Adapter(folder, read_manifest(folder)))
            except AdapterDamaged as error:
                (report or _warn)(error)
        return tuple(found)

    def get(self, name: str, *, base: str | None = None) -> Adapter:
        """Return an adapter after all checks; 3 to 7 ms for one of 3 MB.

        Args:
            name: `role@step`.
            base: Fingerprint of the base model it is wanted for; None: any.

        Raises:
            AdapterNotFound: None of this name is kept.
            AdapterDamaged: A file is missing, can't be read, or is not the one that was added.
            AdapterUnfit: It can't share a batch with others, or was made for another base model.
        """
        role, _ = parse_name(name)
        folder = self.root / name
        if not folder.is_dir():
            raise self._not_found(role, name)
        manifest = read_manifest(folder)
        check_files(name, folder, manifest.files)
        check_shape(name, folder)
        if base is not None and manifest.base != base:
            raise AdapterUnfit(
                f"adapter {name}: expected one for the base model {base}, got one for "
                f"{manifest.base} ({manifest.base_name}): train it on this model, or serve that one"
            )
        return Adapter(folder, manifest)

    def next_step(self, role: str) -> int:
        """Return the step after the highest that a role has, damaged and promoted ones included."""
        names = [folder.name for folder in self._folders()]
        names += self._promotions.histories().get(role, ())
        return 1 + max((step for own, step in map(parse_name, names) if own == role), default=0)

    def promoted(self) -> dict[str, str]:
        """Return the adapter in use by role; a role that runs on the base model is left out.

        It answers also where such an adapter is gone or damaged; `get` tells that. Cheap enough for
        every request: 5 microseconds while nothing changes.

        Raises:
            AdapterDamaged: `promoted.json` can't be read.
        """
        return self._promotions.current()

    def promote(self, name: str) -> None:
        """Put an adapter into use for its role, after all checks; the one before is remembered.

        Raises:
            AdapterError: As `get`, or `promoted.json` can't be read.
        """
        self._promotions.push(self.get(name).role, name)

    def rollback(self, role: str) -> str | None:
        """Go back to the adapter that was in use before, and forget the promotion of this one.

        The one before is not checked: whoever has to leave a bad adapter must not be held there.

        Returns:
            What is in use now; None: the base model.

        Raises:
            AdapterNotFound: Nothing of this role is in use.
            AdapterDamaged: `promoted.json` can't be read.
        """
        return self._promotions.pop(role)

    def _folders(self) -> list[Path]:
        return sorted(self._named_folders(), key=lambda folder: parse_name(folder.name))

    def _named_folders(self) -> Iterator[Path]:
        if self.root.is_dir():
            yield from (
                each for each in self.root.iterdir() if is_name(each.name) and each.is_dir()
            )

    def _not_found(self, role: str, name: str) -> AdapterNotFound:
        names = [folder.name for folder in self._folders() if parse_name(folder.name)[0] == role]
        kept = ", ".join(names[-5:]) or "none"
        if self.promoted().get(role) == name:
            todo = f"it is promoted all the same: add it again, or `patlm adapters rollback {role}`"
        else:
            todo = "add it, or name another"
        return AdapterNotFound(
            f"no adapter {name} in {self.root}; latest of this role: {kept}; {todo}"
        )

    def _lock(self) -> FileLock:
        self.root.mkdir(parents=True, exist_ok=True)
        return FileLock(self.root / _LOCK)


def _copy(folder: Path, partial: Path, manifest: Manifest) -> Manifest:
    """Fill a new folder with an adapter's files and its manifest, and check what was written."""
    partial.mkdir()
    for file in FILES:
        if not (folder / file).is_file():
            raise AdapterDamaged(
                f"adapter {manifest.name}: expected {' and '.join(FILES)} in {folder}, {file} is "
                "missing: save it by PEFT's `save_pretrained`"
            )
        shutil.copyfile(folder / file, partial / file)
        _flush(partial / file)
    files = {file: checksum(manifest.name, partial / file) for file in FILES}
    check_files(manifest.name, partial, {**files, **manifest.files})
    check_shape(manifest.name, partial)
    text = manifest.model_copy(update={"files": files}).model_dump_json(indent=1)
    (partial / MANIFEST).write_text(text, encoding="utf-8")
    _flush(partial / MANIFEST)
    return Manifest.model_validate_json(text)


def _flush(path: Path) -> None:
    """Have a file on the disk before the rename that makes it visible."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _warn(error: AdapterError) -> None:
    _log.warning("%s", error)
