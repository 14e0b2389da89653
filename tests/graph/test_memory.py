"""Texts that are held of a person: ids of what was added, lists, one text, changes."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from fakes import ScriptedChat
from patlm.graph import Personalizer
from patlm.graph import open as opening
from patlm.nodes.errors import RequestError
from patlm.stores.texts.store import TextStore
from patlm.stores.types import Receipt, Text
from raising import raises
from store_fixtures import cheap_encoders

LENT = "A zwieback recipe that only bo would ever tell."
MENDED = "A zwieback recipe, mended, with less sugar and more patience."


@pytest_asyncio.fixture
async def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Personalizer]:
    monkeypatch.setattr(opening, "open_encoders", cheap_encoders)
    made = Personalizer(tmp_path / "store", model=ScriptedChat(), trace=tmp_path / "trace")
    async with made as ready:
        await ready.add("cy", "Plain and shared.", topic_id="sea", shared=True)
        yield ready


async def ask(app: Personalizer, user: str, topic: str = "sea") -> Any:
    return await app.awrite(user, title="Rusks", topic_id=topic, max_iterations=1)


async def evidence_of(app: Personalizer, user: str) -> str:
    return json.dumps([each.model_dump() for each in (await ask(app, user)).evidence["preference"]])


def files_with(folder: Path, words: str) -> list[Path]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if words.encode() in path.read_bytes()]


async def held_by(app: Personalizer, user: str) -> list[str]:
    return [text.body for text in await app.texts(user)]


async def test_added_texts_are_told_by_id_in_their_order(app: Personalizer) -> None:
    (one,) = (await app.add("bo", LENT)).text_ids
    again = await app.add_many([{"user_id": "bo", "body": body} for body in (MENDED, LENT)])
    assert again.added == 1 and again.text_ids[1] == one
    for text_id, body in zip(again.text_ids, (MENDED, LENT), strict=True):
        found = await app.get_text("bo", text_id)
        assert found is not None and found.body == body
    assert await app.get_text("cy", one) is None, "a text is its author's"
    assert await app.get_text("bo", "0" * 20) is None


async def test_texts_of_a_topic_of_a_time_the_latest_ones(app: Personalizer) -> None:
    rows = [
        {"user_id": "bo", "body": f"Note {n}.", "topic_id": topic, "timestamp": f"2024-05-0{n}"}
        for n, topic in enumerate(["sea", "hut", "sea", "sea"], 1)
    ]
    await app.add_many(rows)

    async def listed(**chosen: Any) -> str:
        return "".join(text.body[5] for text in await app.texts("bo", **chosen))

    assert await listed() == "4321"
    assert await listed(topic_id=" sea\t") == "431"
    assert await listed(since="2024-05-02") == await listed(since=1714608000) == "432"
    assert await listed(since=datetime(2024, 5, 2, tzinfo=UTC), topic_id="sea") == "43"
    assert await listed(limit=2) == "43"
    assert await listed(topic_id="nowhere") == ""
    assert await app.texts("nobody", limit=1) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("limit", 0),
        ("limit", True),
        ("limit", 1.5),
        ("since", "soon"),
        ("since", ""),
        ("topic_id", ""),
        ("topic_id", float("nan")),
    ],
)
async def test_what_can_not_be_asked_for_is_named(
    app: Personalizer, field: str, value: object
) -> None:
    with raises(RequestError, "invalid_request", field) as raised:
        await app.texts("cy", **{field: value})  # type: ignore[arg-type]
    assert raised.value.field == field


async def test_a_changed_text_takes_the_place_of_the_former_one_down_to_the_bytes(
    app: Personalizer, tmp_path: Path
) -> None:
    fields: dict[str, Any] = {"user_id": "bo", "body": LENT, "topic_id": "sea", "shared": True}
    added = await app.add_many([{**fields, "source_id": "post-7", "timestamp": "2024-05-01"}])
    assert LENT in await evidence_of(app, "dee")
    assert files_with(tmp_path, LENT)
    text, receipt = await app.update_text("bo", "post-7", body=MENDED, rating=4)
    assert isinstance(receipt, Receipt) and receipt.found and text.text_id != added.text_ids[0]
    (held,) = await app.texts("bo")
    assert (held, held.source_ids) == (text, ("post-7",))
    assert (held.body, held.topic_id, held.rating, held.shared) == (MENDED, "sea", 4, True)
    assert held.timestamp == 1714521600000, "a change is no new text of now"
    assert not files_with(tmp_path, LENT)
    assert MENDED in await evidence_of(app, "dee")
    # The source's next version finds it by its id.
    assert (await app.add_many([{**fields, "source_id": "post-7"}])).replaced == 1
    assert await held_by(app, "bo") == [LENT]


async def test_a_field_is_emptied_by_an_empty_value_and_kept_without_one(
    app: Personalizer,
) -> None:
    await app.add("bo", LENT, topic_id="sea", title="Rusks", rating=5, language="de")
    (text_id,) = [text.text_id for text in await app.texts("bo")]
    text, _ = await app.update_text("bo", text_id, title="", rating="")
    assert (text.title, text.rating, text.topic_id, text.language) == ("", None, "sea", "de")
    (held,) = await app.texts("bo")
    assert held == text


async def test_a_text_is_shared_later_and_taken_back(app: Personalizer, tmp_path: Path) -> None:
    (text_id,) = (await app.add("bo", LENT, topic_id="sea", timestamp="2024-05-01")).text_ids
    assert LENT not in await evidence_of(app, "dee")
    text, receipt = await app.update_text("bo", text_id, shared=True)
    assert (text.text_id, text.shared, receipt) == (text_id, True, None)
    shown = await ask(app, "dee")
    assert LENT in json.dumps([each.model_dump() for each in shown.evidence["preference"]])
    assert LENT in "".join(file.read_text() for file in (tmp_path / "trace").glob("*"))
    await app.update_text("bo", text_id, shared=False, language="de")
    assert LENT not in await evidence_of(app, "dee")
    assert LENT not in "".join(file.read_text() for file in (tmp_path / "trace").glob("*"))
    (held,) = await app.texts("bo")
    assert (held.shared, held.language, held.timestamp) == (False, "de", 1714521600000)
    stats = await (await app._store()).stats()
    assert stats.texts == 2


async def test_the_sums_are_those_of_a_store_that_was_always_so(
    app: Personalizer, tmp_path: Path
) -> None:
    """A text that is shared later counts in its topic and its author's style as any other."""
    (text_id,) = (await app.add("bo", LENT, topic_id="sea")).text_ids
    await app.update_text("bo", text_id, shared=True)
    other = Personalizer(tmp_path / "other", model=ScriptedChat())
    async with other:
        await other.add("cy", "Plain and shared.", topic_id="sea", shared=True)
        await other.add("bo", LENT, topic_id="sea", shared=True)
        for side in ("style", "preference"):
            topic = "hut" if side == "style" else "sea"
            one, two = await ask(app, "dee", topic), await ask(other, "dee", topic)
            pieces = [(each.user_id, each.score) for each in one.evidence[side]]
            assert pieces and pieces == [(each.user_id, each.score) for each in two.evidence[side]]


@pytest.mark.parametrize(
    ("named", "changes", "field"),
    [
        ("0" * 20, {"body": MENDED}, "text_id"),
        ("", {"body": MENDED}, "text_ids"),
        (None, {"rating": 11}, "rating"),
        (None, {"body": ""}, "body"),
        (None, {"timestamp": "soon"}, "timestamp"),
        (None, {"shared": "perhaps"}, "shared"),
    ],
)
async def test_a_change_that_can_not_be_made_changes_nothing(
    app: Personalizer, named: str | None, changes: dict[str, Any], field: str
) -> None:
    (text_id,) = (await app.add("bo", LENT, topic_id="sea", rating=3)).text_ids
    before = await app.texts("bo")
    with raises(RequestError, "invalid_request", field) as raised:
        await app.update_text("bo", text_id if named is None else named, **changes)
    assert raised.value.field == field
    assert await app.texts("bo") == before


async def test_a_change_into_a_text_that_is_held_leaves_one(app: Personalizer) -> None:
    both = await app.add_many([{"user_id": "bo", "body": each} for each in (LENT, MENDED)])
    ids = both.text_ids
    text, _ = await app.update_text("bo", ids[0], body=MENDED)
    assert (text.text_id, await held_by(app, "bo")) == (ids[1], [MENDED])


class Cut(Exception):
    """The process ends here."""


@pytest.mark.parametrize("step", ["change", "add", "remove"])
async def test_a_kill_at_any_step_of_a_change_loses_nothing(
    app: Personalizer, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    await app.add_many([{"user_id": "bo", "body": LENT, "source_id": "post-7"}])

    async def cut(*_: object, **__: object) -> None:
        raise Cut

    with monkeypatch.context() as patch, pytest.raises(Cut):
        patch.setattr(TextStore, step, cut)
        await app.update_text("bo", "post-7", body=MENDED)
    assert LENT in await held_by(app, "bo")
    former = next(text for text in await app.texts("bo") if text.body == LENT)
    text, _ = await app.update_text("bo", former.text_id, body=MENDED)
    assert await app.texts("bo") == [text] and isinstance(text, Text)
