"""One run of `patlm rounds`: from a file and a model's name to adapters and what they are worth."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..graph.settings import Settings
from ..stores.adapters import AdapterRegistry
from .benchmark_data import read_benchmark
from .round_steps import RealSteps
from .rounds import run_rounds
from .rounds_plan import RoundsPlan, numbered
from .rounds_state import RoundsState
from .watch import Watch


def run_whole_rounds(
    plan: RoundsPlan, settings: Settings, out: Path, work: Path, watch: Watch, *, workers: int = 0
) -> Mapping[str, Any]:
    """Run the stages that are not finished, and return what `rounds-{data}-{task}.json` says.

    Args:
        plan: Which, and how much of it.
        settings: The language model. Where adapters are is decided by `out`.
        out: Folder of results: figures and hashed ids, `adapters/{data}-{task}` and
            `curves/{data}-{task}`.
        work: Folder of what holds texts, for each data set and task its own.
        watch: Told how far it is.
        workers: Of Ray, over which collecting is spread; 0: it is done here.

    Raises:
        FormatError: The file can't be read.
        TrainingError: A stage is none or can't be done; what was finished before is kept.
        ModelError: A model can't be opened.
    """
    numbered(plan.stages)  # what can't be done is said before anything is loaded
    data = read_benchmark(plan.data)
    cell = f"{data.name}-{plan.task}"
    state = RoundsState(out, data.name, plan, data.splits.fingerprint)
    registry = AdapterRegistry(out / "adapters" / cell)
    steps = RealSteps(
        plan=plan,
        data=data,
        settings=settings.model_copy(update={"adapters": registry.root}),
        registry=registry,
        curves=out / "curves" / cell,
        work=work / cell,
        watch=watch,
        workers=workers,
    )
    asyncio.run(run_rounds(plan, steps, state, watch.say))
    return state.results
