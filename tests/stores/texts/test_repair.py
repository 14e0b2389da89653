"""A store of an earlier version is corrected when it is opened; everybody's requests go on."""

import json
import math
from pathlib import Path

import lancedb
import numpy as np
import pytest
from patlm.stores.texts import repair as repairing
from patlm.stores.texts import writer as writing
from patlm.stores.texts.schema import METADATA_KEY, SOURCE_ID, TEXTS, USERS
from patlm.stores.texts.store import TextStore
from patlm.stores.texts.tables import Tables
from patlm.stores.types import Text
from store_fixtures import by_preference, opened, text

ODD = [
    text("ann ", "tea", "Ann's first text, of tea.", rating=math.nan),
    text("ann", "milk\t", "Ann's second text, of milk.", rating=4.0),
    text("jose\u0301", "tea", "Decomposed, of tea.", rating=math.inf),
    text("jos\u00e9", "tea", "Composed, of tea.", rating=3.0),
    text("123.0", "45.0", "A number from a data frame.", rating=10.0),
    text("123", "45", "A number from a data frame.", rating=None),
    text("sec", "tea", "Of now, in seconds.", timestamp=1_700_000_000),
    text("eve", "tea", "Nothing is odd here.", rating=5.0),
]


@pytest.fixture
async def former(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store as version 0.1 left it: nothing was checked, and there were no source ids."""
    path = tmp_path / "store"
    with monkeypatch.context() as unchecked:
        unchecked.setattr(writing, "check_texts", lambda texts: None)
        async with opened(path) as store:
            await store.add(ODD)
    connection = await lancedb.connect_async(str(path))
    table = await connection.open_table(TEXTS)
    await table.drop_columns([SOURCE_ID.name])
    about = json.loads((await table.schema()).field("namespace").metadata[METADATA_KEY])
    del about["normal"]
    await table.update_field_metadata(
        {"path": "namespace", "metadata": {METADATA_KEY.decode(): json.dumps(about)}}
    )
    return path


async def check_corrected(store: TextStore) -> None:
    stats = await store.stats()
    assert (stats.texts, stats.users) == (7, 5)  # 123 had one text twice
    ann = await store.history("default", "ann")
    assert sorted(each.body for each in ann.texts) == [
        "Ann's first text, of tea.",
        "Ann's second text, of milk.",
    ]
    assert {(each.topic_id, each.rating) for each in ann.texts} == {("tea", None), ("milk", 4.0)}
    jose = await store.history("default", "jos\u00e9")
    assert {each.rating for each in jose.texts} == {None, 3.0}
    (number,) = (await store.history("default", "123")).texts
    assert (number.topic_id, number.rating) == ("45", None)
    (second,) = (await store.history("default", "sec")).texts
    assert second.timestamp == 1_700_000_000_000
    rows = await store._tables.read(USERS, repairing.every_namespace(), ["edge_rating_sums"])
    sums = rows.column("edge_rating_sums").combine_chunks().flatten()
    assert np.isfinite(sums.to_numpy()).all()


async def test_odd_values_are_corrected_once(former: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(former) as store:
        await check_corrected(store)
        found = await by_preference(store, "ann", "tea", "tea", k=8)
        assert {hit.text.user_id for hit in found.hits} == {"jos\u00e9", "sec", "eve"}

    async def never(tables: Tables) -> None:
        raise AssertionError("looked through again")

    monkeypatch.setattr(repairing, "_normalise", never)
    async with opened(former) as store:
        await check_corrected(store)


async def test_a_killed_correction_goes_on(former: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(Exception):
        pass

    async def killed(self: Tables, name: str, where: object) -> None:
        raise Killed

    with monkeypatch.context() as dying:
        dying.setattr(Tables, "delete", killed)
        with pytest.raises(Killed):
            async with opened(former):
                pass
    async with opened(former) as store:
        await check_corrected(store)


async def test_it_needs_no_encoders(former: Path) -> None:
    async with TextStore.open_existing(str(former)) as store:
        await check_corrected(store)
        assert (await store.forget("default", "ann")).removed["texts"] == 2


async def test_a_former_store_takes_source_ids(former: Path) -> None:
    async with opened(former) as store:
        kept = Text("eve", "Grate.", source_id="r1")
        assert (await store.add([kept])).added == 1
        assert (await store.add([Text("eve", "Great.", source_id="r1")])).replaced == 1


async def test_a_healthy_store_is_left_alone(tmp_path: Path) -> None:
    async with opened(tmp_path / "store") as store:
        await store.add([text("eve", "tea", "Nothing is odd here.", rating=5.0)])
        version = await store._tables.version(TEXTS)
    async with opened(tmp_path / "store") as store:
        assert store._tables.normal and await store._tables.version(TEXTS) == version
