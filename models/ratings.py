"""Read a rating from an answer: one parser for the loop, the benchmark's arms and the judge.

Models answer "4", "4/5", "Rating (1-5): 4", "I would give it four stars", or a list of reasons with
a number at its end. What can't be told is no rating, and `Rating.why` says why: a wrong guess would
look like an answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

_WORDS = {
    word: number
    for number, words in enumerate(
        (
            "one um uma uno una eins un une",
            "two dois duas dos zwei deux",
            "three três tres drei trois",
            "four quatro cuatro vier quatre",
            "five cinco fünf cinq",
            "six seis sechs",
            "seven sete siete sieben sept",
            "eight oito ocho acht huit",
            "nine nove nueve neun neuf",
            "ten dez diez zehn dix",
        ),
        start=1,
    )
    for word in words.split()
}
_WORD = "|".join(sorted(_WORDS, key=len, reverse=True))
_LABEL = (
    r"(?:rating|score|points?|answer|verdict|grade|rate|give|gave|say|choose|assign|"
    r"nota|note|avaliação|bewertung|puntuación)"
)
_STARS = r"(?:-?\s*(?:stars?|points?|estrelas?|estrellas?|sterne|étoiles?)\b)"
_OUT_OF = r"(?:/|out of|von|sur|de)"
# Words are numbers only where nothing else can be meant: "one" and "um" stand in any sentence.
_WORD_AS_NUMBER = re.compile(
    rf"(?P<before>^\W*|\b{_LABEL}\b[^.!?\n\d]{{0,24}}?\b)(?P<word>{_WORD})\b(?=\W*$|[.!,;:])"
    rf"|\b(?P<starred>{_WORD})(?=\s*(?:{_STARS}|out of\b))",
    re.IGNORECASE,
)
_WORD_SCALE = re.compile(rf"(?<=out of )(?:{_WORD})\b", re.IGNORECASE)
_FRACTION = re.compile(
    rf"(?<![\w.,/-])(\d+(?:[.,]\d+)?)\s*{_OUT_OF}\s*(\d+)\b(?!/|[.,]\d)", re.IGNORECASE
)
_SCALES = (3, 4, 5, 6, 7, 10, 20, 100)
"""Highest numbers of the scales that people use."""

_LISTED = re.compile(r"^\s*(\d+)[.)]\s+(?=\S)", re.MULTILINE)
_LEGEND = re.compile(r"\b\d\s*(?:=|being|means)\s*[^\W\d][^,;:).\n]*", re.IGNORECASE)
_EMPHASIS = re.compile(r"[*_`~]+")
_NUMBER = re.compile(r"(?<![\w.,/$€£#-])(\d+)(?:\.0)?(?![\w/%]|[.,]\d)")
_RANGE = re.compile(r"(?<![\w.,/-])(\d)\s*(?:-|–|—|\bor\b|\bto\b)\s*(\d)(?![\w/]|[.,]\d)")
_FIRST = re.compile(r"[\s\"'(\[]*(\d+)(?:\.0)?(?=\s*(?:$|[.,;:!)\]\n]|\s[-–—]\s|" + _STARS + "))")
_LAST = re.compile(r"(?:^|[.:!?\n])[\s\"'(]*(\d+)(?:\.0)?[\s\"').!]*$")
_LABELLED = re.compile(
    rf"\b{_LABEL}\b[^\d\n.!?]{{0,24}}?(\d+)(?![\w/%]|[.,]\d)|(?<![\w.,/-])(\d+)\s*{_STARS}",
    re.IGNORECASE,
)
_GLYPHS = re.compile(r"[★⭐🌟](?:[★⭐🌟\ufe0f\s]*[★⭐🌟])?")


@dataclass(frozen=True)
class Rating:
    """A rating that was read.

    Attributes:
        value: The number; None if there is none that can be told.
        why: Why there is none; empty if there is one.
    """

    value: int | None
    why: str = ""


def read_rating(answer: str, low: int = 1, high: int = 5) -> Rating:
    """Return the whole number from `low` to `high` that an answer gives.

    >>> read_rating("On a scale from 1 to 5, this is a 4.").value
    4
    >>> read_rating("8/10")
    Rating(value=None, why='8/10 is on another scale')
    """
    text = _EMPHASIS.sub("", answer).strip()
    return (
        _as_fraction(text, high, low)
        or _as_number(_without_scale(text, low, high), low, high)
        or _in_words(text, low, high)
        or _as_glyphs(text, low, high)
        or Rating(None, f"there is no whole number from {low} to {high} in it")
    )


def _as_fraction(text: str, high: int, low: int) -> Rating | None:
    """Return the rating that names its scale ("4/5"); None if none does."""
    given: set[int] = set()
    refused = ""
    for found in _FRACTION.finditer(text):
        number, scale = float(found[1].replace(",", ".")), int(found[2])
        if scale == high and number.is_integer() and low <= number <= high:
            given.add(int(number))
        elif scale == high:
            refused = f"{found[0]} is no whole number from {low} to {high}"
        elif scale in _SCALES and number <= scale:
            refused = refused or f"{found[0]} is on another scale"
    if given:
        return _only(given)
    return Rating(None, refused) if refused else None


def _without_scale(text: str, low: int, high: int) -> str:
    """Remove what names the scale and not the rating, and the numbers of a list."""
    between = rf"\b{low}\s*(?:-|–|—|to|and|through|bis|a|à|até|hasta)\s*{high}\b(?!\s*[-/]\s*\d)"
    most = rf"\bout of\s+(?:a\s+)?{high}\b(?:\s+stars?)?|\b(?:scale|maximum) of {high}\b"
    kind = rf"\b{high}[- ](?:stars?|points?)\s+(?:scale|system)\b"
    text = re.sub(f"{between}|{most}|{kind}", " ", text, flags=re.IGNORECASE)
    if len(_LEGEND.findall(text)) > 1:
        text = _LEGEND.sub(" ", text)
    listed = [int(number) for number in _LISTED.findall(text)]
    in_order = len(listed) > 1 and all(b == a + 1 for a, b in pairwise(listed))
    return _LISTED.sub("", text) if in_order else text


def _as_number(text: str, low: int, high: int) -> Rating | None:
    """Return the rating that is given as a digit; None if there is no such digit."""

    def fitting(numbers: list[str]) -> set[int]:
        return {int(number) for number in numbers if number and low <= int(number) <= high}

    ranges = [number for pair in _RANGE.findall(text) for number in pair]
    said = fitting([*_NUMBER.findall(text), *ranges])
    if not said:
        return None
    if len(said) == 1:
        return _only(said)
    labelled = fitting([number for pair in _LABELLED.findall(text) for number in pair])
    at_edge = [found[1] for found in (_FIRST.match(text), _LAST.search(text)) if found]
    for some in (fitting(at_edge[:1]), labelled, fitting(at_edge[-1:])):
        if len(some) == 1 and not (some & fitting(ranges)):
            return _only(some)
    return _only(said)


def _in_words(text: str, low: int, high: int) -> Rating | None:
    """Return the rating that is given as a word ("four stars")."""

    def digit(found: re.Match[str]) -> str:
        word = found["word"] or found["starred"]
        return f"{found['before'] or ''}{_WORDS[word.lower()]}"

    numbered = _WORD_AS_NUMBER.sub(digit, text)
    if numbered == text:
        return None
    numbered = _WORD_SCALE.sub(lambda found: str(_WORDS[found[0].lower()]), numbered)
    fraction = _as_fraction(numbered, high, low)
    return fraction or _as_number(_without_scale(numbered, low, high), low, high)


def _as_glyphs(text: str, low: int, high: int) -> Rating | None:
    """Return the rating that is given as stars ("★★★★☆")."""
    counts = {len(re.findall("[★⭐🌟]", run)) for run in _GLYPHS.findall(text)}
    fitting = {count for count in counts if low <= count <= high}
    return _only(fitting) if fitting else None


def _only(values: set[int]) -> Rating:
    if len(values) == 1:
        return Rating(next(iter(values)))
    return Rating(None, f"it gives several numbers: {', '.join(map(str, sorted(values)))}")
