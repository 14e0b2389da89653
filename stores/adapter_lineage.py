"""Which adapter went on from which: parents, and the people that descendants carry on.

An adapter that went on from one that was trained on a person was trained on the person, too: its
weights began as the other's. So a person is looked for in the adapter and in all before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .adapter_manifest import Manifest


@dataclass(frozen=True)
class Chain:
    """An adapter and those that it went on from.

    Attributes:
        manifests: The adapter itself first, then its parent, and so on.
        missing: The ancestor that is named but not there, or can't be read; None: all are.
    """

    manifests: tuple[Manifest, ...]
    missing: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What they are called, in the same order."""
        return tuple(manifest.name for manifest in self.manifests)


@dataclass(frozen=True)
class Origin:
    """What one adapter comes from.

    Attributes:
        parent: The adapter that it went on from; None: from new weights, or nobody can tell.
        people: Keys of those whose texts trained it on top of that, as far as they are on record.
        complete: Whether all of this is on record, and as it was written.
    """

    parent: str | None
    people: frozenset[str]
    complete: bool


def trained_on(person: str, origins: Mapping[str, Origin]) -> tuple[str, ...]:
    """Return the adapters that a person trained, themselves or through an ancestor.

    Args:
        person: See `adapter_people.person_key`.
        origins: All adapters by name.
    """

    def has_seen(name: str) -> bool:
        return any(origin and person in origin.people for origin in _line(name, origins))

    return tuple(name for name in origins if has_seen(name))


def people_of(name: str, origins: Mapping[str, Origin]) -> frozenset[str] | None:
    """Return all people who trained an adapter or its ancestors; None: nobody can tell."""
    people: set[str] = set()
    for origin in _line(name, origins):
        if origin is None or not origin.complete:
            return None
        people |= origin.people
    return frozenset(people)


def _line(name: str, origins: Mapping[str, Origin]) -> Iterator[Origin | None]:
    """Yield an adapter and its ancestors; in the end None where one is not there."""
    seen: set[str] = set()
    following: str | None = name
    while following is not None and following not in seen:
        seen.add(following)  # parents that were written by hand may go in a circle
        origin = origins.get(following)
        yield origin
        following = None if origin is None else origin.parent
