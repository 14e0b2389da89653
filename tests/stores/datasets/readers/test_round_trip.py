"""Rows written in a format and read back are the same, whatever texts, ids and times they hold."""

from pathlib import Path

import pytest
from format_writers import ESCAPED, ONE_FOLDER, PIECES, WRITERS, Piece, expected, read_back, seen
from hypothesis import given, settings
from hypothesis import strategies as st
from patlm.stores.datasets.formats import FORMATS
from patlm.stores.datasets.validation import Reject
from patlm.stores.types import Text


def check_round_trip(folder: Path, name: str, pieces: list[Piece]) -> None:
    written = WRITERS[name]
    found = read_back(folder, written, list(pieces))
    texts = [row for row in found if isinstance(row, Text)]
    pieces = [ESCAPED, *pieces] if name == "escaped csv" else pieces
    assert [seen(text) for text in texts] == [expected(piece, written) for piece in pieces], name
    rejects = [row for row in found if isinstance(row, Reject)]
    missing = len(pieces) if name == "longlamp" else 0  # its outputs, which are not given
    assert [reject.code for reject in rejects] == ["text_missing"] * missing, name


@ONE_FOLDER
@given(pieces=st.lists(PIECES, min_size=1, max_size=5))
def test_round_trip(tmp_path: Path, pieces: list[Piece]) -> None:
    """Making up pieces takes longer than a trip, so that all formats share them."""
    for name in WRITERS:
        check_round_trip(tmp_path, name, pieces)


@pytest.mark.slow
@settings(ONE_FOLDER, max_examples=2_000)
@given(pieces=st.lists(PIECES, min_size=1, max_size=5))
def test_many_round_trips(tmp_path: Path, pieces: list[Piece]) -> None:
    for name in WRITERS:
        check_round_trip(tmp_path, name, pieces)


def test_every_format_makes_the_trip() -> None:
    assert {written.format for written in WRITERS.values()} == set(FORMATS)
