"""The registry: adapters come whole, bear a name, never change, and say what they are for."""

from pathlib import Path
from typing import Any

import pytest
from adapter_fixtures import BASE, manifest, names, random_adapter
from patlm.stores.adapters.manifest import CONFIG, WEIGHTS, Manifest, parse_name
from patlm.stores.adapters.registry import AdapterRegistry
from patlm.stores.errors import (
    AdapterDamaged,
    AdapterError,
    AdapterExists,
    AdapterNotFound,
    AdapterUnfit,
)
from peft import LoraConfig, PeftConfig
from pydantic import ValidationError
from raising import raises


def test_what_is_added_is_a_copy_that_peft_reads(registry: AdapterRegistry, trained: Path) -> None:
    made = manifest("style@1", parent="style@9", metrics={"quality": 0.2, "ci": [0, 1]})
    added = registry.add(trained, made)
    assert (added.name, added.role, added.step) == ("style@1", "style", 1)
    assert added.path == registry.root / "style@1"
    assert sorted(path.name for path in added.path.iterdir()) == [CONFIG, WEIGHTS, "manifest.json"]
    assert (added.path / WEIGHTS).read_bytes() == (trained / WEIGHTS).read_bytes()
    assert isinstance(PeftConfig.from_pretrained(str(added.path)), LoraConfig)
    assert registry.get("style@1") == added
    assert added.manifest == made.model_copy(update={"files": added.manifest.files})
    assert set(added.manifest.files) == {CONFIG, WEIGHTS}


def test_nothing_is_made_by_looking(registry: AdapterRegistry) -> None:
    assert registry.adapters() == () and registry.promoted() == {}
    assert registry.next_step("style") == 1
    for ask in (registry.get, registry.promote):
        with raises(AdapterNotFound, "adapter_not_found", "style@1"):
            ask("style@1")
    with raises(AdapterNotFound, "nothing_promoted", "style"):
        registry.rollback("style")
    assert not registry.root.exists()


def test_adapters_come_by_role_and_then_by_number(registry: AdapterRegistry, trained: Path) -> None:
    for name in ("style@10", "style@9", "a-role@1"):
        registry.add(trained, manifest(name))
    assert names(registry) == ["a-role@1", "style@9", "style@10"]
    assert [registry.next_step(role) for role in ("a-role", "style", "role")] == [2, 11, 1]


def test_what_is_kept_is_never_overwritten(filled: AdapterRegistry, tmp_path: Path) -> None:
    before = filled.get("style@2")
    other = random_adapter(tmp_path / "other", seed=2)
    with raises(AdapterExists, "adapter_exists", "style@2", "step 4"):
        filled.add(other, manifest("style@2"))
    assert filled.get("style@2") == before


@pytest.mark.parametrize(
    "name",
    ["style", "style@", "@1", "style@0", "style@01", "style@-1", "Style@1", "a/b@1", "../x@1",
     "style@1\n", "style@1@2", "-x@1", "", "base"],
)  # fmt: skip
def test_what_is_no_name_is_told(filled: AdapterRegistry, name: str) -> None:
    for ask in (parse_name, filled.get, filled.promote):
        with raises(AdapterNotFound, "invalid_adapter_name", repr(name)):
            ask(name)


@pytest.mark.parametrize(
    "fields",
    [{"role": "Style"}, {"role": "../x"}, {"step": 0}, {"base": "no hex!!"}, {"parent": "style"},
     {"files": {WEIGHTS: "short"}}, {"version": 2}, {"maker": "me"}],
)  # fmt: skip
def test_a_manifest_takes_no_nonsense(fields: dict[str, Any]) -> None:
    sound = {"role": "style", "step": 1, "base": BASE, "base_name": "tiny"}
    Manifest(**sound)
    with pytest.raises(ValidationError):
        Manifest(**{**sound, **fields})


def test_one_for_another_base_model_is_refused(filled: AdapterRegistry) -> None:
    assert filled.get("style@1", base=BASE).name == "style@1"
    with raises(AdapterUnfit, "other_base_model", "f" * 16, BASE):
        filled.get("style@1", base="f" * 16)


def test_listing_passes_over_what_it_cannot_read(
    filled: AdapterRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    (filled.root / "style@2" / "manifest.json").write_text("{")
    (filled.root / "notes").mkdir()
    (filled.root / "style@9").write_text("no folder")
    told: list[AdapterError] = []
    kept = filled.adapters(report=told.append)
    assert [adapter.name for adapter in kept] == ["preference@1", "style@1", "style@3"]
    assert [type(error) for error in told] == [AdapterDamaged]
    filled.adapters()
    assert "adapter style@2: manifest.json" in caplog.text
