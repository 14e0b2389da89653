"""How close a draft is to what the user really wrote: the metrics of benches and rewards alike.

Pure functions of two texts. `rouge1` and `rougeL` are rouge-score's F1 without stemming, which
knows the letters a to z and digits only; `meteor_es` is NLTK's METEOR with the exact and the stem
stage only, because WordNet is no package: never to be called METEOR unqualified.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path
from typing import Any

from ...stores.search.words import bare

#: Of two texts; each is in [0, 1].
TEXT_METRICS = ("rouge1", "rougeL", "meteor_es", "quality")

RATING_RANGE = 4.0
"""Ratings are 1 to 5, so two differ by this much at most."""

_AROUND_WORDS = ".,;:!?\"'()[]-…“”‘’«»–—"


def rouge(real: str, draft: str) -> dict[str, float]:
    """Return `rouge1` and `rougeL`, F1 in [0, 1] (Lin 2004, as `rouge-score` computes them)."""
    scores = _rouge_scorer().score(real, draft)
    return {name: float(score.fmeasure) for name, score in scores.items()}


def rouge1(real: str, draft: str) -> float:
    """Return ROUGE-1 alone: five times quicker than with ROUGE-L, for choosing among texts."""
    return float(_rouge1_scorer().score(real, draft)["rouge1"].fmeasure)


def meteor_es(real: str, draft: str) -> float:
    """Return METEOR's exact and stem stages, in [0, 1] (Banerjee and Lavie 2005, as NLTK has it).

    Words are those of NLTK's `wordpunct_tokenize`, in one case.
    """
    return _meteor(real, draft, _NoSynonyms())


def meteor(real: str, draft: str, wordnet: Path) -> float:
    """Return METEOR with synonyms too, in [0, 1].

    Args:
        real: What was to be written.
        draft: What was written.
        wordnet: Folder of WordNet's files (`data.noun`, `lexnames`, ...).

    Raises:
        FileNotFoundError: WordNet's files are not there.
    """
    return _meteor(real, draft, _wordnet(wordnet))


def quality(scores: Mapping[str, float]) -> float:
    """Return (rouge1 + rougeL + meteor_es) / 3, in [0, 1]."""
    return (scores["rouge1"] + scores["rougeL"] + scores["meteor_es"]) / 3


def text_metrics(real: str, draft: str) -> dict[str, float]:
    """Return every metric of `TEXT_METRICS`; 0 each for an empty draft."""
    scores = rouge(real, draft)
    scores["meteor_es"] = meteor_es(real, draft)
    scores["quality"] = quality(scores)
    return scores


def rating_metrics(real: float, draft: str) -> dict[str, float | None]:
    """Return what a rating is measured by.

    Args:
        real: The person's rating, 1 to 5.
        draft: What integrate gave: a number from 1 to 5, or an answer in which none was found.

    Returns:
        `error` = |draft - real| and `squared_error`, None where there is no number; `agreement` =
        1 - error / 4, 0 where there is none: an arm must not gain by answering the easy ones alone;
        `unparsable` = 1 there, else 0.
    """
    given = read_rating(draft)
    if given is None:
        return {"error": None, "squared_error": None, "agreement": 0.0, "unparsable": 1.0}
    error = abs(given - real)
    return {
        "error": error,
        "squared_error": error * error,
        "agreement": 1 - error / RATING_RANGE,
        "unparsable": 0.0,
    }


def read_rating(draft: str) -> float | None:
    """Return the number from 1 to 5 that a draft is, or None."""
    try:
        rating = float(draft)
    except ValueError:
        return None
    return rating if 1 <= rating <= 5 else None


def rmse(squared_errors: Sequence[float]) -> float:
    """Return the root of the mean of squared errors, in the unit of the ratings.

    Raises:
        ValueError: There is none.
    """
    if not squared_errors:
        raise ValueError("no mean of no errors: leave the figure out")
    return math.sqrt(sum(squared_errors) / len(squared_errors))


def copied_run(draft: str, evidence: Sequence[str]) -> int:
    """Return the length in words of the longest run that a draft shares with any of the texts.

    >>> copied_run("The view is grand, really", ["I say the view is grand."])
    4
    """
    words = _words(draft)
    return max((_shared_run(words, _words(text)) for text in evidence), default=0)


def copy_rate(draft: str, evidence: Sequence[str]) -> float:
    """Return `copied_run` as a share of the draft's words, in [0, 1]; 0 for an empty draft."""
    words = len(_words(draft))
    return copied_run(draft, evidence) / words if words else 0.0


def length(draft: str) -> int:
    """Return the number of words, divided at white space."""
    return len(draft.split())


def exact(real: str, draft: str) -> float:
    """Return 1 where both say the same but for case and spacing, else 0."""
    return float(bare(real) == bare(draft))


def _words(text: str) -> list[str]:
    stripped = (word.strip(_AROUND_WORDS).casefold() for word in text.split())
    return [word for word in stripped if word]


def _shared_run(one: Sequence[str], other: Sequence[str]) -> int:
    match = SequenceMatcher(None, one, other, autojunk=False)
    return match.find_longest_match().size


def _meteor(real: str, draft: str, wordnet: Any) -> float:
    from nltk.tokenize import wordpunct_tokenize
    from nltk.translate.meteor_score import single_meteor_score

    reference, written = wordpunct_tokenize(real), wordpunct_tokenize(draft)
    if not reference or not written:
        return 0.0
    return float(single_meteor_score(reference, written, wordnet=wordnet))


class _NoSynonyms:
    """WordNet with no words in it."""

    def synsets(self, word: str) -> list[Any]:
        return []


@cache
def _wordnet(folder: Path) -> Any:
    import nltk.data
    from nltk.corpus.reader import WordNetCorpusReader

    class EnglishWordNet(WordNetCorpusReader):  # type: ignore[misc]  # NLTK has no types
        def map_wn(self, version: str = "wordnet") -> None:
            """Map to no other version: only other languages need it, and it wants NLTK's data."""

    if not (folder / "lexnames").is_file():
        raise FileNotFoundError(
            f"no WordNet in {folder}: expected its files (lexnames, data.noun, index.noun, ...); "
            "name the folder that holds them"
        )
    # From version 3.10 on, NLTK reads nothing outside the folders of this list.
    if str(folder) not in nltk.data.path:
        nltk.data.path.append(str(folder))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The multilingual functions are not available")
        return EnglishWordNet(str(folder), None)


@cache
def _rouge_scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rouge1", "rougeL"], use_stemmer=False)


@cache
def _rouge1_scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rouge1"], use_stemmer=False)
