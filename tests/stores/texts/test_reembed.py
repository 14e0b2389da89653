"""A store is embedded again by another style encoder while others read and write it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import lancedb
import numpy as np
import pyarrow as pa
import pytest
from patlm.stores import EncoderMismatch, SchemaMismatch, Text, TextStore, Vectors
from patlm.stores.texts import schema as details
from patlm.stores.texts.reembed import recorded_style, refit_store
from patlm.stores.texts.schema import TEXTS as TEXTS_TABLE
from patlm.stores.texts.schema import TOPICS, USERS
from store_fixtures import (
    STYLE,
    TEXTS,
    TOPIC,
    HashedEncoder,
    by_preference,
    opened,
    style_encoder,
    text,
)

NEW = style_encoder("signs-2", dimension=40)


def opened_new(path: Path, encoder: HashedEncoder = NEW):
    return TextStore.open(str(path), style_encoder=encoder, topic_encoder=TOPIC)


async def styles_of(store: TextStore, encoder: HashedEncoder, words: str, k: int = 8) -> dict:
    history = await store.history("default", "nobody", topic_id=None)
    query = encoder.encode([words])[0]
    found = await store.search_by_style(history, query, topic_id=None, k=k)
    return {hit.text.user_id: (hit.text.text_id, round(hit.score, 5)) for hit in found.hits}


class Slow(HashedEncoder):
    """Encodes a few texts, then waits until it is let go."""

    def __init__(self, stop_after: int) -> None:
        super().__init__(NEW.version, NEW.dimension, NEW._tokens)
        self.stop_after = stop_after

    def encode(self, texts: Sequence[str]) -> Vectors:
        if self.encoded >= self.stop_after:
            raise KeyboardInterrupt
        return super().encode(texts)


async def test_a_store_embedded_again_is_as_one_filled_so(tmp_path: Path) -> None:
    async with opened(tmp_path / "old") as store:
        await store.add(TEXTS)
    done = await refit_store(str(tmp_path / "old"), NEW)
    assert (done.texts, done.former, done.encoder) == (len(TEXTS), STYLE.version, NEW.version)

    async with opened_new(tmp_path / "fresh") as fresh, opened_new(tmp_path / "old") as again:
        await fresh.add(TEXTS)
        words = "Cold milk, plain!!!"
        expected = await styles_of(fresh, NEW, words)
        assert len(expected) == 5
        assert await styles_of(again, NEW, words) == expected
        assert (await again.history("default", "ann")).style.shape == (2, 40)
    recorded = await recorded_style(str(tmp_path / "old"))
    assert recorded is not None and recorded.version == NEW.version


async def test_each_side_finds_what_the_other_writes_afterwards(tmp_path: Path) -> None:
    async with opened(tmp_path) as before:
        await before.add(TEXTS)
        await styles_of(before, STYLE, "warm up")
        await refit_store(str(tmp_path), NEW)
        async with opened_new(tmp_path) as after:
            await before.add([text("fay", "tea", "HOT!!! HOT!!! 7"), text("bob", "tea", "AND 8!")])
            await after.add([text("gus", "tea", "oh, so so; quiet"), text("cat", "milk", "mild")])
            async with opened(tmp_path / "one") as one:  # filled by one encoder alone
                await one.add(TEXTS)
                await one.add([text("fay", "tea", "HOT!!! HOT!!! 7"), text("bob", "tea", "AND 8!")])
                await one.add([text("gus", "tea", "oh, so so; quiet"), text("cat", "milk", "mild")])
                expected = await styles_of(one, STYLE, "HOT!!! 1")
            assert {"fay", "gus"} <= expected.keys()
            assert await styles_of(before, STYLE, "HOT!!! 1") == expected
            assert expected.keys() == (await styles_of(after, NEW, "HOT!!! 1")).keys()
            found = await by_preference(before, "ann", "quiet tea", "tea", k=9)
            assert {"fay", "gus", "bob"} <= {hit.text.user_id for hit in found.hits}


async def test_readers_go_on_while_it_is_embedded_again(tmp_path: Path) -> None:
    many = [
        text(f"user{n % 50}", f"topic{n % 9}", f"{'Well! ' * (n % 5)}text {n}") for n in range(600)
    ]
    async with opened(tmp_path) as store:
        await store.add(many)
        expected = await styles_of(store, STYLE, "Well! text 3", k=50)
        assert len(expected) == 50
        refitting = asyncio.create_task(refit_store(str(tmp_path), NEW))
        searches = 0
        while not refitting.done() or searches < 20:
            assert await styles_of(store, STYLE, "Well! text 3", k=50) == expected
            searches += 1
        assert (await refitting).texts == 600


async def test_one_that_was_cut_off_is_finished_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("patlm.stores.texts.reembed.REEMBED_BATCH_TEXTS", 4)
    async with opened(tmp_path) as store:
        await store.add(TEXTS)
    with pytest.raises(KeyboardInterrupt):
        await refit_store(str(tmp_path), Slow(4))
    with pytest.raises(EncoderMismatch, match="cut off: `patlm refit"):
        async with opened_new(tmp_path):
            pass
    async with opened(tmp_path) as store:  # the former still serves
        assert len(await styles_of(store, STYLE, "Cold milk")) == 5
    encoded = NEW.encoded
    assert (await refit_store(str(tmp_path), NEW)).texts == len(TEXTS) - 4
    assert NEW.encoded == encoded + len(TEXTS) - 4
    async with opened_new(tmp_path) as store:
        assert len(await styles_of(store, NEW, "Cold milk")) == 5


async def test_with_the_encoder_it_has_nothing_is_done(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.add(TEXTS)
        done = await refit_store(str(tmp_path), STYLE)
        assert (done.texts, done.former, done.upgraded) == (0, STYLE.version, False)
        for _ in range(2):  # the second has nothing to do, and takes nobody's vectors away
            await refit_store(str(tmp_path), NEW)
        assert len(await styles_of(store, STYLE, "Cold milk")) == 5


async def test_who_is_two_encoders_behind_is_told_to_open_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.add(TEXTS)
        await refit_store(str(tmp_path), NEW)
        await refit_store(str(tmp_path), style_encoder("signs-3"))
        with pytest.raises(EncoderMismatch, match="open it again"):
            await styles_of(store, STYLE, "Cold milk")


async def test_a_store_of_another_encoder_says_what_repairs_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.add(TEXTS)
    with pytest.raises(EncoderMismatch, match=r"signs-1.*24 dim.*signs-2.*40 dim.*patlm refit"):
        async with opened_new(tmp_path):
            pass
    same_name = style_encoder(STYLE.version, dimension=12)
    with pytest.raises(EncoderMismatch, match="12 dimensions"):
        async with opened_new(tmp_path, same_name):
            pass


async def make_old(path: Path) -> None:
    """Turn a store into one of schema version 1, as patlm 0.0 wrote it."""
    connection = await lancedb.connect_async(str(path))
    about = {
        "schema": 1,
        "style": {"version": STYLE.version, "dimension": STYLE.dimension},
        "topic": {"version": TOPIC.version, "dimension": TOPIC.dimension},
    }
    for name in (TEXTS_TABLE, USERS, TOPICS):
        rows = await (await connection.open_table(name)).to_arrow()
        if "details" in rows.column_names:
            for column, values in details.unpack(rows.column("details")).items():
                if column not in rows.column_names:
                    rows = rows.append_column(column, values)
            rows = rows.drop_columns(["details"])
        names = {"style_1": "style", "style_sum_1": "style_sum"}
        rows = rows.drop_columns([each for each in rows.column_names if each == "stamp"])
        rows = rows.rename_columns([names.get(each, each) for each in rows.column_names])
        fields = [field.with_metadata({}) for field in rows.schema]
        schema = pa.schema(fields, {"patlm": json.dumps(about)})
        await connection.create_table(name, rows.cast(schema), schema=schema, mode="overwrite")


async def test_a_store_of_an_older_version_is_brought_up_to_date(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.add(TEXTS)
        expected = await styles_of(store, STYLE, "Cold milk")
        history = await store.history("default", "ann", topic_id="tea")
    await make_old(tmp_path)
    for opening in (opened(tmp_path), TextStore.open_existing(str(tmp_path))):
        with pytest.raises(SchemaMismatch, match="found 1: `patlm refit .* nothing is lost"):
            async with opening:
                pass
    done = await refit_store(str(tmp_path), STYLE)
    assert (done.upgraded, done.texts) == (True, 0)
    async with opened(tmp_path) as store:
        assert await styles_of(store, STYLE, "Cold milk") == expected
        again = await store.history("default", "ann", topic_id="tea")
        assert again.texts == history.texts
        np.testing.assert_array_equal(again.style, history.style)
        await store.add([Text("hal", "Late but here.", "tea")])
        assert len(await styles_of(store, STYLE, "Cold milk")) == 6
