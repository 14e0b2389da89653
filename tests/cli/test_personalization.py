import json
from pathlib import Path

import pytest
from click.testing import Result
from patlm.cli.main import app
from patlm.graph import open as opening
from planted import write_planted
from store_fixtures import cheap_encoders
from typer.testing import CliRunner

READS, PROSE = "python:planted:reading_model", "python:planted:prosaic_judge"


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "open_encoders", cheap_encoders)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of eight people; the stores of the tests stay beside it."""
    return write_planted(tmp_path_factory.mktemp("planted") / "planted.jsonl", people=8)


def call(folder: Path, data: Path, *options: str) -> Result:
    cache = data.with_name("cache")
    given = ["--data", str(data), "--out", str(folder / "R"), "--cache", str(cache)]
    model = [] if "--model" in options else ["--model", READS]
    split = [] if "--split" in options else ["--split", "all"]
    return CliRunner().invoke(app, ["bench", "personalization", *given, *model, *split, *options])


def refused(done: Result, code: int = 1) -> str:
    assert done.exit_code == code, done.output
    assert "Traceback" not in done.output
    (line,) = done.stderr.strip().splitlines()[-1:]
    return line


def test_it_writes_results_examples_and_a_report(planted: Path, tmp_path: Path) -> None:
    done = call(tmp_path, planted, "--arms", "no_context,both,floors", "--json")
    assert done.exit_code == 0, done.output
    results = json.loads(done.stdout)
    assert results == json.loads((tmp_path / "R" / "results.json").read_text())
    assert [row["arm"] for row in results["arms"]] == ["no_context", "both"]
    assert len(results["floors"]) == 6
    settings = results["settings"]
    assert (settings["data"], settings["tasks"], settings["split"]) == (
        ["planted"],
        ["long"],
        "all",
    )
    assert "both" in (tmp_path / "R" / "report.html").read_text()
    examples = json.loads((tmp_path / "R" / "examples.json").read_text())["examples"]
    assert len(examples) == 8 and examples[0]["arms"][1]["evidence"]["style"]


def test_results_name_nobody_and_quote_nothing(planted: Path, tmp_path: Path) -> None:
    call(tmp_path, planted, "--arms", "both,copy_best")
    results = (tmp_path / "R" / "results.json").read_text()
    assert "person" not in results and "handle" not in results and "kettle" not in results


def test_a_judge_reads_the_drafts_and_is_measured(planted: Path, tmp_path: Path) -> None:
    options = ("--arms", "no_context,both", "--judge", "python:planted:fair_judge", "--json")
    results = json.loads(call(tmp_path, planted, *options).stdout)
    points = {row["arm"]: row["metrics"]["judge"]["mean"] for row in results["arms"]}
    assert points["no_context"] < points["both"] <= 0.7
    assert results["judge"]["same_swapped"] == 1.0 and results["judge"]["unparsable"] == 0.0


def test_a_judge_that_answers_prose_costs_no_item(planted: Path, tmp_path: Path) -> None:
    done = call(tmp_path, planted, "--arms", "no_context", "--judge", PROSE)
    assert "expected one whole number from 1 to 7, got 'Well, it depends.'" in refused(done)
    assert len((tmp_path / "R" / "items.jsonl").read_text().splitlines()) == 8


def test_what_cannot_be_measured_is_said_in_a_line(planted: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.txt"
    foreign.write_text("no rows here")
    assert "cannot tell the format of foreign.txt" in refused(call(tmp_path, foreign))
    assert "no arm 'bots'" in refused(call(tmp_path, planted, "--arms", "bots"), 2)
    assert "got 'soap'" in call(tmp_path, planted, "--clean", "soap").stderr
    untitled = tmp_path / "untitled.jsonl"
    untitled.write_text(json.dumps({"user_id": "u", "text": "Words.", "topic_id": "t"}))
    assert "none of its 1 has a title and a text" in refused(call(tmp_path, untitled))
    assert "adapter" in refused(call(tmp_path, planted, "--adapters", "style@9"))
    failing = call(tmp_path, planted, "--arms", "both", "--model", "python:planted:failing_model")
    assert "all items failed; the first:" in refused(failing)
    assert call(tmp_path, planted, "--task", "poem").exit_code == 2
    assert call(tmp_path, planted, "--history", "some").exit_code == 2
