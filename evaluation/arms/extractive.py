"""Extractive summaries of both sides, made without a language model: a baseline of the reasoners.

Style is measured: length, punctuation habits, grammatical person, and the first words of a text.
Opinions are the typical length of texts on a topic, key phrases (one to three consecutive words
without stop words, shared by several texts) and the most central sentences: condensed evidence
helps a small model, raw evidence hardly does. Both stay within the 48 tokens of a summary if tokens
can be counted, and are "" if there is nothing to say.

Similarity is ROUGE-1 F1, as `rouge-score` computes it without stemming. All pairs of texts are
compared at once by products of word-count matrices: two dozen texts take a millisecond.
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
from ...nodes.prompts.facts import split_sentences, typical_length

Scores = NDArray[np.float64]

SAYS_AGAIN = 0.5
"""Sentences with at least this ROUGE-1 to a chosen one are duplicates."""

_DECIMALS = 9
"""Digits for comparing means: further ones depend on the order of the summation."""


def likeness(texts: Sequence[str]) -> Scores:
    """Return the ROUGE-1 F1 of all pairs, shape (texts, texts); 0 for a text without words.

    F1 = 2 m / (n + n'), m the sum over words of the smaller of both counts, n and n' the lengths.
    """
    counted = [Counter(words_of(text)) for text in texts]
    lengths = np.array([words.total() for words in counted], np.float64)
    return 2 * _shared(counted) / np.maximum(lengths[:, None] + lengths[None, :], 1)


def words_of(text: str) -> list[str]:
    """Tokenise a text as ROUGE does."""
    from rouge_score.tokenize import tokenize

    found: list[str] = tokenize(text, None)
    return found


def centrality(texts: Sequence[str], groups: Sequence[int] | None = None) -> Scores:
    """Return each text's mean similarity to the others, shape (texts,); 0 without others.

    Args:
        texts: Texts to compare.
        groups: Group of each text, such as the source of a sentence: only texts of other groups are
            compared. None: each text is its own group.
    """
    of = np.arange(len(texts)) if groups is None else np.asarray(groups)
    others = of[:, None] != of[None, :]
    sums = (likeness(texts) * others).sum(axis=1)
    found: Scores = np.round(sums / np.maximum(others.sum(axis=1), 1), _DECIMALS)
    return found


def most_central(texts: Sequence[str]) -> int:
    """Return the index of the text that is most similar to the others; ties: the first."""
    return int(np.argmax(centrality(texts)))


def central_sentences(texts: Sequence[str], words: int) -> list[str]:
    """Return the most central sentences first, measured against those of other texts.

    A sentence that is too long, or duplicates a chosen one, is skipped. If none fits, the most
    central one is truncated at a word.

    Args:
        texts: Best first; of equally central sentences the earlier is chosen.
        words: Maximum number of words of all sentences together, split at white space.
    """
    pieces = [(said, at) for at, text in enumerate(texts) for said in split_sentences(text)]
    sentences = [said for said, _ in pieces if words_of(said)]
    if not sentences or words < 1:
        return []
    groups = [at for said, at in pieces if words_of(said)]
    order = np.argsort(-centrality(sentences, groups), kind="stable").tolist()
    return _fill([sentences[at] for at in order], words)


def cut_words(text: str, words: int) -> str:
    """Return the first words of a text, separated by single spaces."""
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
    """Return the number of words that each pair shares, shape (texts, texts).

    With the distinct counts 0 = c₀ < c₁ < c₂ ... the smaller of two is min(a, b) = Σₖ (cₖ - cₖ₋₁)
    [a ≥ cₖ] [b ≥ cₖ]: one product of 0-1 matrices per count.
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
"""Maximum number of words of a phrase."""

MOST = 6
"""Maximum number of phrases."""

LEAST_LETTERS = 3
"""Minimum number of letters of a one-word phrase."""

_WORD_OR_MARK = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*|[^\s\w]+")

# Not stop words, although scikit-learn's English list contains them: topic words, and negations,
# without which a phrase would mean the opposite.
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
    """Return the phrases that at least two texts share, strongest first.

    A phrase of l words in n texts has the weight n (l + 1) / 2; ties: the longer one, then the one
    that occurs first. A phrase that shares a word with a stronger one is skipped.

    Args:
        texts: Texts of different people on one topic.
        words: Maximum number of words of all phrases together; at most `MOST` phrases.
    """
    held = Counter(phrase for text in texts for phrase in dict.fromkeys(_phrases(text)))
    ordered = sorted(
        (phrase for phrase, count in held.items() if count > 1),
        # Longer phrases weigh more: two words rarely co-occur in a row by chance.
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
    """Return the stop words of English (scikit-learn's) and Portuguese, without negations."""
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
    """Yield runs of consecutive words, split at stop words and punctuation."""
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
    # Skip contractions and single letters, which come from stop words, and numbers.
    return len(word) == 1 or word.isdigit() or "'" in word or "’" in word or word in stop_words()


OPENING_WORDS = 6
"""Maximum number of words that a style summary quotes: a summary is no copy."""

TOKENS = 48
"""Maximum number of tokens of a summary."""

PHRASE_SHARE = 1 / 3
"""Maximum share of phrases among a preference summary's words; the rest is sentences."""

USUAL = 0.5
"""Share of the texts from which a trait is mentioned."""

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
    """Describe how the texts are written, in short plain sentences.

    Args:
        texts: Texts of one person, or of people with a similar style; best first, white space
            unchanged. At most the first six words of the first text are quoted.
        measured: Texts whose mean length is stated: if empty, no length is stated; None: all texts.
        count: Counts the tokens of a text; None: tokens are not limited.
        tokens: Maximum number of tokens.
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
    # Quote at most half of it: the opening of a short text would be the whole text.
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
    """Summarise the texts: phrases that several share, then their most central sentences.

    Sentences are ranked by words of a to z or digits, as in ROUGE; other scripts only have phrases.

    Args:
        texts: Texts of other people on one topic, best first.
        words: Maximum number of words, split at white space.
        lengths: Whether the mean length of the texts is stated first.
        count: Counts the tokens of a text; None: tokens are not limited. A Portuguese word takes
            two tokens, so 36 words may be twice the limit of a summary.
        tokens: Maximum number of tokens: words are removed until the summary fits.
    """
    summary = _opinions(texts, words, lengths)
    while count is not None and words > 1 and (counted := count(summary)) > tokens:
        words = max(1, min(words - 1, words * tokens // counted))
        summary = _opinions(texts, words, lengths)
    # A single word may still be too long.
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
    # Portuguese marks the person on the verb, so a missing pronoun is no evidence.
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
