"""Rows written in a format and read back are the same, whatever texts, ids and times they hold."""

import csv
import gzip
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from patlm.stores.datasets.formats import FORMATS, read_texts
from patlm.stores.datasets.validation import Reject
from patlm.stores.types import Text
from patlm.stores.values import MISSING_IDS, normal_id, read_id, read_text, read_title
from pyarrow import parquet


@dataclass(frozen=True)
class Piece:
    """What somebody wrote, as every format can hold it."""

    user: str
    body: str
    topic: str
    title: str
    rating: float | None
    seconds: int


def _same_id(words: str) -> bool:
    """Say whether an id is stored as it is: no missing value, no rounded number."""
    try:
        return words not in MISSING_IDS and read_id("user", words) == words
    except ValueError:
        return False


LETTERS = st.characters(exclude_categories=("Cs", "Cc", "Cn", "Zl", "Zp", "Zs"))
WORDS = st.characters(exclude_categories=("Cs", "Cn"), exclude_characters="\x00")
IDS = st.text(LETTERS, min_size=1, max_size=12).map(normal_id).filter(bool).filter(_same_id)
BODIES = st.text(WORDS, min_size=1, max_size=80).filter(lambda words: bool(read_text("t", words)))
TITLES = st.text(WORDS, max_size=20).filter(lambda words: read_title(words) == words)
HARD = st.sampled_from(
    [
        'say "no", twice',
        "a;b\tc|d",
        'x\ny,1\n"z"',
        "back\\slash\\",
        "\ufeffmark",
        "é\u0301 ☕ \U0001f600",
    ]
    + ["'; --", "[1]", "{}", "\\N", "line\r\nend", "=1+1", "sep=;", "\u2028par\x85"]
)
RATINGS = st.none() | st.sampled_from([1.0, 1.5, 2.0, 3.0, 4.5, 5.0])
PIECES = st.builds(
    Piece,
    user=IDS,
    body=BODIES | HARD.filter(lambda words: bool(read_text("t", words))),
    topic=IDS,
    title=TITLES,
    rating=RATINGS,
    seconds=st.integers(200_000_000, 1_900_000_000),
)

Written = tuple[str, bytes]
Writer = Callable[[list[Piece]], Written]


def _rows(pieces: list[Piece], names: tuple[str, ...], when: Callable[[int], Any]) -> list[Any]:
    """Return the pieces as rows of user, text, topic, title, rating, time."""
    values = [(p.user, p.body, p.topic, p.title, p.rating, when(p.seconds)) for p in pieces]
    return [{name: value for name, value in zip(names, row, strict=True) if name} for row in values]


def _lines(rows: list[Any], **options: Any) -> bytes:
    return "".join(json.dumps(row, **options) + "\n" for row in rows).encode()


def _csv(rows: list[Any], **options: Any) -> bytes:
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]), **{"lineterminator": "\n", **options})
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue().encode()


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


OWN = ("user_id", "text", "topic", "title", "rating", "timestamp")


def write_jsonl(pieces: list[Piece]) -> Written:
    return "a.jsonl", _lines(_rows(pieces, OWN, lambda s: s * 1000), ensure_ascii=False)


def write_json_list(pieces: list[Piece]) -> Written:
    return "a.json.gz", gzip.compress(json.dumps(_rows(pieces, OWN, _iso), indent=1).encode())


def write_csv(pieces: list[Piece]) -> Written:
    return "a.csv", _csv(_rows(pieces, OWN, int))


def write_escaped_csv(pieces: list[Piece]) -> Written:
    """Write quotes with a backslash; an escaped quote is how a reader knows."""
    kind = {"doublequote": False, "escapechar": "\\", "quoting": csv.QUOTE_ALL, "delimiter": ";"}
    return "a.csv", _csv(_rows(pieces, OWN, _iso), **kind)


def write_utf16(pieces: list[Piece]) -> Written:
    return "a.tsv", _csv(_rows(pieces, OWN, int), delimiter="\t").decode().encode("utf-16")


def write_parquet(pieces: list[Piece]) -> Written:
    rows = _rows(pieces, OWN, lambda s: datetime.fromtimestamp(s, UTC))
    file = io.BytesIO()
    types = [pa.string()] * 4 + [pa.float64(), pa.timestamp("ms", "UTC")]
    table = pa.Table.from_pylist(rows, pa.schema(list(zip(OWN, types, strict=True))))
    parquet.write_table(table, file)
    return "a.parquet", file.getvalue()


def _published(*names: str, when: Callable[[int], Any] = int, **more: Any) -> Writer:
    """Return the writer of a format of JSON lines, packed with zstd."""

    def write(pieces: list[Piece]) -> Written:
        rows = [{**row, **more} for row in _rows(pieces, names, when)]
        return "a.json.zst", zstandard.compress(_lines(rows))

    return write


def _published_csv(*names: str, when: Callable[[int], Any] = int, **options: Any) -> Writer:
    def write(pieces: list[Piece]) -> Written:
        return "a.csv", _csv(_rows(pieces, names, when), **options)

    return write


def write_imdb62(pieces: list[Piece]) -> Written:
    names = ("userId", "content", "itemId", "title", "rating", "")
    rows = [{"reviewId": n, **row} for n, row in enumerate(_rows(pieces, names, int))]
    return "imdb62.csv", _csv(rows)


def write_pgraphrag(pieces: list[Piece]) -> Written:
    people = [
        {
            "id": p.user,
            "profile": [{"rating": p.rating, "title": p.title, "text": p.body, "pid": p.topic}],
        }
        for p in pieces
    ]
    return "gap.json", json.dumps(people).encode()


def _people(pieces: list[Piece], entry: Callable[[Piece], dict[str, Any]], **row: Any) -> bytes:
    return json.dumps([{**row, "user_id": p.user, "profile": [entry(p)]} for p in pieces]).encode()


def write_lamp(pieces: list[Piece]) -> Written:
    def entry(p: Piece) -> dict[str, Any]:
        return {"id": "1", "title": p.title, "text": p.body, "date": _iso(p.seconds)}

    return "dev_questions.json", _people(pieces, entry, id="4", input="Write")


def write_longlamp(pieces: list[Piece]) -> Written:
    def entry(p: Piece) -> dict[str, Any]:
        review = {"reviewText": p.body, "summary": p.title, "overall": p.rating, "asin": p.topic}
        return {**review, "description": "A thing.", "unixReviewTime": p.seconds}

    return "longlamp.json", _people(pieces, entry, input="Write", output=None)


JSON = ("rating", "timestamp", "topic_id", "title")
WRITERS: dict[str, tuple[Writer, str, tuple[str, ...]]] = {
    "jsonl": (write_jsonl, "jsonl", JSON),
    "json list": (write_json_list, "jsonl", JSON),
    "csv": (write_csv, "csv", JSON),
    "escaped csv": (write_escaped_csv, "csv", JSON),
    "utf-16": (write_utf16, "csv", JSON),
    "parquet": (write_parquet, "parquet", JSON),
    "amazon": (
        _published("user_id", "text", "asin", "title", "rating", "timestamp"),
        "amazon",
        JSON,
    ),
    "amazon2018": (
        _published("reviewerID", "reviewText", "asin", "summary", "overall", "unixReviewTime"),
        "amazon2018",
        JSON,
    ),
    "yelp": (
        _published("user_id", "text", "business_id", "", "stars", "date", when=_iso, useful=0),
        "yelp",
        ("rating", "timestamp", "topic_id"),
    ),
    "goodreads": (
        _published("user_id", "review_text", "book_id", "", "rating", "date_added", when=_iso),
        "goodreads",
        ("rating", "timestamp", "topic_id"),
    ),
    "reddit": (
        _published("author", "body", "link_id", "title", "", "created_utc"),
        "reddit",
        ("timestamp", "topic_id", "title"),
    ),
    "google_play": (
        _published("userName", "content", "appId", "title", "score", "at", when=_iso, reviewId=""),
        "google_play",
        JSON,
    ),
    "finefood": (
        _published_csv("UserId", "Text", "ProductId", "Summary", "Score", "Time"),
        "finefood",
        JSON,
    ),
    "b2w_reviews": (
        _published_csv(
            *("reviewer_id", "review_text", "product_id", "review_title", "overall_rating"),
            "submission_date",
            when=_iso,
            delimiter=";",
        ),
        "b2w_reviews",
        JSON,
    ),
    "datafiniti": (
        _published_csv(
            *("reviews.username", "reviews.text", "id", "reviews.title", "reviews.rating"),
            "reviews.date",
            when=_iso,
        ),
        "datafiniti",
        JSON,
    ),
    "imdb62": (write_imdb62, "imdb62", ("rating", "topic_id", "title")),
    "pgraphrag": (write_pgraphrag, "pgraphrag", ("rating", "topic_id", "title")),
    "lamp": (write_lamp, "lamp", ("timestamp", "title")),
    "longlamp": (write_longlamp, "longlamp", JSON),
}


def expected(piece: Piece, fields: tuple[str, ...]) -> tuple[Any, ...]:
    held = {
        "rating": piece.rating,
        "timestamp": piece.seconds * 1000,
        "topic_id": piece.topic,
        "title": read_title(piece.title),
    }
    return (piece.user, piece.body, *(held[field] for field in fields))


def seen(text: Text, fields: tuple[str, ...]) -> tuple[Any, ...]:
    return (text.user_id, text.body, *(getattr(text, field) for field in fields))


def check_round_trip(folder: Path, name: str, pieces: list[Piece]) -> None:
    write, format, fields = WRITERS[name]
    if name == "escaped csv":
        pieces = [Piece("u", 'I said "no".', "t", "", None, 1_500_000_000), *pieces]
    file, content = write(pieces)
    path = folder / file
    path.write_bytes(content)
    rows = read_texts(path, format=format)
    found = list(rows)
    texts = [row for row in found if isinstance(row, Text)]
    assert [seen(text, fields) for text in texts] == [expected(p, fields) for p in pieces]
    rejects = [row for row in found if isinstance(row, Reject)]
    missing = len(pieces) if name == "longlamp" else 0  # its outputs, which are not given
    assert [reject.code for reject in rejects] == ["text_missing"] * missing


ONE_FOLDER = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100
)


@pytest.mark.parametrize("name", WRITERS)
@ONE_FOLDER
@given(pieces=st.lists(PIECES, min_size=1, max_size=5))
def test_round_trip(tmp_path: Path, name: str, pieces: list[Piece]) -> None:
    check_round_trip(tmp_path, name, pieces)


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITERS)
@settings(ONE_FOLDER, max_examples=2_000)
@given(pieces=st.lists(PIECES, min_size=1, max_size=5))
def test_many_round_trips(tmp_path: Path, name: str, pieces: list[Piece]) -> None:
    check_round_trip(tmp_path, name, pieces)


def test_every_format_makes_the_trip() -> None:
    assert {format for _, format, _ in WRITERS.values()} == set(FORMATS)
