"""Write what people wrote as a file of each format, with what every file may hold besides."""

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import pyarrow as pa
import zstandard
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from patlm.stores.datasets.formats import read_texts
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
    target: bool = False


class Odd(Enum):
    """What a file may hold that is no piece."""

    BROKEN = "a row that cannot be read"
    BLANK = "an empty line"
    EMPTY = "an empty row of a sheet"
    HEADER = "the header, once more"


ONE_FOLDER = settings(
    derandomize=True,  # a run of CI depends on the code alone
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    max_examples=100,
)
"""Settings of tests that write all examples into one folder."""

GONE = ("[deleted]", "[removed]")
"""What Reddit's dumps write where a person or a text is gone."""


def _same_id(words: str) -> bool:
    """Say whether an id is stored as it is: no missing value, no rounded number."""
    try:
        return words not in (*MISSING_IDS, *GONE) and read_id("user", words) == words
    except ValueError:
        return False


LETTERS = st.characters(exclude_categories=("Cs", "Cc", "Cn", "Zl", "Zp", "Zs"))
WORDS = st.characters(exclude_categories=("Cs", "Cn"), exclude_characters="\x00")
IDS = st.text(LETTERS, min_size=1, max_size=12).map(normal_id).filter(bool).filter(_same_id)
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
BODIES = (st.text(WORDS, min_size=1, max_size=80) | HARD).filter(
    lambda words: bool(read_text("t", words)) and words.strip() not in GONE
)
RATINGS = st.none() | st.sampled_from([1.0, 1.5, 2.0, 3.0, 4.5, 5.0])
# Not 1976: its milliseconds have the digits of dates (205701270000).
SECONDS = st.integers(220_000_000, 1_900_000_000)
PIECES = st.builds(
    Piece, user=IDS, body=BODIES, topic=IDS, title=TITLES, rating=RATINGS, seconds=SECONDS
)

Row = Piece | Odd
Files = dict[str, bytes]
Writer = Callable[[list[Row]], Files]
"""Returns the content of each file by name; the first is the one to read."""


def _rows(
    rows: Iterable[Row], names: tuple[str, ...], when: Callable[[int], Any], **more: Any
) -> list[Any]:
    """Return pieces as rows of user, text, topic, title, rating, time and target."""
    found: list[Any] = []
    for row in rows:
        if isinstance(row, Odd):
            found.append(row)
            continue
        values = (row.user, row.body, row.topic, row.title, row.rating, when(row.seconds))
        named = zip(names, (*values, row.target)[: len(names)], strict=True)
        found.append({name: value for name, value in named if name} | more)
    return found


def _lines(rows: list[Any], **options: Any) -> bytes:
    odd = {Odd.BROKEN: '{"user_id": "u"'}
    written = [
        odd.get(row, "") if isinstance(row, Odd) else json.dumps(row, **options) for row in rows
    ]
    return "".join(f"{line}\n" for line in written).encode()


def _list(rows: list[Any], **options: Any) -> bytes:
    rows = [5 if row is Odd.BROKEN else row for row in rows]
    objects = [row for row in rows if not isinstance(row, Odd)]
    return json.dumps(objects, **options).encode()


def _csv(rows: list[Any], **options: Any) -> bytes:
    file = io.StringIO()
    names = list(next(row for row in rows if isinstance(row, dict)))
    writer = csv.DictWriter(file, names, **{"lineterminator": "\n", **options})
    writer.writeheader()
    empty = options.get("delimiter", ",") * (len(names) - 1)
    odd = {Odd.BROKEN: "one column\n", Odd.EMPTY: f"{empty}\n", Odd.BLANK: "\n"}
    for row in rows:
        if row is Odd.HEADER:
            writer.writeheader()
        elif isinstance(row, Odd):
            file.write(odd[row])
        else:
            writer.writerow(row)
    return file.getvalue().encode()


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


OWN = ("user_id", "text", "topic", "title", "rating", "timestamp", "target")


def _write_jsonl(rows: list[Row]) -> Files:
    return {"a.jsonl": _lines(_rows(rows, OWN, lambda s: s * 1000), ensure_ascii=False)}


def _write_json_list(rows: list[Row]) -> Files:
    return {"a.json.gz": gzip.compress(_list(_rows(rows, OWN, _iso), indent=1))}


def _write_csv(rows: list[Row]) -> Files:
    return {"a.csv": _csv(_rows(rows, OWN, int))}


ESCAPED = Piece("u", 'I said "no".', "t", "", None, 1_500_000_000)
"""The first row of a file whose quotes are escaped by a backslash: this is how a reader knows."""


def _write_escaped_csv(rows: list[Row]) -> Files:
    kind = {"doublequote": False, "escapechar": "\\", "quoting": csv.QUOTE_ALL, "delimiter": ";"}
    return {"a.csv": _csv(_rows([ESCAPED, *rows], OWN, _iso), **kind)}


def _write_utf16(rows: list[Row]) -> Files:
    content = _csv(_rows(rows, OWN, int), delimiter="\t")
    return {"a.tsv": content.decode().encode("utf-16")}


def _write_parquet(rows: list[Row]) -> Files:
    pieces = [row for row in rows if isinstance(row, Piece)]
    types = [pa.string()] * 4 + [pa.float64(), pa.timestamp("ms", "UTC"), pa.bool_()]
    table = pa.Table.from_pylist(
        _rows(pieces, OWN, lambda s: datetime.fromtimestamp(s, UTC)),
        pa.schema(list(zip(OWN, types, strict=True))),
    )
    file = io.BytesIO()
    parquet.write_table(table, file)
    return {"a.parquet": file.getvalue()}


def _published(*names: str, when: Callable[[int], Any] = int, **more: Any) -> Writer:
    """Return the writer of a format of JSON lines, packed with zstd."""

    def write(rows: list[Row]) -> Files:
        return {"a.json.zst": zstandard.compress(_lines(_rows(rows, names, when, **more)))}

    return write


def _published_csv(*names: str, when: Callable[[int], Any] = int, **options: Any) -> Writer:
    def write(rows: list[Row]) -> Files:
        return {"a.csv": _csv(_rows(rows, names, when), **options)}

    return write


def _write_imdb62(rows: list[Row]) -> Files:
    names = ("userId", "content", "itemId", "title", "rating", "")
    return {"imdb62.csv": _csv(_rows(rows, names, int, reviewId=1))}


def _people(rows: list[Row], person: Callable[[int, Piece], dict[str, Any]]) -> bytes:
    numbered = enumerate(rows)
    return _list([person(n, row) if isinstance(row, Piece) else row for n, row in numbered])


def _write_pgraphrag(rows: list[Row]) -> Files:
    def person(number: int, p: Piece) -> dict[str, Any]:
        entry = {"rating": p.rating, "title": p.title, "text": p.body, "pid": p.topic}
        return {"id": p.user, "profile": [entry]}

    return {"gap.json": _people(rows, person)}


def _write_lamp(rows: list[Row]) -> Files:
    def person(number: int, p: Piece) -> dict[str, Any]:
        entry = {"id": "1", "title": p.title, "text": p.body, "date": _iso(p.seconds)}
        profile = [] if p.target else [entry]
        return {"id": str(number), "user_id": p.user, "input": p.title, "profile": profile}

    files = {"dev_questions.json": _people(rows, person)}
    golds = [
        {"id": str(number), "output": row.body}
        for number, row in enumerate(rows)
        if isinstance(row, Piece) and row.target
    ]
    if golds:
        files["dev_outputs.json"] = json.dumps({"task": "LaMP_7", "golds": golds}).encode()
    return files


def _write_longlamp(rows: list[Row]) -> Files:
    def person(number: int, p: Piece) -> dict[str, Any]:
        row = {"user_id": p.user, "input": p.title, "asin": p.topic}
        if p.target:
            return {**row, "output": p.body, "profile": []}
        review = {"reviewText": p.body, "summary": p.title, "overall": p.rating, "asin": p.topic}
        review |= {"description": "A thing.", "unixReviewTime": p.seconds}
        return {**row, "output": None, "profile": [review]}

    return {"longlamp.json": _people(rows, person)}


ALL = ("rating", "timestamp", "topic_id", "title")


@dataclass(frozen=True)
class Written:
    """How a format is written.

    Attributes:
        write: Returns the files.
        format: Its name.
        fields: What it holds beside user and text.
        targets: The fields that a target has there; None where a file marks none.
        always: Whether each piece is a target.
        needs_target: Whether a piece that is none stands in a row whose target is missing, which is
            a reject of its own; of LaMP only where there are outputs at all.
        has_header: Whether a first line names the columns; a second such line is a reject.
    """

    write: Writer
    format: str
    fields: tuple[str, ...] = ALL
    targets: tuple[str, ...] | None = None
    always: bool = False
    needs_target: bool = False
    has_header: bool = False


WRITERS: dict[str, Written] = {
    "jsonl": Written(_write_jsonl, "jsonl", targets=ALL),
    "json list": Written(_write_json_list, "jsonl", targets=ALL),
    "csv": Written(_write_csv, "csv", targets=ALL, has_header=True),
    "escaped csv": Written(_write_escaped_csv, "csv", targets=ALL, has_header=True),
    "utf-16": Written(_write_utf16, "csv", targets=ALL, has_header=True),
    "parquet": Written(_write_parquet, "parquet", targets=ALL),
    "amazon": Written(
        _published("user_id", "text", "asin", "title", "rating", "timestamp", "target"),
        "amazon",
        targets=ALL,
    ),
    "amazon2018": Written(
        _published("reviewerID", "reviewText", "asin", "summary", "overall", "unixReviewTime"),
        "amazon2018",
    ),
    "yelp": Written(
        _published("user_id", "text", "business_id", "", "stars", "date", when=_iso, useful=0),
        "yelp",
        ("rating", "timestamp", "topic_id"),
    ),
    "goodreads": Written(
        _published("user_id", "review_text", "book_id", "", "rating", "date_added", when=_iso),
        "goodreads",
        ("rating", "timestamp", "topic_id"),
    ),
    "reddit": Written(
        _published("author", "body", "link_id", "title", "", "created_utc"),
        "reddit",
        ("timestamp", "topic_id", "title"),
    ),
    "google_play": Written(
        _published("userName", "content", "appId", "title", "score", "at", when=_iso, reviewId=""),
        "google_play",
    ),
    "finefood": Written(
        _published_csv("UserId", "Text", "ProductId", "Summary", "Score", "Time"),
        "finefood",
        has_header=True,
    ),
    "b2w_reviews": Written(
        _published_csv(
            *("reviewer_id", "review_text", "product_id", "review_title", "overall_rating"),
            "submission_date",
            when=_iso,
            delimiter=";",
        ),
        "b2w_reviews",
        has_header=True,
    ),
    "datafiniti": Written(
        _published_csv(
            *("reviews.username", "reviews.text", "id", "reviews.title", "reviews.rating"),
            "reviews.date",
            when=_iso,
        ),
        "datafiniti",
        has_header=True,
    ),
    "imdb62": Written(_write_imdb62, "imdb62", ("rating", "topic_id", "title"), has_header=True),
    "pgraphrag": Written(
        _write_pgraphrag, "pgraphrag", ("rating", "topic_id", "title"), ALL, always=True
    ),
    "lamp": Written(
        _write_lamp, "lamp", ("timestamp", "title"), targets=("title",), needs_target=True
    ),
    "longlamp": Written(
        _write_longlamp, "longlamp", targets=("title", "topic_id"), needs_target=True
    ),
}


def read_back(folder: Path, written: Written, rows: list[Row]) -> list[Text | Reject]:
    """Write rows in a format and read them; files are removed, for writing over them is slow."""
    files = written.write(rows)
    for file, content in files.items():
        (folder / file).write_bytes(content)
    read = list(read_texts(folder / next(iter(files)), format=written.format))
    for file in files:
        (folder / file).unlink()
    return read


MISSING = {"rating": None, "timestamp": None, "topic_id": "", "title": ""}


def expected(piece: Piece, written: Written) -> tuple[Any, ...]:
    """Return what a reader has to make of a piece, as `seen` tells it."""
    values = {
        "rating": piece.rating or None,
        "timestamp": piece.seconds * 1000,
        "topic_id": piece.topic,
        "title": read_title(piece.title),
    }
    target = written.targets is not None and (piece.target or written.always)
    fields = set(written.fields)
    if target:
        fields &= set(written.targets or ())
    held = (values[name] if name in fields else MISSING[name] for name in ALL)
    return (piece.user, piece.body, *held, target)


def seen(text: Text) -> tuple[Any, ...]:
    """Return user, text, rating, time, topic, title, and whether it is a target."""
    return (text.user_id, text.body, *(getattr(text, name) for name in ALL), text.target)
