"""What is damaged or can't share a batch is neither added, nor given out, nor promoted."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from adapter_fixtures import manifest, names, random_adapter
from patlm.stores.adapters.manifest import CONFIG, WEIGHTS
from patlm.stores.adapters.registry import AdapterRegistry
from patlm.stores.errors import AdapterDamaged, AdapterUnfit


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
        ({"modules_to_save": ["lm_head"]}, r"modules_to_save=\['lm_head'\]"),
        ({"peft_type": "IA3"}, "expected peft_type LORA, got 'IA3'"),
    ],
)
def test_what_cannot_share_a_batch_is_refused(
    registry: AdapterRegistry, copy: Path, settings: dict[str, Any], says: str
) -> None:
    configure(copy, **settings)
    with pytest.raises(AdapterUnfit, match=says):
        registry.add(copy, manifest("style@1"))
    assert names(registry) == []


def test_tensors_that_are_no_lora_are_refused(
    registry: AdapterRegistry, copy: Path, tmp_path: Path
) -> None:
    saved = random_adapter(tmp_path / "made", 1, modules_to_save=["lm_head"])
    shutil.copy(saved / WEIGHTS, copy / WEIGHTS)  # the configuration says nothing of them
    with pytest.raises(AdapterUnfit, match="got 1 others, such as .*head"):
        registry.add(copy, manifest("style@1"))


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        (WEIGHTS, None, f"{WEIGHTS} is missing"),
        (WEIGHTS, b"pickled" * 100, "safetensors file"),
        (CONFIG, None, f"{CONFIG} is missing"),
        (CONFIG, b"{", f"{CONFIG} is not a JSON object"),
    ],
)
def test_a_damaged_one_is_not_added(
    registry: AdapterRegistry, copy: Path, file: str, content: bytes | None, says: str
) -> None:
    (copy / file).unlink()
    if content is not None:
        (copy / file).write_bytes(content)
    with pytest.raises(AdapterDamaged, match=says):
        registry.add(copy, manifest("style@1"))
    assert names(registry) == []
    assert [path.name for path in registry.root.iterdir()] == [".adapters.lock"]


def test_checksums_that_the_trainer_gives_are_compared(
    registry: AdapterRegistry, copy: Path
) -> None:
    files = registry.add(copy, manifest("style@1")).manifest.files
    registry.add(copy, manifest("style@2", files={WEIGHTS: files[WEIGHTS]}))
    spoil(copy / WEIGHTS, flip)
    with pytest.raises(AdapterDamaged, match="was changed or damaged: expected sha256"):
        registry.add(copy, manifest("style@3", files=files))
    assert names(registry) == ["style@1", "style@2"]


def test_an_adapter_in_a_sub_folder_is_named(registry: AdapterRegistry, copy: Path) -> None:
    """PEFT saves an adapter of another name than `default` in a folder of that name."""
    above = copy.parent / "checkpoint"
    for name in ("mine", "yours"):
        shutil.copytree(copy, above / name)
    with pytest.raises(AdapterDamaged) as told:
        registry.add(above, manifest("style@1"))
    assert str(above / "mine") in str(told.value) and str(above / "yours") in str(told.value)
    assert names(registry) == []
    registry.add(above / "mine", manifest("style@1"))
    assert names(registry) == ["style@1"]


def test_weights_of_the_old_format_are_told(registry: AdapterRegistry, copy: Path) -> None:
    (copy / WEIGHTS).rename(copy / "adapter_model.bin")
    with pytest.raises(AdapterDamaged, match="safe_serialization"):
        registry.add(copy, manifest("style@1"))


def test_an_empty_folder_is_no_adapter(registry: AdapterRegistry, tmp_path: Path) -> None:
    (tmp_path / "empty" / "deep" / "deeper").mkdir(parents=True)
    with pytest.raises(AdapterDamaged, match=f"{CONFIG} is missing|{WEIGHTS} is missing"):
        registry.add(tmp_path / "empty", manifest("style@1"))


SPOILT = {
    "one bit": (lambda at: spoil(at / WEIGHTS, flip), "was changed or damaged: expected sha256"),
    "no weights": (lambda at: (at / WEIGHTS).unlink(), f"{WEIGHTS} is missing"),
    "no manifest": (lambda at: (at / "manifest.json").unlink(), "manifest.json is missing"),
    "no JSON": (lambda at: (at / "manifest.json").write_text("{"), "is not valid"),
    "newer": (
        lambda at: spoil(at / "manifest.json", lambda text: text.__setitem__(14, ord("7"))),
        "version: Input should be 1, got 7",
    ),
}


@pytest.mark.parametrize("damage", SPOILT)
def test_damage_is_found_and_a_damaged_one_is_not_promoted(
    filled: AdapterRegistry, damage: str
) -> None:
    change, says = SPOILT[damage]
    filled.promote("style@1")
    change(filled.root / "style@2")
    for ask in (filled.get, filled.promote):
        with pytest.raises(AdapterDamaged, match=says) as told:
            ask("style@2")
        assert "adapter style@2: " in str(told.value) and "\n" not in str(told.value)
    assert filled.promoted() == {"style": "style@1"}
    assert filled.get("style@1").name == "style@1"
