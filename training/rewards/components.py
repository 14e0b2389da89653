"""The reward of a summary, computed from its draft: components, weighted sum, gating.

A reward is a plain function with TRL's signature, `f(completions, **columns)`. It returns one value
per completion, or None if nothing can be measured: a failed call never scores 0. Columns are lists
of the same length as the completions. The completions are drafts. Penalties of summaries and the
consistency proxies are in `measure`.

Terms: quality, style fidelity and topic relevance make up the *value* of a draft, all components
its *reward*. The *differential* of a side is the value with its summary minus the value without it
(a difference reward: Wolpert and Tumer 2001).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from ...evaluation.scores.metrics import Draft
from ...nodes.prompts.build import ABSTENTION
from ...nodes.reason import read_summary
from ...stores.episodes.schema import Sample
from ...stores.types import Encoder
from ...stores.values import FIVE_STARS, RatingScale

Completion = str | Sequence[Mapping[str, str]]
"""A text, or the turns of an assistant in TRL's form."""

Reward = Callable[..., list[float | None]]

Components = Mapping[str, float | None]
"""Components of one draft's reward by name; None if not measured."""

VALUE = ("quality", "style_fidelity", "topic_relevance")
"""The components of a draft's value; they do not depend on a summary."""

PENALTIES = ("draft_copying", "summary_copying", "topic_words", "overlong")
"""Penalties; higher is worse."""

_DIGITS = 4
"""Decimals of a cosine: the last digits of a vector depend on its batch."""


@dataclass(frozen=True)
class RewardWeights:
    """Weights of the components of a reward: r = Σ w·gain - Σ w·penalty.

    Quality has the largest weight: it is what benchmarks report. The cosines distinguish drafts
    that share equally many words with the real text. The effect of a weight depends on the spread
    inside a group (docs/rewards.md).
    """

    quality: float = 1.0
    style_fidelity: float = 0.2
    topic_relevance: float = 0.2
    topic_consistency_proxy: float = 0.05
    sentiment_consistency_proxy: float = 0.05
    draft_copying: float = 0.2
    summary_copying: float = 0.1
    topic_words: float = 0.1
    overlong: float = 0.05

    def __post_init__(self) -> None:
        """Check every weight.

        Raises:
            ValueError: One is negative: penalties are subtracted already.
        """
        for name, weight in asdict(self).items():
            if weight < 0:
                raise ValueError(
                    f"the weight of {name} must be 0 or more, got {weight}: penalties are "
                    "subtracted as they are"
                )

    def signed(self) -> dict[str, float]:
        """Return the weights by component, those of penalties negative."""
        return {
            name: -weight if name in PENALTIES else weight for name, weight in asdict(self).items()
        }


COMPONENTS = tuple(field.name for field in fields(RewardWeights))
"""All components by name."""


def text_of(completion: Completion) -> str:
    """Return the text of a completion: the string itself, or the content of its last turn.

    >>> text_of([{"role": "assistant", "content": "Fine."}])
    'Fine.'
    """
    return completion if isinstance(completion, str) else completion[-1]["content"]


def quality(
    completions: Sequence[Completion | None],
    *,
    real: Sequence[str],
    task: Sequence[str] | None = None,
    scale: Sequence[RatingScale] | None = None,
    **_: Any,
) -> list[float | None]:
    """Return how close drafts are to the real texts.

    q = (ROUGE-1 + ROUGE-L + METEOR_es) / 3, in [0, 1] (`metrics.quality`). For a rating
    1 - |draft - real| / span of the scale, and 0 for an answer that is not a rating on it.

    Args:
        completions: Drafts; None where there is none.
        real: The real texts, or numbers for ratings.
        task: The task; only `rating` is treated differently.
        scale: The scale of each rating; None: 1 to 5.

    >>> quality(["the view is grand", None], real=["the view is grand", "a fine view"])
    [0.997396, None]
    """
    tasks = task or [""] * len(completions)
    scales = scale or [FIVE_STARS] * len(completions)
    return [
        None if given is None else _quality(Draft(wanted, text_of(given), scale=on), what)
        for given, wanted, what, on in zip(completions, real, tasks, scales, strict=True)
    ]


def build_style_fidelity(encoder: Encoder) -> Reward:
    """Return the reward for writing in the style of the real text.

    Cosine of draft and real text by a style encoder, in [-1, 1]; 0 for an empty draft, None for a
    rating, which has no style. Its columns are those of `quality`.

    >>> import numpy as np
    >>> class Marks:  # an encoder: does a text exclaim?
    ...     def encode(self, texts):
    ...         return np.array([[1, 0] if "!" in text else [0, 1] for text in texts], np.float32)
    >>> style_fidelity = build_style_fidelity(Marks())
    >>> style_fidelity(["Fine!", "Fine."], real=["Grand!", "Grand!"])
    [1.0, 0.0]
    """

    def style_fidelity(
        completions: Sequence[Completion | None],
        *,
        real: Sequence[str],
        task: Sequence[str] | None = None,
        **_: Any,
    ) -> list[float | None]:
        return _to_real(encoder, completions, real, task)

    return style_fidelity


def build_topic_relevance(encoder: Encoder) -> Reward:
    """Return the reward for having the topic of the real text.

    Cosine of draft and real text by a topic encoder, in [-1, 1]; 0 for an empty draft, None for a
    rating. Its columns are those of `quality`; for an example see `build_style_fidelity`.
    """

    def topic_relevance(
        completions: Sequence[Completion | None],
        *,
        real: Sequence[str],
        task: Sequence[str] | None = None,
        **_: Any,
    ) -> list[float | None]:
        return _to_real(encoder, completions, real, task)

    return topic_relevance


def value(components: Components, weights: RewardWeights) -> float | None:
    """Return the value of a draft: v = Σ w·x over quality, style fidelity, topic relevance.

    Components that were not measured count as 0; None if quality was not measured.

    >>> value({"quality": 0.5, "style_fidelity": 1.0, "overlong": 1.0}, RewardWeights())
    0.7
    """
    return _weighted(components, weights, VALUE)


def total(components: Components, weights: RewardWeights) -> float | None:
    """Return the reward: r = Σ w·gain - Σ w·penalty over all components; None as of `value`.

    >>> total({"quality": 0.5, "style_fidelity": 1.0, "overlong": 1.0}, RewardWeights())
    0.65
    """
    return _weighted(components, weights, COMPONENTS)


def differential(value: float | None, without: float | None) -> float | None:
    """Return the contribution of a side: D = v(with its summary) - v(without the side).

    None if one of them was not measured. For a style summary s and a partner's t it is
    D(s) = v(s, t) - v(none, t), for a topic summary D(t) = v(s, t) - v(s, none).

    >>> differential(0.5, 0.25), differential(None, 0.25)
    (0.25, None)
    """
    return None if value is None or without is None else round(value - without, 6)


@dataclass(frozen=True)
class Gated:
    """A preference pair that teaches to abstain.

    Attributes:
        chosen: The answer of a reasoner that abstains.
        rejected: The worst candidate.
    """

    chosen: str
    rejected: Sample


def gate(group: Sequence[Sample], margin: float = 0.0) -> Gated | None:
    """Return a pair that teaches to abstain if no candidate of a group helps.

    If no candidate's differential exceeds the margin, the chosen answer is the abstention and the
    rejected one the candidate with the lowest differential (the first of equals).

    Args:
        group: All candidates of one context; failed candidates (without a differential) and
            abstentions are ignored.
        margin: Minimum contribution of a side, in the unit of values.

    Returns:
        None if a candidate helps, or if there is no candidate.
    """
    measured = [
        (sample.differential, sample)
        for sample in group
        if sample.differential is not None and read_summary(sample.text or "") is not None
    ]
    if not measured or max(gain for gain, _ in measured) > margin:
        return None
    return Gated(ABSTENTION, min(measured, key=lambda pair: pair[0])[1])


def _quality(draft: Draft, task: str) -> float:
    return draft.agreement if task == "rating" else round(draft.quality, 6)


def _to_real(
    encoder: Encoder,
    completions: Sequence[Completion | None],
    real: Sequence[str],
    task: Sequence[str] | None,
) -> list[float | None]:
    tasks = task or [""] * len(completions)
    return cosines(
        encoder,
        [
            None if given is None or what == "rating" else (text_of(given), wanted)
            for given, wanted, what in zip(completions, real, tasks, strict=True)
        ],
    )


def cosines(encoder: Encoder, pairs: Sequence[tuple[str, str] | None]) -> list[float | None]:
    """Return the cosine of each pair of texts, in [-1, 1]; 0 if one is empty. Blocks.

    All texts are encoded in one batch; None stays None.
    """
    texts = [text for pair in pairs if pair is not None for text in pair]
    vectors = iter(encoder.encode(texts)) if texts else iter(())
    found: list[float | None] = []
    for pair in pairs:
        if pair is None:
            found.append(None)
            continue
        cosine = float(next(vectors) @ next(vectors))
        said = all(text.strip() for text in pair)
        found.append(round(cosine, _DIGITS) if said else 0.0)
    return found


def _weighted(components: Components, weights: RewardWeights, names: Sequence[str]) -> float | None:
    if components.get("quality") is None:
        return None
    found = [
        weight * amount
        for name, weight in weights.signed().items()
        if name in names and (amount := components.get(name)) is not None
    ]
    return round(sum(found), 6)
