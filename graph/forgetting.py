"""Forget a person everywhere that one process knows of: store, splits and traces."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..stores.outcomes import Receipt
    from ..stores.text_store import TextStore


async def forget_user(
    store: TextStore,
    namespace: str,
    user_id: str,
    *,
    uri: str | None = None,
    trace: Path | None = None,
    dry_run: bool = False,
) -> Receipt:
    """Remove a person from a store and from the records of runs.

    Args:
        store: Where the texts are.
        namespace: The tenant.
        user_id: Whom to forget.
        uri: Where the store lies; the splits that are kept beside it forget the user too.
        trace: Folder of the records of runs, if any are kept.
        dry_run: Only say what would be removed.

    Raises:
        StoreError: The store could not remove all of it.
    """
    from ..stores.episodes import forget_episodes
    from ..stores.split_files import find_splits_file, forget_split

    removed = 0
    if trace is not None:
        removed = await asyncio.to_thread(
            forget_episodes, trace, namespace, user_id, dry_run=dry_run
        )
    receipt = await store.forget(namespace, user_id, dry_run=dry_run)
    splits = find_splits_file(uri) if uri is not None else None
    if splits is not None and not dry_run:
        await asyncio.to_thread(forget_split, splits, namespace, user_id)
    return replace(receipt, removed={**receipt.removed, "traces": removed})
