"""Look over a store: who has how many texts, equal texts of several people, copies, orphans.

    found = await audit(store, uri, personal=PERSONAL)

All texts are read. Nearly equal texts are found by a sketch: of each text the smallest hashes of
its runs of three words; texts with one in common are compared as evidence is (`search.duplicates`).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..datasets.splits import find_splits_file
from ..files import files_below
from ..search.duplicates import Shingles, copies_among, shingles_of
from ..search.words import Terms, bare, terms_of
from ..texts.arrow import Places, starts_of, texts_of_rows
from ..texts.artefacts import ARTEFACTS
from ..texts.connection import local_root
from ..texts.filters import every_namespace
from ..texts.schema import TEXTS, TOPICS, USERS
from .sweep import places_of

if TYPE_CHECKING:
    from ..texts.store import TextStore
    from ..types import Text

Finder = Callable[[str, str], int]

PERSONAL: dict[str, Finder] = {}
"""Finders of personal data by kind (`phone`, `email`): each returns how often a text has some.

It is given the language. Without any, an audit says nothing of it; the command has those of the
guards.
"""

_SKETCH = 8
"""Hashes of a text by which it meets others."""

_MOST_MET = 200
"""Texts that share a hash and are compared; of more, which have a phrase in common, the first."""

_LOCKS = ".patlm-*.lock"
_KNOWN = {TEXTS, USERS, TOPICS, ARTEFACTS, "forgotten"}


@dataclass(frozen=True)
class Person:
    """What is held of one person.

    Attributes:
        texts: All texts.
        shared: Those that others may read.
        personal: How often personal data were found in them, by kind.
    """

    namespace: str
    user_id: str
    texts: int
    shared: int
    personal: Mapping[str, int]


@dataclass(frozen=True)
class EqualTexts:
    """Equal or nearly equal texts of several people of one tenant.

    Attributes:
        authors: The people.
        text_ids: Their texts.
    """

    namespace: str
    authors: tuple[str, ...]
    text_ids: tuple[str, ...]


@dataclass(frozen=True)
class KnownPlace:
    """A place that may hold copies of the store's texts.

    Attributes:
        kind: Its kind.
        path: The file or folder.
        says: What it is, and what `forget` does there.
        of_store: Whether it was made of this store; else of something that may have its texts, too.
    """

    kind: str
    path: str
    says: str
    of_store: bool


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        people: All people, those with the most texts first.
        equal: Equal texts of several people, those of the most people first.
        places: Places that may hold copies.
        learned: What learned from the texts and is kept with them.
        orphans: Files in the store's folder that belong to nothing.
        searched: Kinds of personal data that were looked for.
    """

    people: tuple[Person, ...]
    equal: tuple[EqualTexts, ...]
    places: tuple[KnownPlace, ...]
    learned: tuple[str, ...]
    orphans: tuple[str, ...]
    searched: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        totals = {
            "people": len(self.people),
            "texts": sum(each.texts for each in self.people),
            "shared": sum(each.shared for each in self.people),
        }
        return {"totals": totals, **asdict(self)}


async def audit(
    store: TextStore,
    uri: str | None,
    *,
    trace: Path | None = None,
    personal: Mapping[str, Finder] = PERSONAL,
) -> Audit:
    """Look over a store.

    Args:
        store: The store.
        uri: Where it lies.
        trace: Folder of records of runs on it, if that is known.
        personal: Finders of personal data by kind.

    Raises:
        StoreError: It can't be read.
    """
    rows = await store.forgetting.tables.read(TEXTS, every_namespace())
    learned = await store.forgetting.artefacts.learned()

    def look() -> Audit:
        texts = texts_of_rows(rows)
        root = None if uri is None else local_root(uri)
        return Audit(
            people=tuple(_people(texts, personal)),
            equal=tuple(equal_texts(texts)),
            places=tuple(_places(uri, trace)),
            learned=tuple(learned),
            orphans=() if root is None else tuple(map(str, orphans(root))),
            searched=tuple(personal),
        )

    return await asyncio.to_thread(look)


def _people(texts: Iterable[Text], personal: Mapping[str, Finder]) -> list[Person]:
    held, shared = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    found: dict[tuple[str, str], Counter[str]] = {}
    for text in texts:
        who = (text.namespace, text.user_id)
        held[who] += 1
        shared[who] += text.shared
        counts = found.setdefault(who, Counter())
        for kind, count in personal.items():
            counts[kind] += count(f"{text.title}\n{text.body}", text.language or "en")
    return [
        Person(*who, texts=count, shared=shared[who], personal=dict(found[who]))
        for who, count in sorted(held.items(), key=lambda item: (-item[1], item[0]))
    ]


def equal_texts(texts: Sequence[Text]) -> list[EqualTexts]:
    """Return groups of equal or nearly equal texts, each of several people of one tenant."""
    groups: dict[int, list[int]] = {}
    parent = list(range(len(texts)))

    def root_of(at: int) -> int:
        while parent[at] != at:
            parent[at] = parent[parent[at]]
            at = parent[at]
        return at

    for one, two in _pairs(texts):
        parent[root_of(one)] = root_of(two)
    for at in range(len(texts)):
        groups.setdefault(root_of(at), []).append(at)
    found = []
    for group in groups.values():
        authors = sorted({texts[at].user_id for at in group})
        if len(authors) > 1:
            ids = tuple(texts[at].text_id for at in group)
            found.append(EqualTexts(texts[group[0]].namespace, tuple(authors), ids))
    return sorted(found, key=lambda each: (-len(each.authors), each.namespace, each.authors))


def _pairs(texts: Sequence[Text]) -> Iterator[tuple[int, int]]:
    """Yield pairs of texts of one tenant that are nearly equal."""
    terms = [terms_of(text.body) for text in texts]
    starts = starts_of(np.array([len(each) for each in terms], np.int64))
    words = np.concatenate(terms) if terms else np.zeros(0, np.uint32)
    shingles = shingles_of(words, starts)
    bodies = [bare(text.body) for text in texts]
    met: dict[tuple[str, object], list[int]] = {}
    for at, text in enumerate(texts):
        for key in (bodies[at], *_sketch(shingles[starts[at] : starts[at + 1]])):
            met.setdefault((text.namespace, key), []).append(at)
    seen: set[tuple[int, ...]] = set()
    for group in met.values():
        few = tuple(group[:_MOST_MET])
        if len({texts[at].user_id for at in few}) < 2 or few in seen:
            continue
        seen.add(few)
        yield from _equal_among(few, words, starts, bodies)


def _sketch(shingles: Shingles) -> list[int]:
    different: list[int] = np.unique(shingles[shingles > 0])[:_SKETCH].tolist()
    return different


def _equal_among(
    group: tuple[int, ...], words: Terms, starts: Places, bodies: Sequence[str]
) -> Iterator[tuple[int, int]]:
    no_titles = np.zeros(len(group), np.int64)
    alike = copies_among(words, starts, np.array(group), [bodies[at] for at in group], no_titles)
    for one, two in zip(*np.nonzero(np.triu(alike)), strict=True):
        yield group[int(one)], group[int(two)]


def _places(uri: str | None, trace: Path | None) -> Iterator[KnownPlace]:
    for place in places_of(uri, trace=trace):
        if place.kind is not None and place.path.exists():
            yield KnownPlace(place.kind.name, str(place.path), place.kind.says, place.by_id)


def orphans(root: Path) -> list[Path]:
    """Return the files in a store's folder that belong to nothing: no version, no table, no list.

    A file of a table belongs to it if a version names it. While a process writes, its newest files
    may not be named yet.
    """
    found: list[Path] = []
    splits = find_splits_file(str(root))
    own = set() if splits is None else {splits.name, f"{splits.name}.lock"}
    for path in sorted(root.iterdir()):
        if path.is_dir() and path.stem in _KNOWN and path.suffix == ".lance":
            found += _unnamed(path)
        elif path.name not in own and not path.match(_LOCKS):
            found += files_below(path) if path.is_dir() else [path]
    return found


def _unnamed(table: Path) -> Iterator[Path]:
    """Yield the files of data that no version of a table names."""
    versions = []
    for path in files_below(table / "_versions"):
        with suppress(FileNotFoundError):
            versions.append(path.read_bytes())
    for path in sorted((table / "data").glob("*")):
        if not any(path.name.encode() in version for version in versions):
            yield path
