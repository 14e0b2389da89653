"""A store is embedded again with another style encoder while others read and write it."""

import asyncio
import json
import multiprocessing
from collections.abc import Sequence
from pathlib import Path

import lancedb
import pyarrow as pa
import pytest
from disk_faults import DAMAGES, damage
from lancedb.db import AsyncConnection
from patlm.stores import EncoderMismatch, NoSuchStore, SchemaMismatch, Text, TextStore, Vectors
from patlm.stores.errors import StoreDamaged, StoreError
from patlm.stores.search.request import SearchRequest
from patlm.stores.texts.reembed import recorded_encoders, reembed_store
from patlm.stores.texts.schema import TEXTS as TEXTS_TABLE
from patlm.stores.texts.schema import USERS
from raising import raises
from store_fixtures import (
    STYLE,
    TEXTS,
    TOPIC,
    HashedEncoder,
    opened,
    style_encoder,
    text,
    write_until_refused,
)

NEW = style_encoder("signs-2", dimension=40)
SAME_SHAPE = style_encoder("signs-3", dimension=STYLE.dimension)


def opened_new(path: Path, encoder: HashedEncoder = NEW):
    return TextStore.open(str(path), style_encoder=encoder, topic_encoder=TOPIC)


async def styles_of(store: TextStore, encoder: HashedEncoder, words: str, k: int = 8) -> dict:
    history = await store.history("default", "nobody", topic_id=None)
    query = encoder.encode([words])[0]
    found = await store.search_by_style(SearchRequest(history, query, topic_id=None, k=k))
    return {hit.text.user_id: (hit.text.text_id, round(hit.score, 5)) for hit in found.hits}


class CutOff(HashedEncoder):
    """Encodes one batch, then is interrupted."""

    def encode(self, texts: Sequence[str]) -> Vectors:
        if self.encoded:
            raise KeyboardInterrupt
        return super().encode(texts)


@pytest.mark.parametrize("encoder", [NEW, SAME_SHAPE])
async def test_the_store_is_as_one_filled_with_that_encoder(
    tmp_path: Path, encoder: HashedEncoder
) -> None:
    async with opened(tmp_path / "old") as store:
        await store.add(TEXTS)
        before = await store.stats()
    told: list[tuple[int, int]] = []
    done = await reembed_store(str(tmp_path / "old"), encoder, lambda *at: told.append(at))
    assert (done.texts, done.former, done.encoder) == (len(TEXTS), STYLE.version, encoder.version)
    assert told == [(len(TEXTS), len(TEXTS))]

    fresh, again = tmp_path / "fresh", tmp_path / "old"
    async with opened_new(fresh, encoder) as one, opened_new(again, encoder) as other:
        await one.add(TEXTS)
        words = "Cold milk, plain!!!"
        expected = await styles_of(one, encoder, words)
        assert len(expected) == 5
        assert await styles_of(other, encoder, words) == expected
        assert (await other.history("default", "ann")).texts == (
            await one.history("default", "ann")
        ).texts
        after = await other.stats()
        assert (after.texts, after.users, after.topics) == (9, before.users, before.topics)
        assert set(after.indexes) == set(before.indexes)
        assert (await other.add([*TEXTS, text("hal", "tea", "Late but here.")])).added == 1
        assert (await other.forget("default", "bob")).bytes_found_after == 0
    recorded = await recorded_encoders(str(again))
    assert recorded is not None and recorded[0].version == encoder.version


async def test_with_the_encoder_it_has_nothing_is_done(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.add(TEXTS)
        done = await reembed_store(str(tmp_path), STYLE)
        assert (done.texts, done.former) == (0, STYLE.version)
        assert len(await styles_of(store, STYLE, "Cold milk")) == 5
    with pytest.raises(NoSuchStore):
        await reembed_store(str(tmp_path / "none"), STYLE)


@pytest.mark.parametrize("encoder", [NEW, SAME_SHAPE])
async def test_readers_go_on_until_the_swap_and_then_get_an_error(
    tmp_path: Path, encoder: HashedEncoder
) -> None:
    many = [
        text(f"user{n % 50}", f"topic{n % 9}", f"{'Well! ' * (n % 5)}text {n}") for n in range(600)
    ]
    async with opened(tmp_path) as store:
        await store.add(many)
        expected = await styles_of(store, STYLE, "Well! text 3", k=50)
        history = await store.history("default", "nobody", topic_id=None)
        running = asyncio.create_task(reembed_store(str(tmp_path), encoder, batch_texts=64))
        searches = 0
        with raises(EncoderMismatch, "embedded_again"):
            while True:
                assert await styles_of(store, STYLE, "Well! text 3", k=50) == expected
                searches += 1
        assert searches
        await running
        with pytest.raises(EncoderMismatch):
            await store.add([text("late", "tea", "Written with the former encoder.")])
        with pytest.raises(EncoderMismatch):
            await store.history("default", "nobody")
        # A request that was under way, and has to read from disk.
        store._cache.clear()
        with pytest.raises(EncoderMismatch):
            query = STYLE.encode(["Well! text 3"])[0]
            await store.search_by_style(SearchRequest(history, query, k=3))
    async with opened_new(tmp_path, encoder) as store:
        assert (await store.stats()).texts == 600


async def test_no_text_of_another_process_is_lost(tmp_path: Path) -> None:
    uri, kept = tmp_path / "store", tmp_path / "kept"
    async with opened(uri) as store:
        await store.add(TEXTS)
    worker = multiprocessing.get_context("spawn").Process(
        target=write_until_refused, args=(uri, kept)
    )
    worker.start()
    while not kept.exists() or kept.read_text().count("\n") < 5:
        assert worker.is_alive()
        await asyncio.sleep(0.01)
    done = await reembed_store(str(uri), NEW)
    await asyncio.to_thread(worker.join, 60)
    assert worker.exitcode == 0
    written = kept.read_text().split("\n")[:-1]
    assert done.texts == len(TEXTS) + len(written)
    async with opened_new(uri) as store:
        histories = [await store.history("default", f"writer{each}") for each in range(5)]
        found = {one.body for history in histories for one in history.texts}
        assert found == set(written)
        assert set(await styles_of(store, NEW, "Note 3!", k=20)) >= {"ann", "writer0"}


async def test_one_that_is_cut_off_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.add(TEXTS)
        files = sorted(tmp_path.rglob("*"))
        with pytest.raises(KeyboardInterrupt):
            cut_off = CutOff(NEW.version, NEW.dimension, NEW._tokens)
            await reembed_store(str(tmp_path), cut_off, batch_texts=4)
        assert sorted(tmp_path.rglob("*")) == files
        assert len(await styles_of(store, STYLE, "Cold milk")) == 5
    assert (await reembed_store(str(tmp_path), NEW)).texts == len(TEXTS)


# Not flipped bytes, which may stand where nothing is checked.
@pytest.mark.parametrize("how", sorted(DAMAGES.keys() - {"flipped"}))
async def test_a_damaged_file_of_texts_is_an_error_of_ours(tmp_path: Path, how: str) -> None:
    async with opened(tmp_path) as store:
        await store.add(TEXTS)
    for file in (tmp_path / f"{TEXTS_TABLE}.lance" / "data").glob("*.lance"):
        damage(file, how)
    with pytest.raises(StoreError) as raised:
        await reembed_store(str(tmp_path), NEW)
    assert isinstance(raised.value, StoreDamaged), raised.value


async def test_after_a_kill_between_texts_and_users_the_users_are_counted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as store:
        await store.add(TEXTS)
    create = AsyncConnection.create_table

    async def killed(connection: AsyncConnection, name: str, *given: object, **named: object):
        if name == USERS:
            raise KeyboardInterrupt
        return await create(connection, name, *given, **named)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(AsyncConnection, "create_table", killed)
        await reembed_store(str(tmp_path), NEW)
    with pytest.raises(EncoderMismatch):
        async with opened(tmp_path):
            pass
    async with opened_new(tmp_path) as store, opened_new(tmp_path / "fresh") as fresh:
        await fresh.add(TEXTS)
        expected = await styles_of(fresh, NEW, "Cold milk")
        assert await styles_of(store, NEW, "Cold milk") == expected


async def test_a_store_of_another_encoder_names_the_command(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.add(TEXTS)
    with raises(
        EncoderMismatch, "other_encoder", STYLE.version, 24, NEW.version, 40, "patlm reembed"
    ):
        async with opened_new(tmp_path):
            pass
    with raises(EncoderMismatch, "other_encoder", 12):
        async with opened_new(tmp_path, style_encoder(STYLE.version, dimension=12)):
            pass


async def as_version_0_1(path: Path, *, reembedded: bool) -> None:
    """Rewrite a store as patlm 0.1 did: users name the encoders, of which there may be several."""
    connection = await lancedb.connect_async(str(path))
    texts = await (await connection.open_table(TEXTS_TABLE)).to_arrow()
    users = await (await connection.open_table(USERS)).to_arrow()
    plain = texts.schema.field("style_1").remove_metadata()
    texts = texts.set_column(texts.column_names.index("style_1"), plain, texts["style_1"])
    encoders = [STYLE, NEW] if reembedded else [STYLE]
    for number, encoder in enumerate(encoders, 1):
        name, about = f"style_sum_{number}", {"encoder": encoder.version, "filled": True}
        kind = pa.list_(pa.float64(), encoder.dimension)
        field = pa.field(name, kind, metadata={"patlm-encoder": json.dumps(about)})
        sums = users[name] if name in users.column_names else pa.nulls(len(users), kind)
        if name in users.column_names:
            users = users.drop_columns([name])
        users = users.append_column(field, sums)
    if reembedded:
        texts = texts.append_column(
            "style_2", pa.nulls(len(texts), pa.list_(pa.float32(), NEW.dimension))
        )
    for name, rows in ((TEXTS_TABLE, texts), (USERS, users)):
        await connection.create_table(
            name, rows, schema=rows.schema, mode="overwrite", on_bad_vectors="null"
        )


async def test_a_store_of_version_0_1_opens(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.add(TEXTS)
        expected = await styles_of(store, STYLE, "Cold milk")
    await as_version_0_1(tmp_path, reembedded=False)
    async with opened(tmp_path) as store:
        assert await styles_of(store, STYLE, "Cold milk") == expected
        await store.add([Text("hal", "Late but here.", "tea")])
        assert len(await styles_of(store, STYLE, "Cold milk")) == 6


async def test_one_that_was_embedded_by_several_encoders_names_the_command(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.add(TEXTS)
        expected = await styles_of(store, STYLE, "Cold milk")
    await as_version_0_1(tmp_path, reembedded=True)
    for opening in (opened(tmp_path), opened_new(tmp_path), TextStore.open_existing(str(tmp_path))):
        with raises(SchemaMismatch, "reembed_needed", f"patlm reembed --store {tmp_path}"):
            async with opening:
                pass
    assert (await reembed_store(str(tmp_path), STYLE)).texts == len(TEXTS)
    async with opened(tmp_path) as store:
        assert await styles_of(store, STYLE, "Cold milk") == expected
