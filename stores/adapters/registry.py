"""The adapters of a folder: added whole, never changed, promoted and rolled back.

    registry = AdapterRegistry(Path("adapters"))
    registry.add(trained, Manifest(role="style", step=registry.next_step("style"), ...))
    registry.promote("style@1")
    registry.promoted()  # {"style": "style@1"}

Each adapter is a folder named `role@step` with what PEFT saved and a `manifest.json`; beside them
lies `promoted.json`. All methods block: in an event loop they belong in `asyncio.to_thread`.
Reading needs no lock and no right to write; writers of all processes take turns.

Which old adapters may go, and why the others stay.

The latest of each role stay, however many are wanted; besides them those that are in use, those
that the next rollback goes back to, and all that one of these went on from. An adapter whose
manifest can't be read stays as well: nobody knows what it went on from.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock

from ..errors import AdapterDamaged, AdapterError, AdapterExists, AdapterNotFound, AdapterUnfit
from .checks import check_files, check_shape, read_manifest
from .folders import (
    Adapter,
    adapters_in,
    clear_remains,
    copy_adapter,
    names_in,
    origins_in,
    place_to_fill,
    remove,
    size_of,
)
from .lineage import Chain, people_of, trained_on
from .manifest import FILES, Manifest, parse_name
from .promotions import Promotions


@dataclass(frozen=True)
class Pruned:
    """What pruning did, or with `dry_run` would do.

    Attributes:
        removed: Names of the adapters that went.
        kept: Why each of the others stays, by name.
        bytes: What those that went took on the disk.
    """

    removed: tuple[str, ...] = ()
    kept: Mapping[str, str] = field(default_factory=dict)
    bytes: int = 0


def choose_kept(
    parents: Mapping[str, str | None],
    damaged: Sequence[str],
    histories: Mapping[str, Sequence[str]],
    keep: int,
) -> dict[str, str]:
    """Return why each adapter that stays does so, by name; all others may go.

    Args:
        parents: What each adapter that can be read went on from, by its name.
        damaged: Names of those that can't be read.
        histories: Promotions by role, the one in use last; none is empty.
        keep: How many of the latest of each role stay, from 1.
    """
    kept = dict.fromkeys(damaged, "its manifest can't be read")
    for history in histories.values():
        kept.setdefault(history[-1], "promoted")
        for name in history[-2:-1]:
            kept.setdefault(name, "the next rollback goes to it")
    for name in _latest(parents, keep):
        kept.setdefault(name, f"one of the latest {keep} of its role" if keep > 1 else "the latest")
    for name in list(kept):
        child, parent = name, parents.get(name)
        while parent is not None and parent not in kept:
            kept[parent] = f"{child} went on from it"
            child, parent = parent, parents.get(parent)
    there = {*parents, *damaged}
    return {name: why for name, why in kept.items() if name in there}


def _latest(names: Mapping[str, object], keep: int) -> list[str]:
    """Return the `keep` highest steps of each role."""
    by_role: dict[str, list[int]] = {}
    for role, step in map(parse_name, names):
        by_role.setdefault(role, []).append(step)
    return [f"{role}@{step}" for role, steps in by_role.items() for step in sorted(steps)[-keep:]]


__all__ = ["Adapter", "AdapterRegistry"]

_log = logging.getLogger(__name__)
_LOCK = ".adapters.lock"


class AdapterRegistry:
    """All adapters of a folder; safe from any thread and process. Every method blocks.

    Attributes:
        root: The folder, which is made with the first adapter.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._promotions = Promotions(root / "promoted.json", self._lock)

    def add(
        self, folder: Path, manifest: Manifest, *, trained_on: Iterable[str] | None = None
    ) -> Adapter:
        """Keep a copy of an adapter: checked, and visible only once it is whole.

        Args:
            folder: What PEFT's `save_pretrained` wrote; other files in it are left behind.
            manifest: Its `files` may be empty; checksums that it holds are compared.
            trained_on: Keys of the people whose texts trained it on top of its parent
                (`adapter_people.person_key`); None: nobody knows, which `forget` will say.

        Returns:
            The adapter as it is kept, with all checksums in its manifest.

        Raises:
            AdapterNotFound: There is no such folder.
            AdapterDamaged: A file is missing, can't be read, or differs from its checksum.
            AdapterUnfit: It can't share a batch with other adapters.
            AdapterExists: One of this name is kept already.
            ValueError: One of the people is no key.
        """
        place, partial = self.root / manifest.name, place_to_fill(self.root, manifest.name)
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
            clear_remains(self.root)
            try:
                kept = copy_adapter(folder, partial, manifest, trained_on)
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
        return adapters_in(self.root, report or _warn)

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
        folder = self._folder_of(name)
        try:
            manifest = read_manifest(folder)
            check_files(name, folder, manifest.files)
            check_shape(name, folder)
        except AdapterDamaged:
            self._folder_of(name)  # pruned meanwhile: then it is not damaged but gone
            raise
        if base is not None and manifest.base != base:
            raise AdapterUnfit(
                f"adapter {name}: expected one for the base model {base}, got one for "
                f"{manifest.base} ({manifest.base_name}): train it on this model, or serve that one"
            )
        return Adapter(folder, manifest)

    def next_step(self, role: str) -> int:
        """Return the step after the highest that a role has, damaged and promoted ones included."""
        names = names_in(self.root)
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

    def promote(self, name: str, *, base: str | None = None) -> None:
        """Put an adapter into use for its role, after all checks; the one before is remembered.

        Args:
            name: `role@step`.
            base: Fingerprint of the base model that is going to serve it; None: not known here.

        Raises:
            AdapterError: As `get`, or `promoted.json` can't be read.
        """
        role = self.get(name, base=base).role
        # Looked for again under the lock: it may have been pruned since.
        self._promotions.push(role, name, lambda: self._folder_of(name))

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

    def chain(self, name: str) -> Chain:
        """Return an adapter and those that it went on from, by their manifests alone.

        Raises:
            AdapterNotFound: None of this name is kept.
            AdapterDamaged: Its own manifest can't be read; an ancestor's only ends the chain.
        """
        found = [read_manifest(self._folder_of(name))]
        while (parent := found[-1].parent) is not None:
            try:
                manifest = read_manifest(self._folder_of(parent))
            except AdapterError:
                return Chain(tuple(found), missing=parent)
            if manifest in found:  # a circle, written by hand
                break
            found.append(manifest)
        return Chain(tuple(found))

    def trained_on(self, person: str) -> tuple[str, ...]:
        """Return the adapters that a person's texts trained, themselves or through a parent.

        Args:
            person: Key of the person (`adapter_people.person_key`).
        """
        return trained_on(person, origins_in(self.root))

    def people(self) -> dict[str, frozenset[str] | None]:
        """Return the keys of all whose texts trained each adapter or what it went on from.

        None stands where nobody can tell: the record of one of them was never made, is damaged, or
        went with a folder that was removed by hand.
        """
        origins = origins_in(self.root)
        return {name: people_of(name, origins) for name in origins}

    def prune(self, keep: int, *, dry_run: bool = False) -> Pruned:
        """Remove old adapters; `adapter_pruning` says which stay.

        Each goes in one step, so that nobody sees half of one, and out of the promotions before
        it goes. Whoever has loaded one keeps it.

        Args:
            keep: How many of the latest of each role stay; at least 1, so that no number is given
                a second time.
            dry_run: Only say what would go.

        Raises:
            ValueError: `keep` is below 1.
            AdapterDamaged: `promoted.json` can't be read; nothing is removed then.
        """
        if keep < 1:
            raise ValueError(f"expected to keep 1 adapter of each role or more, got {keep}")
        if dry_run or not self.root.is_dir():
            return self._choose(keep)
        with self._lock():
            clear_remains(self.root)
            chosen = self._choose(keep)
            self._promotions.drop(chosen.removed)
            for name in chosen.removed:
                remove(self.root, name)
        return chosen

    def _choose(self, keep: int) -> Pruned:
        parents = {a.name: a.manifest.parent for a in self.adapters(report=lambda _: None)}
        names = names_in(self.root)
        damaged = [name for name in names if name not in parents]
        why = choose_kept(parents, damaged, self._promotions.histories(), keep)
        leaving = tuple(name for name in names if name not in why)
        size = sum(size_of(self.root / name) for name in leaving)
        return Pruned(leaving, {name: why[name] for name in names if name in why}, size)

    def _folder_of(self, name: str) -> Path:
        role, _ = parse_name(name)
        folder = self.root / name
        if not folder.is_dir():
            raise self._not_found(role, name)
        return folder

    def _not_found(self, role: str, name: str) -> AdapterNotFound:
        names = [each for each in names_in(self.root) if parse_name(each)[0] == role]
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


def _warn(error: AdapterError) -> None:
    _log.warning("%s", error)
