"""Measure all components of a draft's reward: penalties and consistency proxies included.

Penalties are in [0, 1], higher is worse, and are subtracted. They are None if the side abstained or
the call failed.

The two consistency rewards are proxies and named so: a draft can be close to its summary and still
say the opposite, and two texts may praise different things. Their weights are small, and they are
logged by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from ...evaluation.arms.extractive import stop_words
from ...evaluation.scores.metrics import copied_run, copy_rate
from ...nodes.state import Request
from ...stores.search.words import folded
from ...stores.types import Encoder
from .components import (
    COMPONENTS,
    Completion,
    Reward,
    build_style_fidelity,
    build_topic_relevance,
    cosines,
    quality,
    text_of,
)

LEAST_RUN = 5
"""Minimum words of a copied run: shorter runs are common phrases."""

LEAST_LETTERS = 4
"""Minimum letters of a topic word: shorter words rarely name a topic."""

FREE_SHARE = 0.75
"""Share of its budget that a summary may use without a penalty."""

_WORD = re.compile(r"[^\W\d_]+")


def copying(
    completions: Sequence[Completion | None], *, evidence: Sequence[Sequence[str]], **_: Any
) -> list[float | None]:
    """Return the share of each text that is one run of words from its evidence.

    c = n / N, with n the longest run of words that it shares with any evidence and N its number of
    words; 0 if n is below 5. In [0, 1]; 1 is a copy. The component is `draft_copying` for a draft
    and `summary_copying` for a summary (source: `metrics.copied_run`).

    Args:
        completions: Drafts or summaries; None where there is none.
        evidence: The evidence of each.

    >>> read = ["I say the view is grand and the beds are soft."]
    >>> copying(["The view is grand and cheap", "A grand view"], evidence=[read, read])
    [0.833333, 0.0]
    """
    return [
        None if given is None else _copied(text_of(given), read)
        for given, read in zip(completions, evidence, strict=True)
    ]


def topic_words(
    completions: Sequence[Completion | None], *, words: Sequence[str], **_: Any
) -> list[float | None]:
    """Return the share of a style summary's words that are topic words.

    w = |topic words in the summary| / |words of the summary|, in [0, 1]. Topic words are those of
    the request with at least four letters that are not stop words of English or Portuguese, folded
    to one case without accents. Style does not depend on the topic.

    Args:
        completions: Style summaries; None where that side abstained.
        words: The request's own words, for each summary.

    >>> topic_words(["Warm, about the kettle"], words=["A kettle for two"])
    [0.25]
    """
    return [
        None if given is None else _about(text_of(given), asked)
        for given, asked in zip(completions, words, strict=True)
    ]


def build_overlong(count: Callable[[str], int], budget: int) -> Reward:
    """Return the penalty for length beyond the budget.

    With L the tokens of a text, B the budget and F = 0.75 B the free length: o = 0 if L <= F, 1 if
    L >= B, else (L - F) / (B - F). In [0, 1]. A summary is cut at its budget, so one that does not
    end has length B; the ramp before B gives a direction (the soft overlong punishment of DAPO, Yu
    et al. 2025, eq. 13, with B - F for its cache).

    Args:
        count: Counts the tokens of a text.
        budget: Maximum tokens of a summary.

    >>> overlong = build_overlong(lambda text: len(text.split()), 8)
    >>> overlong(["one two three", "1 2 3 4 5 6 7", "1 2 3 4 5 6 7 8 9", None])
    [0.0, 0.5, 1.0, None]
    """
    free = FREE_SHARE * budget

    def overlong(completions: Sequence[Completion | None], **_: Any) -> list[float | None]:
        return [
            None
            if given is None
            else min(1.0, max(0.0, (count(text_of(given)) - free) / (budget - free)))
            for given in completions
        ]

    return overlong


def _copied(text: str, read: Sequence[str]) -> float:
    return round(copy_rate(text, read), 6) if copied_run(text, read) >= LEAST_RUN else 0.0


def _about(summary: str, asked: str) -> float:
    topic = {
        word
        for word in _words(asked)
        if len(word) >= LEAST_LETTERS and word not in _stop_words_folded()
    }
    said = _words(summary)
    return round(sum(word in topic for word in said) / len(said), 6) if said else 0.0


def _words(text: str) -> list[str]:
    return _WORD.findall(folded(text))


@cache
def _stop_words_folded() -> frozenset[str]:
    return frozenset(map(folded, stop_words()))


LEAST_SENTIMENT = 0.05
"""Minimum |compound| of a positive or negative text, as VADER's authors recommend."""


def build_topic_consistency(encoder: Encoder) -> Reward:
    """Return the reward for a draft on the topic of the preference summary.

    Cosine of draft and preference summary by a topic encoder, in [-1, 1]; None if that side
    abstained, and for a rating. A proxy: similar is not the same as faithful.

    >>> import numpy as np
    >>> class Views:
    ...     def encode(self, texts):
    ...         return np.array([[1, 0] if "view" in text else [0, 1] for text in texts])
    >>> topic_consistency_proxy = build_topic_consistency(Views())
    >>> topic_consistency_proxy(["A view!", "A bed."], preference=["They like the view.", None])
    [1.0, None]
    """

    def topic_consistency_proxy(
        completions: Sequence[Completion | None],
        *,
        preference: Sequence[str | None],
        task: Sequence[str] | None = None,
        **_: Any,
    ) -> list[float | None]:
        tasks = task or [""] * len(completions)
        return cosines(
            encoder,
            [
                None
                if given is None or said is None or what == "rating"
                else (text_of(given), said)
                for given, said, what in zip(completions, preference, tasks, strict=True)
            ],
        )

    return topic_consistency_proxy


def sentiment_consistency_proxy(
    completions: Sequence[Completion | None],
    *,
    style: Sequence[str | None],
    preference: Sequence[str | None],
    language: Sequence[str],
    **_: Any,
) -> list[float | None]:
    """Return 1 if draft and both summaries have the same sentiment, 0 if they differ.

    The sign of a text is that of VADER's compound score (Hutto and Gilbert 2014) if its absolute
    value is at least .05. A text without a sign, like most style summaries, is ignored. None if
    fewer than two texts have a sign, and for languages other than English, the only one that VADER
    knows. In {0, 1}. A proxy: the same sign is not the same opinion.

    Args:
        completions: Drafts; None where there is none.
        style: Summaries of the style side; None where it abstained.
        preference: Summaries of the preference side, likewise.
        language: Language of the draft, an ISO 639-1 code.

    >>> sentiment_consistency_proxy(
    ...     ["I love it.", "It is awful."],
    ...     style=["Short sentences."] * 2,
    ...     preference=["They praise the great view."] * 2,
    ...     language=["en", "en"],
    ... )
    [1.0, 0.0]
    """
    rows = zip(completions, style, preference, language, strict=True)
    return [
        None
        if given is None or spoken.partition("-")[0].lower() != "en"
        else _agreement([text_of(given), how, what])
        for given, how, what, spoken in rows
    ]


def _agreement(texts: Sequence[str | None]) -> float | None:
    signs = [sign for text in texts if text and (sign := sentiment_sign(text))]
    return None if len(signs) < 2 else float(len(set(signs)) == 1)


def sentiment_sign(text: str) -> int:
    """Return -1, 0 or 1 for a negative, neutral or positive English text.

    >>> sentiment_sign("The breakfast was horrible.")
    -1
    """
    compound = float(_analyzer().polarity_scores(text)["compound"])
    return 0 if abs(compound) < LEAST_SENTIMENT else 1 if compound > 0 else -1


@cache
def _analyzer() -> Any:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()


@dataclass(frozen=True)
class Situation:
    """The fixed context of a draft: everything except the summary that is rewarded.

    Attributes:
        request: The request.
        real: The real text.
        side: The side of the rewarded summary: style or preference.
        held: Fixed summaries of the other sides; None where one abstained.
        evidence: All texts that the reasoners read.
    """

    request: Request
    real: str
    side: str
    held: Mapping[str, str | None]
    evidence: Sequence[str]


class RewardMeasure:
    """Measures every component of `RewardWeights`.

    Args:
        style: The style encoder.
        topic: The topic encoder.
        count: Counts the tokens of a text.
        budget: Maximum tokens of a summary.
    """

    def __init__(
        self, style: Encoder, topic: Encoder, count: Callable[[str], int], budget: int
    ) -> None:
        self._of_drafts: Mapping[str, Reward] = {
            "quality": quality,
            "style_fidelity": build_style_fidelity(style),
            "topic_relevance": build_topic_relevance(topic),
            "topic_consistency_proxy": build_topic_consistency(topic),
            "sentiment_consistency_proxy": sentiment_consistency_proxy,
            "draft_copying": copying,
        }
        self._overlong = build_overlong(count, budget)

    def components(
        self,
        drafts: Sequence[str | None],
        summaries: Sequence[str | None],
        situations: Sequence[Situation],
    ) -> list[dict[str, float | None]]:
        """Return the components of each draft by name. Blocks.

        All are None if there is no draft: the call failed, and nothing is known about the summary.

        Args:
            drafts: Drafts of integrate.
            summaries: The rewarded summary of each draft; None if the side was left out.
            situations: The context of each draft.
        """
        columns = _columns(summaries, situations)
        judged = [
            summary if draft is not None else None
            for draft, summary in zip(drafts, summaries, strict=True)
        ]
        of_style = [
            summary if at.side == "style" else None
            for summary, at in zip(judged, situations, strict=True)
        ]
        found = {name: reward(drafts, **columns) for name, reward in self._of_drafts.items()}
        found["summary_copying"] = copying(judged, **columns)
        found["topic_words"] = topic_words(of_style, **columns)
        found["overlong"] = self._overlong(judged, **columns)
        return [
            {name: found[name][place] for name in COMPONENTS} for place in range(len(situations))
        ]


def _columns(
    summaries: Sequence[str | None], situations: Sequence[Situation]
) -> dict[str, Sequence[Any]]:
    said = [
        {**at.held, at.side: summary} for summary, at in zip(summaries, situations, strict=True)
    ]
    return {
        "real": [at.real for at in situations],
        "task": [at.request.task for at in situations],
        "scale": [at.request.scale for at in situations],
        "language": [at.request.language for at in situations],
        "words": [at.request.words for at in situations],
        "evidence": [at.evidence for at in situations],
        "style": [each.get("style") for each in said],
        "preference": [each.get("preference") for each in said],
    }
