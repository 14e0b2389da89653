"""Forget a user, or remove single texts, in a text store, traces and episodes, and the splits.

- Texts, vectors, sums, indexes, caches, with proof: `stores/texts/` (`forget`, `writer`, `tables`)
- Traces and episodes: `stores/episodes/redaction`; records of runs that are under way: the notes
  of `stores/forgotten`, which their writer reads
- Splits: `stores/datasets/splits`
- Adapters are named, not removed: `stores/adapters/` (`registry`, `lineage`)

Training on the user's texts can't be undone in an adapter's weights: the receipt names the adapters
trained on them, and those without a complete training record.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..stores.errors import shortened

if TYPE_CHECKING:
    from ..nodes.errors import RequestError
    from ..stores.episodes.redaction import RemovedTexts
    from ..stores.texts.store import TextStore
    from ..stores.types import Receipt, Text


@dataclass(frozen=True)
class Places:
    """Where something of a user may be, beside the text store.

    Attributes:
        uri: Location of the store, whose splits forget the user too.
        trace: Folder of traces; None if there are none.
        episodes: Folders of collected episodes.
        adapters: Folder of the adapter registry, to name adapters trained on the user's texts.
    """

    uri: str | None = None
    trace: Path | None = None
    episodes: Sequence[Path] = ()
    adapters: Path | None = None


NOWHERE_ELSE = Places()


async def forget_user(
    store: TextStore,
    namespace: str,
    user_id: object,
    places: Places = NOWHERE_ELSE,
    *,
    dry_run: bool = False,
) -> Receipt:
    """Remove a user's data from a store and from episodes.

    Args:
        store: The text store.
        namespace: The tenant.
        user_id: The user to forget; read as in every other call.
        places: Where else something of the user may be.
        dry_run: Only report what would be removed.

    Returns:
        The store's receipt, with emptied episodes and adapters added; for a user of whom nothing
        was found, with similar ids.

    Raises:
        RequestError: It is no id, or `dry_run` is no truth value.
        StoreError: The store could not remove everything.
        NotADirectoryError: A folder of episodes does not exist; nothing was removed.
    """
    user = read_user(user_id)
    _check_dry_run(dry_run)
    await _check_folders(places.episodes)
    async with nullcontext() if dry_run else store.removing(namespace, user):
        records = await asyncio.to_thread(_forget_records, places, namespace, user, None, dry_run)
        receipt = await store.forget(namespace, user, dry_run=dry_run)
    if not dry_run:
        await _forget_split(places, namespace, user)
    receipt = replace(receipt, removed={**receipt.removed, **records})
    if places.adapters is not None:
        receipt = await asyncio.to_thread(_with_adapters, receipt, places.adapters, namespace, user)
    if receipt.found:
        return receipt
    return replace(receipt, near_ids=await store.near_ids(namespace, user))


async def remove_texts(
    store: TextStore,
    namespace: str,
    user_id: object,
    text_ids: Sequence[object],
    places: Places = NOWHERE_ELSE,
    *,
    dry_run: bool = False,
) -> Receipt:
    """Remove single texts of a user from a store and from episodes: all of them, or none.

    Args:
        store: The text store.
        namespace: The tenant.
        user_id: Whose texts they are; read as in every other call.
        text_ids: For each text `Text.text_id`, or its id in its source, read as one that is added.
        places: Where else the texts may be.
        dry_run: Only report what would be removed.

    Returns:
        The store's receipt, with emptied episodes and adapters added; for a user who is not there,
        with similar ids. Without a match it has `found` false.

    Raises:
        RequestError: An id names no text while another one does, it names several, or is none.
        StoreError: The store could not remove everything.
        NotADirectoryError: A folder of episodes does not exist; nothing was removed.
    """
    from ..stores.episodes.redaction import RemovedTexts

    user = read_user(user_id)
    _check_dry_run(dry_run)
    await _check_folders(places.episodes)
    held = await store.texts_of(namespace, user)
    wanted = _read_text_ids(text_ids)
    texts = _texts_named(user, held, wanted)
    # Ids without a text are looked for as well: the records of runs may hold a former version, and
    # a removal that was cut off is finished.
    ids = [text.text_id for text in texts] or wanted
    bodies = [text.body for text in texts]
    sought = RemovedTexts(ids, bodies)
    async with nullcontext() if dry_run else store.removing(namespace, user, ids, bodies):
        records = await asyncio.to_thread(_forget_records, places, namespace, user, sought, dry_run)
        receipt = await store.remove(namespace, user, ids, dry_run=dry_run)
    receipt = replace(receipt, removed={**receipt.removed, **records})
    if not receipt.found:
        near = () if held else await store.near_ids(namespace, user)
        return replace(receipt, near_ids=near)
    if receipt.removed["users"] and not dry_run:
        await _forget_split(places, namespace, user)
    if places.adapters is None:
        return receipt
    return await asyncio.to_thread(_with_adapters, receipt, places.adapters, namespace, user)


def _texts_named(user: str, held: Sequence[Text], text_ids: Sequence[str]) -> list[Text]:
    """Return the texts of some ids; none if no id names one.

    Raises:
        RequestError: An id names no text while another one does, or it names several.
    """
    from ..nodes.errors import RequestError

    found = {
        each: [text for text in held if text.text_id == each]
        or [text for text in held if each in text.source_ids]
        for each in text_ids
    }
    for each, texts in found.items():
        if len(texts) > 1:
            ids = ", ".join(text.text_id for text in texts)
            raise RequestError(
                f"text_ids: {len(texts)} texts of {shortened(user)} have the id "
                f"{shortened(each)} in their source: "
                f"name them by their own ids ({ids}); nothing was removed",
                field="text_ids",
            )
    missing = [each for each, texts in found.items() if not texts]
    if missing and len(missing) < len(found):
        raise RequestError(
            f"text_ids: {shortened(user)} has no text {shortened(missing[0])}: list the user's "
            "texts for their ids; nothing was removed",
            field="text_ids",
        )
    return list(dict.fromkeys(text for texts in found.values() for text in texts))


def read_folders(episodes: object) -> tuple[Path, ...]:
    """Return folders of episodes: one, or several.

    Raises:
        RequestError: They are no paths.
    """
    from ..nodes.errors import RequestError

    given = [episodes] if isinstance(episodes, str | Path) else episodes
    if isinstance(given, bytes) or not isinstance(given, Sequence):
        given = [given]
    for each in given:
        if not isinstance(each, str | Path) or "\x00" in str(each):
            said = f"episodes: expected folders, got {shortened(each)}; nothing was removed"
            raise RequestError(said, field="episodes")
    return tuple(map(Path, given))


def _no_ids(value: object) -> RequestError:
    from ..nodes.errors import RequestError

    said = f"text_ids: expected a list of ids, got {type(value).__name__}; nothing was removed"
    return RequestError(said, field="text_ids")


def _read_text_ids(text_ids: object) -> list[str]:
    """Return the ids of texts as they are stored.

    Raises:
        RequestError: They are no list, or one is none that a text can have.
    """
    from pydantic_core import PydanticCustomError

    from ..nodes.errors import RequestError
    from ..stores.values import id_to_find

    if isinstance(text_ids, str | bytes) or not isinstance(text_ids, Sequence):
        raise _no_ids(text_ids)
    if not text_ids:
        raise RequestError("text_ids is empty: say which texts to remove", field="text_ids")
    try:
        wanted = [id_to_find("text_ids", each) for each in text_ids]
    except PydanticCustomError as error:
        said = f"text_ids: {error.message()}; nothing was removed"
        raise RequestError(said, field="text_ids") from None
    if not all(wanted):
        said = f"text_ids: {shortened(text_ids[wanted.index('')])} is no id; nothing was removed"
        raise RequestError(said, field="text_ids")
    return wanted


def _check_dry_run(dry_run: object) -> None:
    """Make sure that nobody's `"no"` is taken for yes."""
    from ..nodes.errors import RequestError

    if not isinstance(dry_run, bool):
        said = f"dry_run: expected True or False, got {shortened(dry_run)}; nothing was removed"
        raise RequestError(said, field="dry_run")


async def _check_folders(episodes: Sequence[Path]) -> None:
    for folder in episodes:
        if not await asyncio.to_thread(folder.is_dir):
            says = "expected a folder of episodes, there is none"
            raise NotADirectoryError(errno.ENOTDIR, says, str(folder))


async def _forget_split(places: Places, namespace: str, user: str) -> None:
    from ..stores.datasets.splits import find_splits_file, forget_split

    splits = find_splits_file(places.uri) if places.uri is not None else None
    if splits is not None:
        await asyncio.to_thread(forget_split, splits, namespace, user)


def read_user(user_id: object) -> str:
    """Return the id of a user to look up, read as in every other call.

    Raises:
        RequestError: It is no id, or missing.
    """
    from pydantic_core import PydanticCustomError

    from ..nodes.errors import RequestError
    from ..stores.values import id_to_find

    try:
        user = id_to_find("user", user_id)
    except PydanticCustomError as error:
        raise RequestError(f"user_id: {error.message()}", field="user_id") from None
    if not user:
        raise RequestError("user_id is missing: say which user is meant", field="user_id")
    return user


def _forget_records(
    places: Places, namespace: str, user_id: str, texts: RemovedTexts | None, dry_run: bool
) -> dict[str, int]:
    """Empty a user's records in the folders; a folder given twice counts once, as traces."""
    from ..stores.episodes.redaction import forget_episodes

    kinds = {} if places.trace is None else {places.trace.resolve(): "traces"}
    for folder in places.episodes:
        kinds.setdefault(folder.resolve(), "episodes")
    removed = {"traces": 0, "episodes": 0}
    for folder, kind in kinds.items():
        removed[kind] += forget_episodes(folder, namespace, user_id, texts=texts, dry_run=dry_run)
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
