"""Both summaries made without a language model: what the reasoners have to beat.

Style is measured: length, habits of punctuation, the person that is written in, and a few words of
how a text opens. Opinions are the length of what is written on a topic, the phrases that several
texts share and their central sentences: condensed evidence helps a small model where raw evidence
hardly does. Both stay within the 48 tokens of a summary where tokens are counted, and are "" where
there is nothing to say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from statistics import fmean, median

from ..models.style_features import is_portuguese
from ..nodes.prompt_budget import Count, cut
from ..nodes.prompts import typical_length
from .central_sentences import central_sentences, cut_words, split_sentences
from .shared_phrases import shared_phrases

OPENING_WORDS = 6
"""Words of a text that a style summary shows at most: a summary is no copy."""

TOKENS = 48
"""What a summary has at most."""

PHRASE_SHARE = 1 / 3
"""Of a preference summary's words that phrases may take; the rest is sentences."""

USUAL = 0.5
"""Share of the texts that have a trait from which it is told."""

_SHOUTED = re.compile(r"\b[A-ZÀ-Ý]{3,}\b")
_OPENS_LOWER = re.compile(r"(?:^|[.!?]\s+)[a-zà-ÿ]")
_FIRST_PERSON = re.compile(
    r"\b(?:i|me|my|mine|we|us|our|eu|meus?|minhas?|nós|nossos?|nossas?)\b", re.IGNORECASE
)
_CONTRACTION = re.compile(r"(?i)\b\w+(?:n['’]t|['’](?:m|ve|ll|re|d|s))\b")
_UNCONTRACTED = re.compile(
    r"(?i)\b(?:(?:do|does|did|is|was|can|could|will|would) ?not|(?:i|we|they|you) (?:am|are|have)"
    r"|(?:it|that) is)\b"
)
_EMOJI = re.compile("[\U0001f300-\U0001faff☀-➿]|[:;]-?[)(DP](?!\\w)")
_DOTS = re.compile(r"\.\.+|…")


def style_summary(
    texts: Sequence[str],
    *,
    measured: Sequence[str] | None = None,
    count: Count | None = None,
    tokens: int = TOKENS,
) -> str:
    """Return how the texts are written, in short plain sentences.

    Args:
        texts: Of one person, or of people who write alike; strongest first, white space as it was
            written. The first one's opening is shown, six words at most.
        measured: Texts whose length it tells: none where it is to tell none; None: all of them.
        count: Tokens of a text; None: they are not counted.
        tokens: How many the summary has at most, where they are counted.
    """
    texts = [text for text in texts if text.strip()]
    if not texts:
        return ""
    said = []
    measured = [text for text in (texts if measured is None else measured) if text.strip()]
    if measured:
        words = _number(typical_length(measured), "word")
        sentences = max(1, round(median(len(split_sentences(text)) for text in measured)))
        said.append(f"About {words} in {_number(sentences, 'sentence')}.")
    if habits := ", ".join(filter(None, (measure(texts) for measure in _TRAITS))):
        said.append(f"{habits[0].upper()}{habits[1:]}.")
    # Half of it at most: the opening of a short text would be the text.
    if opening := cut_words(texts[0], min(OPENING_WORDS, len(texts[0].split()) // 2)):
        said.append(f"Opens: {opening}")
    summary = " ".join(said)
    return summary if count is None else cut(summary, tokens, count)


def preference_summary(
    texts: Sequence[str],
    words: int = 36,
    *,
    lengths: bool = False,
    count: Count | None = None,
    tokens: int = TOKENS,
) -> str:
    """Return what the texts hold: phrases that several share, then their central sentences.

    Sentences need words of a to z or digits, as ROUGE does; other scripts have phrases only.

    Args:
        texts: Of other people on one topic, strongest first.
        words: How many the summary has at most, divided at white space.
        lengths: Whether it says first how long they are in the mean.
        count: Tokens of a text; None: they are not counted. A word of Portuguese is two of them,
            so 36 words may be twice as long as a summary is to be.
        tokens: How many the summary has at most, where they are counted: it is made of fewer words
            until it fits.
    """
    summary = _opinions(texts, words, lengths)
    while count is not None and words > 1 and (counted := count(summary)) > tokens:
        words = max(1, min(words - 1, words * tokens // counted))
        summary = _opinions(texts, words, lengths)
    # One word may still be too long.
    return summary if count is None else cut(summary, tokens, count)


def _opinions(texts: Sequence[str], words: int, lengths: bool) -> str:
    words_of_a_text = typical_length(texts) if lengths else 0
    length = f"About {_number(words_of_a_text, 'word')}." if words_of_a_text else ""
    phrases = shared_phrases(texts, int(words * PHRASE_SHARE))
    shared = f"{', '.join(phrases)}." if phrases else ""
    room = words - len(f"{length} {shared}".split())
    sentences = central_sentences(texts, room)
    return " ".join(filter(None, [length, shared, *sentences]))


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _share(texts: Sequence[str], holds: Callable[[str], object]) -> float:
    return fmean(bool(holds(text)) for text in texts)


def _exclaiming(texts: Sequence[str]) -> str:
    if _share(texts, lambda text: "!!" in text) >= USUAL:
        return "many exclamation marks!!"
    share = _share(texts, lambda text: "!" in text)
    return "exclamation marks!" if share >= USUAL else "no exclamation marks" if not share else ""


def _dots(texts: Sequence[str]) -> str:
    return "dots..." if _share(texts, _DOTS.search) >= USUAL else ""


def _capitals(texts: Sequence[str]) -> str:
    if _share(texts, _SHOUTED.search) >= USUAL:
        return "some words in CAPITALS"
    return "sentences open in lower case" if _share(texts, _OPENS_LOWER.search) >= USUAL else ""


def _person(texts: Sequence[str]) -> str:
    share = _share(texts, _FIRST_PERSON.search)
    if share >= USUAL:
        return "first person"
    # Portuguese says it by the verb, so a missing pronoun means nothing there.
    return "" if share or is_portuguese("\n".join(texts)) else "no first person"


def _contractions(texts: Sequence[str]) -> str:
    if is_portuguese("\n".join(texts)):
        return ""
    if _share(texts, _CONTRACTION.search) >= USUAL:
        return "contractions"
    apart = not _share(texts, _CONTRACTION.search) and _share(texts, _UNCONTRACTED.search)
    return "no contractions" if apart else ""


def _emoji(texts: Sequence[str]) -> str:
    return "emoji" if _share(texts, _EMOJI.search) >= USUAL else ""


_TRAITS = (_exclaiming, _dots, _capitals, _person, _contractions, _emoji)
