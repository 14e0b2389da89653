"""A process that is killed while it merges fragments leaves a whole store."""

import asyncio
import multiprocessing
import os
import signal
import time
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from patlm.stores.texts.store import TextStore
from patlm.stores.types import Text
from store_fixtures import style_encoder, topic_encoder

TEXTS = 1_200
PEOPLE = 40


def opened(uri: Path) -> AbstractAsyncContextManager[TextStore]:
    return TextStore.open(str(uri), style_encoder=style_encoder(), topic_encoder=topic_encoder())


def text(number: int) -> Text:
    return Text(
        user_id=f"u{number % PEOPLE}", topic_id=f"t{number % 7}", body=f"Text number {number}."
    )


async def fill(uri: Path) -> None:
    async with opened(uri) as store:
        for begin in range(0, TEXTS, 100):
            await store.add([text(number) for number in range(begin, begin + 100)])


def merge_until_killed(uri: Path, began: Path) -> None:
    async def merge() -> None:
        async with opened(uri) as store:
            began.touch()
            while True:
                # New fragments each time, so that there is always something to merge.
                await store.add([text(TEXTS + os.getpid() * 1_000 + time.time_ns() % 1_000)])
                await store.compact(threshold=0)

    asyncio.run(merge())


async def kill_after(uri: Path, delay: float) -> None:
    began = uri.with_name(f"began-{delay}")
    began.unlink(missing_ok=True)
    worker = multiprocessing.get_context("spawn").Process(
        target=merge_until_killed, args=(uri, began)
    )
    worker.start()
    while not began.exists():
        assert worker.is_alive()
        await asyncio.sleep(0.005)
    await asyncio.sleep(delay)
    worker.kill()
    await asyncio.to_thread(worker.join)
    assert worker.exitcode == -signal.SIGKILL


async def check_whole(uri: Path, indexes: set[str]) -> None:
    async with opened(uri) as store:
        stats = await store.stats()
        assert set(stats.indexes) == indexes
        assert stats.texts >= TEXTS
        assert stats.users == PEOPLE
        found: set[str] = set()
        for user in range(PEOPLE):
            history = await store.history("default", f"u{user}")
            found |= {each.body for each in history.texts}
        assert {f"Text number {number}." for number in range(TEXTS)} <= found


@pytest.mark.slow
async def test_a_killed_process_leaves_a_whole_store(tmp_path: Path) -> None:
    uri = tmp_path / "texts"
    await fill(uri)
    async with opened(uri) as store:
        indexes = set((await store.stats()).indexes)
    assert {"texts.user_id_idx", "texts.stamp_idx", "users.user_id_idx"} <= indexes
    for delay in (0.01, 0.05, 0.2, 0.5):
        await kill_after(uri, delay)
        await check_whole(uri, indexes)
    async with opened(uri) as store:
        assert (await store.compact(threshold=0)).compacted
