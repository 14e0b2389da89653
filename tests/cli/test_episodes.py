"""`patlm episodes ...` and `patlm feedback`: what they print, and what they leave behind."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from episode_fixtures import FOUR, RUN, collected
from fakes import ScriptedChat
from hostile import places, replaced
from loop_parts import GivenRetrieval, record_of
from patlm.stores.episodes.schema import Episode, Feedback
from patlm.stores.episodes.shards import COLLECTED, EpisodeWriter, read_episodes
from patlm.stores.types import Text
from processes import call, output
from pydantic import ValidationError


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An episode with candidates, and a later one without."""
    writer = EpisodeWriter(tmp_path / "episodes", COLLECTED)
    writer.append(collected(*FOUR))
    later = datetime(2025, 3, 2, tzinfo=UTC)
    writer.append(collected(run_id="served-2", created=later, groups=(), samples=()))
    return writer.folder


def test_stats_have_the_keys_of_the_contract(folder: Path) -> None:
    found = output("episodes", "stats", folder)
    assert {
        "episodes",
        "samples",
        "groups",
        "failed",
        "inexact",
        "zero_variance",
        "by_role",
    } <= set(found)
    assert (found["episodes"], found["samples"], found["groups"], found["failed"]) == (2, 8, 1, 1)
    shown = call("episodes", "stats", folder).stdout.splitlines()
    assert "      episodes  2" in shown
    style = [line.split() for line in shown if line.startswith("style")]
    assert style == [
        ["style", "5", "2", "1", "0", "1", "0"], ["style", "1", "3", "0.375", "0.175", "0.750"]
    ]  # fmt: skip


def test_check_is_content_with_what_is_sound(folder: Path) -> None:
    assert output("episodes", "check", folder) == {"ok": True, "episodes": 2, "faults": []}
    result = call("episodes", "check", folder / "episodes-20250301.jsonl")
    assert result.stdout.endswith("episodes-20250301.jsonl: episodes 1, faults 0\n")


def test_check_fails_where_a_line_is_damaged(folder: Path) -> None:
    shard = folder / "episodes-20250301.jsonl"
    shard.write_bytes(shard.read_bytes() + b'{"version": 2, "run_')
    result = call("episodes", "check", folder)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[0] == (
        f"{shard}:2: not a JSON object, torn off at the end of the file"
    )
    found = json.loads(call("episodes", "check", folder, "--json").stdout)
    assert not found["ok"] and found["faults"][0]["line"] == 2


BY_HAND = [  # lines of a shard that are no records, with what is said of each
    ("{", "not a JSON object"),
    ('"text"', "not a JSON object"),
    ('{"version": 2, "namespace": "default", "request": {}}', "run_id"),
    ('{"version": 2, "run_id": "r", "request": {}}', "namespace"),
    ('{"version": 2, "run_id": "r", "namespace": "default", "calls": []}', "request"),
    (
        '{"version": 2, "run_id": "r", "namespace": "default", "request": {}, "samples": [{}]}',
        "samples.0.node",
    ),
]


@pytest.mark.parametrize("command", ["stats", "export"])
def test_records_made_by_hand_are_counted_and_named(
    folder: Path, tmp_path: Path, command: str
) -> None:
    shard = folder / "episodes-20250303.jsonl"
    shard.write_text("\n".join(line for line, _ in BY_HAND))
    given = (folder, "--to", tmp_path / "out.parquet") if command == "export" else (folder,)
    result = call("episodes", command, *given, "--json")
    found = json.loads(result.stdout)
    assert found["samples"] == 8
    if command == "export":
        assert found["skipped_by"] == {"damaged": len(BY_HAND), "no_samples": 1}
    assert found.get("skipped_by", found)["damaged"] == len(BY_HAND)
    warned = result.stderr.splitlines()
    for number, (each, (_, said)) in enumerate(zip(warned, BY_HAND, strict=True), start=1):
        assert f"{shard}:{number}: " in each and said in each


def test_show_has_the_candidates_best_first(folder: Path) -> None:
    shown = call("episodes", "show", folder).stdout  # the latest with candidates
    assert RUN in shown and "real text: What ana really wrote." in shown
    assert "draft without style (0.200): A plain draft." in shown
    lines = [line.strip() for line in shown.splitlines()]
    told = [line for line in lines if line.startswith(("reward", "Summary", "failed"))]
    assert told == [
        "reward 0.750, differential +0.550 (extractive)", "Summary extractive.",
        "reward 0.500, differential +0.300", "Summary 0.",
        "reward 0.250, differential +0.050", "Summary 1.",
        "reward –, differential – (tiny)", "failed: ValueError: down",
    ]  # fmt: skip
    assert output("episodes", "show", folder)["episode"]["run_id"] == RUN
    assert "no candidates were drawn" in call("episodes", "show", folder, "--run", "ser").stdout
    lone = call("episodes", "show", folder, "--run", "nobody")
    assert lone.exit_code == 1 and "nobody" in lone.stderr


def test_feedback_reaches_the_episode(folder: Path, tmp_path: Path) -> None:
    corrected = tmp_path / "corrected.txt"
    corrected.write_text("Two lovely nights.\n\nGrüße\n", encoding="utf-8")
    assert call("feedback", folder, "--run", "run", "--accepted").stdout == f"{RUN}: kept\n"
    given = call("feedback", folder, "--run", RUN, "--rejected", "--edited", corrected)
    assert given.exit_code == 0
    call("feedback", folder, "--run", RUN, "--edited", "-", "--rating", 4, input="From a pipe\n")
    said = next(each.feedback for each in read_episodes(folder) if each.run_id == RUN)
    assert [(each.accepted, each.edited, each.rating) for each in said] == [
        (True, None, None),
        (False, "Two lovely nights.\n\nGrüße", None),
        (None, "From a pipe", 4),
    ]
    found = output("episodes", "stats", folder)["feedback"]
    assert found == {"accepted": 0, "rejected": 1, "edited": 1, "rating": 4}


@pytest.mark.parametrize(
    ("more", "code", "says"),
    [
        (["--run", RUN], 1, RUN),
        (["--run", "nobody", "--accepted"], 1, "nobody"),
        (["--run", RUN, "--accepted", "--rejected"], 2, "one of --accepted and --rejected"),
        (["--run", RUN, "--rating", 9], 2, "less than or equal to 5"),
        (["--run", RUN, "--edited", "no-such-file"], 1, "no such file: no-such-file"),
    ],
)
def test_feedback_that_cannot_be_kept_is_one_line(
    folder: Path, more: list[object], code: int, says: str
) -> None:
    result = call("feedback", folder, *more)
    assert (result.exit_code, result.stdout) == (code, "")
    assert says in result.stderr
    assert list(folder.glob("feedback-*")) == []


def test_words_of_a_record_are_neither_marks_nor_commands_of_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    said = "[red]BOO[/red]\x1b]8;;http://a.example\x1b\\\x9b2J\x7f\u202e\r"
    record = record_of(ScriptedChat(), GivenRetrieval(own=[Text("ana", "Mine.", title="Own")]))
    drawn = collected(*FOUR, iterations=record.iterations, own=record.own, cold_start="few")
    rated = Feedback(run_id=RUN, created=drawn.created, edited="Better.")
    drawn = drawn.model_copy(update={"feedback": (rated,), "timings": {"style-reason": 1.0}})
    data = json.loads(drawn.model_dump_json())
    changed = 0
    values = [path for path in places(data) if path[-1] is not None]
    keys = [path for path in places(data) if path[-1] is None]
    for path in [*values, *reversed(keys)]:
        try:
            hostile = replaced(data, path, said)
            Episode.model_validate(hostile)
        except (ValidationError, KeyError):
            continue
        data, changed = hostile, changed + 1
    assert changed > 40
    (tmp_path / "episodes-20250301.jsonl").write_text(json.dumps(data) + "\n")
    for words in (["show"], ["episodes", "show"], ["episodes", "stats"]):
        shown = call(*words, tmp_path)
        assert shown.exit_code == 0, shown.exception
        assert shown.stdout.count("BOO") == shown.stdout.count("[red]BOO")
        left = set(shown.stdout) & set("\x9b\x7f\u202e\r")
        assert not left and "\x1b]" not in shown.stdout, "only colours of ours"
        assert output(*words, tmp_path), "JSON is JSON"
