"""`patlm adapters ...`: one JSON object for programs, lines for people, one line for an error."""

import json
import shutil
from pathlib import Path
from typing import Any

import platformdirs
import pytest
from adapter_fixtures import BASE, manifest, random_adapter
from click.testing import Result
from patlm.graph.settings import Settings, adapters_folder
from patlm.stores.adapters.lineage import person_key
from patlm.stores.adapters.registry import AdapterRegistry
from processes import FAKE_MODEL, assert_one_line
from processes import call as patlm
from processes import output as output_of


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry of three adapters, style@1 promoted; only read by tests."""
    folder = tmp_path_factory.mktemp("kept")
    trained = random_adapter(folder / "trained", seed=1)
    registry = AdapterRegistry(folder / "adapters")
    keys = [person_key("default", user) for user in ("ann", "bob")]
    registry.add(trained, manifest("style@1", metrics={"quality": 0.21}), trained_on=keys)
    child = manifest("style@2", parent="style@1", base_name="a [bold]model[/bold]", task="long")
    registry.add(trained, child, trained_on=keys[:1])
    registry.add(trained, manifest("preference@1"))
    registry.promote("style@1")
    return registry.root


@pytest.fixture
def root(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COLUMNS", "300")
    return Path(shutil.copytree(kept, tmp_path / "adapters"))


def call(*words: object) -> Result:
    return patlm("adapters", *words)


def output(*words: object) -> dict[str, Any]:
    found: dict[str, Any] = output_of("adapters", *words)
    return found


def test_list_prints_the_keys_of_the_contract(root: Path) -> None:
    rows = output("list", "--adapters", root)["adapters"]
    contract = ("name", "role", "step", "base", "promoted", "parent", "metrics")
    assert [tuple(row[key] for key in contract) for row in rows] == [
        ("preference@1", "preference", 1, BASE, False, None, {}),
        ("style@1", "style", 1, BASE, True, None, {"quality": 0.21}),
        ("style@2", "style", 2, BASE, False, "style@1", {}),
    ]


def test_the_list_goes_on_beside_a_damaged_one(root: Path) -> None:
    (root / "style@1" / "manifest.json").unlink()
    result = call("list", "--adapters", root, "--json")
    assert result.exit_code == 0
    names = [row["name"] for row in json.loads(result.stdout)["adapters"]]
    assert names == ["preference@1", "style@2"]
    (line,) = result.stderr.splitlines()
    assert line.startswith("warning: adapter style@1: ") and "manifest.json is missing" in line


def test_show_prints_the_manifest(root: Path) -> None:
    found = output("show", "style@1", "--adapters", root)
    written = json.loads((root / "style@1" / "manifest.json").read_text())
    assert {key: found[key] for key in written} == written
    assert (found["name"], found["promoted"]) == ("style@1", True)
    assert found["path"] == str(root / "style@1")
    said = call("show", "style@2", "--adapters", root).stdout
    for part in ("a [bold]model[/bold]", "style@1", "none", "adapter_model.safetensors"):
        assert part in said


def test_show_names_the_parents_and_counts_the_people(root: Path) -> None:
    found = output("show", "style@2", "--adapters", root)
    assert (found["chain"], found["missing"]) == (["style@2", "style@1"], None)
    assert (found["people"], found["task"]) == (2, "long")
    assert output("show", "preference@1", "--adapters", root)["people"] is None
    lines = [
        line.split() for line in call("show", "style@2", "--adapters", root).stdout.split("\n")
    ]
    assert ["chain", "style@2,", "style@1"] in lines and ["people", "2"] in lines
    assert "people  not recorded" in call("show", "preference@1", "--adapters", root).stdout
    shutil.rmtree(root / "style@1")
    found = output("show", "style@2", "--adapters", root)
    assert (found["chain"], found["missing"], found["people"]) == (["style@2"], "style@1", None)


def test_prune_says_what_goes_and_why_the_others_stay(root: Path) -> None:
    words = ("prune", "--keep", 1, "--adapters", root)
    planned = output(*words, "--dry-run")
    assert planned["dry_run"] is True and planned["removed"] == []
    registry = AdapterRegistry(root)
    registry.add(root / "style@1", manifest("style@3"))
    registry.promote("style@3")
    registry.promote("preference@1")
    registry.add(root / "style@1", manifest("style@4"))
    said = call(*words, "--dry-run").stdout
    assert "style@2          would be removed\n" in said
    assert len(registry.adapters()) == 5
    found = output(*words)
    assert found["removed"] == ["style@2"] and found["dry_run"] is False
    assert found["bytes"] > 1000
    assert found["kept"] == {
        "preference@1": "promoted",
        "style@1": "target of the next rollback",
        "style@3": "promoted",
        "style@4": "the latest",
    }
    assert not (root / "style@2").exists()
    assert "style@3          stays: promoted" in call(*words).stdout
    assert call("prune", "--keep", 0, "--adapters", root).exit_code == 2


def test_promote_and_roll_back(root: Path) -> None:
    registry = AdapterRegistry(root)
    found = output("promote", "style@2", "--adapters", root)
    assert found == {"role": "style", "promoted": "style@2", "before": "style@1"}
    assert registry.promoted() == {"style": "style@2"}
    found = output("rollback", "style", "--adapters", root)
    assert found == {"role": "style", "promoted": "style@1", "before": "style@2"}
    found = output("rollback", "style", "--adapters", root)
    assert found == {"role": "style", "promoted": None, "before": "style@1"}
    assert registry.promoted() == {}


@pytest.mark.parametrize(
    ("words", "says", "code"),
    [
        (["show", "style@9"], "style@9", 1),
        (["show", "style"], "role@step", 2),
        (["promote", "style@9"], "style@1, style@2", 1),
        (["promote", "../x@1"], "../x@1", 2),
        (["rollback", "integrate"], "'integrate'", 1),
    ],
)
def test_what_is_not_there_is_one_line(root: Path, words: list[str], says: str, code: int) -> None:
    assert_one_line(call(*words, "--adapters", root), says, code=code)
    assert AdapterRegistry(root).promoted() == {"style": "style@1"}


def test_a_damaged_one_is_one_line(root: Path) -> None:
    (root / "style@2" / "adapter_model.safetensors").write_bytes(b"\n")
    for words in (["show", "style@2"], ["promote", "style@2"]):
        assert_one_line(call(*words, "--adapters", root), "style@2", "adapter_model.safetensors")
    (root / "promoted.json").write_text("{")
    for words in (["list"], ["promote", "style@1"], ["rollback", "style"]):
        assert_one_line(call(*words, "--adapters", root), "promoted.json")


def test_the_folder_is_named_by_the_variable_or_the_users_own(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Settings().adapters is None
    assert adapters_folder(None) == Path(platformdirs.user_data_dir("patlm")) / "adapters"
    monkeypatch.setenv("PATLM_ADAPTERS", str(root))
    assert Settings().adapters == root
    assert adapters_folder(Path("~/kept")) == Path.home() / "kept"
    assert len(output("list")["adapters"]) == 3


def test_the_doctor_looks_at_what_is_promoted(
    root: Path, sample_store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATLM_ADAPTERS", str(root))
    monkeypatch.setenv("PATLM_MODEL", FAKE_MODEL)

    def finding() -> dict[str, Any]:
        words = ["doctor", "--store", str(sample_store_path), "--json"]
        found = json.loads(patlm(*words).stdout)["findings"]
        (one,) = [one for one in found if one["name"] == "style adapter"]
        return dict(one)

    assert finding()["ok"] is True and f"style@1 of {root}" in finding()["says"]
    (root / "style@1" / "adapter_model.safetensors").unlink()
    assert finding()["ok"] is False and "adapter_model.safetensors" in finding()["says"]
