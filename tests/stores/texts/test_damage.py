"""Faults of the disk are errors of ours that name the file: damage, no space, no right to write."""

import asyncio
import itertools
import random
import re
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from disk_faults import DAMAGES, damage
from patlm.stores import Artefact
from patlm.stores.errors import (
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreReadOnly,
)
from patlm.stores.retry import bounded, fault_of
from patlm.stores.texts.connection import WriteLock
from patlm.stores.texts.store import TextStore
from processes import assert_one_line, call
from raising import raises
from store_fixtures import TEXTS, opened, text


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with all kinds of files: indexes, deletions, notes of what was forgotten."""
    path = tmp_path_factory.mktemp("whole") / "store"

    async def fill() -> None:
        async with opened(path) as store:
            await store.add(
                [*TEXTS, *(text(f"u{n}", f"t{n % 9}", f"Text {n}.") for n in range(99))]
            )
            await store.forget("default", "u3")
            await store.compact(threshold=0)
            await store.add([text("zed", "tea", "More tea now.")])

    asyncio.run(fill())
    return path


def kinds(store: Path) -> dict[str, Path]:
    """Return the newest file of each kind, by its name without numbers and ids."""
    found = (path for path in sorted(store.rglob("*.*")) if path.is_file())
    files = (path.relative_to(store) for path in found if path.stat().st_size)  # no lock files
    return {re.sub(r"[0-9a-f-]{16,}|\d+", "N", str(path)): path for path in files}


async def use(store: Path) -> None:
    async with opened(store) as held:
        await held.stats()
        await held.texts_of("default", "ann")
        await held.history("default", "ann", topic_id="tea")
        await held.shared_texts("default")
        await held.add([text("new", "tea", "New tea.")])
        await held.forget("default", "ann")


def cases(whole: Path) -> Iterator[tuple[Path, str]]:
    yield from itertools.product(kinds(whole).values(), DAMAGES)


async def use_damaged(whole: Path, folder: Path, some: list[tuple[Path, str]]) -> int:
    """Use damaged copies of a store; return how many were refused, each by an error of ours."""
    refused = 0
    for number, (path, how) in enumerate(some):
        store = Path(shutil.copytree(whole, folder / str(number)))
        damage(store / path, how)
        try:
            await use(store)
        except StoreError as error:
            assert error.code in ("store_damaged", "damaged_artefact", "other_schema"), error
            assert "rust" not in str(error) and len(str(error)) < 600
            refused += 1
        shutil.rmtree(store)
    return refused


async def test_a_damaged_file_is_an_error_of_ours(whole: Path, tmp_path: Path) -> None:
    some = [(path, how) for path, how in cases(whole) if how in ("cut", "flipped")]
    chosen = random.Random(4).sample(some, 8)
    assert await use_damaged(whole, tmp_path, chosen) > 2


@pytest.mark.slow
async def test_every_damage_of_every_kind_of_file(whole: Path, tmp_path: Path) -> None:
    everything = list(cases(whole))
    assert len(everything) > 100
    assert await use_damaged(whole, tmp_path, everything) > 40


async def test_beside_a_damaged_index_no_removed_text_stays(whole: Path, tmp_path: Path) -> None:
    indexes = sorted((whole / "texts.lance" / "_indices").rglob("page_lookup.lance"))
    removed = 0
    for number, path in enumerate(indexes):
        store = Path(shutil.copytree(whole, tmp_path / str(number)))
        damage(store / path.relative_to(whole), "cut")
        try:
            async with opened(store) as held:
                receipt = await held.forget("default", "ann")
        except StoreDamaged:  # this one is needed to find the person
            continue
        # LanceDB logs that the index is damaged, and leaves the files it belongs to as they are.
        assert receipt.removed["texts"] > 1 and receipt.bytes_found_after == 0
        removed += 1
    assert removed


@pytest.mark.parametrize("how", ["cut", "zeroed", "deleted"])
def test_the_error_names_the_file(whole: Path, tmp_path: Path, how: str) -> None:
    store = Path(shutil.copytree(whole, tmp_path / "store"))
    for path in (store / "texts.lance" / "data").iterdir():
        damage(path, how)
    with raises(StoreDamaged, "store_damaged", store / "texts.lance" / "data"):
        asyncio.run(use(store))
    for words in ("texts list ann", "forget --user ann"):
        assert_one_line(call(*words.split(), "--store", store), str(store / "texts.lance" / "data"))


@pytest.mark.parametrize("table", ["users", "topics"])
async def test_a_table_of_sums_is_made_again(whole: Path, tmp_path: Path, table: str) -> None:
    store = Path(shutil.copytree(whole, tmp_path / "store"))
    async with opened(store) as held:
        before = await held.stats()
    for path in (store / f"{table}.lance" / "data").iterdir():
        damage(path, "cut")
    with raises(StoreDamaged, "store_damaged", f"delete the folder {store / table}.lance"):
        await use(store)
    shutil.rmtree(store / f"{table}.lance")
    async with opened(store) as held:
        after = await held.stats()
    assert (after.users, after.topics) == (before.users, before.topics)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("LanceError(IO): No space left on device (os error 28), /rust/x.rs:1", StoreFull),
        ("Generic LocalFileSystem error: File too large (os error 27)", StoreFull),
        ("lance error: Permission denied (os error 13)", StoreReadOnly),
        ("Read-only file system (os error 30)", StoreReadOnly),
        ("LanceError(IO): failed to fill whole buffer", StoreDamaged),
        ("Not found: a/b.lance/data/c.lance", StoreDamaged),
        ("Generic S3 error: error sending request", StoreError),
    ],
)
async def test_faults_are_told_apart_by_what_is_said(said: str, kind: type[StoreError]) -> None:
    async def fail() -> None:
        raise RuntimeError(said)

    with pytest.raises(StoreError) as raised:
        await bounded(fail)
    assert type(raised.value) is kind and ".rs" not in str(raised.value)
    assert type(fault_of(OSError(28, "No space left on device", "x"))) is StoreFull


@pytest.mark.parametrize("name", ["forgotten", "artefacts"])
async def test_a_table_whose_making_was_cut_off_shuts_no_store(tmp_path: Path, name: str) -> None:
    """A forget on a full disk leaves a folder without a version; LanceDB can't open it."""
    async with opened(tmp_path / "store") as store:
        await store.add(TEXTS)
    torn = tmp_path / "store" / f"{name}.lance"
    shutil.rmtree(torn, ignore_errors=True)
    (torn / "_versions").mkdir(parents=True)
    (torn / "_transactions").mkdir()
    (torn / "_transactions" / "0-cut.txn").write_bytes(b"x")
    async with TextStore.open_existing(str(tmp_path / "store")) as store:
        assert await store.texts_of("default", "ann")
    async with opened(tmp_path / "store") as store:
        await store.keep_artefact(Artefact("one", {}, {"a": b"x"}))
        assert (await store.forget("default", "bob")).found
    assert torn.stat().st_mode & 0o777 == 0o700
    async with opened(tmp_path / "store") as store:
        assert not await store.texts_of("default", "bob")
        assert len(await store.texts_of("default", "ann")) > 1


async def test_a_full_disk_loses_nothing(tmp_path: Path, file_limit: Callable[[int], None]) -> None:
    async with opened(tmp_path / "store") as store:
        await store.add(TEXTS)
        file_limit(2_000)
        with raises(StoreFull, "store_full", tmp_path):
            await store.add([text("new", "tea", "Long text. " * 900)])
        file_limit(1 << 30)
        assert (await store.stats()).texts == len(TEXTS)
        assert (await store.add([text("new", "tea", "Short.")])).added == 1


async def test_what_is_only_read_may_lie_where_nothing_can_be_written(
    whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @asynccontextmanager
    async def refused(lock: WriteLock) -> AsyncIterator[None]:
        raise fault_of(OSError(30, "Read-only file system", str(whole)))
        yield

    monkeypatch.setattr(WriteLock, "_across_processes", refused)
    async with TextStore.open_existing(str(whole)) as store:
        assert (await store.stats()).texts > 9
        assert await store.texts_of("default", "ann")
        assert (await store.history("default", "ann")).texts
        with raises(StoreReadOnly, "store_read_only", whole):
            await store.compact(threshold=0)
