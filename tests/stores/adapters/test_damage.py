"""What is damaged or can't share a batch is neither added, nor given out, nor promoted."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from adapter_fixtures import manifest, names, random_adapter
from patlm.stores.adapters.manifest import CONFIG, MANIFEST, WEIGHTS
from patlm.stores.adapters.registry import AdapterRegistry
from patlm.stores.errors import AdapterDamaged, AdapterUnfit
from raising import raises


def spoil(path: Path, change: Callable[[bytearray], object]) -> None:
    content = bytearray(path.read_bytes())
    change(content)
    path.write_bytes(content)


def flip(content: bytearray) -> None:
    content[-100] ^= 1  # one bit of a weight: the header still fits


def configure(folder: Path, **settings: Any) -> None:
    path = folder / CONFIG
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"use_dora": True}, "use_dora=True"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save=['lm_head']"),
        ({"peft_type": "IA3"}, "'IA3'"),
    ],
)
def test_what_cannot_share_a_batch_is_refused(
    registry: AdapterRegistry, copy: Path, settings: dict[str, Any], says: str
) -> None:
    configure(copy, **settings)
    with raises(AdapterUnfit, "adapter_unfit", says):
        registry.add(copy, manifest("style@1"))
    assert names(registry) == []


def test_tensors_that_are_no_lora_are_refused(
    registry: AdapterRegistry, copy: Path, tmp_path: Path
) -> None:
    saved = random_adapter(tmp_path / "made", 1, modules_to_save=["lm_head"])
    shutil.copy(saved / WEIGHTS, copy / WEIGHTS)  # the configuration says nothing of them
    with raises(AdapterUnfit, "adapter_unfit", "lm_head"):
        registry.add(copy, manifest("style@1"))


@pytest.mark.parametrize(
    ("file", "content", "code"),
    [
        (WEIGHTS, None, "adapter_file_missing"),
        (WEIGHTS, b"pickled" * 100, "adapter_damaged"),
        (CONFIG, None, "adapter_file_missing"),
        (CONFIG, b"{", "adapter_damaged"),
    ],
)
def test_a_damaged_one_is_not_added(
    registry: AdapterRegistry, copy: Path, file: str, content: bytes | None, code: str
) -> None:
    (copy / file).unlink()
    if content is not None:
        (copy / file).write_bytes(content)
    with raises(AdapterDamaged, code, file):
        registry.add(copy, manifest("style@1"))
    assert names(registry) == []
    assert [path.name for path in registry.root.iterdir()] == [".adapters.lock"]


def test_checksums_that_the_trainer_gives_are_compared(
    registry: AdapterRegistry, copy: Path
) -> None:
    files = registry.add(copy, manifest("style@1")).manifest.files
    registry.add(copy, manifest("style@2", files={WEIGHTS: files[WEIGHTS]}))
    spoil(copy / WEIGHTS, flip)
    with raises(AdapterDamaged, "adapter_file_changed", WEIGHTS):
        registry.add(copy, manifest("style@3", files=files))
    assert names(registry) == ["style@1", "style@2"]


def test_an_adapter_in_a_sub_folder_is_named(registry: AdapterRegistry, copy: Path) -> None:
    """PEFT saves an adapter of another name than `default` in a folder of that name."""
    above = copy.parent / "checkpoint"
    for name in ("mine", "yours"):
        shutil.copytree(copy, above / name)
    with raises(AdapterDamaged, "adapter_file_missing", above / "mine", above / "yours"):
        registry.add(above, manifest("style@1"))
    assert names(registry) == []
    registry.add(above / "mine", manifest("style@1"))
    assert names(registry) == ["style@1"]


def test_weights_of_the_old_format_are_told(registry: AdapterRegistry, copy: Path) -> None:
    (copy / WEIGHTS).rename(copy / "adapter_model.bin")
    with raises(AdapterDamaged, "adapter_file_missing", "safe_serialization=True"):
        registry.add(copy, manifest("style@1"))


def test_an_empty_folder_is_no_adapter(registry: AdapterRegistry, tmp_path: Path) -> None:
    (tmp_path / "empty" / "deep" / "deeper").mkdir(parents=True)
    with raises(AdapterDamaged, "adapter_file_missing", tmp_path / "empty"):
        registry.add(tmp_path / "empty", manifest("style@1"))


SPOILT = {
    "one bit": (lambda at: spoil(at / WEIGHTS, flip), "adapter_file_changed", WEIGHTS),
    "no weights": (lambda at: (at / WEIGHTS).unlink(), "adapter_file_missing", WEIGHTS),
    "no manifest": (lambda at: (at / MANIFEST).unlink(), "adapter_file_missing", MANIFEST),
    "no JSON": (lambda at: (at / MANIFEST).write_text("{"), "invalid_manifest", MANIFEST),
    "newer": (
        lambda at: spoil(at / MANIFEST, lambda text: text.__setitem__(14, ord("7"))),
        "invalid_manifest",
        "got 7",
    ),
}


@pytest.mark.parametrize("damage", SPOILT)
def test_damage_is_found_and_a_damaged_one_is_not_promoted(
    filled: AdapterRegistry, damage: str
) -> None:
    change, code, named = SPOILT[damage]
    filled.promote("style@1")
    change(filled.root / "style@2")
    for ask in (filled.get, filled.promote):
        with raises(AdapterDamaged, code, "style@2", named) as told:
            ask("style@2")
        assert "\n" not in str(told.value)
    assert filled.promoted() == {"style": "style@1"}
    assert filled.get("style@1").name == "style@1"
