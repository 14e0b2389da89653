"""Look at a file before anything of it is stored: its first texts, its columns, what looks odd."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from ..errors import shortened
from ..types import Text
from .cleaning import has_markup
from .formats import RowFile
from .validation import Reject, say_left_out

SHOWN = 5
"""First texts that are shown."""

MOST_ROWS = 100_000
"""Rows that a preview looks at."""
_MANY = 0.4  # of the texts by one user, or on one topic
_HALF = 0.5
_FEW_TEXTS = 10  # too few to find anything odd in them


@dataclass(frozen=True)
class Preview:
    """What an ingest of a file would store.

    Attributes:
        texts: The first texts as they would be stored.
        rows: Rows that were looked at: all, or the first 100,000.
        whole: Whether these are all.
        rejected: Rejected rows among them.
        first_reject: The first of these.
        reasons: Number of rejected rows by code.
        columns: The columns that are read, by field; empty for a benchmark's people.
        unread: The columns that are not.
        odd: What looks odd, in sentences.
        stores_nothing: Whether no row of the whole file is a text.
        rejects: Whether any row of the whole file is rejected, as far as `strict` asked for it.
    """

    texts: tuple[Text, ...]
    rows: int
    whole: bool
    rejected: int
    first_reject: Reject | None
    reasons: dict[str, int]
    columns: dict[str, list[str]]
    unread: list[str]
    odd: tuple[str, ...]
    stores_nothing: bool
    rejects: bool


@dataclass
class _Tally:
    """What was counted in the rows."""

    texts: int = 0
    rated: int = 0
    first: list[Text] = field(default_factory=list)
    users: Counter[str] = field(default_factory=Counter)
    topics: Counter[str] = field(default_factory=Counter)
    times: int = 0
    marked: int = 0
    seen: set[str] = field(default_factory=set)
    reasons: Counter[str] = field(default_factory=Counter)
    first_reject: Reject | None = None

    def take(self, row: Text | Reject) -> None:
        """Count a row."""
        if isinstance(row, Reject):
            self.reasons[row.code] += 1
            self.first_reject = self.first_reject or row
            return
        if len(self.first) < SHOWN:
            self.first.append(row)
        self.texts += 1
        self.rated += row.rating is not None
        self.times += row.timestamp is not None
        self.marked += has_markup(row.body)
        self.users[row.user_id] += 1
        self.topics[row.topic_id] += 1
        self.seen.add(row.text_id)


def preview(rows: RowFile, *, strict: bool = False, most_rows: int = MOST_ROWS) -> Preview:
    """Read the beginning of a file as an ingest would, and say what looks odd. Nothing is written.

    Later rows are read only where the outcome of the ingest hangs on them.

    Args:
        rows: The file.
        strict: Whether a rejected row makes the ingest fail.
        most_rows: Rows that are looked at.
    """
    tally = _Tally()
    source = iter(rows)
    for row in islice(source, most_rows):
        tally.take(row)
    rejected = tally.reasons.total()
    odd = tuple(_find_odd(tally, rows))
    whole = True
    stores_nothing, rejects = not tally.texts, rejected > 0
    for row in source:
        whole = False
        stores_nothing &= isinstance(row, Reject)
        rejects |= isinstance(row, Reject)
        if not stores_nothing and (rejects or not strict):
            break
    return Preview(
        texts=tuple(tally.first),
        rows=tally.texts + rejected,
        whole=whole,
        rejected=rejected,
        first_reject=tally.first_reject,
        reasons=dict(tally.reasons),
        columns=rows.columns,
        unread=rows.unread,
        odd=odd,
        stores_nothing=stores_nothing,
        rejects=rejects,
    )


def _find_odd(tally: _Tally, rows: RowFile) -> list[str]:
    odd = []
    rejected = tally.reasons.total()
    beyond = tally.reasons["rating_scale"]
    if beyond:
        odd.append(
            f"{beyond:,} of {beyond + tally.rated:,} ratings lie outside {rows.scale}: say their "
            "scale (--rating-scale)"
        )
    if not tally.texts:
        return [*odd, f"no row is a text: {rejected:,} are rejected"]
    if rejected >= _HALF * (tally.texts + rejected):
        odd.append(f"{rejected:,} of {tally.texts + rejected:,} rows are rejected")
    for word, count in rows.noted.items():
        odd.append(say_left_out(word, count))
    if tally.marked:
        odd.append(
            f"{tally.marked:,} of {tally.texts:,} texts have marks of pages (<br />, &quot;), "
            "which are stored as they are"
        )
    if tally.topics[""] == tally.texts:
        odd.append("no text has a topic")
    if not tally.times:
        odd.append("no text has a time")
    elif zoneless := rows.times_without_zone():
        odd.append(f"times have no zone ({zoneless:,} of the first rows): they are taken for UTC")
    if tally.texts < _FEW_TEXTS:
        return odd
    user, most = tally.users.most_common(1)[0]
    if most >= _MANY * tally.texts:
        odd.append(f"user {shortened(user)} has {most / tally.texts:.0%} of the texts")
    if len(tally.users) == tally.texts:
        odd.append("every text has another user")
    topic, most = tally.topics.most_common(1)[0]
    if topic and most >= _MANY * tally.texts:
        odd.append(f"topic {shortened(topic)} has {most / tally.texts:.0%} of the texts")
    again = tally.texts - len(tally.seen)
    if again >= _HALF * tally.texts:
        odd.append(f"{again:,} of {tally.texts:,} texts are there before, word for word")
    return odd


def as_data(found: Preview) -> dict[str, Any]:
    """Return a preview as plain data for JSON."""
    shown = ("user_id", "topic_id", "title", "body", "rating", "timestamp", "language", "target")
    return {
        "texts": [
            {name: getattr(text, name) for name in (*shown, "shared_id")} for text in found.texts
        ],
        "rows": found.rows,
        "whole": found.whole,
        "rejected": found.rejected,
        "first_reject": None if found.first_reject is None else found.first_reject.as_dict(),
        "reasons": found.reasons,
        "columns": found.columns,
        "unread": found.unread,
        "odd": list(found.odd),
    }
