"""An ingest into a real store whose process is killed ends the same when it is run again."""

import asyncio
import json
import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from patlm.stores.datasets.formats import read_texts
from patlm.stores.datasets.ingest import Ingested, ingest
from patlm.stores.datasets.validation import Row
from patlm.stores.texts.repair import adds_up
from patlm.stores.texts.store import TextStore
from store_fixtures import style_encoder, topic_encoder

ROWS = 2000


def rows_until_killed(path: Path, row: int | None) -> Iterator[Row]:
    for number, each in enumerate(read_texts(path)):
        if number == row:
            os.kill(os.getpid(), signal.SIGKILL)
        yield each


async def fill(path: Path, uri: Path, killed_at: int | None = None) -> Ingested:
    async with TextStore.open(
        str(uri), style_encoder=style_encoder(), topic_encoder=topic_encoder()
    ) as store:
        return await ingest(
            store,
            rows_until_killed(path, killed_at),
            rejects_file=uri.with_name(f"{uri.name}.rejects.jsonl"),
            splits_file=uri / "splits.json",
        )


def fill_and_die(path: Path, uri: Path, row: int) -> None:
    asyncio.run(fill(path, uri, row))


def written(path: Path) -> Path:
    """Write the rows that are ingested."""
    with path.open("w") as file:
        for number in range(ROWS):
            row = {
                "user_id": f"u{number % 70}",
                "topic_id": f"t{number % 11}",
                "text": f"Text number {number}." if number % 500 else "",
                "target": number < 70,
            }
            file.write(json.dumps(row) + "\n")
    return path


async def test_a_killed_process_costs_nothing(tmp_path: Path) -> None:
    path = written(tmp_path / "texts.jsonl")
    context = multiprocessing.get_context("spawn")
    uri = tmp_path / "killed"
    worker = context.Process(target=fill_and_die, args=(path, uri, 1500))
    worker.start()
    await asyncio.to_thread(worker.join)
    assert worker.exitcode == -signal.SIGKILL
    done = await fill(path, uri)
    whole = await fill(path, tmp_path / "whole")
    # 4 rows have no text. 1,500 rows had been read, all but the last batch of 512 were kept.
    assert (done.rows, done.rejected) == (whole.rows, whole.rejected) == (ROWS, 4)
    assert whole.duplicates == 0
    assert done.duplicates == 1024
    assert (tmp_path / "killed.rejects.jsonl").read_bytes() == (
        tmp_path / "whole.rejects.jsonl"
    ).read_bytes()
    assert (uri / "splits.json").read_bytes() == (tmp_path / "whole/splits.json").read_bytes()
    encoders = {"style_encoder": style_encoder(), "topic_encoder": topic_encoder()}
    async with TextStore.open(str(uri), **encoders) as store:
        assert (await store.stats()).texts == ROWS - 4
        assert len((await store.history("default", "u7")).texts) == whole_history(7)


def fill_alone(path: Path, uri: Path) -> None:
    asyncio.run(fill(path, uri))


async def contents(uri: Path) -> tuple[list[str], list[tuple[str, int]], str]:
    """Return the ids of a store's texts, its users' counts, and its splits."""
    encoders = {"style_encoder": style_encoder(), "topic_encoder": topic_encoder()}
    async with TextStore.open(str(uri), **encoders) as store:
        texts = [
            text for number in range(70) for text in await store.texts_of("default", f"u{number}")
        ]
        assert await adds_up(store._tables)
    counts = Counter(text.user_id for text in texts)
    ids = sorted(text.text_id for text in texts)
    return ids, sorted(counts.items()), (uri / "splits.json").read_text()


@pytest.mark.slow
async def test_one_that_is_killed_at_any_moment_ends_as_an_unbroken_one(tmp_path: Path) -> None:
    path, context = written(tmp_path / "texts.jsonl"), multiprocessing.get_context("spawn")
    whole = await fill(path, tmp_path / "whole")
    expected = await contents(tmp_path / "whole")
    for number, wait in enumerate((0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.2, 1.6)):
        uri = tmp_path / f"killed{number}"
        worker = context.Process(target=fill_alone, args=(path, uri))
        worker.start()
        while not uri.exists() and worker.is_alive():
            await asyncio.sleep(0.01)
        await asyncio.sleep(wait)
        worker.kill()
        await asyncio.to_thread(worker.join)
        done = await fill(path, uri)
        assert (done.rows, done.rejected) == (whole.rows, whole.rejected)
        assert await contents(uri) == expected


@pytest.mark.slow
@pytest.mark.parametrize("same", [True, False])
async def test_two_at_once_leave_what_one_after_the_other_does(tmp_path: Path, same: bool) -> None:
    path, context = written(tmp_path / "texts.jsonl"), multiprocessing.get_context("spawn")
    lines = path.read_text().splitlines(keepends=True)
    paths = [path, path]
    if not same:  # both have rows of each person
        paths = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
        for part, each in enumerate(paths):
            each.write_text("".join(lines[part * ROWS // 2 :][: ROWS // 2]))
    for each in paths:
        await fill(each, tmp_path / "whole")
    workers = [context.Process(target=fill_alone, args=(each, tmp_path / "two")) for each in paths]
    for worker in workers:
        worker.start()
    for worker in workers:
        await asyncio.to_thread(worker.join)
    assert [worker.exitcode for worker in workers] == [0, 0]
    found, expected = await contents(tmp_path / "two"), await contents(tmp_path / "whole")
    # Topics are dealt in the order in which the files end.
    assert found[:2] == expected[:2] and (not same or found[2] == expected[2])


def whole_history(user: int) -> int:
    """Return how many texts of a user are no target and not empty."""
    mine = [number for number in range(ROWS) if number % 70 == user]
    return sum(number >= 70 and number % 500 != 0 for number in mine)
