"""What several texts say alike: how like each other they are, and their central sentences.

Likeness is ROUGE-1 F1, as `rouge-score` computes it without stemming. All pairs of texts are
measured at once, as products of matrices of word counts: two dozen texts take a millisecond.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
