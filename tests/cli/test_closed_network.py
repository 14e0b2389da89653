"""With every socket but loopback shut, commands work, and nothing even tries to get out.

`support/closed_network` shuts them: what Python opens by an audit hook, what native code opens by a
network of the process's own, whose kernel counts. Tracing is switched on, as it may be for another
program of the same machine; hubs are not told to be offline.
"""

import json
from pathlib import Path

import pytest
from patlm.models.catalogue import CATALOGUE, SMALLEST
from patlm.models.installed import is_installed
from planted import write_planted
from planted_episodes import planted_episodes, run_config
from processes import TESTS, run_python
from trace_receiver import trace_receiver

MODEL = "python:fakes:scripted"
TRACED = {"LANGSMITH_TRACING": "true", "LANGSMITH_API_KEY": "no-secret"}
OWN = {"OWN_NETWORK": "1"}
LANGSMITH = "api.smith.langchain.com"

RUN_ALL = """
import json, sys
from processes import call
for words in json.loads(sys.argv[1]):
    done = call(*words)
    assert done.exit_code == 0, (words, done.output, done.exception)
if telemetry := sys.modules.get("huggingface_hub.utils._telemetry"):
    telemetry._TELEMETRY_QUEUE.join()  # a thread sends what is in it
print("all ran")
"""


def attempts(folder: Path, commands: list[list[object]], **env: str) -> list[str]:
    """Run commands in one process that can reach this machine alone; return who tried more."""
    notes = folder / "attempts.txt"
    notes.unlink(missing_ok=True)
    shut = {
        "PYTHONPATH": f"{TESTS / 'closed_network'}:{TESTS}",
        "CLOSED_NETWORK": str(notes),
        "HF_HUB_OFFLINE": "0",
    }
    words = [[str(word) for word in command] for command in commands]
    done = run_python("-c", RUN_ALL, json.dumps(words), cwd=folder, **{**shut, **env})
    assert done.stdout == "all ran\n", done.stderr
    return notes.read_text().splitlines() if notes.exists() else []


def write_and_read(data: Path) -> list[list[object]]:
    on = ["--user", "person 1 of many", "--topic", "lamp", "--title", "A lamp", "--store", "S"]
    return [
        ["ingest", data, "--store", "S"],
        ["write", *on, "--model", MODEL, "--trace", "T"],
        ["retrieve", *on],
        ["forget", "--user", "person 1 of many", "--store", "S"],
    ]


def all_commands(data: Path, folder: Path) -> list[list[object]]:
    config = run_config(folder, planted_episodes(12))
    bench = ["--data", data, "--model", MODEL, "--split", "all"]
    local = [["write", "--user", "new", "--title", "A lamp", "--store", "S", "--max-tokens", 8,
              "--iterations", 1, "--model", SMALLEST]]  # fmt: skip
    return [
        ["demo", "--model", MODEL],
        *write_and_read(data),
        *(local if is_installed(CATALOGUE[SMALLEST]) else []),
        ["collect", "--data", data, "--limit", 4, "--out", "E", "--model", MODEL,
         "--adapters", "none"],
        ["train", "--role", "style", "--episodes", config.episodes, "--out", "run", "--adapters",
         "A", "--model", config.model, "--dtype", "fp32", "--steps", 2],
        ["train-encoder", "--store", "S", "--out", "encoder", "--epochs", 1],
        ["index", "--store", "S", "--train", "--epochs", 1],
        ["compare", *bench, "--limit", 4, "--modes", "none,quoted", "--cache", "c",
         "--html", "two.html"],
        ["bench", "personalization", *bench, "--out", "R", "--cache", "c", "--limit", 4,
         "--arms", "no_context,both,floors"],
        ["bench", "loop"],
        ["view", "T", "--html", "runs.html"],
        ["audit", "--store", "S"],
        ["doctor"],
        ["models", "list"],
    ]  # fmt: skip


def test_writing_and_reading_try_no_socket_outside(tmp_path: Path) -> None:
    data = write_planted(tmp_path / "planted.jsonl")
    commands = write_and_read(data)[:2]
    assert attempts(tmp_path, commands, **TRACED, **OWN, PATLM_TRACING="off") == []


def test_an_attempt_is_seen(tmp_path: Path) -> None:
    """The host's name is a reserved one, which nobody can have."""
    shut = {"PYTHONPATH": str(TESTS / "closed_network"), "CLOSED_NETWORK": str(tmp_path / "n")}
    for program in (
        "import socket; socket.create_connection(('a.invalid', 80))",
        "import socket; socket.socket().connect(('192.0.2.1', 80))",
        "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 80))",
    ):
        assert run_python("-c", program, cwd=tmp_path, **shut).returncode == 1
    said = (tmp_path / "n").read_text().splitlines()
    assert [line.split(" by ")[0] for line in said] == [
        "socket.getaddrinfo a.invalid", "socket.connect 192.0.2.1", "socket.sendto 192.0.2.1",
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "traced",
    [{}, {**TRACED, "PATLM_TRACING": "off"}, TRACED],
    ids=["not traced", "off", "redacted"],
)
def test_no_command_tries_a_socket_outside(tmp_path: Path, traced: dict[str, str]) -> None:
    """Where tracing is redacted, the one host that is tried is the one it is switched on for."""
    data = write_planted(tmp_path / "planted.jsonl", people=120)
    tried = attempts(tmp_path, all_commands(data, tmp_path), **traced, **OWN)
    if traced == TRACED:
        assert tried and all(f" {LANGSMITH} " in each for each in tried), tried
    else:
        assert tried == []


@pytest.mark.slow
def test_what_is_sent_to_a_server_of_traces_here_has_no_text(tmp_path: Path) -> None:
    data = write_planted(tmp_path / "planted.jsonl", people=120)
    with trace_receiver() as receiver:
        tried = attempts(tmp_path, all_commands(data, tmp_path), **receiver.variables)
        assert tried == [] and receiver.runs
        for line in data.read_text().splitlines():
            assert json.loads(line)["text"] not in receiver.said
