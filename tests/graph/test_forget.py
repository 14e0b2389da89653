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
from patlm.stores.copies.ledger import note_copy
from patlm.stores.episodes.schema import Episode, EvidenceRecord, IterationRecord
from patlm.stores.episodes.shards import EpisodeWriter, read_episodes
from patlm.stores.errors import StoreReadOnly
from patlm.stores.texts.store import TextStore
from patlm.stores.types import Text
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


async def cut_off(store: Path, text_ids: list[str] | None = None) -> None:
    """Begin to remove ann, or texts of hers, and get no further than the note."""
    async with TextStore.open_existing(str(store)) as opened:
        with pytest.raises(KeyboardInterrupt):
            async with opened.removing("default", "ann", text_ids):
                raise KeyboardInterrupt


async def texts_of_ann(store: Path) -> list[Text]:
    async with TextStore.open_existing(str(store)) as opened:
        return await opened.texts_of("default", "ann")


async def test_who_opens_a_store_finishes_what_was_cut_off(
    store: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = collected(tmp_path / "runs", ("ann", "bob"), ("bob", "cat"))
    note_copy("traces", folder, of=store)
    await cut_off(store)
    assert len(await texts_of_ann(store)) == 3, "to look at a store finishes nothing"
    caplog.clear()
    async with opening.open_store(str(store)) as opened:
        assert await opened.texts_of("default", "ann") == []
        assert await opened.unfinished() == ""
    assert "the removal of 'ann', which was cut off, is finished" in caplog.text
    assert [each.redacted is not None for each in read_episodes(folder)] == [True, False]
    caplog.clear()
    async with opening.open_store(str(store)):
        assert not caplog.text


async def test_only_the_texts_whose_removal_was_cut_off_go(store: Path) -> None:
    first, *others = await texts_of_ann(store)
    await cut_off(store, [first.text_id])
    async with opening.open_store(str(store)) as opened:
        assert await opened.texts_of("default", "ann") == others
        assert await opened.unfinished() == ""


async def test_a_removal_that_is_under_way_is_left_to_who_does_it(store: Path) -> None:
    async with TextStore.open_existing(str(store)) as one, one.removing("default", "ann"):
        async with opening.open_store(str(store)) as other:
            assert len(await other.texts_of("default", "ann")) == 3
        assert (await one.forget("default", "ann")).removed["texts"] == 3


async def test_what_cannot_be_finished_is_told(
    store: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise StoreReadOnly("it can't be written")

    await cut_off(store)
    monkeypatch.setattr(TextStore, "forget", fail)
    async with opening.open_store(str(store)) as opened:
        assert "'ann'" in await opened.unfinished()
    assert "it can't be written" in caplog.text
