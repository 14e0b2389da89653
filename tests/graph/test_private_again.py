"""Texts that were shared and are private again leave all that was made of them for others."""

import asyncio
import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from fakes import Asked, ScriptedChat
from patlm.graph import Personalizer
from patlm.graph import open as opening
from patlm.nodes.errors import LoopError, RequestError
from patlm.nodes.state import Request, RunContext
from patlm.stores.copies.ledger import note_copy
from patlm.stores.texts.store import TextStore
from processes import call
from raising import raises
from store_fixtures import cheap_encoders, opened, text

LENT = "A zwieback recipe that only bo would ever tell."
NEW = "A zwieback recipe that bo keeps to himself, and mended."


@pytest.fixture(autouse=True)
def no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "open_encoders", cheap_encoders)


def records(folder: Path) -> dict[str, dict[str, Any]]:
    lines = [line for file in folder.glob("traces-*") for line in file.read_text().splitlines()]
    return {record["run_id"]: record for record in map(json.loads, lines)}


async def ask(app: Personalizer, user: str) -> str:
    asked: dict[str, Any] = {"title": "Rusks", "max_iterations": 1}
    return (await app.awrite(user, topic_id="sea" if user == "dee" else "hut", **asked)).run_id


@pytest.mark.parametrize("again", ["add", "ingest", "replaced"])
async def test_records_of_others_are_emptied_and_ones_own_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: str
) -> None:
    store, trace = tmp_path / "store", tmp_path / "trace"
    fields: Any = {"user_id": "bo", "body": LENT, "topic_id": "sea", "source_id": "1"}
    async with Personalizer(store, model=ScriptedChat(), trace=trace) as app:
        await app.add_many([{**fields, "shared": True}])
        others, own = await ask(app, "dee"), await ask(app, "bo")
        assert all(LENT in json.dumps(each) for each in records(trace).values())
        page = tmp_path / "runs.html"
        page.write_text(f"<p>{LENT}")
        note_copy("page", page, of=trace)
        if again == "add":
            await app.add_many([{**fields, "shared": False}])
        elif again == "replaced":
            await app.add_many([{**fields, "body": NEW, "shared": False}])
        else:
            file = tmp_path / "texts.jsonl"
            rows = {"user_id": "bo", "topic_id": "sea", "text": LENT, "id": "1"}
            file.write_text(json.dumps(rows))
            done = await asyncio.to_thread(call, "ingest", file, "--store", store, "--no-share")
            assert done.exit_code == 0, done.output
        kept = records(trace)
        assert kept[others].get("redacted") and LENT in json.dumps(kept[own])
        assert not page.exists()
        later = await ask(app, "dee")
        assert LENT not in json.dumps(records(trace)[later])


async def test_a_request_under_way_writes_its_record_without_it(tmp_path: Path) -> None:
    store, trace, taken = tmp_path / "store", tmp_path / "trace", list[str]()

    async def hide() -> None:
        async with opened(store) as beside:
            added = await beside.add([text("bo", "sea", LENT, shared=False)])
            taken.extend(each.user_id for each in added.private)

    def draft(_: Asked) -> str:
        # As another process does, once the text has been read.
        thread = threading.Thread(target=lambda: asyncio.run(hide()))
        thread.start()
        thread.join()
        return "A fine view."

    model = ScriptedChat(says={"style": "x", "preference": "y", "integrate": draft})
    async with Personalizer(store, model=model, trace=trace) as app:
        await app.add("bo", LENT, topic_id="sea", shared=True)
        run = await ask(app, "dee")
        assert records(trace)[run]["redacted"]
        await app.add("cy", "Plain and shared.", topic_id="sea", shared=True)
        later = await ask(app, "dee")
        assert not records(trace)[later].get("redacted") and taken == ["bo"]


async def test_another_process_serves_it_to_nobody_from_the_next_request_on(
    tmp_path: Path,
) -> None:
    """Resident matrices, words of the topic and sums are those of the newest version."""
    async with opened(tmp_path / "store") as store, opened(tmp_path / "store") as beside:
        await store.add([text("bo", "sea", LENT), text("cy", "sea", "Plain, and shared.")])
        before = await beside.search_by_preference(await request(beside))
        assert {hit.text.user_id for hit in before.hits} == {"bo", "cy"}
        await store.add([text("bo", "sea", LENT, shared=False)])
        for search in (beside.search_by_preference, beside.search_by_style):
            found = await search(await request(beside, style=search == beside.search_by_style))
            assert "bo" not in {hit.text.user_id for hit in found.hits}
            assert "bo" not in {each.user_id for each in found.neighbours}
        users = await (await beside._cache.latest()).users("default")
        assert "bo" not in users.row


async def request(store: TextStore, *, style: bool = False) -> Any:
    from patlm.stores.search.request import SearchRequest
    from store_fixtures import STYLE, TOPIC

    history = await store.history("default", "dee", topic_id=None if style else "sea")
    query = (STYLE if style else TOPIC).encode(["zwieback recipe"])[0]
    return SearchRequest(history, query, "zwieback recipe", None if style else "sea", 4)


async def test_no_call_leaves_the_tenant_of_its_personalizer(
    filled_store: Path, tmp_path: Path
) -> None:
    store = Path(shutil.copytree(filled_store, tmp_path / "store"))
    other = {"namespace": "acme"}
    async with Personalizer(store, model=ScriptedChat(), trace=tmp_path / "trace") as app:
        asked: Any = {"title": "Tea", "topic_id": "tea"}
        calls: list[Any] = [
            lambda: app.awrite("ann", **asked, **other),
            lambda: app.abatch([{"user_id": "ann", **asked}], **other),
            lambda: app.abatch([{"user_id": "ann", **asked, **other}]),
            lambda: app.abatch([Request(user_id="ann", task="long", title="Tea")], **other),
            lambda: anext(app.astream("ann", **asked, **other)),
            lambda: app.graph.ainvoke(
                {"user_id": "ann", "task": "long", "title": "Tea"},
                context=RunContext(namespace="acme"),
            ),
            lambda: app.add_many([{"user_id": "ann", "body": "Mine.", **other}]),
        ]
        for each in calls:
            with pytest.raises((RequestError, LoopError)) as raised:
                await each()
            assert getattr(raised.value, "field", "namespace") == "namespace"
        mine = (await app.awrite("ann", **asked)).run_id
    async with Personalizer(
        store, model=ScriptedChat(), trace=tmp_path / "trace", namespace="acme"
    ) as acme:
        with raises(Exception, "no_such_run", mine):
            await acme.feedback(mine, rating=5)
        receipt = await acme.forget("bob")
        assert not receipt.removed["texts"] and not receipt.removed["traces"]
        with raises(RequestError, "invalid_request"):
            await acme.remove_texts("bob", [])
    async with Personalizer(store, model=ScriptedChat()) as app:
        assert await app.texts("bob")
