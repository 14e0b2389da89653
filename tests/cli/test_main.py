"""`patlm ...`: one JSON object for programs, one line for an error, never a traceback."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from patlm.cli.main import app
from patlm.graph import open as opening
from patlm.stores.episodes.shards import read_episodes
from processes import (
    FAKE_MODEL,
    HANG_SECONDS,
    assert_one_line,
    call,
    environment,
    output,
    run_python,
)
from store_fixtures import cheap_encoders
from typer.core import TyperGroup

CACHE = os.environ.get("PATLM_CACHE")
EVIDENCE = {"text_id", "user_id", "topic_id", "title", "body", "score", "strategy", "reason"}
WRITE = {
    "text", "summaries", "evidence", "own", "cold_start", "confidence", "iterations",
    "stop_reason", "warnings", "models", "adapters", "timings",
}  # fmt: skip
ROWS = [
    ("bo", "sea", "I slept. I ate. I left.", 3),
    ("bo", "hut", "Cold. Wet. Fine.", 2),
    ("cy", "sea", "Well! What a view! Go!", 5),
    ("cy", "hut", "Oh my! A stove! Go!", 4),
    ("ana", "hut", "Lovely!! Slept like a log [bold]here[/bold].", 5),
]


@pytest.fixture(autouse=True)
def no_weights(monkeypatch: pytest.MonkeyPatch, sample_cache: Path) -> None:
    monkeypatch.setattr(opening, "open_encoders", cheap_encoders)
    monkeypatch.setenv("PATLM_CACHE", str(sample_cache))
    monkeypatch.setenv("COLUMNS", "300")


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ingested")
    rows = [
        {"user_id": user, "topic_id": topic, "text": text, "rating": rating}
        for user, topic, text, rating in ROWS
    ]
    (folder / "texts.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "open_encoders", cheap_encoders)
        found = output("ingest", folder / "texts.jsonl", "--store", folder / "store")
    assert found["added"] == len(ROWS)
    return folder


@pytest.fixture
def store(ingested: Path, tmp_path: Path) -> str:
    shutil.copytree(ingested, tmp_path, dirs_exist_ok=True)
    return str(tmp_path / "store")


def write(store: str, *more: object, model: str = "scripted") -> tuple[object, ...]:
    where = ("--store", store, "--model", f"python:fakes:{model}")
    return ("write", *where, "--user", "ana", *more)


def test_write_prints_the_keys_of_the_contract(store: str) -> None:
    found = output(*write(store, "--topic", "sea", "--title", "Two nights"))
    assert set(found) >= WRITE
    assert found["text"] == "A fine view."
    assert set(found["summaries"]) == set(found["evidence"]) == {"style", "preference"}
    assert found["cold_start"] == "few" and found["own"][0]["user_id"] == "ana"
    pieces = [*found["own"], *found["evidence"]["style"], *found["evidence"]["preference"]]
    assert len(pieces) == 5 and all(set(piece) >= EVIDENCE for piece in pieces)
    assert {piece["user_id"] for piece in found["evidence"]["preference"]} == {"bo", "cy"}


@pytest.mark.parametrize(
    ("options", "task"),
    [
        (["--title", "T"], "long"),
        (["--text", "X"], "short"),
        (["--instruction", "I", "--title", "T"], "free"),
        (["--task", "rating", "--text", "X"], "rating"),
    ],
)
def test_without_a_task_it_is_told_by_what_is_given(
    store: str, tmp_path: Path, options: list[str], task: str
) -> None:
    trace = tmp_path / "traces"
    output(*write(store, *options, "--trace", trace))
    (record,) = read_episodes(trace)
    assert record.request["task"] == task


def test_options_reach_the_run(store: str, tmp_path: Path) -> None:
    trace = tmp_path / "traces"
    more = ["--k", 1, "--iterations", 1, "--deadline", 9, "--language", "pt", "--namespace", "n"]
    found = output(*write(store, "--title", "T", "--topic", "sea", "--trace", trace, *more))
    (record,) = read_episodes(trace)
    assert (record.context["k"], record.context["max_iterations"]) == (1, 1)
    assert (record.context["deadline_s"], record.request["language"]) == (9, "pt")
    assert (record.namespace, record.request["topic_id"]) == ("n", "sea")
    assert found["evidence"] == {"style": [], "preference": []}, "another tenant"


def test_people_read_the_draft_and_why(store: str) -> None:
    result = call(*write(store, "--topic", "sea", "--title", "T", "--details"))
    assert result.exit_code == 0
    for part in ("A fine view.", "Short and plain.", "Oh my!", "[bold]here[/bold]", "few"):
        assert part in result.stdout


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ([], "title"),
        (["--title", "T", "--task", "poem"], "'poem'"),
        (["--task", "rating"], "'text'"),
        (["--title", "T", "--k", "0"], "k: "),
        (["--title", "T", "--user", " "], "--user"),
    ],
)
def test_a_wrong_request_is_one_line(store: str, more: list[str], says: str) -> None:
    assert_one_line(call(*write(store, *more)), says, code=2)


def test_a_model_that_fails_is_one_line(store: str) -> None:
    result = call(*write(store, "--title", "T", model="refusing"))
    assert_one_line(result, "out of words")


@pytest.mark.parametrize(
    ("model", "says"), [("python:no_such_module:model", "no_such_module"), ("nonsense", "nonsense")]
)
def test_a_model_that_is_not_there_is_one_line(store: str, model: str, says: str) -> None:
    result = call("write", "--store", store, "--user", "u", "--title", "T", "--model", model)
    assert_one_line(result, says)


@pytest.mark.parametrize("command", [["stats"], ["forget", "--user", "ana"]])
@pytest.mark.parametrize("place", ["nowhere", "texts.jsonl", "empty"])
def test_looking_into_no_store_is_one_line_and_makes_none(
    store: str, tmp_path: Path, command: list[str], place: str
) -> None:
    (tmp_path / "empty").mkdir()
    before = sorted(tmp_path.rglob("*"))
    assert_one_line(call(*command, "--store", tmp_path / place), place)
    assert sorted(tmp_path.rglob("*")) == before


def test_wrong_settings_of_the_environment_are_one_line(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATLM_DTYPE", "float7")
    assert_one_line(call(*write(store, "--title", "T")), "PATLM_DTYPE", "float7", code=2)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["write", "--title", "T"], "--user"),
        (["forget", "--user", "u"], "--store"),
        (["nonsense"], "nonsense"),
        (["bench", "loop", "--runs", "3"], "--runs"),
    ],
)
def test_options_that_cannot_be_read_are_told_without_a_traceback(
    arguments: list[str], says: str
) -> None:
    result = call(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert says in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr


def test_stats_count_the_store(store: str) -> None:
    found = output("stats", "--store", store)
    keys = {"texts", "users", "topics", "namespaces", "shared", "fragments", "bytes", "indexes"}
    assert set(found) >= keys
    counts = [found[key] for key in ("texts", "users", "topics", "namespaces", "shared")]
    assert counts == [5, 3, 2, 1, 5]
    assert found["bytes"] > 0 and found["indexes"]
    assert "5" in call("stats", "--store", store).stdout


def test_forget_removes_a_person_with_proof(store: str, tmp_path: Path) -> None:
    trace = tmp_path / "traces"
    output(*write(store, "--title", "T", "--trace", trace))
    forget = ("forget", "--user", "ana", "--store", store, "--trace", trace)
    planned = output(*forget, "--dry-run")
    keys = {"user_id", "dry_run", "removed", "bytes_found_after", "adapters", "seconds"}
    assert set(planned) >= keys and planned["dry_run"] is True
    assert output("stats", "--store", store)["texts"] == 5
    found = output(*forget)
    assert set(found) >= keys and found["dry_run"] is False
    assert (found["removed"]["texts"], found["removed"]["traces"]) == (1, 1)
    assert (found["bytes_found_after"], found["adapters"]) == (0, [])
    assert output("stats", "--store", store)["texts"] == 4
    assert [(run.request, run.redacted is None) for run in read_episodes(trace)] == [({}, False)]
    again = call(*forget, "--json")
    assert (again.exit_code, json.loads(again.stdout)["removed"]["texts"]) == (1, 0)


def test_show_draws_the_latest_run_or_the_one_that_is_named(store: str, tmp_path: Path) -> None:
    trace = tmp_path / "traces"
    for title in ("First of all", "Second to none"):
        output(*write(store, "--title", title, "--topic", "sea", "--trace", trace))
    first, second = sorted(read_episodes(trace), key=lambda record: record.created)
    (latest,) = output("show", trace)["runs"]
    assert latest["run_id"] == second.run_id
    (named,) = output("show", trace, "--run", first.run_id[:8])["runs"]
    assert named["request"]["title"] == "First of all"
    assert len(output("show", trace, "--all")["runs"]) == 2
    drawn = call("show", trace).stdout
    for part in ("Second to none", "A fine view.", "iteration 2", "settled", "Oh my!", "style"):
        assert part in drawn


@pytest.mark.parametrize(
    ("content", "more", "says"),
    [
        (None, [], "traces.jsonl"),
        ("", [], "no run"),
        ('{"version": 99}', [], "version"),
        ('{"version": 1}', ["--run", "abc"], "abc"),
    ],
)
def test_traces_that_are_not_there_are_told(
    tmp_path: Path, content: str | None, more: list[str], says: str
) -> None:
    path = tmp_path / "traces.jsonl"
    if content is not None:
        path.write_text(content)
    result = call("show", path, *more)
    assert (result.exit_code, result.stdout) == (1, "")
    assert says in result.stderr.strip().splitlines()[-1]


def test_demo_writes_for_three_people(monkeypatch: pytest.MonkeyPatch) -> None:
    found = output("demo", "--model", "python:fakes:scripted")
    assert [run["cold_start"] for run in found["runs"]] == ["zero", "few", "known"]
    assert all(run["text"] and set(run) >= WRITE for run in found["runs"])
    shown = call("demo", "--model", "python:fakes:scripted")
    assert shown.exit_code == 0 and shown.stdout.count("A fine view.") >= 3


def test_a_demo_whose_model_fails_says_so_in_a_line() -> None:
    result = call("demo", "--model", "python:fakes:refusing")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.strip().splitlines()[-1].startswith("patlm: ")


def test_doctor_says_what_is_well_and_fails_where_it_is_not(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The models of this machine: in an empty cache the encoder would be missing, too.
    monkeypatch.delenv("PATLM_CACHE")
    if CACHE is not None:
        monkeypatch.setenv("PATLM_CACHE", CACHE)
    monkeypatch.setenv("PATLM_MODEL", FAKE_MODEL)
    found = json.loads(call("doctor", "--store", store, "--json").stdout)
    names = {finding["name"]: finding for finding in found["findings"]}
    assert {"python", "langgraph", "extra [local]", "store", "cache"} <= set(names)
    assert names["store"]["ok"] is True and "5 texts" in names["store"]["says"]
    result = call("doctor", "--store", tmp_path / "nowhere", "--json")
    found = json.loads(result.stdout)
    assert (result.exit_code, found["ok"]) == (1, False)
    assert [finding["name"] for finding in found["findings"] if finding["ok"] is False] == ["store"]


def test_bench_loop_prints_the_keys_of_the_contract() -> None:
    found = output("bench", "loop", "--runs", 10)
    assert set(found) >= {"framework_ms", "empty_graph_ms", "model_calls_ms", "ratio"}
    for times in (found["framework_ms"], found["empty_graph_ms"], found["model_calls_ms"]):
        assert 0 < times["p50"] <= times["p95"]
    medians = found["framework_ms"]["p50"] / found["empty_graph_ms"]["p50"]
    assert found["ratio"] == pytest.approx(medians, abs=0.001)


def test_retrieve_shows_what_write_would_read_and_asks_no_model(store: str) -> None:
    wish = ("--user", "ana", "--topic", "sea", "--title", "Two nights")
    found = output("retrieve", "--store", store, *wish)
    written = output(*write(store, *wish[2:], "--iterations", 1))
    assert set(found) == {
        "evidence", "own", "neighbours", "pool_sizes", "cold_start", "confidence", "abstains",
        "timings", "warnings",
    }  # fmt: skip
    for name in ("evidence", "own", "cold_start", "confidence"):
        assert found[name] == written[name]
    assert found["pool_sizes"] == {"style": 2, "preference": 2}
    near = {(each["side"], each["user_id"]) for each in found["neighbours"]}
    assert near == {(side, user) for side in ("style", "preference") for user in ("bo", "cy")}
    shown = call("retrieve", "--store", store, *wish).stdout
    assert "style evidence" in shown and "of 2 candidates" in shown and "Cold. Wet." in shown


def test_every_command_of_the_program_is_there_and_help_imports_none(tmp_path: Path) -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    for name, command in group.commands.items():
        assert command.name == name and command.help
    code = (
        "from typer.testing import CliRunner; from patlm.cli.main import app\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "import sys; print(*{n.split('.')[1] for n in sys.modules if n.startswith('patlm.')})\n"
        "print(*(n for n in sys.modules if n.startswith('patlm.cli.')))"
    )
    packages, commands = run_python("-c", code, cwd=tmp_path).stdout.splitlines()
    assert set(packages.split()) == {"cli", "models"}
    assert set(commands.split()) == {"patlm.cli.main", "patlm.cli.output"}


PIPED = """
from patlm.graph import open as opening
from store_fixtures import cheap_encoders
opening.open_encoders = cheap_encoders
from patlm.cli.main import app
app()
"""


@pytest.mark.parametrize(
    "more",
    [
        [],
        pytest.param(["--json"], marks=pytest.mark.slow),
        pytest.param(["--quiet"], marks=pytest.mark.slow),
        pytest.param(["--details"], marks=pytest.mark.slow),
    ],
)
def test_a_reader_that_goes_away_is_no_traceback(store: str, more: list[str]) -> None:
    """As `patlm write ... | head -1`."""
    words = [str(word) for word in write(store, "--title", "T", "--topic", "sea", *more)]
    process = subprocess.Popen(
        [sys.executable, "-c", PIPED, *words],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline().strip()
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(HANG_SECONDS) in (0, 1)


def test_feedback_on_a_traced_run_is_kept(store: str, tmp_path: Path) -> None:
    trace, mine = tmp_path / "traces", tmp_path / "mine.txt"
    run = output(*write(store, "--title", "T", "--trace", trace))["run_id"]
    mine.write_text("Lovely, really.\n")
    said = ("--edited", mine, "--rating", 4, "--rejected", "--add", "--store", store)
    result = call("feedback", trace, "--run", run[:8], *said)
    assert (result.exit_code, result.stderr) == (0, "") and run in result.stdout
    (record,) = read_episodes(trace)
    (feedback,) = record.feedback
    assert (feedback.edited, feedback.rating, feedback.accepted) == ("Lovely, really.", 4, False)
    held = output("texts", "list", "ana", "--store", store)["texts"]
    assert "Lovely, really." in [text["body"] for text in held]
    assert_one_line(call("feedback", trace, "--run", "zz", "--accepted"), "no run zz")
    assert call("feedback", trace, "--run", run[:8], "--rating", "nan").exit_code != 0
