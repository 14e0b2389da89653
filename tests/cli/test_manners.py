"""Empty and unreadable arguments, streams that are full or closed, old files: one line each."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fakes import ScriptedChat
from patlm.cli.doctor import named_models
from patlm.cli.options import parts_of
from patlm.graph import Personalizer, Settings
from patlm.graph.settings import OTHER_VARIABLES
from patlm.nodes.errors import SettingsError
from patlm.stores.datasets.ingest import place_rejects_file
from processes import assert_one_line, call, environment
from raising import raises
from typer import BadParameter

ROWS = '{"user_id": "ana", "text": "Mine."}\n'


@pytest.mark.parametrize("to", ["/dev/full", "&-"])
@pytest.mark.parametrize(
    "words", ["--help", pytest.param("models list --json", marks=pytest.mark.slow)]
)
def test_a_stdout_that_takes_nothing_is_one_line(to: str, words: str) -> None:
    program = f"{sys.executable} -c 'from patlm.cli.main import app; app()'"
    done = subprocess.run(
        ["sh", "-c", f"{program} {words} >{to}"],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("patlm: stdout: ")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["ingest", "", "--store", "s"], "argument"),
        (["ingest", "a.jsonl", "--store", ""], "--store"),
        (["ingest", "a.jsonl", "--store= "], "--store"),
        (["ingest", "a.jsonl", "--store", "s", "--rejects", ""], "--rejects"),
        (["compare", "--data", ""], "--data"),
        (["compare", "--modes", ","], "--modes"),
        (["compare", "--modes", "all"], "all"),
        (["compare", "--iterations", "11"], "--iterations"),
        (["write", "--user", "ana", "--title", ""], "--title"),
        (["write", "--user", "\udcff", "--title", "x"], "--user"),
        (["stats", "--store", "st\udce9"], "UTF-8"),
        (["stats", "--stroe", "s"], "--stroe"),
        (["nothing"], "nothing"),
    ],
)
def test_wrong_usage_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], named: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jsonl").write_text(ROWS)
    assert_one_line(call(*words), named, code=2)
    assert list(tmp_path.iterdir()) == [tmp_path / "a.jsonl"]


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PATLM_MODEL")
    unset = Settings()
    for name in Settings.model_fields:
        monkeypatch.setenv(f"PATLM_{name.upper()}", "")
    for name in OTHER_VARIABLES:
        monkeypatch.setenv(name, "")
    assert Settings() == unset
    assert Personalizer(model=ScriptedChat()).settings == unset
    assert_one_line(call("forget", "--user", "ana"), "--store", code=2)


@pytest.mark.parametrize(
    "wrong",
    [
        *({name: ""} for name in ("store", "trace", "model", "adapters", "encoder", "prompts")),
        *({"model": each} for each in (3, b"x", [], object())),
        *({"roles": {"style": each}} for each in (3, {})),
        *({"store": each} for each in (3, b"x", [])),
    ],
)
def test_a_keyword_that_is_empty_or_of_another_type_is_refused(wrong: dict[str, Any]) -> None:
    with raises(SettingsError, "invalid_settings", next(iter(wrong.get("roles", wrong)))):
        Personalizer(**wrong)


def test_a_folder_may_be_a_path_and_here() -> None:
    assert Personalizer(model=Path("some/folder")).settings.model == "some/folder"
    here = place_rejects_file(".", Path("a.jsonl"))
    assert here.name.startswith(Path().resolve().name) and here.parent == Path().resolve().parent
    assert parts_of("") == [] and parts_of("a, b") == ["a", "b"]
    with pytest.raises(BadParameter):
        parts_of(" , ")


@pytest.mark.parametrize(
    "name", ["qwen2.5-coder-0.5b", "no/where", "./nowhere", "python:no:factory"]
)
def test_doctor_says_of_a_model_that_is_not_there(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATLM_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (found,) = named_models(Settings(model=name))
    assert found.ok is False and "\n" not in found.says


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_a_corrected_draft_may_have_any_encoding(tmp_path: Path, encoding: str) -> None:
    run = {"version": 2, "run_id": "r1", "namespace": "default", "request": {"user_id": "ana"}}
    (tmp_path / "traces-1.jsonl").write_text(json.dumps(run) + "\n")
    said = "Das schöne Café über dem Fluß: größer, kühler, süßer.\nUnd für später."
    (tmp_path / "mine.txt").write_bytes(f"{said}\n".encode(encoding))
    result = call("feedback", tmp_path, "--run", "r1", "--edited", tmp_path / "mine.txt")
    assert result.exit_code == 0, result.output
    (kept,) = tmp_path.glob("feedback-*.jsonl")
    assert json.loads(kept.read_text())["edited"] == said
    (tmp_path / "mine.txt").write_bytes(b"\x00\xff" * 40)
    result = call("feedback", tmp_path, "--run", "r1", "--edited", tmp_path / "mine.txt")
    assert isinstance(result.exception, SystemExit) and result.exit_code != 0
