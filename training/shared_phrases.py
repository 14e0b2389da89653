"""Key phrases: one to three words in a row, none of them a stop word, that several texts share."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache

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
