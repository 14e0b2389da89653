"""No prompt of any arm holds what is to be written: on real files, with a model that repeats.

`patlm bench personalization --model python:fake_models:parrot` is the same for as many targets as
one likes; the column `leaks` is part of every run.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from fake_models import parrot
from patlm.evaluation.arms.registry import arms_named
from patlm.evaluation.benchmark import Plan, measure_personalization, read_targets
from patlm.evaluation.cache import Answers, RememberedChat
from patlm.evaluation.progress import Unwatched
from patlm.evaluation.run import results_of
from patlm.graph import open as opening
from store_fixtures import cheap_encoders

FILES = ("pgraphrag/gap_dev.json", "pgraphrag/hotel_dev.json")
TARGETS = 12


@pytest.fixture
def data() -> Path:
    folder = os.environ.get("PATLM_DATA")
    if not folder:
        pytest.skip("PATLM_DATA names no folder with the benchmark's files")
    return Path(folder)


@pytest.mark.parametrize("name", FILES)
def test_nothing_leaks(
    data: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "open_encoders", cheap_encoders)
    plan = Plan([data / name], arms_named(["main", "controls"]), limit=TARGETS)
    model = RememberedChat(parrot(), "parrot", Answers())
    watch = Unwatched()
    measured = asyncio.run(
        measure_personalization(
            plan, read_targets(plan), model, tmp_path, tmp_path / "cache", watch
        )
    )
    rows = results_of(plan, measured, {})["arms"]
    assert len(rows) == 23 and min(row["leaks"]["targets"] for row in rows) >= TARGETS // 2
    leaking = {row["arm"]: row["leaks"] for row in rows if row["leaks"]["runs"]}
    assert set(leaking) <= {"oracle_style"}
