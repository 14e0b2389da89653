"""Remove known artefacts from a benchmark's texts; every step is off by default.

They make texts longer or more similar than their authors did: a site's "... More" where the text
was cut, a manager's reply glued to a review, a note about a promotion, a page's marks for line ends
and signs (which readers of data sets that are published so replace anyway). `duplicates` changes no
text: a target with the same words as another text is no longer a target.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from ..errors import InvalidOption
from ..types import Text

_MORE = re.compile(r"(?:\.\.\.|…)\s*More\s*$")
_PROMOTION = re.compile(r"\[?This review was collected as part of a promotion\.?\]?", re.IGNORECASE)

# Behind "...More" nobody but the management goes on without a space.
_BEHIND_MORE = re.compile(r"(?:\.\.\.|…)More(?=[^\W\d_a-z])")

# Otherwise a reply follows the review without a space, opens with a greeting or thanks, and thanks
# or signs as managers do. Both are required: authors glue their own paragraphs too.
_OPENING = re.compile(
    r"(?<=[.!?)\"])(?=(?:Dear|Hello|Hi|Aloha|Greetings|Good (?:morning|afternoon|evening|day)"
    r"|[Tt]hank(?:s| you)|We (?:appreciate|thank)"
    r"|We are (?:delighted|thrilled|glad|pleased|sorry|happy))\b"
    r"|\w{2,24}[,:!]? ?(?:[Tt]hank(?:s| you))\b)"
)
_REPLY = re.compile(
    r"general manager|on behalf of|sincerely,|regards,|be well,"
    r"|your (?:kind|wonderful|great|valuable|feedback|review|comments|recent|stay)"
    r"|(?:we|i) (?:look forward|hope (?:you|to)|appreciate)",
    re.IGNORECASE,
)

_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")
"""With its semicolon: in `R&D`, and before what follows a `&not` or `&copy`, people mean an and."""


class UnknownCleaning(InvalidOption):
    """An unknown name of a cleaning step."""

    code = "unknown_cleaning"


def without_more(body: str) -> str:
    """Return a text without the site's "... More" at its end."""
    return _MORE.sub("", body).rstrip() if _MORE.search(body) else body


def without_reply(body: str) -> str:
    """Return a review without the management's reply that is glued to it.

    It begins after "...More", which stays for `without_more`, or where a greeting or thanks follow
    a sentence without a space and the rest reads like a manager's. A reply that opens otherwise
    (with a name and a dash, say) is not found.
    """
    if more := _BEHIND_MORE.search(body):
        body = body[: more.end()]
    for place in _OPENING.finditer(body):
        if place.start() and _REPLY.search(body, place.end()):
            return body[: place.start()].rstrip()
    return body


def without_promotion(body: str) -> str:
    """Return a text without the note that it was collected as part of a promotion."""
    return _PROMOTION.sub("", body).strip() if _PROMOTION.search(body) else body


def without_markup(words: str, line_end: str = "\n") -> str:
    """Return a text with line ends for `<br />`, and signs for entities such as `&quot;`.

    All else stays: other tags may be the author's, as is `<3`.
    """
    if "<" in words:
        words = _BREAK.sub(line_end, words)
    return _ENTITY.sub(lambda found: html.unescape(found[0]), words) if "&" in words else words


def has_markup(words: str) -> bool:
    """Say whether `without_markup` changes a text."""
    return without_markup(words) != words


# Replies first: they can hide a "...More" at the end.
_OF_BODIES: Mapping[str, Callable[[str], str]] = {
    "replies": without_reply,
    "more": without_more,
    "promotions": without_promotion,
    "markup": without_markup,
}
DUPLICATES = "duplicates"
CLEANINGS = (*_OF_BODIES, DUPLICATES)


def check_cleanings(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names, each once, in the order of application.

    Raises:
        UnknownCleaning: One is unknown.
    """
    asked = set(names)
    if unknown := sorted(asked - set(CLEANINGS)):
        raise UnknownCleaning(
            f"no cleaning {', '.join(unknown)}: take some of {', '.join(CLEANINGS)}"
        )
    return tuple(name for name in CLEANINGS if name in asked)


def clean_texts(texts: Iterable[Text], names: Iterable[str]) -> list[Text]:
    """Return cleaned texts; those that become empty are dropped.

    Args:
        texts: The texts of one data set.
        names: Steps of `CLEANINGS`.

    Raises:
        UnknownCleaning: A name is unknown.
    """
    asked = check_cleanings(names)
    cleaned = list(texts)
    for name in asked:
        if name in _OF_BODIES:
            clean = _OF_BODIES[name]
            cleaned = [replace(text, body=clean(text.body)) for text in cleaned]
    cleaned = [text for text in cleaned if text.body.strip()]
    return _without_said_again(cleaned) if DUPLICATES in asked else cleaned


def _without_said_again(texts: list[Text]) -> list[Text]:
    from ..search.words import bare  # loads numpy, which readers of files do not need

    # By id: a row that appears twice in a file is one text.
    said = Counter(bare(body) for body in {text.text_id: text.body for text in texts}.values())
    return [
        replace(text, target=False) if text.target and said[bare(text.body)] > 1 else text
        for text in texts
    ]
