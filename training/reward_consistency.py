"""Does the draft keep to its summaries, and do they agree? A proxy: no model reads for meaning.

Both rewards are proxies and named so: a draft can be near its summary and still say the opposite,
and two texts may praise different things. They count little, and are logged by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from ..stores.records import Encoder
from .rewards import Completion, Reward, cosines, text_of

LEAST_SENTIMENT = 0.05
"""|compound| from which a text counts as positive or negative, as VADER's authors advise."""


def build_topic_consistency(encoder: Encoder) -> Reward:
    """Return the reward for a draft that is about what the preference summary says.

    Cosine of draft and preference summary by a topic encoder, in [-1, 1]; None where that side
    abstained, and for a rating. A proxy: near is not the same as faithful.

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
    """Return 1 where draft and both summaries have one sentiment, 0 where they have two.

    The sign of a text is that of VADER's compound score (Hutto and Gilbert 2014) where that is at
    least .05 away from 0; a text without a sign, as summaries of style mostly are, contradicts
    nobody. None where fewer than two have a sign, and for any language but English, which is the
    only one that VADER knows. In {0, 1}. A proxy: one sign is not one opinion.

    Args:
        completions: Drafts; None where there is none.
        style: Summaries of the style side; None where it abstained.
        preference: Likewise of the preference side.
        language: Of the draft, as an ISO 639-1 code.

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
