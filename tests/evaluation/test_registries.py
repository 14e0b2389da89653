"""An entry of a registry shows up everywhere, and nothing else has to be touched."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from patlm.cli.main import app
from patlm.evaluation.arms.configuration import Arm, Configuration, Side
from patlm.evaluation.arms.registry import ARMS, UnknownArm, arms_named
from patlm.evaluation.report.markdown import results_tables
from patlm.evaluation.report.page import write_report
from patlm.evaluation.report.records import read_results
from patlm.evaluation.runner import RunSetup, Unit
from patlm.evaluation.scores.metrics import METRICS, Draft, Metric, measure, metrics_version
from patlm.evaluation.targets import targets_of
from patlm.graph import open as opening
from patlm.stores import Text
from patlm.stores.datasets.splits import Splits
from planted import write_planted
from raising import raises
from store_fixtures import cheap_encoders
from typer.testing import CliRunner

SHOUTS = Metric(
    "shouts",
    "shouting",
    "share of capitals",
    ("long",),
    lambda draft: sum(map(str.isupper, draft.text)) / max(1, len(draft.text)),
    better="lower",
    shown="headline",
)
LOUDEST = Arm(
    "copy_loudest",
    "floor",
    "the loudest neighbour's text",
    write=lambda given: max(given.texts, key=lambda text: sum(map(str.isupper, text)), default=""),
    tasks=("long",),
)
ANTI_TOPIC = Arm(
    "anti_topic",
    "control",
    "other topics for both sides",
    Configuration(preference=Side("random_topic"), iterations=2),
)


@pytest.fixture(autouse=True)
def _added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "open_encoders", cheap_encoders)
    monkeypatch.setitem(METRICS, SHOUTS.name, SHOUTS)
    monkeypatch.setitem(ARMS, LOUDEST.name, LOUDEST)
    monkeypatch.setitem(ARMS, ANTI_TOPIC.name, ANTI_TOPIC)


def run(tmp_path: Path, arms: str) -> dict[str, Any]:
    data = write_planted(tmp_path / "planted.jsonl")
    chosen = ["--arms", arms, "--split", "all", "--limit", "6", "--cache", str(tmp_path / "cache")]
    chosen += ["--model", "python:planted:reading_model", "--json"]
    asked = ["bench", "personalization", "--data", str(data), "--out", str(tmp_path / "out")]
    ran = CliRunner().invoke(app, [*asked, *chosen])
    assert ran.exit_code == 0, ran.output
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def test_they_are_run_and_reported(tmp_path: Path) -> None:
    results = run(tmp_path, "no_context,anti_topic,copy_loudest")
    rows = {row["arm"]: row for row in results["arms"] + results["floors"]}
    assert list(rows) == ["no_context", "anti_topic", "copy_loudest"]
    assert rows["copy_loudest"]["kind"] == "floor" and rows["anti_topic"]["kind"] == "control"
    assert all(0 <= row["metrics"]["shouts"]["mean"] <= 1 for row in rows.values())
    page = write_report(tmp_path / "out").read_text(encoding="utf-8")
    for said in ("shouting: share of capitals (lower is better)", LOUDEST.says, ANTI_TOPIC.says):
        assert said.replace("'", "&#39;") in page
    written = results_tables(read_results(tmp_path / "out"))
    assert "| shouting |" in written and "| `copy_loudest` |" in written


def test_groups_and_errors_name_them() -> None:
    assert LOUDEST in arms_named(["floors"]) and ANTI_TOPIC in arms_named(["controls"])
    with raises(UnknownArm, "unknown_arm", "anti_topic"):
        arms_named(["bot"])


def key_of(arm: Arm) -> str:
    text = Text("ana", "What Ana wrote.", title="Bay", target=True)
    (target,) = targets_of("data", [text], "long", splits=Splits())
    setup = RunSetup("all", None, None, Draft, None, "made")  # type: ignore[arg-type]
    return setup.key(Unit(target, arm)).made_of


def test_cached_items_are_measured_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    rating = metrics_version("rating")
    keys = [key_of(LOUDEST), key_of(replace(LOUDEST, version=2))]
    monkeypatch.setitem(METRICS, SHOUTS.name, replace(SHOUTS, version=2))
    keys.append(key_of(LOUDEST))
    monkeypatch.delitem(METRICS, SHOUTS.name)
    keys.append(key_of(LOUDEST))
    assert len(set(keys)) == 4
    assert metrics_version("rating") == rating  # a metric of texts


def test_a_metric_says_where_it_counts() -> None:
    assert measure("long", Draft("Fine.", "FINE"))["shouts"] == 1
    assert "shouts" not in measure("short", Draft("Fine.", "FINE"))
