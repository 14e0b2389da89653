"""Run `patlm bench personalization`, from the name of the model to the report.

It writes `results.json` (figures and hashed ids), `examples.json` (some targets in all arms, with
texts, not for publishing) and the report.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..graph.open import chat_role, opened_budget
from ..graph.settings import Settings
from ..nodes.prompts.files import prompt_set
from ..stores.copies.ledger import note_copy
from ..stores.files import write_json
from ..stores.types import Text
from .arms.registry import with_adapters
from .benchmark import (
    ITEMS,
    STORES,
    Measured,
    Plan,
    measure_personalization,
    read_targets,
)
from .errors import EvaluationError
from .items import Item
from .models import ANSWERS, NONE, check_splits, open_asked_model
from .progress import Watch
from .report.page import write_report
from .scores.judge import JudgeModel, Pair, Reliability, judge_all, reliability
from .scores.metrics import metrics_of
from .scores.tables import Cell, table
from .scores.verdicts import verdicts
from .targets import Target

ANSWER_TOKENS = 16

PAIRS_FOR_RELIABILITY = 60
"""Number of drafts that measure the judge itself, three questions each."""


def judged(
    measured: Measured, judge: str, settings: Settings, cache: Path
) -> tuple[Measured, dict[str, Any]]:
    """Return the items with the metric `judge`, .1 to .7, and the judge's reliability. Blocks.

    Ratings are not judged. Answers are cached like those of the language model.

    Args:
        measured: Results of a run.
        judge: Name of a chat model.
        settings: Settings of the run; the judge replaces their model.
        cache: Folder of answers.

    Raises:
        ModelError: The judge can't be opened.
        JudgeError: The judge never answers with a number.
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
            item if said is None else replace(item, metrics={**item.metrics, "judge": said})
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


EXAMPLES_FILE = "examples.json"

EXAMPLES = 10
"""Number of example targets of each data set and task."""


def examples_of(measured: Measured) -> dict[str, Any]:
    """Return the first targets of each data set and task with the drafts of all arms."""
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
    )  # only the first history
    items = [item for item in measured.items[place] if item.key.target == target.id]
    firsts = {item.key.arm: item for item in reversed(items)}  # only the first seed
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
        "metrics": {
            metric.name: item.metrics[metric.name]
            for metric in metrics_of(item.task, "main", "headline")
            if metric.name in item.metrics
        },
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


RESULTS = "results.json"

_LIBRARIES = (
    *("patlm", "langgraph", "langchain-core", "transformers", "torch", "peft", "lancedb"),
    *("sentence-transformers", "rouge-score", "nltk", "scipy"),
)


def results_of(plan: Plan, measured: Measured, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of `results.json`.

    Args:
        plan: Plan of the measurement.
        measured: Its results.
        settings: Other settings of the run, such as the model's name.
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
    budget = plan.budget
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
        "k": budget.k,
        "budgets": {
            "name": budget.name,
            "prompts": prompt_set(budget.prompts, plan.prompt_folder).version,
            "prompt": budget.first,
            "prompt_later": budget.later,
            "request": budget.request,
            "summary": budget.summary,
            "draft": dict(budget.answer),
        },
        "guards": plan.guards.version,
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


class NothingDone(EvaluationError):
    """Every item failed."""

    code = "nothing_done"


def _note_copies(files: Sequence[Path], out: Path, cache: Path) -> None:
    places = {
        "items": out / ITEMS,
        "examples": out / EXAMPLES_FILE,
        "stores": cache / STORES,
        "answers": cache / ANSWERS,
    }
    for file in files:
        for kind, place in places.items():
            note_copy(kind, place, of=file)


def run_personalization(
    plan: Plan,
    settings: Settings,
    *,
    adapters: str,
    judge: str | None,
    out: Path,
    cache: Path,
    watch: Watch,
) -> dict[str, Any]:
    """Run the arms, write `results.json`, `examples.json` and `report.html`, return the results.

    Args:
        plan: Plan of the measurement; its `adapters` are set here.
        settings: Settings of the language model.
        adapters: `none`, `promoted`, or `role@step` separated by commas.
        judge: Name of the judge's chat model; None: no judge.
        out: Folder of the output files.
        cache: Folder of stores and answers.
        watch: Receives progress.

    Raises:
        FormatError: A file can't be read.
        ModelError: A model can't be opened.
        EvaluationError: There is nothing to measure, or results can't be written.
    """
    asked = read_targets(plan)  # fail before a model is loaded
    _note_copies([each.data.path for each in asked], out, cache)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    with open_asked_model(settings, adapters, cache) as model:
        splits = {each.data.name: each.data.splits.fingerprint for each in asked}
        check_splits(settings, model.adapters, splits)
        plan = replace(
            plan,
            adapters=model.adapters,
            budget=opened_budget(settings, [chat_role(model.chat.inner)]),
            prompt_folder=settings.prompts,
            guards=settings.guards,
            arms=[with_adapters(arm, model.adapters) for arm in plan.arms],
        )
        measured = asyncio.run(measure_personalization(plan, asked, model.chat, out, cache, watch))
    if not any(measured.items.values()):
        raise NothingDone(f"all items failed; the first: {measured.why}")
    about: dict[str, Any] = {"model": model.name, "dtype": model.dtype, "judge": judge}
    about |= {"started": started, "calls": model.chat.asked}
    reliability = None
    if judge is not None:
        watch.say(f"judging the drafts with {judge}")
        measured, reliability = judged(measured, judge, settings, cache)
    results = results_of(plan, measured, about)
    if reliability is not None:
        results["judge"] = reliability
    write_json(out / RESULTS, results)
    write_json(out / EXAMPLES_FILE, examples_of(measured))
    write_report(out)
    return results
