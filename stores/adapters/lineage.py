"""Which adapter went on from which: parents, and the people that descendants carry on.

An adapter that went on from one that was trained on a person was trained on the person, too: its
weights began as the other's. So a person is looked for in the adapter and in all before it.

Whose texts trained an adapter: hashes of people, one a line, in `trained_on.txt` beside it.

    registry.add(trained, manifest, trained_on=people_in(*episodes))
    registry.trained_on(person_key("default", "ana"))  # ("style@1", "style@2")

The file lets `forget` name the adapters that a person is part of without naming the person: what
was learnt can't be taken out of weights, so their hash stays as long as the weights do.

A person is a user of one namespace. Tenants that share a folder of adapters may each have an
`ana`, and forgetting one of them must not point at what was trained on the other; the splits, which
are kept by namespace in the file, need only the user (`splits.user_key`).
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
from .manifest import PEOPLE, Manifest


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


_KEY = re.compile("[0-9a-f]{16}")


def person_key(namespace: str, user_id: str) -> str:
    """Return what a person is called here: 16 hex digits that name nobody.

    Whoever knows an id can work out its key: it is a pseudonym, not a secret.

    Args:
        namespace: The tenant.
        user_id: The person's id in it.
    """
    return hash_of(f"{namespace}\x1f{user_id}")[:16]


def people_in(*episodes: Episode) -> frozenset[str]:
    """Return the keys of all whose texts stand in episodes: who asked, and who lent evidence.

    They are the people for whose sake `forget_episodes` touches an episode.
    """
    return frozenset(
        person_key(episode.namespace, user_id)
        for episode in episodes
        for user_id in _user_ids(episode.model_dump(exclude={"samples", "groups"}))
    )


def write_people(path: Path, people: Iterable[str]) -> None:
    """Write a file of keys, sorted, each once.

    Raises:
        ValueError: One is no key of a person.
    """
    keys = sorted(set(people))
    for key in keys:
        if not _KEY.fullmatch(key):
            raise ValueError(
                f"expected keys of people (16 hex digits, `person_key`), got {key!r}: an id as it "
                "is must not be kept beside an adapter"
            )
    path.write_text("".join(f"{key}\n" for key in keys), encoding="ascii")


def read_people(folder: Path) -> frozenset[str] | None:
    """Return the keys of the people who trained the adapter in a folder; None: not on record.

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
    """Yield every `user_id` in a record, at whatever depth."""
    if isinstance(content, dict):
        for key, value in content.items():
            if key == "user_id" and isinstance(value, str):
                yield value
            else:
                yield from _user_ids(value)
    elif isinstance(content, list | tuple):
        for value in content:
            yield from _user_ids(value)
