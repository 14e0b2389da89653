"""Which old adapters may go, and why the others stay.

The latest of each role stay, however many are wanted; besides them those that are in use, those
that the next rollback goes back to, and all that one of these went on from. An adapter whose
manifest can't be read stays as well: nobody knows what it went on from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .adapter_manifest import parse_name


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
