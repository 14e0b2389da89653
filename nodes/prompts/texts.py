"""Texts of people as prompts show them: harmless, between delimiters, cut to their room."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ...models.sanitise import fence, harmless_text
from ..budget import Budget, Count, Fitted, count_up_to, cut, fit
from ..state import Evidence, Request

FRONT = 20_000
"""Characters of a text that are made harmless before it is cut; no budget shows as many."""


TITLE_TOKENS = 40
"""Tokens of the title of one of the user's own texts at most."""


@dataclass(frozen=True)
class Post:
    """A text of the user's own without delimiters: its title in a line, and the text."""

    title: str
    text: str


@dataclass(frozen=True)
class Shown:
    """A list of texts as a prompt's file sees it.

    Attributes:
        shown: Whether there are any.
        texts: The texts between delimiters, with their ratings where the task needs them.
        words: Their mean length in words; 0 where it is not to be told.
        posts: The same under their titles, the earliest first, where a post is to be continued.
    """

    shown: bool = False
    texts: tuple[str, ...] = ()
    words: int = 0
    posts: tuple[Post, ...] = ()


def neutralise(text: str) -> str:
    """Return a text whose front is harmless, as it is counted and cut.

    `fence` makes harmless whatever is shown; to do so with what is not takes time.
    """
    return harmless_text(text[:FRONT]) + text[FRONT:]


def fenced(text: str, tokens: int, count: Count) -> tuple[str, tuple[int, int]]:
    """Return a text between delimiters, cut, and its tokens before and after cutting."""
    harmless = neutralise(text)
    kept = cut(harmless, tokens, count)
    return fence(kept), (count_up_to(harmless, tokens, count), count(kept))


def show_texts(
    pieces: Sequence[Evidence],
    room: int,
    most_words: int | None,
    request: Request,
    budget: Budget,
    count: Count,
    length: int = 0,
    *,
    posts: bool = False,
) -> tuple[Shown, int, tuple[int, int]]:
    """Return texts cut to `room` tokens, the room they take, and their tokens before and after.

    With `posts` they may be shown under their titles, for which room is left.
    """
    around = piece_tokens(request, count)
    titles: list[str] = []
    if posts:
        titles = [in_a_line(cut(neutralise(piece.title), TITLE_TOKENS, count)) for piece in pieces]
        around = max(around, *(count(f"## {title}\n\n\n\n") for title in titles))
    texts = [shown_part(piece, request) for piece in pieces]
    fitted = fit_words(texts, room, most_words, budget, count, around=around)
    lines = tuple(
        f"{_rating(piece.rating, request)}{fence(text)}"
        for piece, text in zip(pieces, fitted.texts, strict=False)
    )
    used = fitted.kept_tokens + around * len(lines)
    # The latest last: that is what a model goes on from.
    titled = tuple(map(Post, titles, map(harmless_text, fitted.texts)))[::-1]
    return Shown(bool(lines), lines, length, titled), used, (fitted.tokens, fitted.kept_tokens)


def in_a_line(text: str) -> str:
    """Return a harmless text in one line, without delimiters."""
    return " ".join(harmless_text(text).split())


def topic_words(topic_id: str | None) -> str:
    """Return a topic's id as words, or nothing where it is a number or a code.

    Examples:
        >>> topic_words("folding-bicycle"), topic_words("B00A1XYZ"), topic_words("hotel 17")
        ('folding bicycle', '', '')
    """
    words = re.split(r"[-_\s]+", topic_id or "")
    named = all(word.isalpha() for word in words) and any(map(str.islower, words))
    return in_a_line(" ".join(words)) if named else ""


def fit_words(
    texts: Sequence[str],
    room: int,
    most_words: int | None,
    budget: Budget,
    count: Count,
    *,
    around: int,
) -> Fitted:
    """Fit texts of at most so many words each into `room` tokens."""
    fronts = [limited(text, most_words) for text in texts]
    fitted = fit(fronts, room, budget.smallest_share, count, around=around)
    if fronts == list(texts):
        return fitted
    tokens = sum(count_up_to(text, room, count) for text in texts)
    return Fitted(fitted.texts, tokens, fitted.kept_tokens)


def limited(text: str, most_words: int | None) -> str:
    """Return the beginning of a text with at most so many words, its white space unchanged."""
    if most_words is None or len(words := text.split(None, most_words)) <= most_words:
        return text
    end = 0
    for word in words[:most_words]:
        end = text.index(word, end) + len(word)
    return text[:end]


def piece_tokens(request: Request, count: Count) -> int:
    """Return the frame of one piece of evidence: dash, rating, delimiters, line break."""
    return count(f"- {_rating(4.5, request)}{fence('x')}\n")


def shown_part(piece: Evidence, request: Request) -> str:
    """Return the part of a text that a prompt shows: its title too if one is to be written."""
    with_title = request.task in ("short", "rating") and piece.title
    return neutralise(f"{piece.title}: {piece.body}" if with_title else piece.body)


def quoted_text(piece: Evidence, request: Request) -> str:
    """Return a text as it is quoted in a line with others: its rating, where needed, is in it."""
    titled = request.task in ("short", "rating") and piece.title
    text = f"{piece.title}: {piece.body}" if titled else piece.body
    rated = request.task == "rating" and piece.rating is not None
    return neutralise(f"({piece.rating:g}/{request.scale.high:g}) {text}" if rated else text)


def _rating(rating: float | None, request: Request) -> str:
    if rating is None or request.task != "rating":
        return ""
    return f"({round(rating, 1):g}/{request.scale.high:g}) "
