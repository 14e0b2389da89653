"""Metrics of a draft against the real text, and their registry.

`METRICS` is the only list: items, tables, reports, commands, the docs check and the version of
cached items are derived from it. To add a metric, add an entry.

`rouge1` and `rougeL` are rouge-score's F1 without stemming; its tokens are the letters a to z and
digits only. `meteor_es` is NLTK's METEOR with only the exact and stem stages, because WordNet is
not a package: never call it METEOR without qualification.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache, cached_property
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from ...stores.search.words import bare
from ...stores.types import Encoder
from ...stores.values import FIVE_STARS, RatingScale

TEXTS = ("long", "short", "free")
RATINGS = ("rating",)

Shown = Literal["main", "headline", "short", "table"]
Unit = Literal["score", "share", "words"]

_AROUND_WORDS = ".,;:!?\"'()[]-…“”‘’«»–—"


@dataclass(frozen=True)
class Draft:
    """A draft and the inputs of its metrics.

    Attributes:
        real: The real text; for a rating its number.
        text: The draft.
        evidence: All texts that were read as evidence.
        style: The style encoder, for `style_cos`.
        topic: The topic encoder, for `topic_cos`.
        wordnet: Folder of WordNet's files, for `meteor`.
        scale: The scale of the ratings.
    """

    real: str
    text: str
    evidence: Sequence[str] = ()
    style: Encoder | None = None
    topic: Encoder | None = None
    wordnet: Path | None = None
    scale: RatingScale = FIVE_STARS

    @cached_property
    def rouge(self) -> dict[str, float]:
        """`rouge1` and `rougeL`."""
        return rouge(self.real, self.text)

    @cached_property
    def meteor_es(self) -> float:
        """METEOR without synonyms."""
        return meteor_es(self.real, self.text)

    @property
    def quality(self) -> float:
        """(rouge1 + rougeL + meteor_es) / 3, in [0, 1]."""
        return (self.rouge["rouge1"] + self.rouge["rougeL"] + self.meteor_es) / 3

    @property
    def rating_error(self) -> float | None:
        """|draft - real| in points; None if the draft is no number on the scale."""
        given = read_rating(self.text, self.scale)
        return None if given is None else abs(given - float(self.real))

    @property
    def agreement(self) -> float:
        """1 - error / span of the scale, in [0, 1].

        0 if the draft is no rating: an arm must not gain by answering only the easy ones.
        """
        error = self.rating_error
        return 0.0 if error is None else 1 - error / self.scale.span

    def cosine(self, encoder: Encoder | None) -> float | None:
        """Return the cosine to the real text, rounded to four digits; 0 for an empty draft."""
        if encoder is None:
            return None
        if not self.text.strip():
            return 0.0
        a, b = encoder.encode([self.real, self.text])
        return round(float(a @ b), 4)


def root_mean_square(values: Iterable[float]) -> float:
    """Return √(mean of squares); of absolute errors this is the RMSE."""
    return math.sqrt(fmean(value * value for value in values))


@dataclass(frozen=True)
class Metric:
    """One metric of a draft.

    Attributes:
        name: Key in items and in `results.json`.
        label: Heading in tables.
        says: Description in the report.
        tasks: Tasks it is measured in.
        compute: Returns the value of a draft, or None if it has none. None instead of a function:
            the value is added to the items later (the judge's points).
        better: Whether higher or lower values are better; None: neither.
        shown: `main`: gains and verdicts are measured in it, one metric per task. `headline`: in
            every table next to the main metric, with its interval. `short`: in short tables too.
            `table`: only in the report's table.
        unit: Unit of printed values.
        average: How values of several targets are averaged.
        in_row: Whether its mean is a key of the row itself in `results.json`, not of `metrics`.
        version: Increase it when `compute` changes: cached items are then measured again.
    """

    name: str
    label: str
    says: str
    tasks: tuple[str, ...]
    compute: Callable[[Draft], float | None] | None
    better: Literal["higher", "lower"] | None = "higher"
    shown: Shown = "table"
    unit: Unit = "score"
    average: Callable[[Iterable[float]], float] = fmean
    in_row: bool = False
    version: int = 1


_ENTRIES = (
    Metric(
        "quality",
        "quality",
        "mean of ROUGE-1, ROUGE-L and meteor_es",
        TEXTS,
        lambda d: d.quality,
        shown="main",
    ),
    Metric(
        "rouge1",
        "ROUGE-1",
        "words in common, F1",
        TEXTS,
        lambda d: d.rouge["rouge1"],
        shown="headline",
    ),
    Metric(
        "rougeL", "ROUGE-L", "longest common subsequence, F1", TEXTS, lambda d: d.rouge["rougeL"]
    ),
    Metric("meteor_es", "meteor_es", "METEOR without synonyms", TEXTS, lambda d: d.meteor_es),
    Metric(
        "meteor",
        "METEOR",
        "METEOR with WordNet's synonyms",
        TEXTS,
        lambda d: None if d.wordnet is None else meteor(d.real, d.text, d.wordnet),
    ),
    Metric(
        "agreement",
        "agreement",
        "1 \N{MINUS SIGN} error / span of the scale (4 of 1 to 5), 0 where there is no number",
        RATINGS,
        lambda d: d.agreement,
        shown="main",
    ),
    Metric(
        "mae",
        "MAE",
        "mean error in points of the scale",
        RATINGS,
        lambda d: d.rating_error,
        better="lower",
        shown="headline",
    ),
    Metric(
        "rmse",
        "RMSE",
        "root of the mean squared error, in points of the scale",
        RATINGS,
        lambda d: d.rating_error,
        better="lower",
        average=root_mean_square,
    ),
    Metric(
        "unparsable",
        "no number",
        "share of answers that are no rating on the scale",
        RATINGS,
        lambda d: float(d.rating_error is None),
        better="lower",
        shown="short",
        unit="share",
    ),
    Metric("judge", "judge", "a language model's points, .1 to .7", TEXTS, None),
    Metric(
        "style_cos",
        "style cosine",
        "style encoder's cosine to the real text",
        TEXTS,
        lambda d: d.cosine(d.style),
    ),
    Metric(
        "topic_cos",
        "topic cosine",
        "topic encoder's cosine to the real text",
        TEXTS,
        lambda d: d.cosine(d.topic),
    ),
    Metric(
        "length",
        "words",
        "words of the draft",
        TEXTS,
        lambda d: float(length(d.text)),
        better=None,
        shown="short",
        unit="words",
        in_row=True,
    ),
    Metric(
        "copy_rate",
        "copied",
        "longest run of words shared with any evidence, as a share of the draft",
        TEXTS,
        lambda d: copy_rate(d.text, d.evidence),
        better="lower",
        shown="short",
        unit="share",
        in_row=True,
    ),
    Metric(
        "exact",
        "exact",
        "share of drafts that are the real text",
        TEXTS,
        lambda d: exact(d.real, d.text),
        unit="share",
        in_row=True,
    ),
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in _ENTRIES}
"""Every metric by name, in the order of the tables."""


def metrics_of(task: str, *shown: Shown) -> list[Metric]:
    """Return the metrics of a task, optionally of some kinds only."""
    return [
        metric
        for metric in METRICS.values()
        if task in metric.tasks and (not shown or metric.shown in shown)
    ]


def main_metric(task: str) -> Metric:
    """Return the metric that gains and verdicts of a task are measured in."""
    return metrics_of(task, "main")[0]


def metrics_version(task: str) -> str:
    """Return a version that changes when items of a task have to be measured again."""
    return " ".join(f"{each.name}:{each.version}" for each in metrics_of(task) if each.compute)


def measure(task: str, draft: Draft) -> dict[str, float]:
    """Compute all metrics of a draft, rounded to six digits, without those that have no value."""
    found: dict[str, float] = {}
    for metric in metrics_of(task):
        value = None if metric.compute is None else metric.compute(draft)
        if value is not None:
            found[metric.name] = round(value, 6)
    return found


def rouge(real: str, draft: str) -> dict[str, float]:
    """Return `rouge1` and `rougeL`, F1 in [0, 1] (Lin 2004, as `rouge-score` computes them)."""
    scores = _rouge_scorer().score(real, draft)
    return {name: float(score.fmeasure) for name, score in scores.items()}


def rouge1(real: str, draft: str) -> float:
    """Return ROUGE-1 alone: five times faster than with ROUGE-L, for selecting texts."""
    return float(_rouge1_scorer().score(real, draft)["rouge1"].fmeasure)


def meteor_es(real: str, draft: str) -> float:
    """Return METEOR's exact and stem stages, in [0, 1] (Banerjee and Lavie 2005, NLTK's code).

    Tokens are those of NLTK's `wordpunct_tokenize`, lower-cased.
    """
    return _meteor(real, draft, _NoSynonyms())


def meteor(real: str, draft: str, wordnet: Path) -> float:
    """Return METEOR with synonyms, in [0, 1].

    Args:
        real: The real text.
        draft: The draft.
        wordnet: Folder of WordNet's files (`data.noun`, `lexnames`, ...).

    Raises:
        FileNotFoundError: WordNet's files are missing.
    """
    return _meteor(real, draft, _wordnet(wordnet))


def read_rating(draft: str, scale: RatingScale = FIVE_STARS) -> float | None:
    """Parse a draft as a number on a scale; None if it is none."""
    try:
        rating = float(draft)
    except ValueError:
        return None
    return rating if scale.low <= rating <= scale.high else None


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
    """Return the number of words, split at white space."""
    return len(draft.split())


def exact(real: str, draft: str) -> float:
    """Return 1 if both are equal except for case and white space, else 0."""
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
    """A WordNet without words."""

    def synsets(self, word: str) -> list[Any]:
        return []


@cache
def _wordnet(folder: Path) -> Any:
    import nltk.data
    from nltk.corpus.reader import WordNetCorpusReader

    class EnglishWordNet(WordNetCorpusReader):  # type: ignore[misc]  # NLTK has no types
        def map_wn(self, version: str = "wordnet") -> None:
            """Do nothing: the mapping requires NLTK's data and only serves other languages."""

    if not (folder / "lexnames").is_file():
        raise FileNotFoundError(
            f"no WordNet in {folder}: expected its files (lexnames, data.noun, index.noun, ...); "
            "name the folder that contains them"
        )
    # Since version 3.10, NLTK reads only files in the folders of this list.
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
