"""Ingest your own file with the API, write for one of its users, and forget that user."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path

from patlm.graph import Personalizer, open_store
from patlm.stores.datasets.formats import read_texts
from patlm.stores.datasets.ingest import ingest

ROWS = [
    ("mira", "paper-lamp", "Glows like a small moon; I leave it on for company.", 5),
    ("mira", "slow-cooker", "Beans by noon; the whole stairwell knows; nobody complains.", 5),
    ("otto", "paper-lamp", "Tore in week two. Paper. What did I expect. Bulb is fine.", 2),
    ("otto", "hand-drill", "Does holes. Does them straight. No box, no bits, no fuss.", 4),
    ("li-na", "hand-drill", "Honestly the happiest I've EVER been about a drill!! Go get it!", 5),
    ("li-na", "paper-lamp", "SO pretty!! But oh my goodness, keep it away from the cat!", 4),
]


def write_rows(path: Path) -> None:
    """Write the file, one text per line."""
    names = ("user_id", "topic_id", "text", "rating")
    lines = [json.dumps(dict(zip(names, row, strict=True))) for row in ROWS]
    path.write_text("\n".join(lines), encoding="utf-8")


async def main(folder: Path) -> None:
    """Ingest, write, forget."""
    uri, file = str(folder / "store"), folder / "texts.jsonl"
    write_rows(file)
    async with open_store(uri) as store:
        done = await ingest(store, read_texts(file))
    print(f"{done.rows} rows: {done.added} added, {done.rejected} rejected")

    async with Personalizer(uri) as personalizer:
        result = await personalizer.awrite("otto", topic_id="slow-cooker", title="Beans, mostly")
        print(f"for otto ({result.cold_start} of otto's texts known): {result.text}")
        for side, pieces in result.evidence.items():
            for piece in pieces:
                print(f"  {side}: {piece.user_id} on {piece.topic_id}: {piece.reason}")
        receipt = await personalizer.forget("otto")
        print(
            f"forgotten: {receipt.removed['texts']} texts, {receipt.bytes_found_after} bytes left"
        )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(Path(folder)))
