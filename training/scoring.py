"""How near a draft came: every metric of one item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..stores.records import Encoder
from .metrics import copy_rate, exact, length, meteor, rating_metrics, text_metrics
from .targets import Target


class Scorer:
    """Measures drafts against what was really written.

    Args:
        style: The style encoder, for `style_cos`.
        topic: The topic encoder, for `topic_cos`.
        wordnet: Folder of WordNet's files, for `meteor`; None: it is left out.
    """

    def __init__(self, style: Encoder, topic: Encoder, wordnet: Path | None = None) -> None:
        self._style = style
        self._topic = topic
        self._wordnet = wordnet

    def score(
        self, target: Target, draft: str, evidence: Sequence[str] = ()
    ) -> Mapping[str, float | None]:
        """Return the metrics of a draft by name. Blocks.

        Texts: `rouge1 rougeL meteor_es quality style_cos topic_cos copy_rate length exact` (and
        `meteor`), shares and cosines but for `length` in words. Ratings: `error squared_error
        agreement unparsable`.

        Args:
            target: What was to be written.
            draft: What was written.
            evidence: All texts that anybody read for it.
        """
        if target.task == "rating":
            return rating_metrics(float(target.real), draft)
        scores: dict[str, float | None] = {**text_metrics(target.real, draft)}
        if self._wordnet is not None:
            scores["meteor"] = meteor(target.real, draft, self._wordnet)
        scores["style_cos"] = _cosine(self._style, target.real, draft)
        scores["topic_cos"] = _cosine(self._topic, target.real, draft)
        scores["copy_rate"] = copy_rate(draft, evidence)
        scores["length"] = float(length(draft))
        scores["exact"] = exact(target.real, draft)
        return scores


def _cosine(encoder: Encoder, real: str, draft: str) -> float:
    """Return the cosine of two texts in four digits; an empty draft is like nothing, so 0."""
    if not draft.strip():
        return 0.0
    a, b = encoder.encode([real, draft])
    return round(float(a @ b), 4)
