"""Files that another process removes while they are looked through are nobody's error."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from patlm.stores.copies.audit import audit
from store_fixtures import TEXTS, opened

LOOKS = 8


@contextmanager
def indexes_coming_and_going(root: Path) -> Iterator[None]:
    """Make and remove folders of an index all the time, as compaction in another process does."""
    over = threading.Event()

    def come_and_go() -> None:
        number = 0
        while not over.is_set():
            folder = root / "users.lance" / "_indices" / f"made-{number % 50}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "page_data.lance").write_bytes(b"x" * 64)
            (folder / "page_data.lance").unlink()
            folder.rmdir()
            number += 1
            time.sleep(0.0005)

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


async def test_looking_at_a_store_while_another_process_compacts_it(tmp_path: Path) -> None:
    async with opened(tmp_path / "store") as store:
        await store.add(TEXTS)
        with indexes_coming_and_going(tmp_path / "store"):
            for _ in range(LOOKS):
                assert (await store.stats()).texts == len(TEXTS)
                receipt = await store.forget("default", "ann", dry_run=True)
                assert receipt.bytes_found_before == receipt.pieces
                await audit(store, str(tmp_path / "store"))
