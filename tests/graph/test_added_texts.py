"""Texts that an app adds are checked as those of files are; an id is the same in every call."""

import math
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import pytest_asyncio
from fakes import ScriptedChat
from patlm.graph import Personalizer
from patlm.graph import open as opening
from patlm.nodes.errors import RequestError, SettingsError
from patlm.stores.values import RatingScale
from raising import raises
from store_fixtures import cheap_encoders, opened

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Personalizer]:
    """One store for all tests: each adds texts of people of its own."""
    folder = tmp_path_factory.mktemp("added")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "open_encoders", cheap_encoders)
        made = Personalizer(folder / "store", model=ScriptedChat(), trace=folder / "traces")
        async with made as ready:
            await ready.add("u-ana", "Lovely!! Slept like a log.", topic_id="sea", shared=True)
            await ready.add("u-ana", "A fine hut. Cold.", topic_id="hut", rating=4, shared=True)
            await ready.add("u-ben", "Well! What a view!", topic_id="hut", rating=2, shared=True)
            yield ready


async def texts_in(app: Personalizer) -> int:
    return (await (await app._store()).stats()).texts


async def own(app: Personalizer, user: object, **request: Any) -> list[str]:
    result = await app.awrite(user, title="lamp", **request)  # type: ignore[arg-type]
    return [piece.body for piece in result.own]


@pytest.mark.parametrize(
    ("added", "asked"),
    [
        ("u-gus ", "u-gus"),
        ("u-gus", " u-gus\t"),
        ("jos\u00e9", "jose\u0301"),
        ("jose\u0301", "jos\u00e9"),
        (123, "123.0"),
        (np.int64(123), 123),
        ("123.0", 123.0),
    ],
)
async def test_an_id_is_the_same_in_every_call(
    app: Personalizer, added: object, asked: object
) -> None:
    before = await texts_in(app)
    await app.add(added, "My note number 0, about soup.", topic_id="t0 ")
    notes: list[dict[str, Any]] = [
        {"user_id": added, "body": f"My note number {n}, about soup.", "topic_id": f"t{n} "}
        for n in range(1, 4)
    ]
    assert (await app.add_many(notes)).added == 3
    assert (await app.awrite(asked, title="soup")).cold_start == "known"  # type: ignore[arg-type]
    (batched,) = await app.abatch([{"user_id": asked, "title": "soup"}])
    assert batched.cold_start == "known"
    # Its own text on the topic is left out, however the topic is spelled.
    assert "My note number 2, about soup." not in await own(app, asked, topic_id=" t2")
    receipt = await app.forget(asked)
    assert (receipt.found, receipt.removed["texts"]) == (True, 4)
    assert await texts_in(app) == before


@pytest.mark.parametrize("rating", [math.nan, np.float64("nan"), None, "", "nan", "NA"])
async def test_no_rating_breaks_nobody_elses_request(app: Personalizer, rating: Any) -> None:
    for topic in ("hut", "sea"):
        body = f"A bit odd, this {topic}: {rating!r}."
        added = await app.add("u-odd", body, topic_id=topic, rating=rating, shared=True)
        assert added.added == 1
    for user in ("u-ana", "u-ben", "u-new"):
        request = {"title": "The hut", "topic_id": "sea", "k": 8}
        assert (await app.awrite(user, **request)).stop_reason  # type: ignore[arg-type]


WRONG: list[tuple[str, Any]] = [
    *(("user_id", value) for value in (None, " ", "null", True, 12.5)),
    *(("body", value) for value in (None, " \n", 7, "a\ud800")),
    *(("topic_id", value) for value in (["t"], "a\x00")),
    ("title", 10**400),
    *(("rating", value) for value in (10**400, 10, 0, math.inf, True, "good")),
    *(("timestamp", value) for value in ("05/01/2024", "soon", 17)),
    ("language", "english please"),
    ("shared", "perhaps"),
]


async def test_a_wrong_value_keeps_nothing(app: Personalizer, subtests: pytest.Subtests) -> None:
    before = await texts_in(app)
    for number, (field, value) in enumerate(WRONG):
        good = {"user_id": "u-fay", "body": "A text of hers."}
        wrong = {**good, field: value}
        with subtests.test(number=number, field=field):
            with raises(RequestError, "invalid_request", "text 1", field) as caught:
                await app.add_many([good, wrong, good])
            assert caught.value.field == field
            with raises(RequestError, "invalid_request", field) as caught:
                await app.add(wrong.pop("user_id"), wrong.pop("body"), **wrong)
            assert caught.value.field == field
            assert await texts_in(app) == before


async def test_many_texts_are_added_at_once(app: Personalizer) -> None:
    texts = [
        {"user_id": 7, "body": "First.", "topic_id": None, "title": None, "language": None},
        {"user_id": "7.0", "body": "Second.", "rating": Decimal("4.5"), "source_id": 12},
        {"user_id": " 7", "body": "First."},
    ]
    added = await app.add_many(texts)
    assert (added.added, added.duplicates) == (2, 1)
    assert set(await own(app, "7")) == {"First.", "Second."}
    assert (await app.add_many([])).added == 0
    with raises(RequestError, "invalid_request", "colour") as caught:
        await app.add_many([{"user_id": "7", "body": "Third.", "colour": "red"}])
    assert caught.value.field == "colour"


@pytest.mark.parametrize("library", ["pandas", "arrow"])
async def test_a_data_frame_is_its_rows(app: Personalizer, library: str) -> None:
    user = 70 if library == "pandas" else 71
    rows = [
        {"user_id": user, "body": "First.", "rating": 4, "timestamp": datetime(2024, 5, 1)},
        {"user_id": user, "body": "Second.", "rating": None, "timestamp": None},
    ]
    made: Any = pd.DataFrame(rows) if library == "pandas" else pa.Table.from_pylist(rows)
    assert (await app.add_many(made)).added == 2
    assert await own(app, str(user)) == ["Second.", "First."]
    renamed: Any = pd.DataFrame(rows).rename(columns={"body": "text"})
    with raises(RequestError, "invalid_request", "text", "body") as caught:
        await app.add_many(renamed)
    assert caught.value.field == "text"
    with raises(RequestError, "invalid_request", "max_added"):
        await app.add_many(cast("Any", pd.DataFrame({"body": ["x"] * 10_001})))


async def test_a_text_is_replaced_by_one_of_its_source_id(app: Personalizer) -> None:
    review = {"user_id": "u-kim", "source_id": "r1", "topic_id": "sea"}
    await app.add_many([{**review, "body": "It is grate."}])
    added = await app.add_many([{**review, "body": "It is great."}])
    assert (added.added, added.replaced) == (1, 1)
    assert await own(app, "u-kim") == ["It is great."]


async def test_the_latest_text_comes_first_whatever_the_unit(app: Personalizer) -> None:
    times: list[Any] = [
        1_000_000_000_000,  # milliseconds: 2001
        int(time.time()),  # seconds: now
        datetime(2005, 5, 1, tzinfo=UTC),
        "2010-05-01T10:00:00Z",
        1_400_000_000_000_000,  # microseconds: 2014
        20190501,
    ]
    for number, moment in enumerate(times):
        await app.add("u-sec", f"Text {number}.", topic_id=f"t{number}", timestamp=moment)
    assert await own(app, "u-sec", k=12) == [f"Text {n}." for n in (1, 5, 4, 3, 2, 0)]


async def test_a_text_without_a_time_is_of_now(app: Personalizer) -> None:
    await app.add("u-now", "Old.", timestamp="2020")
    await app.add("u-now", "New.", timestamp=math.nan)
    assert await own(app, "u-now") == ["New.", "Old."]


async def test_an_apps_ids_are_accounts(app: Personalizer) -> None:
    """Whatever they look like: `dave` of an app is one person."""
    await app.add("dave", "Mine alone.")
    store = await app._store()
    assert not (await store.history("default", "dave")).texts[0].shared_id


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ({"topic": "desk-lamp"}, "topic_id"),
        ({"user": "u-ben"}, "user_id"),
        ({"deadline": 1}, "deadline_s"),
        ({"temperature": 1}, "max_tokens"),
        ({"titel": "x"}, "title"),
    ],
)
async def test_unknown_fields_are_refused_in_every_call(
    app: Personalizer, wrong: dict[str, Any], meant: str
) -> None:
    (name,) = wrong
    for call in (
        lambda: app.awrite("u-ana", title="lamp", **wrong),
        lambda: app.abatch([{"user_id": "u-ana", "title": "lamp", **wrong}]),
        lambda: app.abatch([{"user_id": "u-ana", "title": "lamp"}], **wrong),
    ):
        with raises(RequestError, "invalid_request", name, meant) as caught:
            await call()  # type: ignore[no-untyped-call]
        assert caught.value.field == name
    with raises(RequestError, "invalid_request", name, meant):
        _ = [event async for event in app.astream("u-ana", title="lamp", **wrong)]


async def test_a_request_of_a_batch_may_set_its_own_context(app: Personalizer) -> None:
    request = {"user_id": "u-new", "title": "The hut", "topic_id": "hut"}
    wide, narrow = await app.abatch([request, {**request, "k": 1}], k=2)
    assert [len(result.evidence["preference"]) for result in (wide, narrow)] == [2, 1]


async def test_a_store_of_another_scale_takes_its_ratings(app: Personalizer) -> None:
    store = await app._store()
    assert store.rating_scale == RatingScale(1, 5)
    with raises(RequestError, "invalid_request", 10, "1 to 5"):
        await app.add("u-ten", "Ten of ten.", rating=10)
    with raises(RequestError, "invalid_request", 8, "1 to 5") as caught:
        await app.awrite("u-ana", task="rating", text="x", rating=8)
    assert caught.value.field == "rating"


async def test_feedback_is_checked_as_a_text(app: Personalizer) -> None:
    result = await app.awrite("u-ana", title="lamp")
    for said in ({"edited": "a\ud800"}, {"edited": 5}, {"rating": math.inf}, {"rating": 6}):
        (name,) = said
        with raises(RequestError, "invalid_request", name) as caught:
            await app.feedback(result.run_id, **said)
        assert caught.value.field == name
    await app.feedback(f" {result.run_id}\n", edited="  Mine.\n", rating="4,5")


async def test_values_of_numpy_are_numbers(app: Personalizer) -> None:
    result = await app.awrite("u-ana", title="lamp", k=np.int64(2), seed=np.int32(7))
    assert result.stop_reason


@pytest.mark.parametrize(
    "given",
    [{"share": "maybe"}, {"budget": "huge"}, {"dtype": "fp9"}, {"trace": 5}, {"roles": 5}],
)
async def test_a_wrong_setting_of_a_program_is_named(given: dict[str, Any]) -> None:
    with raises(SettingsError, "invalid_settings", *given):
        Personalizer(**given)


@pytest.mark.parametrize("unsaid", [None, pd.NA, math.nan])
@pytest.mark.parametrize("share", [False, True])
async def test_none_is_not_said_in_every_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unsaid: Any, share: bool
) -> None:
    monkeypatch.setattr(opening, "open_encoders", cheap_encoders)
    fields = dict.fromkeys(("topic_id", "title", "rating", "timestamp", "language"), unsaid)
    async with Personalizer(tmp_path / "store", model=ScriptedChat(), share=share) as app:
        await app.add("u-ana", "One.", shared=unsaid, **fields)
        more = {"shared": unsaid, "shared_id": unsaid, "target": unsaid, "source_id": unsaid}
        await app.add_many([{"user_id": "u-ana", "body": "Two.", **fields, **more}])
        assert [text.shared for text in await app.texts("u-ana")] == [share, share]
        asked = {"user_id": "u-ana", "title": "lamp", "task": unsaid}
        assert (await app.awrite(**asked)).text
        (result,) = await app.abatch([{**asked, "k": unsaid, "seed": unsaid}], k=1, seed=3)
        assert result.text


async def test_a_scale_that_another_process_sets_holds_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "open_encoders", cheap_encoders)
    async with Personalizer(tmp_path / "store", model=ScriptedChat()) as app:
        await app.add("u-ana", "Without a rating.")
        async with opened(tmp_path / "store") as other:
            await other.use_rating_scale(RatingScale(0, 10))
        assert (await app.awrite("u-ana", title="lamp", rating=9)).text
        await app.add("u-ana", "Nine of ten.", rating=9)
        assert (await app._store()).rating_scale == RatingScale(0, 10)


@pytest.mark.parametrize(
    ("given", "asked"),
    [("r1", " r1\t"), ("jose\u0301", "jos\u00e9"), (12, "12.0"), ("12.0", 12), (np.int64(7), 7.0)],
)
async def test_a_source_id_is_the_same_in_every_call(
    app: Personalizer, given: object, asked: object
) -> None:
    await app.add_many([{"user_id": "u-kim", "body": "Mine.", "source_id": given}])
    await app.add_many([{"user_id": "u-kim", "body": "Mine.", "source_id": "other"}])
    assert (await app.remove_texts("u-kim", [asked])).removed["texts"] == 1
    assert await app.texts("u-kim") == []
