"""The formats of one text a row: our own columns, and data sets as they are published.

Each is a list of columns by field; the first that a row has a value for is read. Layouts are those
of the publishers' pages and of public code that reads the files; docs/data.md shows a row of each
and says which were tried on a real file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from ..values import FIVE_STARS, RatingScale
from .readers.columns import read_table
from .readers.rows import Advance, Columns, DataFile, Format, Head, Raw
from .validation import Reject

GENERIC: Columns = {
    "user_id": ("user_id", "user", "author"),
    "body": ("text", "body"),
    "topic_id": ("topic_id", "topic", "product", "parent_asin", "asin"),
    "title": ("title",),
    "rating": ("rating",),
    "timestamp": ("timestamp", "time"),
    "language": ("language",),
    "target": ("target",),
    "shared_id": ("shared_id",),
    # Not `id`: it is a row's number in many files, and a later text replaces one of the same id.
    "source_id": ("text_id", "review_id"),
}
"""The columns of `jsonl`, `csv` and `parquet`."""

_JSON = ("JSON lines", "a JSON list", "a JSON document")
_TEN = RatingScale(1, 10)
_IMDB62_WIDTH = 6  # review, user, film, rating, title, text
_IMDB62_LINE = re.compile(rb"\d+\t\d+\t\d+\t\d+(?:\.\d+)?\t[^\t]*\t[^\t]+$")


def is_text_row(head: Head) -> bool:
    """Say whether a row or a header names a user and a text in our own words."""
    return (
        not head.columns.isdisjoint(GENERIC["user_id"])
        and not head.columns.isdisjoint(GENERIC["body"])
        and not head.is_person
    )


def _read_imdb62(file: DataFile, advance: Advance) -> Iterator[Raw | Reject]:
    """Yield the reviews of `imdb62.txt`, which has no header, or of a table that has one."""
    if "userid" in {name.lower() for name in file.names}:
        yield from read_table(file, _IMDB62, advance)
        return
    for line, data in file.lines(advance):
        if isinstance(data, Reject):
            yield data
            continue
        values = data.decode(errors="surrogateescape").rstrip("\r\n").split("\t", 5)
        if len(values) == _IMDB62_WIDTH:
            _, user, film, rating, title, body = values
            fields: dict[str, object] = {"user_id": user, "body": body, "topic_id": film}
            yield Raw(line, {**fields, "rating": rating, "title": title})
        elif data.strip():
            reason = f"the row has {len(values)} columns, not {_IMDB62_WIDTH}"
            yield Reject(line, reason, code="columns")


def _is_imdb62(head: Head) -> bool:
    if head.has("userid", "itemid", "content"):
        return True
    line = "\t".join(head.names).encode(errors="surrogateescape")
    return head.kind == "CSV" and _IMDB62_LINE.match(line) is not None


_IMDB62: Columns = {
    "user_id": ("userid",),
    "body": ("content",),
    "topic_id": ("itemid",),
    "title": ("title",),
    "rating": ("rating",),
}


_TAKEN_DOWN = frozenset(
    f"[ removed by reddit{why} ]"
    for why in ("", " on account of violating the content policy.")
    + (" in response to a copyright notice.",)
)
"""What stands in place of a text that Reddit took down; `[removed]` is one in every format."""


def _generic(name: str, expected: str, *containers: str) -> Format:
    def fits(head: Head) -> bool:
        return head.kind in containers and is_text_row(head)

    late = tuple(kind for kind in containers if kind in _JSON)  # rows that name their own columns
    return Format(name, expected, fits, columns=GENERIC, containers=late)


def _published(name: str, expected: str, needs: tuple[str, ...], **facts: Any) -> Format:
    """Return the format of a published data set, which is known by columns that only it has."""
    fits: Callable[[Head], bool] = lambda head: head.has(*needs)  # noqa: E731
    return Format(name, expected, fits, containers=_JSON, **facts)


TABLES = (
    _generic("jsonl", "JSON objects with user_id and text, one a line or in a list", *_JSON),
    _generic("csv", "a first line that names the columns, user_id and text among them", "CSV"),
    _generic("parquet", "a table of Arrow with user_id and text", "parquet"),
    Format(
        "amazon",
        "Amazon 2023: user_id, text and parent_asin or asin",
        lambda head: (
            head.has("user_id", "text", "asin") or head.has("user_id", "text", "parent_asin")
        ),
        columns={**GENERIC, "topic_id": ("parent_asin", "asin")},
        markup=True,
        scale=FIVE_STARS,
    ),
    _published(
        "amazon2018",
        "Amazon 2014 and 2018: reviewerID, asin, reviewText",
        ("reviewerid", "asin", "reviewtext"),
        columns={
            "user_id": ("reviewerid",),
            "body": ("reviewtext",),
            "topic_id": ("asin",),
            "title": ("summary",),
            "rating": ("overall",),
            "timestamp": ("unixreviewtime", "reviewtime"),
        },
        markup=True,
        scale=FIVE_STARS,
    ),
    _published(
        "yelp",
        "Yelp's review.json: user_id, business_id, text",
        ("user_id", "business_id", "text"),
        columns={
            "user_id": ("user_id",),
            "body": ("text",),
            "topic_id": ("business_id",),
            "rating": ("stars",),
            "timestamp": ("date",),
            "source_id": ("review_id",),
        },
        scale=FIVE_STARS,
    ),
    _published(
        "goodreads",
        "Goodreads: user_id, book_id, review_text",
        ("user_id", "book_id", "review_text"),
        columns={
            "user_id": ("user_id",),
            "body": ("review_text",),
            "topic_id": ("book_id",),
            "rating": ("rating",),
            "timestamp": ("date_added",),
            "source_id": ("review_id",),
        },
        scale=FIVE_STARS,
    ),
    Format(
        "imdb62",
        "IMDb62: review, user, film, rating, title, text, separated by tabs",
        _is_imdb62,
        _read_imdb62,
        scale=_TEN,
    ),
    Format(
        "reddit",
        "Reddit's dumps: author, created_utc, body or selftext",
        lambda head: (
            head.has("author", "created_utc") and not head.columns.isdisjoint(("body", "selftext"))
        ),
        columns={
            "user_id": ("author",),
            "body": ("body", "selftext"),
            "topic_id": ("link_id", "subreddit"),
            "title": ("title",),
            "timestamp": ("created_utc",),
            "source_id": ("name", "id"),
        },
        markup=True,
        absent={"body": _TAKEN_DOWN, "title": frozenset(("[deleted by user]",))},
    ),
    _published(
        "google_play",
        "Google Play as google-play-scraper writes it: reviewId, userName, content",
        ("reviewid", "username", "content"),
        columns={
            "user_id": ("username",),
            "body": ("content",),
            "topic_id": ("appid", "app_id", "app"),
            "title": ("title",),
            "rating": ("score",),
            "timestamp": ("at",),
            "source_id": ("reviewid",),
        },
        crowds=re.compile("google", re.IGNORECASE),  # in all languages: Um usuário do Google
        scale=FIVE_STARS,
    ),
    _published(
        "finefood",
        "Amazon Fine Food of Kaggle: ProductId, UserId, Text",
        ("productid", "userid", "text", "score"),
        columns={
            "user_id": ("userid",),
            "body": ("text",),
            "topic_id": ("productid",),
            "title": ("summary",),
            "rating": ("score",),
            "timestamp": ("time",),
        },
        markup=True,
        scale=FIVE_STARS,
    ),
    _published(
        "b2w_reviews",
        "B2W-Reviews01: reviewer_id, product_id, review_text",
        ("reviewer_id", "product_id", "review_text"),
        columns={
            "user_id": ("reviewer_id",),
            "body": ("review_text",),
            "topic_id": ("product_id",),
            "title": ("review_title",),
            "rating": ("overall_rating",),
            "timestamp": ("submission_date",),
        },
        language=lambda path: "pt",
        scale=FIVE_STARS,
    ),
    _published(
        "datafiniti",
        "Datafiniti's product and hotel reviews: reviews.username, reviews.text",
        ("reviews.username", "reviews.text"),
        columns={
            "user_id": ("reviews.username",),
            "body": ("reviews.text",),
            "topic_id": ("id", "asins", "name"),
            "title": ("reviews.title",),
            "rating": ("reviews.rating",),
            "timestamp": ("reviews.date",),
        },
    ),
)
