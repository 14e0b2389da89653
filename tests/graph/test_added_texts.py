"""Texts that an app adds are checked as those of files are; an id is the same in every call."""

import math
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import ScriptedChat
from patlm.graph import Personalizer
from patlm.graph import open as opening
from patlm.nodes.errors import RequestError, SettingsError
from patlm.stores.values import RatingScale
from raising import raises
from store_fixtures import cheap_encoders


@pytest.fixture
async def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Personalizer]:
    monkeypatch.setattr(opening, "open_encoders", cheap_encoders)
    model = ScriptedChat()
    async with Personalizer(tmp_path / "store", model=model, trace=tmp_path / "traces") as opened:
        await opened.add("u-ana", "Lovely!! Slept like a log.", topic_id="sea", shared=True)
        await opened.add("u-ana", "A fine hut. Cold.", topic_id="hut", rating=4, shared=True)
        await opened.add("u-ben", "Well! What a view!", topic_id="hut", rating=2, shared=True)
        yield opened


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
    for number in range(4):
        await app.add(added, f"My note number {number}, about soup.", topic_id=f"t{number} ")
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
    await app.add("u-odd", "A bit odd, this hut.", topic_id="hut", rating=rating, shared=True)
    await app.add("u-odd", "A bit odd, this sea.", topic_id="sea", rating=rating, shared=True)
    for user in ("u-ana", "u-ben", "u-new"):
        request = {"title": "The hut", "topic_id": "sea", "k": 8}
        assert (await app.awrite(user, **request)).stop_reason  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"user_id": None}, "user_id"),
        ({"user_id": " "}, "user_id"),
        ({"user_id": "null"}, "user_id"),
        ({"user_id": True}, "user_id"),
        ({"user_id": 12.5}, "user_id"),
        ({"body": None}, "body"),
        ({"body": " \n"}, "body"),
        ({"body": 7}, "body"),
        ({"body": "a\ud800"}, "body"),
        ({"topic_id": ["t"]}, "topic_id"),
        ({"rating": 10**400}, "rating"),
        ({"title": 10**400}, "title"),
        ({"topic_id": "a\x00"}, "topic_id"),
        ({"rating": 10}, "rating"),
        ({"rating": 0}, "rating"),
        ({"rating": math.inf}, "rating"),
        ({"rating": True}, "rating"),
        ({"rating": "good"}, "rating"),
        ({"timestamp": "05/01/2024"}, "timestamp"),
        ({"timestamp": "soon"}, "timestamp"),
        ({"timestamp": 17}, "timestamp"),
        ({"language": "english please"}, "language"),
        ({"shared": "perhaps"}, "shared"),
    ],
)
async def test_a_wrong_value_keeps_nothing(
    app: Personalizer, wrong: dict[str, Any], field: str
) -> None:
    before = await texts_in(app)
    given = {"user_id": "u-fay", "body": "A text of hers.", **wrong}
    with raises(RequestError, "invalid_request", field) as caught:
        await app.add(given.pop("user_id"), given.pop("body"), **given)
    assert caught.value.field == field
    good = {"user_id": "u-fay", "body": "Another text."}
    with raises(RequestError, "invalid_request", "text 1", field) as caught:
        await app.add_many([good, {**good, **wrong}, good])
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
    wide, narrow, foreign = await app.abatch(
        [
            {"user_id": "u-new", "title": "The hut", "topic_id": "hut"},
            {"user_id": "u-new", "title": "The hut", "topic_id": "hut", "k": 1},
            {"user_id": "u-new", "title": "The hut", "namespace": "another"},
        ],
        k=2,
    )
    sizes = [len(result.evidence["preference"]) for result in (wide, narrow, foreign)]
    assert sizes == [2, 1, 0]


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


@pytest.mark.parametrize(
    "texts", [None, "ana", {"user_id": "ana"}, 5, [5], [None], [("ana", "x")], [{1: 2}]]
)
async def test_what_is_no_list_of_texts_is_refused(app: Personalizer, texts: Any) -> None:
    before = await texts_in(app)
    with pytest.raises(RequestError) as refused:
        await app.add_many(texts)
    assert refused.value.field == "texts"
    assert await texts_in(app) == before


@pytest.mark.parametrize("ids", ["abc", 5, None, [5], [None], [["x"]]])
async def test_what_is_no_list_of_ids_is_refused(app: Personalizer, ids: Any) -> None:
    with pytest.raises(RequestError) as refused:
        await app.remove_texts("u-ana", ids)
    assert refused.value.field == "text_ids"


async def test_no_word_stands_for_a_dry_run(app: Personalizer) -> None:
    before = await texts_in(app)
    with pytest.raises(RequestError) as refused:
        await app.forget("u-ana", dry_run="no")  # type: ignore[arg-type]
    assert refused.value.field == "dry_run"
    assert await texts_in(app) == before


@pytest.mark.parametrize(
    "given",
    [{"share": "maybe"}, {"budget": "huge"}, {"dtype": "fp9"}, {"trace": 5}, {"roles": 5}],
)
def test_a_wrong_setting_of_a_program_is_named(given: dict[str, Any]) -> None:
    with raises(SettingsError, "invalid_settings", *given):
        Personalizer(**given)
