"""Divide users and topics into splits for training and evaluation, and keep the assignment.

Targets go to `train`, `gate` and `report` as 12 : 3 : 5, by whole topics, so that nothing is
trained on a topic that is evaluated. The topics of a data set are assigned in order of their
targets, each to the split that is farthest below its share. (A plain hash of the topic gave
`report` between 99 and 1,043 of 2,500 targets on a set whose largest topic holds 704.) Topics
without targets go by hash. A user belongs to the split of the target's topic, one without a target
to that of most of their texts; in a store without targets all go by hash.

The assignment is kept in one JSON file a store and never changes; a user or topic that is not in it
goes by hash.

    {"version": 1, "namespaces": {"default": {"topics": {...}, "users": {...}}}}

Users are stored as hashes of their ids. The file is replaced atomically under a lock, so that two
writers never lose each other's part.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from ..errors import StoreError
from ..files import lock_in, write_json
from ..texts.connection import local_root
from ..types import Text

Split = Literal["train", "gate", "report"]
SPLITS: tuple[Split, ...] = get_args(Split)
SHARES: Mapping[Split, int] = {"train": 12, "gate": 3, "report": 5}


class Place(NamedTuple):
    """The part of a text that decides its split."""

    user_id: str
    topic_id: str
    target: bool

    @classmethod
    def of(cls, text: Text) -> Place:
        """Return a text's place; ids are interned, since a file repeats each many times."""
        return cls(sys.intern(text.user_id), sys.intern(text.topic_id), text.target)


@dataclass(frozen=True)
class Splits:
    """The splits of one namespace of one store.

    Attributes:
        topics: The split of each assigned topic.
        users: The split of each assigned user, by `user_key`.
    """

    topics: Mapping[str, Split] = field(default_factory=dict)
    users: Mapping[str, Split] = field(default_factory=dict)

    def of_topic(self, topic_id: str) -> Split:
        """Return the split of a topic; an unassigned one goes by hash."""
        return self.topics.get(topic_id) or split_by_hash(topic_id)

    def of_user(self, user_id: str) -> Split:
        """Return the split of a user; an unassigned one goes by hash."""
        return self.users.get(user_key(user_id)) or split_by_hash(user_id)

    def may_train(self, user_id: str, topic_id: str) -> bool:
        """Return whether a text may be trained on: only if its user *and* its topic are in `train`.

        Args:
            user_id: The author.
            topic_id: The topic; "" (unknown) lets the user decide.
        """
        by_topic = "train" if topic_id == "" else self.of_topic(topic_id)
        return by_topic == "train" and self.of_user(user_id) == "train"

    def without_user(self, user_id: str) -> Splits:
        """Return the splits without a forgotten user."""
        key = user_key(user_id)
        return replace(self, users={user: s for user, s in self.users.items() if user != key})

    @cached_property
    def fingerprint(self) -> str:
        """Twelve hex digits for artefacts, so that a bench can refuse those of another split.

        Only the topics count: users follow from them, and forgetting one must not make every
        artefact unfit.
        """
        lines = "\n".join(f"{topic}\x1f{split}" for topic, split in sorted(self.topics.items()))
        return hashlib.sha1(lines.encode()).hexdigest()[:12]


def deal(places: Iterable[Place], earlier: Splits | None = None) -> Splits:
    """Assign the topics and users of one data set.

    Args:
        places: The texts of the data set.
        earlier: The splits so far; nothing in them changes.

    Returns:
        The earlier splits with new topics and users. Where neither has a target, the earlier ones:
        then all go by hash, and there is nothing to keep.
    """
    known = earlier or Splits()
    found = list(places)
    targets = Counter(place.topic_id for place in found if place.target and place.topic_id)
    if not targets and not known.topics:
        return known
    topics = dict(known.topics)
    topics.update(_deal_topics(targets, known.topics))
    for place in found:
        if place.topic_id and place.topic_id not in topics:
            topics[place.topic_id] = split_by_hash(place.topic_id)
    dealt = replace(known, topics=topics)
    return replace(dealt, users={**_place_users(found, dealt), **known.users})


def latest_as_targets(texts: Iterable[Text]) -> list[Text]:
    """Mark each person's latest text as the target, for data that mark none.

    Args:
        texts: Texts of any number of people, in any order.

    Returns:
        The same texts in the same order; by time, then by position in the file, then by content.
        A target has another `text_id` than the same text as history.
    """
    kept = list(texts)
    latest: dict[tuple[str, str], Text] = {}
    for text in kept:
        person = (text.namespace, text.user_id)
        latest[person] = max(latest.get(person, text), text, key=_recency)
    chosen = {id(text) for text in latest.values()}
    return [replace(text, target=True) if id(text) in chosen else text for text in kept]


def split_by_hash(name: str) -> Split:
    """Return the split of an id by its sha1: 12, 3 and 5 of 20 parts."""
    part = int(hash_of(name), 16) % sum(SHARES.values())
    for split in SPLITS:
        part -= SHARES[split]
        if part < 0:
            return split
    raise AssertionError("a remainder is below the sum of the shares")


def user_key(user_id: str) -> str:
    """Return the key of a user in the splits: a hash, so that the file names nobody."""
    return hash_of(user_id)[:16]


def hash_of(name: str) -> str:
    """Return the sha1 of an id in hex, which also breaks ties."""
    return hashlib.sha1(name.encode()).hexdigest()


def _deal_topics(targets: Counter[str], known: Mapping[str, Split]) -> dict[str, Split]:
    """Return the splits of the topics that are not known yet.

    With n targets in all and c of them in a split of share s, the next topic goes to the split of
    the largest n·s/Σs - c; ties go to the first of train, gate, report.
    """
    whole = sum(targets.values())
    held = Counter({split: 0 for split in SPLITS})
    for topic, number in targets.items():
        if topic in known:
            held[known[topic]] += number
    dealt: dict[str, Split] = {}
    for topic in sorted(targets, key=lambda topic: (-targets[topic], hash_of(topic))):
        if topic in known:
            continue
        # In whole numbers: a tie must not depend on rounding.
        parts = sum(SHARES.values())
        split = max(SPLITS, key=lambda split: whole * SHARES[split] - held[split] * parts)
        dealt[topic] = split
        held[split] += targets[topic]
    return dealt


def _place_users(places: list[Place], dealt: Splits) -> dict[str, Split]:
    """Return the split of each user: of the target's topic, else of most of the texts."""
    by_target: dict[str, Counter[Split]] = {}
    by_text: dict[str, Counter[Split]] = {}
    for user_id, topic_id, target in places:
        if not topic_id:
            by_text.setdefault(user_id, Counter())
            continue
        side = by_target if target else by_text
        side.setdefault(user_id, Counter())[dealt.of_topic(topic_id)] += 1
    users = dict.fromkeys((*by_target, *by_text))
    return {user_key(u): _most(u, by_target.get(u) or by_text[u]) for u in users}


def _most(user_id: str, counts: Counter[Split]) -> Split:
    """Return the split with the highest count; ties by sha1, no count at all by hash."""
    if not counts:
        return split_by_hash(user_id)
    highest = max(counts.values())
    tied = [split for split in SPLITS if counts[split] == highest]
    return min(tied, key=lambda split: hash_of(f"{user_id}\x1f{split}"))


def _recency(text: Text) -> tuple[float, int, str]:
    return (
        float("-inf") if text.timestamp is None else text.timestamp,
        text.position,
        text.text_id,
    )


_VERSION = 1
_NAME = "splits.json"


class SplitsError(StoreError):
    """A file of splits that cannot be read."""

    code = "damaged_splits"


def find_splits_file(uri: str) -> Path | None:
    """Return the file of a store's splits; None for a store that is no folder (`s3://`).

    Args:
        uri: The store.
    """
    store = local_root(uri)
    return None if store is None else store / _NAME


def load_splits(path: Path, namespace: str = "default") -> Splits:
    """Return the splits of a namespace; empty ones (all by hash) where there are none.

    Raises:
        SplitsError: The file is damaged or of another version.
    """
    return _parse(_read(path).get(namespace, {}), path)


def extend_splits(path: Path, namespace: str, places: Iterable[Place]) -> Splits:
    """Assign one data set in addition to the kept splits, keep the result and return it.

    Raises:
        SplitsError: The file is damaged or of another version.
    """
    with lock_in(path.parent, f"{path.name}.lock"):
        earlier = load_splits(path, namespace)
        dealt = deal(places, earlier)
        if dealt != earlier:
            _write(path, namespace, dealt)
    return dealt


def forget_split(path: Path, namespace: str, user_id: str) -> bool:
    """Remove a user from the splits; return whether the user was in them.

    A user who comes back is assigned again by the topics of the new texts.

    Raises:
        SplitsError: The file is damaged or of another version.
    """
    if not path.exists():
        return False
    with lock_in(path.parent, f"{path.name}.lock"):
        splits = load_splits(path, namespace)
        if user_key(user_id) not in splits.users:
            return False
        _write(path, namespace, splits.without_user(user_id))
    return True


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError:
        raise _damaged(path) from None
    if not isinstance(content, dict) or not isinstance(content.get("namespaces"), dict):
        raise _damaged(path)
    if content.get("version") != _VERSION:
        raise SplitsError(
            f"{path} is of version {content.get('version')!r}, this patlm reads {_VERSION}: "
            "use the patlm that wrote it, or a store of its own",
            code="splits_version",
        )
    return dict(content["namespaces"])


def _parse(kept: object, path: Path) -> Splits:
    if not isinstance(kept, dict):
        raise _damaged(path)
    topics, users = kept.get("topics", {}), kept.get("users", {})
    for assigned in (topics, users):
        if not isinstance(assigned, dict) or not set(assigned.values()) <= set(SPLITS):
            raise _damaged(path)
    return Splits(topics=topics, users=users)


def _write(path: Path, namespace: str, splits: Splits) -> None:
    kept = {"topics": dict(splits.topics), "users": dict(splits.users)}
    content = {"version": _VERSION, "namespaces": {**_read(path), namespace: kept}}
    write_json(path, content, sort_keys=True)


def _damaged(path: Path) -> SplitsError:
    return SplitsError(
        f"{path} is damaged: expected the splits that patlm wrote; "
        "restore it from a copy (another assignment would not fit what was trained)"
    )
