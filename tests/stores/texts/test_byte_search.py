"""The search for pieces finds what a plain search finds, no more and no less."""

import random
from itertools import compress
from pathlib import Path

import pyarrow as pa
import pytest
from patlm.stores.texts.forget import PieceFinder, pieces_of

ALPHABETS = {"ascii": "ab c", "accents": "aé ç", "wide": "a漢 🙂"}


def found_in(finder: PieceFinder, place: list[Path] | pa.ChunkedArray) -> set[bytes]:
    search = finder.in_files if isinstance(place, list) else finder.in_column
    return set(compress(finder.pieces, search(place)))


def random_text(alphabet: str, length: int, seed: int) -> str:
    return "".join(random.Random(seed).choices(alphabet, k=length))


def test_pieces_are_characters_not_bytes() -> None:
    assert pieces_of(["short", "x" * 20]) == {b"x" * 20}
    assert pieces_of(["é" * 21]) == {("é" * 20).encode()}
    assert len(pieces_of(["abcdefghijklmnopqrstuvwxyz"])) == 7


@pytest.mark.parametrize("alphabet", ALPHABETS)
@pytest.mark.parametrize("offset", range(9))
def test_files_are_searched_like_a_plain_search(alphabet: str, offset: int, tmp_path: Path) -> None:
    signs = ALPHABETS[alphabet]
    held, absent = random_text(signs, 90, 1), random_text(signs, 60, 2)
    noise = random.Random(3).randbytes(70_000)
    data = b"." * offset + noise[:40] + held.encode() + noise + held[40:75].encode()
    (tmp_path / "file").write_bytes(data)
    (tmp_path / "empty").write_bytes(b"")
    wanted = pieces_of([held, absent])
    found = found_in(PieceFinder(wanted), sorted(tmp_path.iterdir()))
    assert found == {piece for piece in wanted if piece in data}
    assert found >= pieces_of([held])
    assert len(found) < len(wanted)


def test_a_piece_across_two_files_or_values_is_none(tmp_path: Path) -> None:
    whole = random_text("abc ", 40, 5)
    (tmp_path / "1").write_bytes(whole[:15].encode())
    (tmp_path / "2").write_bytes(whole[15:30].encode())
    finder = PieceFinder(pieces_of([whole]))
    assert found_in(finder, sorted(tmp_path.iterdir())) == set()
    # Arrow keeps values end to end, so the bytes of a piece do stand there.
    assert found_in(finder, pa.chunked_array([[whole[:15], whole[15:30]]])) == set()
    assert found_in(finder, pa.chunked_array([["", whole[:25], "x"]])) == pieces_of([whole[:25]])
