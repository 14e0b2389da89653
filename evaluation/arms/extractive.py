"""Both summaries made without a language model: what the reasoners have to beat.

Style is measured: length, habits of punctuation, the person that is written in, and a few words of
how a text opens. Opinions are the length of what is written on a topic, the phrases that several
texts share and their central sentences: condensed evidence helps a small model where raw evidence
hardly does. Both stay within the 48 tokens of a summary where tokens are counted, and are "" where
there is nothing to say.

What several texts say alike: how like each other they are, and their central sentences.

Likeness is ROUGE-1 F1, as `rouge-score` computes it without stemming. All pairs of texts are
measured at once, as products of matrices of word counts: two dozen texts take a millisecond.

Key phrases: one to three words in a row, none of them a stop word, that several texts share.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from statistics import fmean, median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...models.encoders.style_features import is_portuguese
from ...nodes.budget import Count, cut
from ...nodes.prompts import typical_length

Scores = NDArray[np.float64]

SAYS_AGAIN = 0.5
"""ROUGE-1 from which a sentence says again what one taken before it says."""

_DECIMALS = 9
"""Decimals by which means are compared: sums in another order differ behind them."""

# At white space behind an end mark (and a closing one), at line breaks, and where the space behind
# the mark is missing.
_BETWEEN = re.compile(
    r"(?:(?<=[.!?…])|(?<=[.!?…][\"'”’)\]]))\s+|\s*\n\s*"
    r"|(?<=[^\W\d_A-Z]{2}[.!?])(?=[A-ZÀ-Ý][^\W\d_A-Z])"
)


def split_sentences(text: str) -> list[str]:
    """Return the sentences of a text in their order, without white space around them.

    >>> split_sentences("So good!! I like it. 4.5 stars")
    ['So good!!', 'I like it.', '4.5 stars']
    """
    return [part for part in map(str.strip, _BETWEEN.split(text)) if part]


def likeness(texts: Sequence[str]) -> Scores:
    """Return the ROUGE-1 F1 of each text to each, shape (texts, texts); 0 where one has no words.

    F1 = 2 m / (n + n'), m the sum over words of the smaller of both counts, n and n' the lengths.
    """
    counted = [Counter(words_of(text)) for text in texts]
    lengths = np.array([words.total() for words in counted], np.float64)
    return 2 * _shared(counted) / np.maximum(lengths[:, None] + lengths[None, :], 1)


def words_of(text: str) -> list[str]:
    """Return the words that ROUGE counts."""
    from rouge_score.tokenize import tokenize

    found: list[str] = tokenize(text, None)
    return found


def centrality(texts: Sequence[str], groups: Sequence[int] | None = None) -> Scores:
    """Return the mean likeness of each text to the others, shape (texts,); 0 where there is none.

    Args:
        texts: What is compared.
        groups: What each belongs to, such as the text of a sentence: only those of other groups
            count as others. None: all stand alone.
    """
    of = np.arange(len(texts)) if groups is None else np.asarray(groups)
    others = of[:, None] != of[None, :]
    sums = (likeness(texts) * others).sum(axis=1)
    found: Scores = np.round(sums / np.maximum(others.sum(axis=1), 1), _DECIMALS)
    return found


def most_central(texts: Sequence[str]) -> int:
    """Return the place of the text that is most like the others; ties: the first."""
    return int(np.argmax(centrality(texts)))


def central_sentences(texts: Sequence[str], words: int) -> list[str]:
    """Return the sentences that are most like those of other texts, most central first.

    A sentence that does not fit, or says again what was taken, is passed over. Where not even one
    fits, the most central one is cut at a word.

    Args:
        texts: Strongest first; of sentences that are equally central the earlier is taken.
        words: How many they may have together, divided at white space.
    """
    pieces = [(said, at) for at, text in enumerate(texts) for said in split_sentences(text)]
    sentences = [said for said, _ in pieces if words_of(said)]
    if not sentences or words < 1:
        return []
    groups = [at for said, at in pieces if words_of(said)]
    order = np.argsort(-centrality(sentences, groups), kind="stable").tolist()
    return _fill([sentences[at] for at in order], words)


def cut_words(text: str, words: int) -> str:
    """Return the first words of a text, with single spaces."""
    return " ".join(text.split()[:words])


def _fill(ordered: Sequence[str], words: int) -> list[str]:
    taken: list[str] = []
    counts: list[Counter[str]] = []
    left = words
    for said in ordered:
        count = Counter(words_of(said))
        if len(said.split()) > left or any(_f1(count, other) > SAYS_AGAIN for other in counts):
            continue
        taken.append(said)
        counts.append(count)
        left -= len(said.split())
        if not left:
            break
    return taken or [cut_words(ordered[0], words)]


def _f1(one: Counter[str], other: Counter[str]) -> float:
    return 2 * (one & other).total() / max(one.total() + other.total(), 1)


def _shared(counted: Sequence[Counter[str]]) -> Scores:
    """Return how many words each two share, shape (texts, texts).

    With the different counts 0 = c₀ < c₁ < c₂ ... the smaller of two is
    min(a, b) = Σₖ (cₖ - cₖ₋₁) [a ≥ cₖ] [b ≥ cₖ]: one product of 0-1 matrices for each count.
    """
    from scipy.sparse import csr_matrix

    places: dict[str, int] = {}
    cells = [
        (row, places.setdefault(word, len(places)), count)
        for row, words in enumerate(counted)
        for word, count in words.items()
    ]
    rows, columns, counts = np.array(cells, np.int64).reshape(-1, 3).T
    shape = (len(counted), max(len(places), 1))
    total = np.zeros((len(counted), len(counted)))
    below = 0
    for count in np.unique(counts).tolist():
        reach = counts >= count
        ones: Any = csr_matrix((np.ones(int(reach.sum())), (rows[reach], columns[reach])), shape)
        total += (count - below) * (ones @ ones.T).toarray()
        below = count
    return total


LONGEST = 3
"""Words of a phrase."""

MOST = 6
"""Phrases that are returned."""

LEAST_LETTERS = 3
"""Of a phrase that is one word."""

_WORD_OR_MARK = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*|[^\s\w]+")

# Topic words that scikit-learn's English list holds, and the negations, without which a phrase
# would say the opposite.
_NEGATIONS = frozenset({"not", "no", "never", "não", "nunca", "sem"})
_KEPT = _NEGATIONS | {"bill", "bottom", "empty", "fire", "front", "full", "interest", "side"}
_KEPT |= {"system", "thick", "thin", "top"}

_PORTUGUESE = frozenset(
    """a à ao aos aquela aquele aqueles aquilo as às até com como da das de dela dele deles demais
    depois do dos e é ela elas ele eles em entre era eram essa essas esse esses esta está estão
    estas estava este estes estou eu foi for foram há isso isto já lá lhe mais mas me mesmo meu
    meus minha minhas muita muitas muito muitos na nas nem no nos nós nossa nosso num numa o os ou
    para pela pelas pelo pelos pois por porque pra qual quando que quem se seja ser será seu seus
    só somos sou sua suas tá também te tem têm tenho ter teve tinha tive toda todas todo todos tudo
    um uma umas uns vai você vocês vou""".split()
)


def shared_phrases(texts: Sequence[str], words: int) -> list[str]:
    """Return the phrases that two texts or more hold, strongest first.

    A phrase of l words that n texts hold weighs n (l + 1) / 2; of equals the longer comes first,
    then the one that was read first. One that shares a word with a stronger one is passed over.

    Args:
        texts: Of different people on one topic.
        words: How many the phrases may have together; `MOST` phrases at most.
    """
    held = Counter(phrase for text in texts for phrase in dict.fromkeys(_phrases(text)))
    ordered = sorted(
        (phrase for phrase, count in held.items() if count > 1),
        # Longer ones weigh more: two words in a row seldom meet by chance.
        key=lambda phrase: (-held[phrase] * (len(phrase) + 1) / 2, -len(phrase)),
    )
    taken: list[tuple[str, ...]] = []
    used: set[str] = set()
    for phrase in ordered:
        if used.isdisjoint(phrase) and len(used) + len(phrase) <= words and len(taken) < MOST:
            taken.append(phrase)
            used.update(phrase)
    return [" ".join(phrase) for phrase in taken]


@cache
def stop_words() -> frozenset[str]:
    """Return the stop words of English (scikit-learn's) and Portuguese, less the negations."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return frozenset(ENGLISH_STOP_WORDS | _PORTUGUESE) - _KEPT


def _phrases(text: str) -> Iterator[tuple[str, ...]]:
    for run in _runs(text):
        for begin in range(len(run)):
            for end in range(begin + 1, min(begin + LONGEST, len(run)) + 1):
                phrase = tuple(run[begin:end])
                if phrase[-1] not in _NEGATIONS and (
                    end - begin > 1 or len(phrase[0]) >= LEAST_LETTERS
                ):
                    yield phrase


def _runs(text: str) -> Iterator[list[str]]:
    """Yield the words that stand together, divided at stop words and marks."""
    run: list[str] = []
    for found in _WORD_OR_MARK.findall(text.casefold()):
        if found[0].isalnum() and not _is_stop(found):
            run.append(found)
        elif run:
            yield run
            run = []
    if run:
        yield run


def _is_stop(word: str) -> bool:
    # Contractions are made of stop words; so are single letters, and numbers say little.
    return len(word) == 1 or word.isdigit() or "'" in word or "’" in word or word in stop_words()


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
