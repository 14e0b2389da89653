"""Let a judge read the drafts of a run, and say what the judge is worth."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ..graph.opening import chat_role
from ..graph.settings import Settings
from ..training.asked_model import open_asked_model
from ..training.items import Item
from ..training.judge import JudgeModel, Pair, Reliability, judge_all, reliability
from ..training.named_adapters import NONE
from .personalization import Measured

ANSWER_TOKENS = 16

PAIRS_FOR_RELIABILITY = 60
"""Drafts that the judge itself is measured on, three questions each."""


def judged(
    measured: Measured, judge: str, settings: Settings, cache: Path
) -> tuple[Measured, dict[str, Any]]:
    """Return the items with the metric `judge`, .1 to .7, and the judge's reliability. Blocks.

    Ratings are not judged. Answers are remembered as those of the language model are.

    Args:
        measured: What a run has brought.
        judge: Name of a chat model.
        settings: Of the run; the model's name apart.
        cache: Folder of answers.

    Raises:
        ModelError: The judge can't be opened.
        JudgeError: It never gives a number.
    """
    asked = settings.model_copy(update={"model": judge})
    with open_asked_model(asked, NONE, cache) as opened:
        options = {**chat_role(opened.chat.inner).options, "max_tokens": ANSWER_TOKENS}
        model: JudgeModel = opened.chat.bind(**options)
        return asyncio.run(_judge(measured, model))


async def _judge(measured: Measured, model: JudgeModel) -> tuple[Measured, dict[str, Any]]:
    real = {target.id: target.real for asked in measured.asked for target in asked.targets}
    found: dict[Any, Sequence[Item]] = {}
    sample: list[Pair] = []
    for place, items in measured.items.items():
        if place[1] == "rating":
            found[place] = items
            continue
        pairs = [(real[item.key.target], item.draft) for item in items]
        sample += pairs
        points = [each.points for each in await judge_all(model, pairs)]
        found[place] = [
            replace(item, metrics={**item.metrics, "judge": said})
            for item, said in zip(items, points, strict=True)
        ]
    step = max(1, len(sample) // PAIRS_FOR_RELIABILITY)
    worth = await reliability(model, sample[::step]) if len(sample) > 1 else None
    return replace(measured, items=found), _shown(worth)


def _shown(worth: Reliability | None) -> dict[str, Any]:
    if worth is None:
        return {}
    shown = asdict(worth)
    if worth.true_less_shuffled is not None:
        mean = worth.true_less_shuffled
        shown["true_less_shuffled"] = {"mean": round(mean.mean, 4), "ci95": mean.ci95}
    return {name: round(v, 4) if isinstance(v, float) else v for name, v in shown.items()}
