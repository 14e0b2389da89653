"""Keep what was dealt: one JSON file a store, beside its tables, with the splits by namespace.

    {"version": 1, "namespaces": {"default": {"topics": {...}, "users": {...}}}}

Users stand there as hashes of their ids. The file is replaced as a whole under a lock, so that it
is never half written and two writers never lose each other's part.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from filelock import FileLock

from .errors import StoreError
from .location import local_root
from .splits import SPLITS, Place, Splits, deal, user_key

_VERSION = 1
_NAME = "splits.json"


class SplitsError(StoreError):
    """A file of splits that cannot be read."""


def find_splits_file(uri: str) -> Path | None:
    """Return where the splits of a store are kept, or None for one that is no folder (`s3://`).

    Args:
        uri: The store.
    """
    store = local_root(uri)
    return None if store is None else store / _NAME


def load_splits(path: Path, namespace: str = "default") -> Splits:
    """Return the splits of a namespace; empty ones (all goes by hash) where nothing was dealt.

    Raises:
        SplitsError: The file is damaged or of another version.
    """
    return _parse(_read(path).get(namespace, {}), path)


def save_splits(path: Path, namespace: str, splits: Splits) -> None:
    """Keep the splits of a namespace in place of those kept before.

    Raises:
        SplitsError: The file is damaged or of another version.
    """
    with _lock(path):
        _write(path, namespace, splits)


def extend_splits(path: Path, namespace: str, places: Iterable[Place]) -> Splits:
    """Deal one data set on top of what is kept, keep the outcome and return it.

    Raises:
        SplitsError: The file is damaged or of another version.
    """
    with _lock(path):
        earlier = load_splits(path, namespace)
        dealt = deal(places, earlier)
        if dealt != earlier:
            _write(path, namespace, dealt)
    return dealt


def forget_split(path: Path, namespace: str, user_id: str) -> bool:
    """Remove a user from the splits; say whether there was something to remove.

    A user who comes back is dealt again by the topics of what comes back.

    Raises:
        SplitsError: The file is damaged or of another version.
    """
    if not path.exists():
        return False
    with _lock(path):
        splits = load_splits(path, namespace)
        if user_key(user_id) not in splits.users:
            return False
        _write(path, namespace, splits.without_user(user_id))
    return True


def _lock(path: Path) -> FileLock:
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path.with_name(path.name + ".lock"))


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
            "use the patlm that wrote it, or a store of its own"
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
    draft = path.with_name(path.name + ".tmp")
    with draft.open("w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False, indent=1, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)


def _damaged(path: Path) -> SplitsError:
    return SplitsError(
        f"{path} is damaged: expected the splits that patlm wrote; "
        "bring it back from a copy (another dealing would not fit what was trained)"
    )
