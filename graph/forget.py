"""Forget a user in a text store, in traces and episodes, and in the splits.

- Texts, vectors, sums, indexes, caches, with proof: `stores/texts/` (`forget`, `writer`, `tables`)
- Traces and episodes: `stores/episodes/redaction`
- Splits: `stores/datasets/splits`
- Adapters are named, not removed: `stores/adapters/` (`registry`, `lineage`)

Training on the user's texts can't be undone in an adapter's weights: the receipt names the adapters
trained on them, and those without a complete training record.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..stores.texts.store import TextStore
    from ..stores.types import Receipt


async def forget_user(
    store: TextStore,
    namespace: str,
    user_id: object,
    *,
    uri: str | None = None,
    trace: Path | None = None,
    episodes: Sequence[Path] = (),
    adapters: Path | None = None,
    dry_run: bool = False,
) -> Receipt:
    """Remove a user's data from a store and from episodes.

    Args:
        store: The text store.
        namespace: The tenant.
        user_id: The user to forget; read as in every other call.
        uri: Location of the store, whose splits forget the user too.
        trace: Folder of traces; None if there are none.
        episodes: Folders of collected episodes.
        adapters: Folder of the adapter registry, to name adapters trained on the user's texts.
        dry_run: Only report what would be removed.

    Returns:
        The store's receipt, with emptied episodes and adapters added; for a user of whom nothing
        was found, with similar ids.

    Raises:
        RequestError: It is no id.
        StoreError: The store could not remove everything.
        NotADirectoryError: A folder of episodes does not exist; nothing was removed.
    """
    from ..stores.datasets.splits import find_splits_file, forget_split

    user = _read_user(user_id)
    for folder in episodes:
        if not await asyncio.to_thread(folder.is_dir):
            says = "expected a folder of episodes, there is none"
            raise NotADirectoryError(errno.ENOTDIR, says, str(folder))
    records = await asyncio.to_thread(_forget_records, trace, episodes, namespace, user, dry_run)
    receipt = await store.forget(namespace, user, dry_run=dry_run)
    splits = find_splits_file(uri) if uri is not None else None
    if splits is not None and not dry_run:
        await asyncio.to_thread(forget_split, splits, namespace, user)
    receipt = replace(receipt, removed={**receipt.removed, **records})
    if adapters is not None:
        receipt = await asyncio.to_thread(_with_adapters, receipt, adapters, namespace, user)
    if receipt.found:
        return receipt
    return replace(receipt, near_ids=await store.near_ids(namespace, user))


def _read_user(user_id: object) -> str:
    from pydantic_core import PydanticCustomError

    from ..nodes.errors import RequestError
    from ..stores.values import id_to_find

    try:
        user = id_to_find("user", user_id)
    except PydanticCustomError as error:
        raise RequestError(f"user_id: {error.message()}", field="user_id") from None
    if not user:
        raise RequestError("user_id is missing: say whom to forget", field="user_id")
    return user


def _forget_records(
    trace: Path | None, episodes: Sequence[Path], namespace: str, user_id: str, dry_run: bool
) -> dict[str, int]:
    """Empty a user's records in the folders; a folder given twice counts once, as traces."""
    from ..stores.episodes.redaction import forget_episodes

    kinds = {} if trace is None else {trace.resolve(): "traces"}
    for folder in episodes:
        kinds.setdefault(folder.resolve(), "episodes")
    removed = {"traces": 0, "episodes": 0}
    for folder, kind in kinds.items():
        removed[kind] += forget_episodes(folder, namespace, user_id, dry_run=dry_run)
    return removed


def _with_adapters(receipt: Receipt, folder: Path, namespace: str, user_id: str) -> Receipt:
    """Add the names of adapters trained on a user's texts, and of those without a record."""
    from ..stores.adapters.lineage import person_key
    from ..stores.adapters.registry import AdapterRegistry

    registry = AdapterRegistry(folder)
    trained = registry.trained_on(person_key(namespace, user_id))
    unknown = (name for name, people in registry.people().items() if people is None)
    without = tuple(name for name in unknown if name not in trained)
    return replace(receipt, adapters=trained, adapters_without_record=without)
