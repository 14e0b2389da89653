"""Forget a user, or remove single texts, in a text store and in all copies that are known.

- Texts, vectors, sums, indexes, caches, with proof: `stores/texts/` (`forget`, `writer`, `tables`)
- Copies: `stores/copies/` has one registry of them (`kinds`), the list of where they are
  (`ledger`), and goes through them (`sweep`); records of runs that are under way: the notes of
  `stores/forgotten`, which their writer reads
- Adapters are named, not removed: `stores/adapters/` (`registry`, `lineage`)

Training on the user's texts can't be undone in an adapter's weights: the receipt names the adapters
trained on them, and those without a complete training record.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..stores.errors import shortened

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from ..nodes.errors import RequestError
    from ..stores.copies.search import Sought
    from ..stores.copies.sweep import Swept
    from ..stores.texts.store import TextStore
    from ..stores.types import PrivateText, Receipt, Text
    from .settings import Settings


@dataclass(frozen=True)
class Places:
    """Where something of a user may be, beside the text store.

    Attributes:
        uri: Location of the store, whose splits forget the user too.
        trace: Folder of traces; None if there are none.
        episodes: Folders of collected episodes.
        adapters: Folder of the adapter registry, to name adapters trained on the user's texts.
        copies: Other files and folders that texts were copied to, beside those that were noted.
    """

    uri: str | None = None
    trace: Path | None = None
    episodes: Sequence[Path] = ()
    adapters: Path | None = None
    copies: Sequence[Path] = ()


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
    from ..stores.copies.search import Sought

    user = read_user(user_id)
    _check_dry_run(dry_run)
    await _check_folders(places.episodes)
    async with nullcontext() if dry_run else store.removing(namespace, user):
        swept = await _sweep(store, places, Sought(namespace, user), dry_run)
        receipt = await store.forget(namespace, user, dry_run=dry_run)
    receipt = await _with_copies(receipt, swept, store)
    if places.adapters is not None:
        receipt = await asyncio.to_thread(_with_adapters, receipt, places.adapters, namespace, user)
    if receipt.found:
        return receipt
    return replace(receipt, near_ids=await store.near_ids(namespace, user))


async def finish_removals(store: TextStore, uri: str) -> None:
    """Finish the removals that were cut off, as the command would that was, and say so.

    What can't be removed now stays noted, and is told again when the store is opened.

    Args:
        store: The text store.
        uri: Its location.
    """
    from ..stores.errors import StoreError

    for (namespace, user), text_ids in (await store.forgetting.cut_off()).items():
        places = Places(uri=uri)
        try:
            if text_ids is None:
                await forget_user(store, namespace, user, places)
            else:
                await remove_texts(store, namespace, user, text_ids, places)
        except (StoreError, OSError) as error:
            logger.warning("the removal of %s can't be finished: %s", shortened(user), error)
            return
        logger.warning("the removal of %s, which was cut off, is finished", shortened(user))
    try:
        if await store.forgetting.finish_erasing():
            logger.warning("what a removal that was cut off had left in the files is erased")
    except (StoreError, OSError) as error:
        logger.warning("what a removal left in the files can't be erased: %s", error)


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
    from ..stores.copies.search import Sought

    user = read_user(user_id)
    _check_dry_run(dry_run)
    await _check_folders(places.episodes)
    held = await store.texts_of(namespace, user)
    wanted = read_text_ids(text_ids)
    texts = texts_named(user, held, wanted)
    # Ids without a text are looked for as well: the records of runs may hold a former version, and
    # a removal that was cut off is finished.
    ids = [text.text_id for text in texts] or wanted
    bodies = tuple(text.body for text in texts)
    async with nullcontext() if dry_run else store.removing(namespace, user, ids, bodies):
        sought = Sought(namespace, user, text_ids=frozenset(ids), bodies=bodies, everything=False)
        swept = await _sweep(store, places, sought, dry_run)
        receipt = await store.remove(namespace, user, ids, dry_run=dry_run)
    receipt = await _with_copies(receipt, swept, store)
    if not receipt.found:
        near = () if held else await store.near_ids(namespace, user)
        return replace(receipt, near_ids=near)
    if receipt.removed["users"] and not dry_run:
        await asyncio.to_thread(_leave_splits, places, namespace, user)
    if places.adapters is None:
        return receipt
    return await asyncio.to_thread(_with_adapters, receipt, places.adapters, namespace, user)


def texts_named(user: str, held: Sequence[Text], text_ids: Sequence[str]) -> list[Text]:
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


def places_of(settings: Settings, episodes: object = (), copies: object = ()) -> Places:
    """Return where something of a user may be, by the settings of a process.

    Args:
        settings: Store, trace and adapters.
        episodes: Folders of collected episodes.
        copies: Other files and folders that texts were copied to.

    Raises:
        RequestError: They are no paths.
    """
    from .settings import adapters_folder

    return Places(
        uri=settings.store,
        trace=settings.trace,
        episodes=read_folders("episodes", episodes),
        adapters=adapters_folder(settings.adapters),
        copies=read_folders("copies", copies),
    )


async def take_back(store: TextStore, texts: Sequence[PrivateText], places: Places) -> None:
    """Remove texts that others may no longer read from records of others, and all other copies.

    Records of their author's own runs stay.

    Args:
        store: The store, in which they are private already.
        texts: The texts.
        places: Where copies may be.
    """
    from ..stores.copies.search import Sought

    of_users: dict[tuple[str, str], list[str]] = {}
    for namespace, user, text_id in texts:
        of_users.setdefault((namespace, user), []).append(text_id)
    for (namespace, user), ids in of_users.items():
        sought = Sought(namespace, user, text_ids=frozenset(ids), everything=False, keeps_own=True)
        await _sweep(store, places, sought, False)


def read_folders(name: str, folders: object) -> tuple[Path, ...]:
    """Return files or folders: one, or several.

    Args:
        name: The argument that they were given by.
        folders: Its value.

    Raises:
        RequestError: They are no paths.
    """
    from ..nodes.errors import RequestError

    given = [folders] if isinstance(folders, str | Path) else folders
    if isinstance(given, bytes) or not isinstance(given, Sequence):
        given = [given]
    for each in given:
        blank = isinstance(each, str) and not each.strip()  # it would be the working folder
        if not isinstance(each, str | Path) or "\x00" in str(each) or blank:
            said = f"{name}: expected folders, got {shortened(each)}; nothing was removed"
            raise RequestError(said, field=name)
    return tuple(map(Path, given))


def _no_ids(value: object) -> RequestError:
    from ..nodes.errors import RequestError

    said = f"text_ids: expected a list of ids, got {type(value).__name__}; nothing was removed"
    return RequestError(said, field="text_ids")


def read_text_ids(text_ids: object) -> list[str]:
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


def _leave_splits(places: Places, namespace: str, user: str) -> None:
    """Remove a user whose last text was removed from the splits."""
    from ..stores.copies.kinds import KINDS
    from ..stores.copies.search import Sought
    from ..stores.datasets.splits import find_splits_file

    splits = find_splits_file(places.uri) if places.uri is not None else None
    if splits is not None and (leave := KINDS["splits"].remove) is not None:
        leave(splits, Sought(namespace, user))


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


async def _sweep(store: TextStore, places: Places, sought: Sought, dry_run: bool) -> Swept:
    """Remove what is sought from all copies; a folder given twice counts once, as traces."""
    from ..stores.copies.kinds import KINDS
    from ..stores.copies.sweep import places_of, sweep

    found = await asyncio.to_thread(
        lambda: places_of(
            places.uri, trace=places.trace, episodes=places.episodes, copies=places.copies
        )
    )
    if any(place.kind is not KINDS["splits"] for place in found):
        # All texts are read for it, so not where there is nothing to be searched.
        ids = None if sought.everything else sought.text_ids
        finder, held = await store.forgetting.finder(sought.namespace, sought.user_id, ids)
        sought = replace(sought, finder=finder, text_ids=sought.text_ids | held)
    return await asyncio.to_thread(sweep, sought, found, dry_run=dry_run)


async def _with_copies(receipt: Receipt, swept: Swept, store: TextStore) -> Receipt:
    """Add what was removed from copies, and what stays."""
    from ..stores.copies.sweep import OUTSIDE

    records = {name: swept.removed[name] for name in ("traces", "episodes")}
    copies = sum(count for name, count in swept.removed.items() if name not in NOT_COPIES)
    names = await store.forgetting.artefacts.learned()
    learned = [f"{name} in the store: learned from its texts" for name in names]
    return replace(
        receipt,
        removed={**receipt.removed, **records, "copies": copies},
        copies=swept.changed,
        left=(*swept.left, *learned, OUTSIDE),
    )


NOT_COPIES = ("traces", "episodes", "splits")
"""Kinds that a receipt counts by themselves, or not at all."""


def _with_adapters(receipt: Receipt, folder: Path, namespace: str, user_id: str) -> Receipt:
    """Add the names of adapters trained on a user's texts, and of those without a record."""
    from ..stores.adapters.lineage import person_key
    from ..stores.adapters.registry import AdapterRegistry

    registry = AdapterRegistry(folder)
    trained = registry.trained_on(person_key(namespace, user_id))
    unknown = (name for name, people in registry.people().items() if people is None)
    without = tuple(name for name in unknown if name not in trained)
    return replace(receipt, adapters=trained, adapters_without_record=without)
