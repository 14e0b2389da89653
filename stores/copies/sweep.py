"""Remove a person's texts from all copies of a store that are known, and say what stays.

    places = places_of(uri, trace=trace, episodes=folders, copies=named)
    swept = sweep(sought, places)

Places come from the list of copies (`ledger`), and from the caller. In a place that was made of the
store, or that the caller names, the person's id counts; in others only the words of the texts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..datasets.splits import find_splits_file
from ..episodes.shards import COLLECTED, SERVED
from ..errors import InvalidOption, StoreError
from ..files import FEEDBACK
from ..texts.connection import TABLE_FOLDER
from .kinds import KINDS, Kind, kind_of, remove_whole
from .ledger import made_of, origin, read_copies
from .search import Sought

OUTSIDE = (
    "what patlm did not write, or wrote as another user or on another machine: checkpoints of an "
    "app's own LangGraph graph, backups, logs, and what servers of models were sent"
)
"""What no receipt can speak for."""

_MADE = ("page", "export")
"""Kinds that show the records they were made of, so they go with any of these."""


@dataclass(frozen=True)
class CopyPlace:
    """A place that may hold copies.

    Attributes:
        kind: Its kind; None: a file that nobody knows how to change.
        path: The file or folder.
        of: What it was made of, as `ledger.origin` names it.
        by_id: Whether the person's id counts there.
        named: Whether the caller named it: then a fault is raised, else it is told.
    """

    kind: Kind | None
    path: Path
    of: str = ""
    by_id: bool = True
    named: bool = False


@dataclass(frozen=True)
class Swept:
    """What a sweep did.

    Attributes:
        removed: Number of removed things by the name of the kind.
        changed: The places that they were in.
        left: What holds something and stays, or may hold something: a sentence each.
    """

    removed: Counter[str]
    changed: tuple[str, ...]
    left: tuple[str, ...]


def places_of(
    uri: str | None,
    *,
    trace: Path | None = None,
    episodes: Iterable[Path] = (),
    copies: Iterable[Path] = (),
) -> list[CopyPlace]:
    """Return all places that may hold copies of a store's texts. Blocks.

    Args:
        uri: The store; None: the sample corpus's.
        trace: Folder of records that the caller names.
        episodes: Folders of collected episodes that the caller names.
        copies: Other files and folders that the caller names.

    Raises:
        InvalidOption: One of the last is not there.
    """
    places = [] if trace is None else [CopyPlace(KINDS["traces"], trace, named=True)]
    places += [CopyPlace(KINDS["episodes"], folder, named=True) for folder in episodes]
    for path in copies:
        places += _named(path)
    splits = None if uri is None else find_splits_file(uri)
    if splits is not None:
        places.append(CopyPlace(KINDS["splits"], splits, named=True))
    listed = [each for each in read_copies() if each.kind in KINDS]
    own = made_of(listed, [origin(uri), *(origin(place.path) for place in places)])
    # Records of runs on other stores are others', however many texts the stores have in common.
    others = [each for each in listed if each.kind == "traces" and each not in own]
    others += made_of(listed, [str(each.path) for each in others])
    for each in listed:
        if each.path.exists() and (each in own or each not in others):
            places.append(CopyPlace(KINDS[each.kind], each.path, each.of, each in own))
    return _each_once(places)


def _each_once(places: Iterable[CopyPlace]) -> list[CopyPlace]:
    """Return the places in the order of their kinds; one that was named by hand stands for all."""
    order = list(KINDS.values())
    found: dict[Path, CopyPlace] = {}
    for place in places:
        path = place.path.resolve()
        if path not in found or (place.by_id and not found[path].by_id):
            found[path] = place
    return sorted(
        found.values(), key=lambda place: order.index(place.kind) if place.kind else len(order)
    )


def _named(path: Path) -> Iterator[CopyPlace]:
    """Yield the places in a file or folder that is named by hand."""
    if not path.exists():
        raise InvalidOption(f"copies: expected a file or folder, there is none at {path}")
    if not path.is_dir():
        yield CopyPlace(kind_of(path), path, named=True)
        return
    shards = [path.glob(f"{prefix}*.jsonl") for prefix in (f"{SERVED}-", f"{COLLECTED}-", FEEDBACK)]
    records = {file for found in shards for file in found}
    if records:
        yield CopyPlace(KINDS["traces"], path, named=True)
    for each in sorted(path.iterdir()):
        if each.name == TABLE_FOLDER:
            yield CopyPlace(None, path, named=True)
        elif each.is_dir() and not each.suffix == ".lance":
            yield from _named(each)
        elif each.is_file() and each not in records:
            yield CopyPlace(kind_of(each), each, named=True)


def sweep(sought: Sought, places: Sequence[CopyPlace], *, dry_run: bool = False) -> Swept:
    """Remove what is sought from places, and look again. Blocks.

    Args:
        sought: Of whom.
        places: Where, in order.
        dry_run: Only count.

    Raises:
        OSError: A place that the caller named can't be changed.
        StoreError: The same.
    """
    removed, changed, left = Counter[str](), list[str](), list[str]()
    for place in places:
        if not place.path.exists():
            continue
        here = sought if place.by_id else replace(sought, by_id=False)
        try:
            count, says = _sweep_one(place, here, place.of in changed, dry_run)
        except (OSError, StoreError) as error:
            if place.named:
                raise
            count, says = 0, f"{place.path}: {error}"
        if count and place.kind is not None:
            removed[place.kind.name] += count
            changed.append(origin(place.path))
        if says:
            left.append(says)
    return Swept(removed, tuple(changed), tuple(left))


def _sweep_one(
    place: CopyPlace, sought: Sought, of_changed: bool, dry_run: bool
) -> tuple[int, str]:
    """Return how much was removed, and what is to be said of the rest."""
    kind, path = place.kind, place.path
    if kind is None:
        if (path / TABLE_FOLDER).is_dir():
            return 0, f"{path}: a store of its own, with its own `patlm forget --store`"
        stays = sought.in_file(path)
        return 0, f"{path}: holds words of the person, and is no file of ours" if stays else ""
    if kind.find is None or kind.remove is None:
        return 0, f"{path}: {kind.says}" if place.by_id else ""
    if kind.name in _MADE and of_changed and not dry_run:
        remove_whole(path)
        return 1, ""
    count = (kind.find if dry_run else kind.remove)(path, sought)
    if count and not dry_run and path.exists() and not kind.prove(path, sought):
        return count, f"{path}: something of the person is left: {kind.says}"
    return count, ""
