"""A text's id in its source: the same id of the same author replaces the text, nothing else."""

from pathlib import Path

import numpy as np
import pytest
from patlm.stores.texts import repair as repairing
from patlm.stores.texts.repair import adds_up
from patlm.stores.texts.schema import TOPICS, USERS
from patlm.stores.texts.store import TextStore
from patlm.stores.types import Added, Text
from store_fixtures import TEXTS, by_preference, opened


def review(body: str, source_id: str = "r1", user: str = "ann", **given: object) -> Text:
    return Text(user, body, source_id=source_id, **{"topic_id": "tea", **given})  # type: ignore[arg-type]


async def bodies(store: TextStore, user: str = "ann") -> list[str]:
    return sorted(text.body for text in (await store.history("default", user)).texts)


async def sums(store: TextStore) -> dict[tuple[str, str], list[object]]:
    """Return all sums of users and topics."""
    found = {}
    for name in (USERS, TOPICS):
        rows = await store._tables.read(name, repairing.every_namespace())
        for row in rows.to_pylist():
            found[name, row["user_id" if name == USERS else "topic_id"]] = list(row.values())
    return found


async def test_a_changed_text_takes_the_place_of_the_former(tmp_path: Path) -> None:
    changed = review("The tea is great.", rating=2.0, topic_id="mint")
    async with opened(tmp_path / "a") as store, opened(tmp_path / "b") as other:
        await store.add([*TEXTS, review("The tea is grate.", rating=4.0)])
        assert await store.add([changed]) == Added(added=1, replaced=1)
        assert "The tea is great." in await bodies(store)
        assert "The tea is grate." not in await bodies(store)
        # As if the former text had never been there.
        await other.add([*TEXTS, changed])
        kept, fresh = await sums(store), await sums(other)
        assert kept.keys() == fresh.keys()
        for key, values in kept.items():
            for value, wanted in zip(values, fresh[key], strict=True):
                np.testing.assert_array_equal(value, wanted)  # type: ignore[arg-type]
        assert await adds_up(store._tables)


async def test_others_see_the_new_text_at_once(tmp_path: Path) -> None:
    async with opened(tmp_path / "a") as store:
        await store.add([*TEXTS, review("The tea is grate, you know.", user="fay")])
        before = await by_preference(store, "bob", "grate tea", "tea", k=8)
        await store.add([review("The tea is great, you know.", user="fay")])
        after = await by_preference(store, "bob", "grate tea", "tea", k=8)
    assert "The tea is grate, you know." in [hit.text.body for hit in before.hits]
    found = [hit.text.body for hit in after.hits]
    assert "The tea is great, you know." in found and "The tea is grate, you know." not in found


async def test_the_same_again_changes_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path / "a") as store:
        await store.add([review("One."), review("Two.", "r2")])
        assert await store.add([review("One."), review("Two.", "r2")]) == Added(duplicates=2)
        assert await bodies(store) == ["One.", "Two."]


async def test_what_does_not_name_one_text_replaces_none(tmp_path: Path) -> None:
    thread = [review("First post.", "thread-7"), review("Second post.", "thread-7")]
    async with opened(tmp_path / "a") as store:
        await store.add([*thread, review("Mine.", "1"), Text("ann", "Loose.")])
        added = await store.add(
            [
                review("Third post.", "thread-7"),
                review("Of another author.", "1", user="bob"),
                review("Of another tenant.", "1", namespace="acme"),
                review("Two at once.", "2"),
                review("And again.", "2"),
                Text("ann", "Also loose."),
            ]
        )
        assert added == Added(added=6)
        assert len(await bodies(store)) == 8


async def test_forgetting_leaves_nothing_of_a_replaced_text(tmp_path: Path) -> None:
    async with opened(tmp_path / "a") as store:
        await store.add(
            [review("The former words of ann, forty characters.", source_id="secret-id-of-ann-1")]
        )
        await store.add(
            [review("The latter words of ann, forty characters.", source_id="secret-id-of-ann-1")]
        )
        receipt = await store.forget("default", "ann")
        assert receipt.removed["texts"] == 1
    content = b"".join(each.read_bytes() for each in (tmp_path / "a").rglob("*") if each.is_file())
    assert b"former words" not in content and b"secret-id" not in content


@pytest.mark.parametrize("lives", [1, 2, 3, 4])
async def test_a_killed_replacement_is_repaired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lives: int
) -> None:
    """Whatever was committed before: the sums add up, and the file ingested again ends the same."""

    class Killed(Exception):
        pass

    async with opened(tmp_path / "a") as store:
        await store.add([*TEXTS, review("The tea is grate.", rating=4.0)])
        left = lives
        put, append = store._tables.put, store._tables.append

        async def dying(*given: object) -> None:
            nonlocal left
            left -= 1
            if not left:
                raise Killed
            await (append if len(given) and given[0] == "texts" else put)(*given)  # type: ignore[arg-type]

        with monkeypatch.context() as patched, pytest.raises(Killed):
            patched.setattr(store._tables, "put", dying)
            patched.setattr(store._tables, "append", dying)
            await store.add([review("The tea is great.", rating=2.0)])
            raise Killed  # survived
    async with opened(tmp_path / "a") as store:
        assert await adds_up(store._tables)
        await store.add([review("The tea is great.", rating=2.0)])
        assert "The tea is great." in await bodies(store)
        assert "The tea is grate." not in await bodies(store)
