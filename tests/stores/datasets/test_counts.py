"""Counts of an ingest add up, in every format, and the store holds exactly what was added.

A file of each format holds the same mixture: good rows, rows that are there twice, targets, rows
without a text or a user, rows that cannot be read, and empty lines. All files go into one store.
"""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from format_writers import (
    ESCAPED,
    ONE_FOLDER,
    PIECES,
    WRITERS,
    Odd,
    Piece,
    Row,
    Written,
    expected,
    read_back,
    seen,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from patlm.stores.datasets.ingest import ingest
from patlm.stores.datasets.validation import Reject, is_display_name
from patlm.stores.texts.store import TextStore
from patlm.stores.types import Text
from store_fixtures import style_encoder, topic_encoder

GOOD = st.builds(replace, PIECES, target=st.booleans())
BAD = st.one_of(
    st.builds(replace, GOOD, user=st.sampled_from(["", "  ", "nan", "NULL", "1.2E+17"])),
    st.builds(replace, GOOD, body=st.sampled_from(["", " \n ", "null", "<NA>"])),
    st.builds(replace, GOOD, rating=st.sampled_from([0.0, 77.0, -1.0])),  # 0: no rating
)
AGAIN = st.integers(0, 9)  # the row that stood there
MIXTURES = st.lists(st.one_of(GOOD, BAD, AGAIN, st.sampled_from(Odd)), min_size=1, max_size=8)


def spelled_out(mixture: list[Any], first: Piece) -> list[Row]:
    """Return the rows of a mixture, with at least one good one, by which the format is known."""
    rows: list[Row] = []
    for each in [*mixture, first]:
        rows.append(rows[each % len(rows)] if isinstance(each, int) and rows else each)
    return [row for row in rows if not isinstance(row, int)]


class Expected:
    """What an ingest of rows in a format has to say.

    Attributes:
        texts: The rows that are texts.
        rejected: How many rejects there are.
    """

    def __init__(self, written: Written, rows: list[Row]) -> None:
        self.texts: list[tuple[Any, ...]] = []
        self.rejected = 0
        pieces = [row for row in rows if isinstance(row, Piece)]
        asks = written.format == "longlamp" or any(piece.target for piece in pieces)
        for piece in pieces:
            if is_good(piece, written):
                self.texts.append(expected(piece, written))
            else:
                self.rejected += 1
            self.rejected += written.needs_target and asks and not piece.target
        if written.format != "parquet":  # its rows have no form that can be broken
            self.rejected += rows.count(Odd.BROKEN)
        if written.has_header:
            self.rejected += rows.count(Odd.HEADER)


def is_good(piece: Piece, written: Written) -> bool:
    fields = written.fields
    if piece.target and written.targets is not None:
        fields = written.targets
    on_scale = piece.rating is None or piece.rating == 0 or 1 <= piece.rating <= 5
    missing = piece.body.strip() in ("", "null", "<NA>")
    named = piece.user.strip() not in ("", "nan", "NULL", "1.2E+17")
    return named and not missing and (on_scale or "rating" not in fields)


def without_time(text: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return what makes two texts the same."""
    user, body, rating, _, *rest = text
    return (user, body, rating, *rest)


async def check_store(folder: Path, rows: list[Text | Reject], wanted: list[Expected]) -> None:
    """Check what an ingest of rows says, and what the store then holds; ingest them again."""
    texts = [text for each in wanted for text in each.texts]
    kept = {without_time(text) for text in texts}  # formats that hold the same make duplicates
    rejected = sum(each.rejected for each in wanted)
    encoders = {"style_encoder": style_encoder(), "topic_encoder": topic_encoder()}
    async with TextStore.open("memory://counts", **encoders) as store:
        for new in (len(kept), 0):
            listed = folder / "rejects.jsonl"
            done = await ingest(store, rows, rejects_file=listed)
            assert (done.added, done.rejected) == (new, rejected)
            assert done.rows == done.added + done.duplicates + done.rejected == len(rows)
            assert (done.forgotten, done.replaced) == (0, 0)
            assert done.targets == sum(text[-1] for text in texts)
            assert done.shared_ids == sum(is_display_name(text[0]) for text in texts)
            assert (done.rejects_file is None) == (rejected == 0)
            if rejected:
                assert (
                    len([json.loads(line) for line in listed.read_text().splitlines()]) == rejected
                )
            held = [without_time(seen(text)) for text in await store.shared_texts("default")]
            assert len(held) == len(kept) and set(held) == kept


def check_mixture(folder: Path, mixture: list[Any], first: Piece) -> None:
    rows = spelled_out(mixture, first)
    found, wanted = [], []
    for name, written in WRITERS.items():
        held = [ESCAPED, *rows] if name == "escaped csv" else rows
        wanted.append(Expected(written, held))
        of_one = read_back(folder, written, rows)
        found += of_one
        texts = [seen(row) for row in of_one if isinstance(row, Text)]
        assert texts == wanted[-1].texts, name
        assert len(of_one) - len(texts) == wanted[-1].rejected, name
    asyncio.run(check_store(folder, found, wanted))


@settings(ONE_FOLDER, max_examples=20)
@given(mixture=MIXTURES, first=PIECES)
def test_counts_add_up(tmp_path: Path, mixture: list[Any], first: Piece) -> None:
    check_mixture(tmp_path, mixture, first)


@pytest.mark.slow
@settings(ONE_FOLDER, max_examples=2_000)
@given(mixture=MIXTURES, first=PIECES)
def test_many_counts_add_up(tmp_path: Path, mixture: list[Any], first: Piece) -> None:
    check_mixture(tmp_path, mixture, first)
