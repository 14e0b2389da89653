"""One run of `patlm bench personalization` from the model's name to the report."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..graph.settings import Settings
from ..training.asked_model import open_asked_model
from ..training.errors import TrainingError
from ..training.named_adapters import check_splits
from ..training.watch import Watch
from ..training.whole_files import write_json
from .arms import with_adapters
from .examples import EXAMPLES_FILE, examples_of
from .judging import judged
from .personalization import Plan, measure_personalization, read_targets
from .report import write_report
from .results import RESULTS, results_of


class NothingDone(TrainingError):
    """Not one item could be had."""


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
        plan: What is measured; its `adapters` are set here.
        settings: Which language model.
        adapters: `none`, `promoted`, or `role@step` with commas.
        judge: Name of the judge's chat model; None: nobody judges.
        out: Folder of what is written.
        cache: Folder of stores and answers.
        watch: Told how far it is.

    Raises:
        FormatError: A file can't be read.
        ModelError: A model can't be opened.
        TrainingError: There is nothing to measure, or results can't be kept.
    """
    asked = read_targets(plan)  # what can't be measured is said before anything is loaded
    started = datetime.now(UTC).isoformat(timespec="seconds")
    with open_asked_model(settings, adapters, cache) as model:
        splits = {each.data.name: each.data.splits.fingerprint for each in asked}
        check_splits(settings, model.adapters, splits)
        plan = replace(
            plan,
            adapters=model.adapters,
            arms=[with_adapters(arm, model.adapters) for arm in plan.arms],
        )
        measured = asyncio.run(measure_personalization(plan, asked, model.chat, out, cache, watch))
    if not any(measured.items.values()):
        raise NothingDone(f"all items failed; the first: {measured.why}")
    about = {
        "model": model.name,
        "dtype": model.dtype,
        "judge": judge,
        "started": started,
        "calls": model.chat.asked,
    }
    reliability = None
    if judge is not None:
        watch.say(f"the judge {judge} reads the drafts")
        measured, reliability = judged(measured, judge, settings, cache)
    results = results_of(plan, measured, about)
    if reliability is not None:
        results["judge"] = reliability
    write_json(results, out / RESULTS)
    write_json(examples_of(measured), out / EXAMPLES_FILE)
    write_report(out)
    return results
