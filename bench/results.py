"""`results.json`: every figure of a run, numbers and hashed ids only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

from ..nodes.parts import PromptBudget
from ..training.configuration import Configuration
from .mean_tables import Cell, table
from .personalization import Measured, Plan
from .verdicts import verdicts

RESULTS = "results.json"

_LIBRARIES = (
    *("patlm", "langgraph", "langchain-core", "transformers", "torch", "peft", "lancedb"),
    *("sentence-transformers", "rouge-score", "nltk", "scipy"),
)


def results_of(plan: Plan, measured: Measured, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `results.json` holds.

    Args:
        plan: What was measured.
        measured: What came of it.
        settings: What else the run was set up with, such as the model's name.
    """
    arms: list[dict[str, Any]] = []
    said: list[dict[str, Any]] = []
    names = [arm.name for arm in plan.arms]
    for cell in cells(measured):
        arms += table(cell, names, plan.against)
        said += verdicts(cell)
    return {
        "settings": {**_settings(plan, measured), **settings},
        "arms": [row for row in arms if row["kind"] != "floor"],
        "floors": [row for row in arms if row["kind"] == "floor"],
        "verdicts": said,
        "curves": {},
    }


def cells(measured: Measured) -> Iterator[Cell]:
    """Yield the items by data set, task and history."""
    for (data, task, history), items in measured.items.items():
        failed = {
            arm: count
            for (*place, arm), count in measured.failed.items()
            if tuple(place) == (data, task, history)
        }
        yield Cell(data, task, history, items, failed)


def _settings(plan: Plan, measured: Measured) -> dict[str, Any]:
    budget = PromptBudget()
    return {
        "data": list(dict.fromkeys(asked.data.name for asked in measured.asked)),
        "tasks": list(dict.fromkeys(asked.task for asked in measured.asked)),
        "arms": [arm.name for arm in plan.arms],
        "against": plan.against,
        "adapters": dict(plan.adapters),
        "split": plan.split or "all",
        "history": list(plan.history),
        "least_own": plan.least_own,
        "inductive": plan.inductive,
        "cleaning": list(plan.cleaning),
        "limit": plan.limit,
        "seeds": list(plan.seeds),
        "k": Configuration().k,
        "budgets": {
            "prompt": budget.first,
            "prompt_later": budget.later,
            "request": budget.request,
            "summary": budget.summary,
            "draft": dict(budget.answer),
        },
        "files": {
            asked.data.name: {
                "name": asked.data.path.name,
                "sha1": asked.data.sha1,
                "texts": len(asked.data.texts),
                "bad_rows": asked.data.rejected,
                "split": asked.data.splits.fingerprint,
            }
            for asked in measured.asked
        },
        "versions": {name: version(name) for name in _LIBRARIES},
        "seconds": round(measured.seconds, 1),
    }
