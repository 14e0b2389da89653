"""A language model as a judge (off by default): could one person have written both texts?

It is asked for a whole number from 1 to 7, reported as .1 to .7. An answer without one that can be
told counts as unparsable and never as a score. The judge itself is measured too (`reliability`):
whether it gives the same points with both texts swapped, whether it prefers the true text to
another person's, and whether its points only follow the length (Zheng et al. 2023, "Judging
LLM-as-a-Judge").
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable

from ...models.answers import read_answer
from ...models.ratings import read_rating
from ...models.sanitise import fence
from ..errors import EvaluationError
from .metrics import length
from .statistics import MeanEstimate, mean_of

JudgeModel: TypeAlias = Runnable[LanguageModelInput, AIMessage]
"""Any LangChain chat model, with its options bound (temperature 0, say)."""

Pair = tuple[str, str]
"""The real text and the draft."""

AT_ONCE = 4
"""Number of concurrent questions."""

SHOWN = 120
"""Characters of an answer that an error message quotes."""

SYSTEM = "You compare texts. Answer with one whole number from 1 to 7 and nothing else."

QUESTION = (
    "How much do the two texts read as if the same person had written them on the same subject? "
    "Count tone, wording and opinion; the length does not count. "
    "1: nothing in common. 4: partly alike. 7: the same person on the same subject. "
    "Answer with one whole number from 1 to 7."
)

LOWEST, HIGHEST = 1, 7


class JudgeError(EvaluationError):
    """A judge never answers with a number."""

    code = "judge_failed"


@dataclass(frozen=True)
class Judged:
    """A judge's answer for one pair.

    Attributes:
        points: .1 to .7; None if the answer is no number.
        answer: The raw answer.
    """

    points: float | None
    answer: str


@dataclass(frozen=True)
class Reliability:
    """Quality of a judge's points; None if too few answers could be parsed.

    Attributes:
        pairs: Number of pairs, each judged three times.
        points: Mean points of the drafts against their real texts.
        same_swapped: Share of the pairs with the same points when both texts are swapped.
        near_swapped: Share of the pairs whose points then differ by at most one point (.1).
        shuffled: Mean points of the drafts against the real texts of other pairs.
        true_less_shuffled: Mean paired difference of the two with its interval; above zero for a
            judge that can tell texts apart.
        length_correlation: Spearman's rank correlation of points and number of words of the draft;
            None also if all points or all lengths are equal.
        unparsable: Share of all answers that are no number.
    """

    pairs: int
    points: float | None
    same_swapped: float | None
    near_swapped: float | None
    shuffled: float | None
    true_less_shuffled: MeanEstimate | None
    length_correlation: float | None
    unparsable: float


def judge_prompt(real: str, draft: str) -> list[tuple[str, str]]:
    """Return the messages of one question; both texts are neutralised and fenced."""
    user = f"First text: {fence(real)}\nSecond text: {fence(draft)}\n{QUESTION}"
    return [("system", SYSTEM), ("user", user)]


def read_points(answer: str) -> float | None:
    """Parse the points of an answer as .1 to .7; None if it is no number from 1 to 7.

    >>> read_points("Score: 5"), read_points("3 or 5")
    (0.5, None)
    """
    points = read_rating(answer, LOWEST, HIGHEST).value
    return None if points is None else points / 10


async def judge_all(
    model: JudgeModel, pairs: Sequence[Pair], *, at_once: int = AT_ONCE
) -> list[Judged]:
    """Judge each pair, in order, with `at_once` concurrent questions.

    Raises:
        JudgeError: None of the answers is a number.
    """
    prompts: list[LanguageModelInput] = [judge_prompt(real, draft) for real, draft in pairs]
    messages = await model.abatch(prompts, config={"max_concurrency": at_once})
    judged = [_judged(message) for message in messages]
    if judged and all(each.points is None for each in judged):
        raise JudgeError(_say_prose(judged))
    return judged


async def reliability(
    model: JudgeModel, pairs: Sequence[Pair], *, seed: int = 0, at_once: int = AT_ONCE
) -> Reliability:
    """Measure a judge on pairs of real text and draft, with three questions per pair.

    Args:
        model: The judge.
        pairs: At least two pairs.
        seed: Random seed of the shuffled pairs and of the bootstrap.
        at_once: Number of concurrent questions.

    Raises:
        JudgeError: None of the answers is a number, or there are fewer than two pairs.
    """
    if len(pairs) < 2:
        raise JudgeError(
            f"a judge is measured on at least two pairs, got {len(pairs)}: add drafts",
            code="too_few_pairs",
        )
    swapped = [(draft, real) for real, draft in pairs]
    others = shuffled_places(len(pairs), seed)
    shuffled = [(pairs[other][0], pairs[at][1]) for at, other in enumerate(others)]
    judged = await judge_all(model, [*pairs, *swapped, *shuffled], at_once=at_once)
    points = [each.points for each in judged]
    n = len(pairs)
    true, turned, wrong = points[:n], points[n : 2 * n], points[2 * n :]
    apart = [round(abs(a - b) * 10) for a, b in _both(true, turned)]
    less = [a - b for a, b in _both(true, wrong)]
    lengths = [float(length(draft)) for _, draft in pairs]
    return Reliability(
        pairs=n,
        points=_mean([each for each in true if each is not None]),
        same_swapped=_mean([steps == 0 for steps in apart]),
        near_swapped=_mean([steps <= 1 for steps in apart]),
        shuffled=_mean([each for each in wrong if each is not None]),
        true_less_shuffled=mean_of(less, seed=seed) if less else None,
        length_correlation=_spearman(_both(true, lengths)),
        unparsable=sum(each is None for each in points) / len(points),
    )


def shuffled_places(n: int, seed: int) -> list[int]:
    """Return a random permutation of n places without fixed points (Sattolo 1986: one cycle)."""
    places = list(range(n))
    draw = random.Random(seed)
    for last in range(n - 1, 0, -1):
        other = draw.randrange(last)
        places[last], places[other] = places[other], places[last]
    return places


def _judged(message: AIMessage) -> Judged:
    answer = read_answer(message).text
    return Judged(read_points(answer), answer)


def _both(one: Sequence[float | None], other: Sequence[float | None]) -> list[tuple[float, float]]:
    pairs = zip(one, other, strict=True)
    return [(a, b) for a, b in pairs if a is not None and b is not None]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _spearman(pairs: Sequence[tuple[float, float]]) -> float | None:
    from scipy.stats import spearmanr

    points, lengths = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    if len(set(points)) < 2 or len(set(lengths)) < 2:
        return None
    found = float(spearmanr(points, lengths).statistic)
    return None if math.isnan(found) else found


def _say_prose(judged: Sequence[Judged]) -> str:
    said = " ".join(judged[0].answer.split())
    shown = said if len(said) <= SHOWN else f"{said[:SHOWN]}..."
    return (
        f"the judge gave no number in {len(judged)} answers: expected one whole number from 1 to "
        f"7, got {shown!r}; take a larger model or leave the judge out"
    )
