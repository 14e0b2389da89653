"""Single texts: what is held of a user is listed, and one text goes down to the bytes."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from patlm.stores.texts.filters import every_namespace
from patlm.stores.texts.repair import adds_up
from patlm.stores.texts.schema import TOPICS, USERS
from patlm.stores.texts.store import TextStore
from patlm.stores.types import Text
from processes import HANG_SECONDS
from store_fixtures import TEXTS, by_preference, by_style, opened

SECRET = Text(
    "ann", "My secret lamp ritual is nobody's business.", "lamp", "A secret", source_id="review-77"
)
OTHER = Text("ann", "Another thing about that same lamp.", "lamp", timestamp=5, shared=False)


def content(folder: Path) -> bytes:
    return b"".join(each.read_bytes() for each in folder.rglob("*") if each.is_file())


async def sums(store: TextStore) -> dict[tuple[str, str], list[object]]:
    """Return all sums of users and topics."""
    found = {}
    for name in (USERS, TOPICS):
        rows = await store._tables.read(name, every_namespace())
        for row in rows.to_pylist():
            found[name, row["user_id" if name == USERS else "topic_id"]] = list(row.values())
    return found


async def test_all_that_is_held_is_listed_the_latest_first(store: TextStore) -> None:
    dated = [replace(SECRET, timestamp=9), OTHER]
    await store.add([*TEXTS, *dated, replace(SECRET, namespace="acme")])
    held = await store.texts_of("default", "ann")
    assert [text.body for text in held[:2]] == [SECRET.body, OTHER.body]
    assert {text.text_id for text in held} == {
        text.text_id for text in (*TEXTS, *dated) if text.user_id == "ann"
    }, "targets and unshared texts are in it, other tenants' are not"
    assert (held[0].source_id, held[1].source_id, held[1].shared) == ("review-77", "", False)
    assert await store.texts_of("default", "stranger") == []


async def test_no_byte_is_left_of_one_text(tmp_path: Path) -> None:
    async with opened(tmp_path / "a") as store, opened(tmp_path / "never") as other:
        await store.add([*TEXTS, SECRET, OTHER])
        await other.add([*TEXTS, OTHER])
        assert b"secret lamp ritual" in content(tmp_path / "a"), "or this would prove nothing"
        dry = await store.remove("default", "ann", [SECRET.text_id], dry_run=True)
        assert dry.removed == {"texts": 1, "vectors": 2, "users": 0, "topics": 1}
        assert (await store.stats()).texts == len(TEXTS) + 2

        receipt = await store.remove("default", "ann", [SECRET.text_id])
        assert (receipt.removed, receipt.text_ids) == (dry.removed, (SECRET.text_id,))
        assert receipt.bytes_found_before == receipt.pieces > 10
        assert receipt.bytes_found_after == 0
        left = content(tmp_path / "a")
        assert b"secret lamp ritual" not in left and b"review-77" not in left
        assert b"Another thing about" in left and b"Sweet jam" in left

        # As if the text had never been there, in sums and in searches.
        assert await adds_up(store._tables)
        kept, fresh = await sums(store), await sums(other)
        assert kept.keys() == fresh.keys()
        for key, values in kept.items():
            for value, wanted in zip(values, fresh[key], strict=True):
                np.testing.assert_array_equal(value, wanted)  # type: ignore[arg-type]
        for search in (by_style, by_preference):
            for topic in ("lamp", "tea", None):
                asked = ("bob", "secret lamp ritual", topic)
                assert await search(store, *asked) == await search(other, *asked)


async def test_words_that_another_text_holds_are_not_looked_for(store: TextStore) -> None:
    again = replace(SECRET, user_id="bob", source_id="")
    longer = replace(SECRET, body=f"{SECRET.body} And a word more.", source_id="")
    await store.add([SECRET, again, longer])
    receipt = await store.remove("default", "ann", [SECRET.text_id])
    assert (receipt.removed["texts"], receipt.pieces, receipt.bytes_found_after) == (1, 0, 0)
    assert [text.body for text in await store.texts_of("default", "ann")] == [longer.body]
    assert len(await store.texts_of("default", "bob")) == 1


@pytest.mark.parametrize(
    ("namespace", "user", "text_id"),
    [
        ("default", "bob", SECRET.text_id),
        ("acme", "ann", SECRET.text_id),
        ("default", "ann", SECRET.text_id[:-1]),
        ("default", "ann", "review-77"),
    ],
)
async def test_only_that_text_of_that_user(
    store: TextStore, namespace: str, user: str, text_id: str
) -> None:
    await store.add([*TEXTS, SECRET])
    receipt = await store.remove(namespace, user, [text_id])
    assert not receipt.found and receipt.text_ids == ()
    assert (await store.stats()).texts == len(TEXTS) + 1


async def test_who_has_no_text_left_is_gone(store: TextStore) -> None:
    eve = [text for text in TEXTS if text.user_id == "eve"]
    await store.add(TEXTS)
    receipt = await store.remove("default", "eve", [text.text_id for text in eve])
    assert receipt.removed == {"texts": 1, "vectors": 2, "users": 1, "topics": 0}
    assert "eve" not in (await (await store._cache.latest()).users("default")).ids
    assert await store.near_ids("default", "eve") == ()


async def test_a_removal_during_an_ingest(tmp_path: Path) -> None:
    """The running call does not bring the text back; the user's other texts arrive."""
    crowd = [Text(f"user{n}", f"Text {n} of the crowd.", "tea") for n in range(600)]
    async with opened(tmp_path / "a") as store:
        await store.add([SECRET])
        started, go_on = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        def slowly() -> Iterator[Text]:
            for n, one in enumerate([*crowd, SECRET, OTHER]):
                if n == 550:
                    loop.call_soon_threadsafe(started.set)
                    asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(HANG_SECONDS)
                yield one

        adding = asyncio.create_task(store.add(slowly()))
        await started.wait()
        await store.remove("default", "ann", [SECRET.text_id])
        go_on.set()
        added = await adding
        assert (added.added, added.forgotten) == (601, 1)
        assert [text.body for text in await store.texts_of("default", "ann")] == [OTHER.body]
        assert b"secret lamp ritual" not in content(tmp_path / "a")
        assert (await store.add([SECRET])).added == 1, "it may be added again"


async def test_a_removal_that_was_cut_off_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(Exception):
        pass

    async def die(*_: object) -> None:
        raise Killed

    async with opened(tmp_path / "a") as store:
        await store.add([*TEXTS, SECRET, OTHER])
        with monkeypatch.context() as patched, pytest.raises(Killed):
            patched.setattr(store._tables, "put", die)
            await store.remove("default", "ann", [SECRET.text_id])
    async with opened(tmp_path / "a") as store:
        assert await adds_up(store._tables)
        await store.remove("default", "ann", [SECRET.text_id])
        assert b"secret lamp ritual" not in content(tmp_path / "a")


ODD_IDS = ("o'neil", "a%b_", "axbc", "'; --\\", "\u05d0 \U0001f600")


async def test_ids_with_quotes_and_wildcards_name_one_person(tmp_path: Path) -> None:
    """In a folder of an odd name: each is listed, its text removed, and nobody else's."""
    texts = [Text(user, f"A text of number {n}.", user) for n, user in enumerate(ODD_IDS)]
    async with opened(tmp_path / "odd [store] \u00e9's %20") as store:
        await store.add(texts)
        for n, user in enumerate(ODD_IDS):
            (held,) = await store.texts_of("default", user)
            assert held == texts[n]
            receipt = await store.remove("default", user, [held.text_id])
            assert (receipt.removed["texts"], receipt.removed["users"]) == (1, 1)
            assert (await store.stats()).texts == len(ODD_IDS) - n - 1
