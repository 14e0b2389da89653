"""An ingest into a real store whose process is killed ends the same when it is run again."""

import asyncio
import json
import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from patlm.stores.datasets.formats import read_texts
from patlm.stores.datasets.ingest import Ingested, ingest
from patlm.stores.datasets.validation import Row
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


async def test_a_killed_process_costs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    with path.open("w") as file:
        for number in range(ROWS):
            row = {
                "user_id": f"u{number % 70}",
                "topic_id": f"t{number % 11}",
                "text": f"Text number {number}." if number % 500 else "",
                "target": number < 70,
            }
            file.write(json.dumps(row) + "\n")
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


def whole_history(user: int) -> int:
    """Return how many texts of a user are no target and not empty."""
    mine = [number for number in range(ROWS) if number % 70 == user]
    return sum(number >= 70 and number % 500 != 0 for number in mine)
