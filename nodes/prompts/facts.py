"""What prompts say of texts beside quoting them: language, length, measured traits of style.

Models that describe a style from texts say the same of everybody ("casual, conversational"). So
what can be counted is counted, told, and compared with the draft.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from statistics import fmean

from ...models.sanitise import fence
from ..budget import Count, count_up_to
from ..state import Evidence, Request

ENGLISH = "English"

LENGTH_TASKS = ("long", "free")
"""Tasks whose answer is a text like the evidence, not a title or a rating."""


@cache
def language_name(code: str) -> str:
    """Return the English name of a language; a code that is in no list stays as it is.

    Args:
        code: ISO 639-1 or 639-3, and a country or script where needed.

    Examples:
        >>> language_name("pt"), language_name("pt-BR"), language_name("el")
        ('Portuguese', 'Portuguese (Brazil)', 'Modern Greek')
    """
    language, _, region = code.partition("-")
    if (language := language.lower()) in ("en", "eng") and not region:
        return ENGLISH  # without reading the list: most requests are English
    import pycountry

    field = "alpha_2" if len(language) == 2 else "alpha_3"
    found = pycountry.languages.get(**{field: language})
    if found is None:
        return code
    name = re.sub(r"\s*\(.*?\)", "", found.name)  # "Modern Greek (1453-)"
    country = pycountry.countries.get(alpha_2=region.upper()) if len(region) == 2 else None
    script = pycountry.scripts.get(alpha_4=region.title()) if len(region) == 4 else None
    place = country or script
    where = place.name if place else region
    return f"{name} ({where})" if where else name


def text_languages(pieces: Sequence[Evidence], asked: str) -> str:
    """Return the languages of texts by name; "" if all are English, and so is the draft.

    Args:
        pieces: The texts.
        asked: Code of the language of the draft.
    """
    names = sorted({language_name(piece.language) for piece in pieces})
    if names in ([], [ENGLISH]) and language_name(asked) == ENGLISH:
        return ""
    return " and ".join(names)


@dataclass(frozen=True)
class Length:
    """How long a draft is expected to be.

    Attributes:
        words: Words; 0 in scripts that do not separate them.
        characters: Characters.
        tokens: Tokens of the model.
        named: Whether the request names it.
    """

    words: int
    characters: int
    tokens: int
    named: bool = False

    @property
    def told(self) -> str:
        """The length in words, or in characters where words are not separated."""
        if self.words:
            return f"{self.words} word{'s' * (self.words != 1)}"
        return f"{self.characters} characters"


LONGEST_WORD = 20
"""Mean characters of a word from which a script is taken not to separate words."""

_NAMED_LENGTH = re.compile(
    r"\b(\d{2,4})(?:\s*(?:-|–|to)\s*(\d{2,4}))?[\s-]*"
    r"(?:words?|w[öo]rter|palavras|palabras|mots|parole|woorden|ord)\b",
    re.IGNORECASE,
)


def typical_length(texts: Sequence[str]) -> int:
    """Return the mean length in words, 0 if there are no words."""
    counts = [count for text in texts if (count := len(text.split()))]
    return round(fmean(counts)) if counts else 0


def expected_length(
    request: Request, own: Sequence[str], others: Sequence[str], count: Count
) -> Length | None:
    """Return how long a text is expected to be; None if nothing says so.

    An instruction may name it ("in 300 words"). Else it is the mean of two means: of the user's own
    texts, and of others' texts on the topic.

    Args:
        request: The text to write.
        own: The user's own texts.
        others: Others' texts on the topic.
        count: Counts the tokens of a text.
    """
    if request.task not in LENGTH_TASKS:
        return None
    sides = [texts for side in (own, others) if (texts := [t for t in side if t.strip()])]
    named = _named_length(request.instruction or "") if request.task == "free" else None
    if not sides and named is None:
        return None

    def counted(text: str) -> int:
        return count_up_to(text, LONGEST_COUNTED, count)

    words = fmean(_mean(texts, lambda text: len(text.split())) for texts in sides) if sides else 0
    characters = fmean(_mean(texts, len) for texts in sides) if sides else 0
    tokens = fmean(_mean(texts, counted) for texts in sides) if sides else 0
    if named is not None:
        each = tokens / words if words else TOKENS_A_WORD
        return Length(named, 6 * named, round(each * named), named=True)
    separated = characters <= LONGEST_WORD * words
    return Length(max(1, round(words)) if separated else 0, round(characters), round(tokens))


LONGEST_COUNTED = 2_000
"""Tokens of a text up to which it is counted; from there on they are estimated."""

TOKENS_A_WORD = 1.3
"""Tokens of an English word, where there is no text to count in."""


def _named_length(instruction: str) -> int | None:
    found = _NAMED_LENGTH.search(instruction)
    if found is None:
        return None
    numbers = [int(number) for number in found.groups() if number]
    return round(fmean(numbers))


def _mean(texts: Sequence[str], measure: Callable[[str], float]) -> float:
    return fmean(map(measure, texts))


# Split at white space after an end mark (and a closing quote), at line breaks, and where the space
# after the mark is missing.
_BETWEEN = re.compile(
    r"(?:(?<=[.!?…])|(?<=[.!?…][\"'”’)\]]))\s+|(?<!\s)\s*\n\s*|(?<=[。！？])"
    r"|(?<=[^\W\d_A-Z]{2}[.!?])(?=[A-ZÀ-Ý][^\W\d_A-Z])"
)


def split_sentences(text: str) -> list[str]:
    """Split a text into sentences, stripped of white space.

    >>> split_sentences("So good!! I like it. 4.5 stars")
    ['So good!!', 'I like it.', '4.5 stars']
    """
    return [part for part in map(str.strip, _BETWEEN.split(text)) if part]


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Return where the sentences of a text are, each with the white space after it."""
    ends = [found.end() for found in _BETWEEN.finditer(text)]
    return [(start, end) for start, end in pairwise([0, *ends, len(text)]) if start < end]


@dataclass(frozen=True)
class Trait:
    """Something about a way of writing that can be counted.

    Attributes:
        measure: Share of sentences or of texts that have it, 0 to 1.
        often: What is said where most have it.
        never: What is said where none has it; "" if that says nothing.
        missing: What is wrong with a draft that has none of it, where most texts have it.
        unwanted: What is wrong with a draft that has it, where no text has it.
        usual: Share from which it is said.
    """

    measure: Callable[[Sequence[str]], float]
    often: str
    never: str
    missing: str
    unwanted: str
    usual: float = 0.5


def _of_texts(pattern: str, flags: int = 0) -> Callable[[Sequence[str]], float]:
    found = re.compile(pattern, flags)
    return lambda texts: fmean(bool(found.search(text)) for text in texts)


def _of_sentences(pattern: str) -> Callable[[Sequence[str]], float]:
    found = re.compile(pattern)

    def share(texts: Sequence[str]) -> float:
        sentences = [said for text in texts for said in split_sentences(text)]
        return fmean(bool(found.search(said)) for said in sentences) if sentences else 0.0

    return share


TRAITS: tuple[Trait, ...] = (
    Trait(
        _of_texts("!"),
        "exclamation marks in most texts",
        "no exclamation marks",
        "no exclamation mark, though they use them",
        "exclamation marks, though they use none",
    ),
    Trait(
        _of_texts(r"\?"),
        "questions in most texts",
        "",
        "no question, though most of their texts ask one",
        "",
    ),
    Trait(
        _of_sentences(r"^[^\w]*[a-zà-öø-ÿ]"),
        "sentences begin in lower case",
        "",
        "sentences begin with capitals, though theirs begin in lower case",
        "sentences begin in lower case, though theirs begin with capitals",
    ),
    Trait(
        _of_texts(r"\b[A-ZÀ-Ý]{3,}\b"),
        "some words in CAPITALS",
        "",
        "no word in CAPITALS, though they use them",
        "",
    ),
    Trait(_of_texts(r"\.\.+|…"), "dots (...)", "", "no dots (...), though they use them", ""),
    Trait(
        _of_texts("[\U0001f300-\U0001faff☀-➿]|[:;]-?[)(DP](?!\\w)"),
        "emoji",
        "",
        "no emoji, though they use them",
        "emoji, though they use none",
    ),
    Trait(_of_texts(r";"), "semicolons", "", "no semicolon, though they use them", ""),
    Trait(_of_texts(r"\s[-–—]\s|—"), "dashes", "", "no dash, though they use them", ""),
    Trait(
        _of_texts(r"\b\w+(?:n['’]t|['’](?:m|ve|ll|re|d))\b", re.IGNORECASE),
        "contractions (I'm, don't)",
        "no contractions",
        "no contraction (I'm, don't), though they use them",
        "contractions (I'm, don't), though they use none",
    ),
)
"""What is counted, in the order in which it is said."""

_ENGLISH_ONLY = "contraction"

QUOTED_WORDS = 4
"""Words of an opening that are quoted at most."""

OPENINGS = 2
"""Openings that are quoted at most."""

MEASURED = 20_000
"""Characters of a text that are measured: how it is written is clear by then."""

FAR_OFF = 1.5
"""Factor by which a draft's length of sentences may differ before that is said."""


def measured_traits(texts: Sequence[str], *, own: bool, english: bool) -> str:
    """Return what can be counted in texts, as one line; "" without words.

    Args:
        texts: Texts of one person, or of people who write alike.
        own: Whether they are the user's own: only then are openings quoted.
        english: Whether they are English.
    """
    texts = [text[:MEASURED] for text in texts if text.strip()]
    if not (sentence := _sentence_length(texts)):
        return ""
    said = [f"sentences of about {sentence} words"]
    for trait in _traits(english):
        share = trait.measure(texts)
        told = trait.often if share >= trait.usual else trait.never if not share else ""
        said += [told] * bool(told)
    openings = [_opening(text) for text in texts]
    if own and any(openings):
        quoted = ", ".join(fence(each) for each in list(filter(None, openings))[:OPENINGS])
        said.append(f"texts that begin {quoted}")
    return "; ".join(said)


def lacking_traits(draft: str, texts: Sequence[str], *, english: bool) -> list[str]:
    """Return how a draft differs from texts in what can be counted.

    Args:
        draft: The draft.
        texts: Texts of the person whom it is written for, or of people who write alike.
        english: Whether both are English.
    """
    texts = [text[:MEASURED] for text in texts if text.strip()]
    if not texts or not draft.strip():
        return []
    said = []
    mine, theirs = _sentence_length([draft]), _sentence_length(texts)
    if mine and theirs and not 1 / FAR_OFF <= mine / theirs <= FAR_OFF:
        said.append(f"sentences of about {mine} words, theirs have about {theirs}")
    for trait in _traits(english):
        usual, has = trait.measure(texts), trait.measure([draft])
        if usual >= trait.usual and not has:
            said.append(trait.missing)
        elif not usual and has and trait.unwanted:
            said.append(trait.unwanted)
    return said


def lacking_length(draft: str, length: Length | None) -> list[str]:
    """Return whether a draft is far shorter or longer than expected."""
    if length is None or not length.words:
        return []
    words = len(draft.split())
    if 0.8 * length.words <= words <= 1.5 * length.words:
        return []
    return [f"{words} words, about {length.told} are expected"]


MOST_POINTS = 3
"""Points that are named as missing at most."""

_POINT = re.compile(r"[.;:\n]+\s+|,\s+|(?<!\s)\s+(?:and|but|while|though)\s+")
_WORD = re.compile(r"[^\W\d_]{4,}")
_STEM = 5


def lacking_points(draft: str, summary: str | None) -> list[str]:
    """Return the points of a summary that share no word with a draft, the first of them.

    Words are compared by their first letters, so that "praised" meets "praise". A point of which
    one word is there counts as made.

    Args:
        draft: The draft.
        summary: What aligned people say.
    """
    if not summary or not draft.strip():
        return []
    there = _stems(draft)
    points = [part.strip(" .,;:-*\"'") for part in _POINT.split(summary)]
    missing = [point for point in points if len(stems := _stems(point)) > 1 and not stems & there]
    return [f"nothing of {fence(' '.join(point.split()[:8]))}" for point in missing[:MOST_POINTS]]


def _stems(text: str) -> set[str]:
    return {word.casefold()[:_STEM] for word in _WORD.findall(text)} - _COMMON


_COMMON = frozenset(
    word[:_STEM]
    for word in (
        "they them their there these those this that with from have some most many people other "
        "others also very what when which about would could should been were into than then more "
        "less like likes dislike praise praised complain complained criticise criticised mention "
        "find found users customers reviewers authors readers while because often used using good "
        "great product item text texts"
    ).split()
)


def _traits(english: bool) -> list[Trait]:
    return [trait for trait in TRAITS if english or _ENGLISH_ONLY not in trait.often]


def _sentence_length(texts: Sequence[str]) -> int:
    """Return the mean length of a sentence in words, rounded."""
    lengths = [len(said.split()) for text in texts for said in split_sentences(text)]
    return round(fmean(lengths)) if lengths else 0


def _opening(text: str) -> str:
    """Return the first words of a text, at most half of it: a short text would be quoted whole."""
    words = text.split()
    return " ".join(words[: min(QUOTED_WORDS, len(words) // 2)]).rstrip(",.;:!?\"'”")
