"""A text's id in its source: the same id of the same author replaces the text, nothing else.

`Model` is the rule of `stores.source_ids` on plain sets: generated histories of ingests, in batches
of any size, leave what it says.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from patlm.stores.source_ids import CallSoFar, Held, plan
from patlm.stores.texts import repair as repairing
from patlm.stores.texts import writer
from patlm.stores.texts.repair import adds_up
from patlm.stores.texts.schema import TOPICS, USERS
from patlm.stores.texts.store import TextStore
from patlm.stores.types import Added, PrivateText, Text
from store_fixtures import (
    TEXTS,
    by_preference,
    by_style,
    from_memory_and_disk,
    opened,
    style_encoder,
    topic_encoder,
)

Call = Sequence[tuple[str, str]]
"""Source ids and bodies of the texts of one ingest."""


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


def batched(call: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [call[at : at + size] for at in range(0, len(call), size)]


class Model:
    """The rule, for one author.

    Attributes:
        held: The source ids of each body that is held.
        replaced: How many bodies lost their last id.
        other_ids: How often a body came under one more id.
    """

    def __init__(self) -> None:
        self.held: dict[str, set[str]] = {}
        self.replaced = self.other_ids = 0

    def ingest(self, call: Call, batch_size: int) -> None:
        used: set[str] = set()
        loose: set[str] = set()  # came in this call without an id, but has one
        for batch in batched(call, batch_size):
            before = {body: set(ids) for body, ids in self.held.items()}
            came = {body for _, body in batch}
            for source_id in {each for each, _ in batch if each} - used:
                now = {body for each, body in batch if each == source_id}
                former = {body for body, ids in before.items() if source_id in ids}
                if len(now) == len(former) == 1 and now != former:
                    (old,) = former
                    self.held[old].remove(source_id)
                    if not self.held[old] and old not in came | loose:
                        del self.held[old]
                        self.replaced += 1
            for source_id, body in batch:
                ids = self.held.setdefault(body, set())
                if source_id and source_id not in ids:
                    self.other_ids += bool(ids)
                    ids.add(source_id)
            used |= {each for each, _ in batch if each}
            loose |= {body for each, body in batch if not each and before.get(body)}


CALLS = st.lists(
    st.lists(
        st.tuples(st.sampled_from(["", "r1", "r2", "r3"]), st.sampled_from("ABCD")), max_size=5
    ),
    max_size=5,
)
SIZES = st.sampled_from([1, 2, 512])


@settings(max_examples=150)
@given(calls=CALLS, size=SIZES)
def test_the_rule_is_that_of_the_model(calls: Sequence[Call], size: int) -> None:
    model, held = Model(), dict[str, Held]()
    names = {Text("ann", body).text_id: body for body in "ABCD"}
    for call in calls:
        so_far = CallSoFar()
        for batch in batched([Text("ann", body, source_id=each) for each, body in call], size):
            changes = plan(batch, held, so_far)
            so_far.note(batch, held)
            for text_id, ids in changes.ids.items():
                held[text_id] = held[text_id]._replace(ids=ids)
            for text_id in changes.removed:
                del held[text_id]
            for place, ids in changes.new.items():
                held[batch[place].text_id] = Held("default", "ann", ids)
        model.ingest(call, size)
        assert {names[each]: set(row.ids) for each, row in held.items()} == model.held
        assert {body for _, body in call} <= model.held.keys(), "what a call brings is held"


async def check_history(calls: Sequence[Call], size: int) -> None:
    model, encoders = Model(), {"style_encoder": style_encoder(), "topic_encoder": topic_encoder()}
    async with TextStore.open("memory://ids", **encoders) as store:
        with patch.object(writer, "BATCH_TEXTS", size):
            for call in calls:
                before = len(model.held), model.replaced, model.other_ids
                added = await store.add([Text("ann", body, source_id=each) for each, body in call])
                model.ingest(call, size)
                held = await store.texts_of("default", "ann")
                assert {text.body: set(text.source_ids) for text in held} == model.held
                assert len(held) == before[0] + added.added - added.replaced
                assert added.added + added.duplicates == len(call)
                now = added.replaced, added.other_ids
                assert now == (model.replaced - before[1], model.other_ids - before[2])
        assert await adds_up(store._tables)


@settings(max_examples=6, deadline=None)
@given(calls=CALLS, size=SIZES)
def test_a_store_holds_what_the_model_says(calls: Sequence[Call], size: int) -> None:
    asyncio.run(check_history(calls, size))


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(calls=CALLS, size=SIZES)
def test_long_histories(calls: Sequence[Call], size: int) -> None:
    asyncio.run(check_history(calls, size))


@pytest.mark.parametrize("processes", [1, 2])
async def test_of_parallel_calls_one_text_of_an_id_is_left(tmp_path: Path, processes: int) -> None:
    async with opened(tmp_path / "a") as store, opened(tmp_path / "a") as other:
        others = [store, other][:processes]
        calls = (others[n % processes].add([review(f"No. {n}.")]) for n in range(4))
        added = sum(await asyncio.gather(*calls), start=Added())
        assert (added.added, added.replaced) == (4, 3)
        assert len(await bodies(store)) == 1
        assert await adds_up(store._tables)


@from_memory_and_disk
async def test_a_text_that_comes_as_private_is_taken_back(store: TextStore, tmp_path: Path) -> None:
    """Nothing of it serves others any more, as if it had been private from the first."""
    mine = review("The tea is great, you know.", user="fay", timestamp=5)
    private = replace(mine, shared=False)
    await store.add([*TEXTS, mine])
    assert "fay" in await found_of(store)
    taken = (PrivateText("default", "fay", mine.text_id),)
    assert await store.add([private]) == Added(duplicates=1, private=taken)
    assert "fay" not in await found_of(store)
    assert await adds_up(store._tables)
    async with opened(tmp_path / "fresh") as fresh:
        await fresh.add([*TEXTS, mine, private])  # in one call, too
        assert "fay" not in await found_of(fresh)
    (kept,) = await store.texts_of("default", "fay")
    assert (kept.source_ids, kept.timestamp, kept.shared) == (("r1",), 5, False)
    assert await store.add([replace(mine, source_id="r2")]) == Added(duplicates=1, other_ids=1)
    (kept,) = await store.texts_of("default", "fay")
    assert (set(kept.source_ids), kept.shared) == ({"r1", "r2"}, False), "an ingest shares nothing"


async def found_of(store: TextStore) -> set[str]:
    hits = (await by_preference(store, "bob", "great tea", "tea", k=8)).hits
    near = (await by_style(store, "bob", "The tea is great, you know.", "mint", k=8)).hits
    return {hit.text.user_id for hit in (*hits, *near)}
