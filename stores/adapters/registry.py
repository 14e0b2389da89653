"""The adapter registry: add, check, promote, roll back and prune the adapters of a folder.

    registry = AdapterRegistry(Path("adapters"))
    registry.add(trained, Manifest(role="style", step=registry.next_step("style"), ...))
    registry.promote("style@1")
    registry.promoted()  # {"style": "style@1"}

Each adapter is an immutable folder named `role@step` with PEFT's files and a `manifest.json`;
`promoted.json` holds the promotions. All methods block: call them through `asyncio.to_thread` in an
event loop. Readers need no lock and no write access; writers of all processes share one lock.

Pruning keeps the latest adapters of each role, the promoted ones, the targets of the next rollback,
and the ancestors of all these. An adapter with an unreadable manifest is kept too, because its
parent is unknown.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from filelock import BaseFileLock

from ..errors import AdapterDamaged, AdapterError, AdapterExists, AdapterNotFound, AdapterUnfit
from ..files import below, lock_in
from .checks import check_files, check_shape, read_manifest
from .folders import (
    Adapter,
    adapters_in,
    clear_staging,
    copy_adapter,
    names_in,
    origins_in,
    remove,
    size_of,
    staging_folder,
)
from .lineage import Chain, people_of, trained_on
from .manifest import FILES, Manifest, parse_name
from .promotions import Promotions


@dataclass(frozen=True)
class Pruned:
    """The result of pruning (with `dry_run`: of what would be pruned).

    Attributes:
        removed: Names of the removed adapters.
        kept: Reason for keeping each other adapter, by name.
        bytes: Size of the removed adapters.
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
    """Return the adapters to keep, with the reason for each.

    Args:
        parents: Parent of each readable adapter, by name.
        damaged: Names of unreadable adapters.
        histories: Promotions by role, the current one last; none is empty.
        keep: Number of latest adapters to keep per role, at least 1.
    """
    kept = dict.fromkeys(damaged, "its manifest can't be read")
    for history in histories.values():
        kept.setdefault(history[-1], "promoted")
        for name in history[-2:-1]:
            kept.setdefault(name, "target of the next rollback")
    for name in _latest(parents, keep):
        kept.setdefault(name, f"one of the latest {keep} of its role" if keep > 1 else "the latest")
    for name in list(kept):
        child, parent = name, parents.get(name)
        while parent is not None and parent not in kept:
            kept[parent] = f"parent of {child}"
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
    """The adapters of a folder; thread- and process-safe. All methods block.

    Attributes:
        root: The folder; created by the first `add`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._promotions = Promotions(root / "promoted.json", self._lock)

    def add(
        self, folder: Path, manifest: Manifest, *, trained_on: Iterable[str] | None = None
    ) -> Adapter:
        """Check and copy an adapter; it becomes visible only when complete.

        Args:
            folder: Output of PEFT's `save_pretrained`; other files in it are ignored.
            manifest: Its `files` may be empty; checksums in it are verified.
            trained_on: Keys of the people whose texts trained it, without its parent's
                (`lineage.person_key`); None if unknown, which `forget` reports.

        Returns:
            The adapter in the registry, with all checksums in its manifest.

        Raises:
            AdapterNotFound: The folder does not exist.
            AdapterDamaged: A file is missing, unreadable, or differs from its checksum.
            AdapterUnfit: It can't share a batch with other adapters.
            AdapterExists: The registry has an adapter of this name.
            ValueError: One of the people is not a valid key.
        """
        place, partial = self.root / manifest.name, staging_folder(self.root, manifest.name)
        if not folder.is_dir():
            raise AdapterNotFound(
                f"adapter {manifest.name}: expected a folder with {' and '.join(FILES)}, there is "
                f"none at {folder}: save it with PEFT's `save_pretrained`"
            )
        with self._lock():
            if place.exists():
                raise AdapterExists(
                    f"adapter {manifest.name} exists already and can't be replaced: add this one "
                    f"as step {self.next_step(manifest.role)}"
                )
            clear_staging(self.root)
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
        """Return all adapters by role, then step; only their manifests are checked.

        Args:
            report: Called for each adapter with an unreadable manifest, which is skipped; by
                default a warning is logged.
        """
        return adapters_in(self.root, report or _warn)

    def get(self, name: str, *, base: str | None = None) -> Adapter:
        """Return an adapter after all checks; takes 3 to 7 ms for 3 MB.

        Args:
            name: `role@step`.
            base: Fingerprint of the base model that must match; None for any.

        Raises:
            AdapterNotFound: There is no adapter of this name.
            AdapterDamaged: A file is missing, unreadable, or changed since it was added.
            AdapterUnfit: It can't share a batch with others, or needs another base model.
        """
        folder = self._folder_of(name)
        try:
            manifest = read_manifest(folder)
            check_files(name, folder, manifest.files)
            check_shape(name, folder)
        except AdapterDamaged:
            self._folder_of(name)  # raises AdapterNotFound if it was pruned concurrently
            raise
        if base is not None and manifest.base != base:
            raise AdapterUnfit(
                f"adapter {name}: expected one for the base model {base}, got one for "
                f"{manifest.base} ({manifest.base_name}): train it on this model, or serve "
                "that one",
                code="other_base_model",
            )
        return Adapter(folder, manifest)

    def next_step(self, role: str) -> int:
        """Return the next free step of a role; damaged and promoted adapters count."""
        names = names_in(self.root)
        names += self._promotions.histories().get(role, ())
        return 1 + max((step for own, step in map(parse_name, names) if own == role), default=0)

    def promoted(self) -> dict[str, str]:
        """Return the promoted adapter by role; roles on the base model are left out.

        Adapters are not checked; `get` does that. Cheap enough for every request: 5 microseconds
        while nothing changes.

        Raises:
            AdapterDamaged: `promoted.json` can't be read.
        """
        return self._promotions.current()

    def promote(self, name: str, *, base: str | None = None) -> None:
        """Promote an adapter for its role after all checks; `rollback` returns to the previous one.

        Args:
            name: `role@step`.
            base: Fingerprint of the base model that will serve it; None if unknown.

        Raises:
            AdapterError: As for `get`, or `promoted.json` can't be read.
        """
        role = self.get(name, base=base).role
        # Checked again under the lock: it may have been pruned since.
        self._promotions.push(role, name, lambda: self._folder_of(name))

    def rollback(self, role: str) -> str | None:
        """Undo the last promotion of a role.

        The previous adapter is not checked: a rollback from a bad adapter must always work.

        Returns:
            The adapter that is promoted now; None for the base model.

        Raises:
            AdapterNotFound: No adapter of this role is promoted.
            AdapterDamaged: `promoted.json` can't be read.
        """
        return self._promotions.pop(role)

    def chain(self, name: str) -> Chain:
        """Return an adapter and its ancestors, as recorded in their manifests.

        Raises:
            AdapterNotFound: There is no adapter of this name.
            AdapterDamaged: Its own manifest can't be read; an unreadable ancestor ends the chain.
        """
        found = [read_manifest(self._folder_of(name))]
        while (parent := found[-1].parent) is not None:
            try:
                manifest = read_manifest(self._folder_of(parent))
            except AdapterError:
                return Chain(tuple(found), missing=parent)
            if manifest in found:  # a cycle, from manifests edited by hand
                break
            found.append(manifest)
        return Chain(tuple(found))

    def trained_on(self, person: str) -> tuple[str, ...]:
        """Return the adapters trained on a person's texts, directly or through an ancestor.

        Args:
            person: Key of the person (`lineage.person_key`).
        """
        return trained_on(person, origins_in(self.root))

    def people(self) -> dict[str, frozenset[str] | None]:
        """Return the keys of all people whose texts trained each adapter or its ancestors.

        None where a record in the lineage is missing or damaged, or its folder was deleted by hand.
        """
        origins = origins_in(self.root)
        return {name: people_of(name, origins) for name in origins}

    def prune(self, keep: int, *, dry_run: bool = False) -> Pruned:
        """Remove old adapters; the module's docstring lists the ones that are kept.

        Each is removed from the promotions first, then deleted atomically. Models that have loaded
        one keep it.

        Args:
            keep: Number of latest adapters to keep per role; at least 1, so that no step is reused.
            dry_run: Only report what would be removed.

        Raises:
            ValueError: `keep` is below 1.
            AdapterDamaged: `promoted.json` can't be read; nothing is removed.
        """
        if keep < 1:
            raise ValueError(f"expected to keep at least 1 adapter of each role, got {keep}")
        if dry_run or not self.root.is_dir():
            return self._choose(keep)
        with self._lock():
            clear_staging(self.root)
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
        folder = below(self.root, name, error=AdapterDamaged)
        if not folder.is_dir():
            raise self._not_found(role, name)
        return folder

    def _not_found(self, role: str, name: str) -> AdapterNotFound:
        names = [each for each in names_in(self.root) if parse_name(each)[0] == role]
        kept = ", ".join(names[-5:]) or "none"
        if self.promoted().get(role) == name:
            todo = f"it is still promoted: add it again, or `patlm adapters rollback {role}`"
        else:
            todo = "add it, or name another"
        return AdapterNotFound(
            f"no adapter {name} in {self.root}; latest of this role: {kept}; {todo}"
        )

    def _lock(self) -> BaseFileLock:
        return lock_in(self.root, _LOCK, error=AdapterDamaged)


def _warn(error: AdapterError) -> None:
    _log.warning("%s", error)
