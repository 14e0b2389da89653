"""Forgetting looks beyond the store: episodes are emptied, adapters that were trained are named."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from adapter_fixtures import manifest
from click.testing import Result
from fakes import ScriptedChat
from patlm.cli.main import app
from patlm.graph import Personalizer
from patlm.graph import open as opening
from patlm.stores.adapters.lineage import person_key
from patlm.stores.adapters.registry import AdapterRegistry
from patlm.stores.episodes.schema import Episode, EvidenceRecord, IterationRecord
from patlm.stores.episodes.shards import EpisodeWriter, read_episodes
from store_fixtures import cheap_encoders
from typer.testing import CliRunner

WORDS = "Nobody else ever wrote these words of mine."


@pytest.fixture(autouse=True)
def no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "open_encoders", cheap_encoders)
    monkeypatch.setenv("COLUMNS", "400")


@pytest.fixture
def store(filled_store: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(filled_store, tmp_path / "store"))


@pytest.fixture
def family(registry: AdapterRegistry, trained: Path) -> AdapterRegistry:
    """ann trained style@2, and style@3 went on from it; of preference@1 nobody knows."""
    for name, parent, users in (
        ("style@1", None, ["bob"]),
        ("style@2", "style@1", ["ann"]),
        ("style@3", "style@2", ["cat"]),
    ):
        people = [person_key("default", user) for user in users]
        registry.add(trained, manifest(name, parent=parent), trained_on=people)
    registry.add(trained, manifest("preference@1"))
    return registry


def episode(user: str, lender: str, namespace: str = "default") -> Episode:
    lent = EvidenceRecord(text_id="0", user_id=lender, body=f"{WORDS} {lender}", score=0.5)
    return Episode(
        run_id=f"{user}-{lender}-{namespace}",
        namespace=namespace,
        request={"user_id": user, "task": "long"},
        iterations=(IterationRecord(iteration=1, evidence={"style": (lent,)}),),
    )


def collected(folder: Path, *pairs: tuple[str, str]) -> Path:
    for user, lender in pairs:
        EpisodeWriter(folder).append(episode(user, lender))
    return folder


def call(store: Path, *words: object) -> Result:
    return CliRunner().invoke(app, ["forget", "--store", str(store), *map(str, words)])


def output(store: Path, *words: object, exit_code: int = 0) -> dict[str, Any]:
    result = call(store, *words, "--json")
    assert result.exit_code == exit_code, (result.output, result.exception)
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_episodes_of_several_folders_are_emptied(store: Path, tmp_path: Path) -> None:
    one = collected(tmp_path / "one", ("ann", "bob"), ("bob", "cat"))
    two = collected(tmp_path / "two", ("bob", "ann"), ("cat", "bob"), ("cat", "ann"))
    trace = collected(tmp_path / "trace", ("ann", "ann"))
    EpisodeWriter(two).append(episode("ann", "ann", namespace="acme"))
    words = ("--user", "ann", "--episodes", one, "--episodes", two, "--trace", trace)
    planned = output(store, *words, "--dry-run")
    assert (planned["removed"]["episodes"], planned["removed"]["traces"]) == (3, 1)
    assert sum(b"of mine. ann" in path.read_bytes() for path in tmp_path.rglob("*.jsonl")) == 2
    found = output(store, *words)
    assert found["removed"] == planned["removed"] and found["removed"]["texts"] > 0
    left = [each for each in read_episodes(two) if each.iterations]
    assert [each.run_id for each in left] == ["cat-bob-default", "ann-ann-acme"]
    again = output(store, *words, exit_code=1)["removed"]
    assert (again["episodes"], again["traces"], again["texts"]) == (0, 0, 0)


def test_a_mistyped_folder_is_told_before_anything_is_removed(store: Path, tmp_path: Path) -> None:
    folder = collected(tmp_path / "runs", ("ann", "bob"))
    result = call(store, "--user", "ann", "--episodes", folder, "--episodes", tmp_path / "rnus")
    assert result.exit_code == 1
    assert (
        result.stderr == f"patlm: {tmp_path}/rnus: expected a folder of episodes, there is none\n"
    )
    assert len([each for each in read_episodes(folder) if each.iterations]) == 1
    assert output(store, "--user", "ann", "--dry-run")["removed"]["texts"] > 0


def test_the_receipt_names_the_adapters(store: Path, family: AdapterRegistry) -> None:
    found = output(store, "--user", "ann", "--adapters", family.root, "--dry-run")
    assert found["adapters"] == ["style@2", "style@3"]
    assert found["adapters_without_record"] == ["preference@1"]
    found = output(store, "--user", "dan", "--adapters", family.root)
    assert (found["adapters"], found["adapters_without_record"]) == ([], ["preference@1"])
    words = ("--user", "ann", "--namespace", "acme", "--adapters", family.root)
    other = output(store, *words, exit_code=1)
    assert other["adapters"] == [], "another tenant's ann is another person"
    assert len(family.adapters()) == 4, "weights stay: only their owner can say what to do"


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ("ANN", ["ann"]),
        ("a n n", ["ann"]),
        ("anne", ["ann"]),
        ("\u00e1nn", ["ann"]),
        ("somebody", []),
        ("nan", ["dan"]),
    ],
)
def test_nobody_is_forgotten_with_exit_code_one(store: Path, asked: str, near: list[str]) -> None:
    result = call(store, "--user", asked)
    assert (result.exit_code, result.stdout) == (1, ""), "no proof of nothing"
    assert result.stderr.count("\n") == 1 and repr(asked) in result.stderr
    for words in ((), ("--dry-run",)):
        found = output(store, "--user", asked, *words, exit_code=1)
        assert found["near_ids"][:1] == near and not any(found["removed"].values())


@pytest.mark.parametrize("asked", ["ann ", "\u00a0ann", "ann\n"])
def test_an_id_with_spaces_is_the_same_person(store: Path, asked: str) -> None:
    assert output(store, "--user", asked)["removed"]["texts"] == 3


def test_an_empty_id_is_one_line(store: Path) -> None:
    result = call(store, "--user", "  ")
    assert result.exit_code == 2 and "--user" in result.stderr


async def test_a_personalizer_does_the_same(
    store: Path, family: AdapterRegistry, tmp_path: Path
) -> None:
    folder = collected(tmp_path / "runs", ("ann", "bob"), ("bob", "cat"))
    opened = Personalizer(store, model=ScriptedChat(), adapters=family.root)
    async with opened as personalizer:
        receipt = await personalizer.forget("ann", episodes=[str(folder)])
    assert receipt.removed["episodes"] == 1 and receipt.removed["traces"] == 0
    assert receipt.adapters == ("style@2", "style@3")
