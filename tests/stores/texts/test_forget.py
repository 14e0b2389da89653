"""Forgetting, down to the bytes in the files, on stores of one fragment and of many."""

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from lancedb.query import AsyncStandardQuery
from patlm.stores import NotForgotten, Text, TextStore
from patlm.stores.search.request import SearchRequest
from patlm.stores.texts.connection import LOCK_FILE
from patlm.stores.texts.forget import PIECE
from processes import HANG_SECONDS
from raising import raises
from store_fixtures import style_encoder, text, topic_encoder

STYLE, TOPIC = style_encoder(), topic_encoder()
BOILERPLATE = "This review was collected as part of a promotion."


@contextlib.asynccontextmanager
async def opened(path: Path) -> AsyncIterator[TextStore]:
    async with TextStore.open(str(path), style_encoder=STYLE, topic_encoder=TOPIC) as store:
        yield store


def texts_of(user: str, count: int, **given: object) -> list[Text]:
    rng = random.Random(user)
    words = "kettle cup river quiet marble señor über lamp ocean thin 漢字 wool".split()
    return [
        text(
            user,
            f"t{n % 7}",
            f"{' '.join(rng.choices(words, k=25))} {user} {n}. {BOILERPLATE}",
            title=f"{' '.join(rng.choices(words, k=5))} {rng.random()}",
            rating=float(n % 5 + 1),
            position=n,
            **given,
        )
        for n in range(count)
    ]


CROWD = [one for n in range(60) for one in texts_of(f"user{n}", 10)]
MINE = texts_of("ann", 12)


def pieces_in(path: Path, texts: list[Text], others: list[Text]) -> tuple[int, int]:
    """Return how many pieces that only `texts` hold stand in the files, and how many there are.

    A plain search, so that the store's own one is not judged by itself.
    """
    own = pieces_of(tuple(texts), tuple(others))
    data = b"\x00".join(file.read_bytes() for file in path.rglob("*") if file.is_file())
    return sum(piece.encode() in data for piece in own), len(own)


@cache
def pieces_of(texts: tuple[Text, ...], others: tuple[Text, ...]) -> set[str]:
    """Return the pieces that only `texts` hold."""
    held = "\n".join(part for one in others for part in (one.title, one.body))
    whole = {
        part[at : at + PIECE]
        for one in texts
        for part in (one.title, one.body)
        for at in range(len(part) - PIECE + 1)
    }
    return {piece for piece in whole if piece not in held}


async def fill(store: TextStore, fragments: str) -> None:
    if fragments == "one":
        await store.add([*CROWD, *MINE])
        await store.compact(threshold=0)
        await store.compact(threshold=0)
    elif fragments == "many":
        mixed = random.Random(0).sample([*CROWD, *MINE], len(CROWD) + len(MINE))
        for at in range(0, len(mixed), 60):
            await store.add(mixed[at : at + 60])
    else:
        await store.add([*CROWD, *MINE[:6]])
        await store.compact(threshold=0)
        await store.add(MINE[6:])


@pytest.mark.parametrize("fragments", ["one", "many", "half indexed"])
async def test_no_byte_is_left(tmp_path: Path, fragments: str) -> None:
    async with opened(tmp_path) as store:
        await fill(store, fragments)
        found, pieces = pieces_in(tmp_path, MINE, CROWD)
        assert found == pieces > 1000, "or the proof would prove nothing"

        dry = await store.forget("default", "ann", dry_run=True)
        assert (dry.pieces, dry.bytes_found_before, dry.bytes_found_after) == (pieces, pieces, None)
        assert pieces_in(tmp_path, MINE, CROWD)[0] == pieces
        assert len((await store.history("default", "ann")).texts) == 12

        receipt = await store.forget("default", "ann")
        assert (
            receipt.removed == dry.removed == {"texts": 12, "vectors": 24, "users": 1, "topics": 0}
        )
        assert (receipt.pieces, receipt.bytes_found_before) == (pieces, pieces)
        assert receipt.bytes_found_after == 0
        assert pieces_in(tmp_path, MINE, CROWD)[0] == 0
        assert pieces_in(tmp_path, CROWD[:10], CROWD[10:] + MINE)[0] > 0, "others' texts stay"

        assert (await store.stats()).texts == len(CROWD)
        assert (await store.history("default", "ann")).texts == ()
        again = await store.forget("default", "ann")
        assert (again.removed["texts"], again.pieces, again.bytes_found_after) == (0, 0, 0)

        assert (await store.add(MINE)).added == 12
        assert len((await store.history("default", "ann")).texts) == 12
        assert (await store.forget("default", "ann")).bytes_found_after == 0
        assert pieces_in(tmp_path, MINE, CROWD)[0] == 0


async def test_searches_are_as_if_the_user_had_never_been(tmp_path: Path) -> None:
    async def ask(store: TextStore) -> list[object]:
        history = await store.history("default", "user3", topic_id="t1")
        style, topic = STYLE.encode(["a quiet Lamp."])[0], TOPIC.encode(["quiet marble lamp"])[0]
        found: list[object] = []
        for on in ("t1", None, "private"):
            found.append(
                await store.search_by_style(SearchRequest(history, style, topic_id=on, k=9))
            )
            found.append(
                await store.search_by_preference(
                    SearchRequest(history, topic, "quiet lamp", topic_id=on, k=9)
                )
            )
        return found

    extra = [replace(one, topic_id="private") for one in texts_of("ann", 3)]
    async with opened(tmp_path / "with") as store, opened(tmp_path / "without") as never:
        await never.add(CROWD)
        await store.add([*CROWD[:300], *MINE, *extra, *CROWD[300:]])
        assert await ask(store) != await ask(never)
        receipt = await store.forget("default", "ann")
        assert receipt.removed["topics"] == 1
        assert await ask(store) == await ask(never)
        kept = await (await store._cache.latest()).topics("default")
        fresh = await (await never._cache.latest()).topics("default")
        assert kept.ids == fresh.ids
        assert np.array_equal(kept.sums, fresh.sums)


async def test_the_receipt_holds_none_of_the_content(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.add([*CROWD[:20], *MINE])
        receipt = await store.forget("default", "ann")
    written = json.dumps(receipt.as_dict())
    assert set(receipt.as_dict()) >= {
        "user_id",
        "dry_run",
        "removed",
        "bytes_found_after",
        "adapters",
        "seconds",
    }
    assert not any(word in written for one in MINE for word in one.body.split()[:25])


async def test_only_that_user_in_that_namespace(tmp_path: Path) -> None:
    there = texts_of("ann", 12, namespace="acme")
    async with opened(tmp_path) as store:
        await store.add([*CROWD[:50], *MINE, *there])
        receipt = await store.forget("acme", "ann")
        # Every piece stands in the other namespace's texts too, so there is none to look for.
        assert (receipt.removed["texts"], receipt.pieces) == (12, 0)
        assert len((await store.history("default", "ann")).texts) == 12
        assert (await store.history("acme", "ann")).texts == ()
        assert (await store.forget("default", "ann")).bytes_found_after == 0
        assert pieces_in(tmp_path, MINE, CROWD)[0] == 0


async def test_many_equal_texts_of_one_user_are_found_and_gone(tmp_path: Path) -> None:
    """Equal values invite an encoding by dictionary or runs: the bytes must still be readable."""
    same = [text("ann", f"t{n}", "The very same long body. " * 8, title="Same") for n in range(400)]
    async with opened(tmp_path) as store:
        await store.add([*CROWD, *same])
        await store.compact(threshold=0)
        receipt = await store.forget("default", "ann")
        assert receipt.bytes_found_before == receipt.pieces == 25
        assert receipt.bytes_found_after == 0


async def test_long_words_and_long_texts_leave_nothing_in_an_index(tmp_path: Path) -> None:
    rng = random.Random(1)
    word = "".join(rng.choices("abcdefghij", k=200))
    long = " ".join("".join(rng.choices("abcdefghij", k=6)) for _ in range(20_000))
    mine = [text("ann", "t1", f"{word} {long}", title=word[::-1]), text("ann", "t2", "y" * 40)]
    async with opened(tmp_path) as store:
        await store.add([*CROWD, *mine])
        await store.compact(threshold=0)
        receipt = await store.forget("default", "ann")
        assert receipt.bytes_found_before == receipt.pieces > 100_000
        assert receipt.bytes_found_after == 0


async def test_forgetting_during_ingest(tmp_path: Path) -> None:
    """What a running call still holds of the user is dropped; the rest arrives."""
    async with opened(tmp_path) as store:
        await store.add(MINE[:6])
        started, go_on = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        def slowly():
            for n, one in enumerate([*CROWD[:600], *MINE[6:]]):
                if n == 550:
                    loop.call_soon_threadsafe(started.set)
                    asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(HANG_SECONDS)
                yield one

        adding = asyncio.create_task(store.add(slowly()))
        await started.wait()
        receipt = await store.forget("default", "ann")
        assert (receipt.removed["texts"], receipt.bytes_found_after) == (6, 0)
        go_on.set()
        added = await adding
        assert (added.added, added.forgotten) == (600, 6)
        assert pieces_in(tmp_path, MINE, CROWD)[0] == 0
        assert (await store.stats()).texts == 600
        assert (await store.add(MINE)).added == 12, "the user may come back"


async def test_forgetting_beside_writers_and_readers(tmp_path: Path) -> None:
    """Another opening of the same files reads and writes on while a user is forgotten."""
    async with opened(tmp_path) as store, opened(tmp_path) as other:
        await store.add([*MINE, *CROWD[:100]])
        stranger = await other.history("default", "nobody")
        query = TOPIC.encode(["quiet lamp"])[0]

        async def read() -> None:
            for _ in range(40):
                found = await other.search_by_preference(
                    SearchRequest(stranger, query, "quiet lamp", topic_id="t1", k=4)
                )
                assert found.hits
                assert len((await other.history("default", "user1")).texts) == 10

        async def write() -> None:
            for at in range(100, 600, 50):
                await other.add(CROWD[at : at + 50])

        receipt, *_ = await asyncio.gather(store.forget("default", "ann"), read(), write())
        assert receipt.bytes_found_after == 0
        assert pieces_in(tmp_path, MINE, CROWD)[0] == 0
        assert (await store.stats()).texts == len(CROWD)


async def test_who_reads_all_begins_again_when_forgetting_takes_the_files_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as store, opened(tmp_path) as other:
        await store.add([*MINE, *CROWD])
        to_batches, waiting = AsyncStandardQuery.to_batches, [MINE[0].user_id]

        async def overtaken(query: AsyncStandardQuery, **asked: Any) -> Any:
            batches = await to_batches(query, **asked)  # planned on the files of this moment
            if waiting:
                await store.forget("default", waiting.pop())
            return batches

        monkeypatch.setattr(AsyncStandardQuery, "to_batches", overtaken)
        resident = await (await other._cache.latest()).resident("default")
        assert not waiting
        assert resident is not None and len(resident) == len(CROWD)


async def test_bytes_that_stay_are_an_error_with_the_receipt(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.add([*CROWD[:20], *MINE])
        (tmp_path / "a copy by somebody else").write_text(MINE[0].body)
        with raises(NotForgotten, "not_forgotten") as caught:
            await store.forget("default", "ann")
    assert caught.value.receipt.bytes_found_after
    assert caught.value.receipt.removed["texts"] == 12


async def test_without_files_to_look_into_the_receipt_says_so() -> None:
    async with TextStore.open("memory://forget", style_encoder=STYLE, topic_encoder=TOPIC) as store:
        await store.add([*CROWD[:20], *MINE])
        receipt = await store.forget("default", "ann")
        assert receipt.removed["texts"] == 12
        assert receipt.pieces > 0
        assert (receipt.bytes_found_before, receipt.bytes_found_after) == (None, None)
        assert (await store.history("default", "ann")).texts == ()
        assert (await store.stats()).texts == 20


async def test_a_removal_that_was_cut_off_is_said_until_it_is_finished(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path) as store:
        await store.add([*MINE, *CROWD[:20]])
        assert await store.unfinished() == ""
        with pytest.raises(KeyboardInterrupt):
            async with store.removing("default", "ann"):
                raise KeyboardInterrupt
        assert "ann" in await store.unfinished()
    caplog.clear()
    async with opened(tmp_path) as store:
        assert "patlm forget --user 'ann'" in caplog.text
        receipt = await store.forget("default", "ann")
        assert (receipt.removed["texts"], await store.unfinished()) == (12, "")


async def test_a_dry_run_waits_for_no_writer(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.add(MINE)
        with FileLock(tmp_path / LOCK_FILE):
            async with asyncio.timeout(HANG_SECONDS):
                dry = await store.forget("default", "ann", dry_run=True)
        assert dry.removed["texts"] == 12
