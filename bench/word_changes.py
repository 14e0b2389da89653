"""What changed from one text to the next, word by word.

    changes("a fine view", "a grand view")
    # equal "a ", delete "fine ", insert "grand ", equal "view"

Words are compared, not signs: people read which word was put in the place of which. The spans that
stay and the inserted ones give the new text back, sign by sign.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

COMPARED_WORDS = 4000
"""Words of the longer text up to which it is compared: the time grows with their square."""


@dataclass(frozen=True)
class Span:
    """A run of words with one fate.

    Attributes:
        kind: Whether the words stay, are new, or are gone.
        text: The words, with the white space between them.
        space: The white space after them, apart so that nobody underlines it.
    """

    kind: Literal["equal", "insert", "delete"]
    text: str
    space: str = ""


def changes(before: str, after: str) -> tuple[Span, ...]:
    """Return the spans that lead from one text to the next, in reading order.

    Words that differ in nothing but the white space around them stay, with that of the new text.
    What is gone stands before what came in its place. Of texts above `COMPARED_WORDS` all is said
    to be replaced, unless they are equal.
    """
    old, new = _words(before), _words(after)
    return tuple(
        span
        for kind, words in _fates(old, new)
        for span in [_span(kind, words)]
        if span.text or span.space
    )


def _fates(
    old: Sequence[str], new: Sequence[str]
) -> Iterator[tuple[Literal["equal", "insert", "delete"], Sequence[str]]]:
    stripped = [word.strip() for word in old], [word.strip() for word in new]
    if stripped[0] == stripped[1]:
        yield "equal", new
        return
    if max(len(old), len(new)) > COMPARED_WORDS:
        yield "delete", old
        yield "insert", new
        return
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, *stripped).get_opcodes():
        if tag == "equal":
            yield "equal", new[j1:j2]
            continue
        if i2 > i1:
            yield "delete", old[i1:i2]
        if j2 > j1:
            yield "insert", new[j1:j2]


def _words(text: str) -> list[str]:
    """Return the words, each with the white space after it; the first with that before it too."""
    return re.findall(r"(?:^\s+)?\S+\s*", text)


def _span(kind: Literal["equal", "insert", "delete"], words: Sequence[str]) -> Span:
    whole = "".join(words)
    text = whole.rstrip()
    return Span(kind, text, whole[len(text) :])
