"""Lineage of adapters: parents, and the people whose texts trained them.

    registry.add(trained, manifest, trained_on=people_in(*episodes))
    registry.trained_on(person_key("default", "ana"))  # ("style@1", "style@2")

`trained_on.txt` in an adapter's folder holds hashes of people, one per line. It lets `forget` name
the adapters that were trained on a person without storing the person's id: training can't be
undone in the weights, so the hash stays as long as the weights do.

An adapter starts from its parent's weights, so it was also trained on the parent's people. A person
is therefore looked up in an adapter and all its ancestors.

A person is a user of one namespace: tenants that share a folder of adapters may each have an `ana`,
and forgetting one must not name adapters trained on the other. The splits file has one part per
namespace, so its keys need only the user (`splits.user_key`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..datasets.splits import hash_of
from ..episodes.schema import Episode
from ..errors import AdapterDamaged
from ..files import new_file
from ..forgotten import recorded_user
from ..values import SEPARATOR
from .manifest import PEOPLE, Manifest


@dataclass(frozen=True)
class Chain:
    """An adapter and its ancestors.

    Attributes:
        manifests: Manifest of the adapter, then of its parent, and so on.
        missing: Name of the first ancestor that is missing or unreadable; None if there is none.
    """

    manifests: tuple[Manifest, ...]
    missing: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names in the same order."""
        return tuple(manifest.name for manifest in self.manifests)


@dataclass(frozen=True)
class Origin:
    """The recorded origin of one adapter.

    Attributes:
        parent: The adapter that its training started from; None for new weights or if unknown.
        people: Recorded keys of the people whose texts trained it, without its parent's.
        complete: Whether the record is complete and undamaged.
    """

    parent: str | None
    people: frozenset[str]
    complete: bool


def trained_on(person: str, origins: Mapping[str, Origin]) -> tuple[str, ...]:
    """Return the adapters trained on a person's texts, directly or through an ancestor.

    Args:
        person: Key of the person (see `person_key`).
        origins: Origins of all adapters by name.
    """

    def has_seen(name: str) -> bool:
        return any(origin and person in origin.people for origin in _lineage(name, origins))

    return tuple(name for name in origins if has_seen(name))


def people_of(name: str, origins: Mapping[str, Origin]) -> frozenset[str] | None:
    """Return the keys of all people in an adapter's lineage; None if a record is incomplete."""
    people: set[str] = set()
    for origin in _lineage(name, origins):
        if origin is None or not origin.complete:
            return None
        people |= origin.people
    return frozenset(people)


def _lineage(name: str, origins: Mapping[str, Origin]) -> Iterator[Origin | None]:
    """Yield the origins of an adapter and its ancestors; None at the end if one is missing."""
    seen: set[str] = set()
    following: str | None = name
    while following is not None and following not in seen:
        seen.add(following)  # manifests edited by hand may form a cycle
        origin = origins.get(following)
        yield origin
        following = None if origin is None else origin.parent


_KEY = re.compile("[0-9a-f]{16}")


def person_key(namespace: str, user_id: str) -> str:
    """Return the key of a person: 16 hex digits, a hash of namespace and user id.

    It is a pseudonym, not a secret: anyone who knows the id can compute it.

    Args:
        namespace: The tenant.
        user_id: The person's id in the namespace.
    """
    return hash_of(f"{namespace}{SEPARATOR}{user_id}")[:16]


def people_in(*episodes: Episode) -> frozenset[str]:
    """Return the keys of all people in episodes: requesters and authors of evidence.

    For exactly these people `forget_episodes` empties an episode.
    """
    return frozenset(
        person_key(episode.namespace, user_id)
        for episode in episodes
        for user_id in _user_ids(episode.model_dump(exclude={"samples", "groups"}))
    )


def write_people(path: Path, people: Iterable[str]) -> None:
    """Write keys to a file, sorted and without duplicates.

    Raises:
        ValueError: One is not a valid key.
    """
    keys = sorted(set(people))
    for key in keys:
        if not _KEY.fullmatch(key):
            raise ValueError(
                f"expected keys of people (16 hex digits, `person_key`), got {key!r}: plain ids "
                "must not be stored with an adapter"
            )
    new_file(path).write_text("".join(f"{key}\n" for key in keys), encoding="ascii")


def read_people(folder: Path) -> frozenset[str] | None:
    """Return the keys of the people whose texts trained an adapter; None without a record.

    Raises:
        AdapterDamaged: The file can't be read.
    """
    try:
        return frozenset((folder / PEOPLE).read_text(encoding="ascii").split())
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise AdapterDamaged(
            f"adapter {folder.name}: {PEOPLE} can't be read: {error}: add it again from where it "
            "was trained"
        ) from error


def _user_ids(content: Any) -> Iterator[str]:
    """Yield every `user_id` in a record, at any depth."""
    if isinstance(content, dict):
        for key, value in content.items():
            if key == "user_id" and value is not None:
                yield recorded_user(value)
            else:
                yield from _user_ids(value)
    elif isinstance(content, list | tuple):
        for value in content:
            yield from _user_ids(value)
