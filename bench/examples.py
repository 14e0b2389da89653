"""`examples.json`: some targets side by side in all arms, with texts. Not for publishing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..stores.records import Text
from ..training.items import Item
from ..training.targets import Target
from .personalization import Measured

EXAMPLES_FILE = "examples.json"

EXAMPLES = 10
"""Targets that are shown of each data set and task."""

_METRICS = ("quality", "rouge1", "agreement")


def examples_of(measured: Measured) -> dict[str, Any]:
    """Return the first targets of each data set and task with what every arm made of them."""
    return {
        "examples": [
            _example(target, asked.data.by_id, measured)
            for asked in measured.asked
            for target in asked.targets[:EXAMPLES]
        ]
    }


def _example(target: Target, texts: Mapping[str, Text], measured: Measured) -> dict[str, Any]:
    place = next(
        place for place in measured.items if place[:2] == (target.data, target.task)
    )  # of several histories the first
    items = [item for item in measured.items[place] if item.key.target == target.id]
    firsts = {item.key.arm: item for item in reversed(items)}  # of several seeds the first
    asked = ("title", "text", "instruction", "rating")
    return {
        "id": target.id,
        "data": target.data,
        "task": target.task,
        "history": place[2],
        "cold_start": next((i.cold_start for i in items if i.iterations), "zero"),
        "request": {name: target.request.get(name) for name in asked},
        "real": target.real,
        "arms": [_arm(firsts[arm], texts) for arm in dict.fromkeys(i.key.arm for i in items)],
    }


def _arm(item: Item, texts: Mapping[str, Text]) -> dict[str, Any]:
    own = [(text_id, 1.0) for text_id in item.own_read]
    return {
        "arm": item.key.arm,
        "draft": item.draft,
        "metrics": {name: item.metrics[name] for name in _METRICS if name in item.metrics},
        "summaries": dict(item.summaries),
        "evidence": {side: _pieces(found, texts) for side, found in item.evidence.items()},
        "own": _pieces(own, texts),
    }


def _pieces(found: Sequence[tuple[str, float]], texts: Mapping[str, Text]) -> list[dict[str, Any]]:
    return [
        {
            "text_id": text_id,
            "user_id": texts[text_id].user_id,
            "topic_id": texts[text_id].topic_id,
            "title": texts[text_id].title,
            "body": texts[text_id].body,
            "score": score,
        }
        for text_id, score in found
        if text_id in texts
    ]
