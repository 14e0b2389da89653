"""The store on real LanceDB: adding, schemas, upkeep (looking back and searching: test_search)."""

import asyncio
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
import pytest
from patlm.stores import (
    Added,
    EncoderMismatch,
    InvalidFilter,
    InvalidText,
    SchemaMismatch,
    StoreLimits,
    Text,
    TextStore,
)
from patlm.stores.texts.arrow import on_grid
from patlm.stores.texts.tables import Tables
from patlm.stores.texts.writer import BATCH_TEXTS
from raising import raises
from store_fixtures import (
    STYLE,
    TEXTS,
    TOPIC,
    HashedEncoder,
    by_preference,
    opened,
    text,
    topic_encoder,
)


async def test_adding_the_same_again_changes_nothing(store: TextStore) -> None:
    assert await store.add([*TEXTS, TEXTS[0]]) == Added(added=9, duplicates=1)
    version, encoded = await store._tables.store_version(), TOPIC.encoded
    assert await store.add(iter(TEXTS)) == Added(added=0, duplicates=9)
    assert await store._tables.store_version() == version
    assert TOPIC.encoded == encoded, "what is known is not embedded again"
    assert await store.add([text("fay", "tea", "New.")]) == Added(added=1)
    assert await store._tables.store_version() > version


async def test_texts_that_come_again_are_looked_up_many_at_once(
    store: TextStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [text(f"u{n}", "tea", f"Tea number {n}.") for n in range(6 * BATCH_TEXTS)]
    assert await store.add(texts) == Added(added=len(texts))
    read, looked_up = Tables.read, list[str]()

    async def count(tables: Tables, name: str, *args: Any, **options: Any) -> Any:
        looked_up.append(name)
        return await read(tables, name, *args, **options)

    monkeypatch.setattr(Tables, "read", count)
    assert await store.add(texts) == Added(duplicates=len(texts))
    assert looked_up == ["texts"] * 3, "one batch, four, and the last"
    new = text("fay", "tea", "New.")
    again = [*texts[:2_000], new, *texts[2_000:], replace(texts[700], source_id="r1"), new]
    counted = await store.add(again)
    assert (counted.added, counted.duplicates, counted.other_ids) == (1, len(again) - 1, 0)
    (found,) = await store.texts_of("default", "u700")
    assert found.source_ids == ("r1",)


async def test_a_text_comes_back_as_it_was_written(store: TextStore) -> None:
    odd = Text(
        user_id="o'neil",
        topic_id="x' OR '1'='1",
        body=" two  spaces\n\tand a tab,\xa0 and 漢字 🙂 ",
        title="",
        rating=4.5,
        timestamp=1_700_000_000_123,
        position=7,
        language="pt",
        shared=False,
        shared_id=True,
        namespace="acme",
    )
    await store.add([odd])
    history = await store.history("acme", "o'neil")
    assert history.texts == (odd,)
    assert history.style.shape == (1, STYLE.dimension)
    # Vectors are kept in half precision, and are the same wherever they are read.
    assert np.array_equal(history.style, on_grid(STYLE.encode([odd.body])))
    assert np.array_equal(history.topic_vectors, on_grid(TOPIC.encode([odd.body])))


async def test_a_namespace_must_be_named(store: TextStore) -> None:
    with pytest.raises(InvalidFilter):
        await store.history("", "ann")
    with pytest.raises(InvalidFilter):
        await store.history("__patlm__", "ann")
    for bad in (
        text("", "tea", "no user"),
        text("ann", "tea", "reserved", namespace="__patlm__"),
        text("ann", "tea", "half a \ud800 sign"),
        text("a\x00", "tea", "NUL"),
    ):
        with pytest.raises(InvalidText):
            await store.add([bad])
    assert (await store.stats()).texts == 0


async def test_two_openings_write_at_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as one, opened(tmp_path) as other:
        parts = [
            [text(f"u{n % 7}", f"t{n % 5}", f"text {n} of {s}") for n in range(30)] for s in "ab"
        ]
        await asyncio.gather(
            *(one.add(parts[0][at : at + 6]) for at in range(0, 30, 6)),
            *(other.add(parts[1][at : at + 6]) for at in range(0, 30, 6)),
            one.add(parts[1]),
        )
        assert (await one.stats()).texts == 60
        users = await (await one._cache.latest()).users("default")
        assert int(users.shared.sum()) == 60


async def test_another_encoder_is_an_error_that_names_both(tmp_path: Path) -> None:
    async with opened(tmp_path):
        pass
    other: HashedEncoder = topic_encoder("words-2", 16)
    with raises(EncoderMismatch, "other_encoder", "'words-1'", 32, "'words-2'", 16):
        async with TextStore.open(str(tmp_path), style_encoder=STYLE, topic_encoder=other):
            pass


async def test_someone_elses_table_is_left_alone(tmp_path: Path) -> None:
    connection = await lancedb.connect_async(tmp_path)
    await connection.create_table("texts", [{"id": 1}])
    with raises(SchemaMismatch, "other_schema", "texts"):
        async with opened(tmp_path):
            pass


@pytest.mark.parametrize("cut", ["users", "topics"])
async def test_a_write_that_is_cut_off_is_mended(
    tmp_path: Path, cut: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path) as store:
        await store.add(TEXTS)
        whole = (
            await (await store._cache.latest()).users("default"),
            await (await store._cache.latest()).topics("default"),
        )
        # As a kill between the commits would leave it.
        await store._tables._tables[cut].delete("namespace = 'default' AND shared > 1")
    with caplog.at_level(logging.WARNING, logger="patlm.stores"):
        async with opened(tmp_path) as store:
            users = await (await store._cache.latest()).users("default")
            topics = await (await store._cache.latest()).topics("default")
    assert "counting again" in caplog.text
    assert users.ids == whole[0].ids
    assert np.array_equal(users.style, whole[0].style)
    assert topics.ids == whole[1].ids
    assert np.array_equal(topics.sums, whole[1].sums)
    caplog.clear()
    async with opened(tmp_path):
        assert caplog.text == ""


class Broken(OSError):
    """A fault of the test's own."""


async def test_a_fault_within_a_write_is_mended_by_the_next(
    store: TextStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.add(TEXTS[:3])
    with monkeypatch.context() as patched:

        async def fail(*_: object) -> None:
            raise Broken

        patched.setattr(store._tally, "count_in", fail)
        with pytest.raises(Broken):
            await store.add(TEXTS[3:])
    await store.add([text("gil", "tea", "Fresh tea.")])
    assert (await by_preference(store, "nobody", "tea", "tea")).pool_size == 5
    assert int((await (await store._cache.latest()).users("default")).shared.sum()) == 10


async def test_compaction_waits_for_its_threshold(store: TextStore) -> None:
    await store.add(TEXTS)
    below = await store.compact(threshold=1000)
    assert not below.compacted
    assert below.fragments_after == below.fragments_before
    for n in range(5):
        await store.add([text("ann", "tea", f"one more {n}")])
    done = await store.compact(threshold=1)
    assert done.compacted
    assert done.fragments_after < done.fragments_before
    assert json.loads(json.dumps(done.as_dict()))["compacted"] is True
    assert (await store.stats()).fragments == done.fragments_after


@pytest.mark.parametrize("limits", [StoreLimits(fragments=20)])
async def test_small_writes_do_not_pile_up(store: TextStore) -> None:
    for n in range(24):
        await store.add([text("ann", "tea", f"note {n}")])
    assert (await store.stats()).fragments < 30
    assert len((await store.history("default", "ann")).texts) == 24
