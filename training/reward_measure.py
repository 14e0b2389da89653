"""All components of a draft's reward at once, from what it was written in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..nodes.state import Request
from ..stores.records import Encoder
from .reward_consistency import build_topic_consistency, sentiment_consistency_proxy
from .reward_penalties import build_overlong, copying, topic_words
from .rewards import (
    COMPONENTS,
    Reward,
    build_style_fidelity,
    build_topic_relevance,
    quality,
)


@dataclass(frozen=True)
class Situation:
    """What a draft was written in, but for the summary that is judged.

    Attributes:
        request: What was to be written.
        real: What was really written.
        side: Whose summary is judged: style or preference.
        held: Summaries of the other sides; None where one abstained.
        evidence: All texts that the reasoners read.
    """

    request: Request
    real: str
    side: str
    held: Mapping[str, str | None]
    evidence: Sequence[str]


class RewardMeasure:
    """Measures drafts by every component of `rewards.RewardWeights`.

    Args:
        style: The style encoder.
        topic: The topic encoder.
        count: Tokens of a text.
        budget: Tokens that a summary may have.
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

        Where there is no draft all are None: the call failed, and nothing is known of the summary.

        Args:
            drafts: What integrate wrote.
            summaries: What it was given of the side that is judged; None: nothing.
            situations: One a draft.
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
        "language": [at.request.language for at in situations],
        "words": [at.request.words for at in situations],
        "evidence": [at.evidence for at in situations],
        "style": [each.get("style") for each in said],
        "preference": [each.get("preference") for each in said],
    }
