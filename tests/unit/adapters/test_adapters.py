"""The registry: adapters come whole or not at all, never change, and one a role is in use."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from adapter_fixtures import BASE, manifest, random_adapter
from adapter_workers import Place, add_and_die, add_as_next, promote_in_turn
from patlm.stores import adapters as module
from patlm.stores.adapter_errors import (
    AdapterDamaged,
    AdapterError,
    AdapterExists,
    AdapterNotFound,
    AdapterUnfit,
)
from patlm.stores.adapter_manifest import Manifest, parse_name
from patlm.stores.adapters import AdapterRegistry
from peft import LoraConfig, PeftConfig
from pydantic import ValidationError

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One adapter as a trainer leaves it; only read by tests."""
    return random_adapter(tmp_path_factory.mktemp("trained") / "style", seed=1)


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    """The same, to be spoiled."""
    return Path(shutil.copytree(trained, tmp_path / "copy"))


@pytest.fixture
def registry(tmp_path: Path) -> AdapterRegistry:
    return AdapterRegistry(tmp_path / "adapters")


@pytest.fixture
def filled(registry: AdapterRegistry, trained: Path) -> AdapterRegistry:
    for name in ("style@1", "style@2", "style@3", "preference@1"):
        registry.add(trained, manifest(name))
    return registry


def spoil(path: Path, change: Callable[[bytearray], object]) -> None:
    content = bytearray(path.read_bytes())
    change(content)
    path.write_bytes(content)


def cut(content: bytearray) -> None:
    del content[-100:]


def flip(content: bytearray) -> None:
    content[-100] ^= 1  # one bit of a weight: the header still fits


def configure(folder: Path, **settings: Any) -> None:
    path = folder / CONFIG
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))


def names(registry: AdapterRegistry) -> list[str]:
    return [adapter.name for adapter in registry.adapters()]


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
        with pytest.raises(AdapterNotFound, match="no adapter style@1"):
            ask("style@1")
    with pytest.raises(AdapterNotFound, match="none to go back from; promoted: none"):
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
    with pytest.raises(AdapterExists, match="add this one as step 4"):
        filled.add(other, manifest("style@2"))
    assert filled.get("style@2") == before


@pytest.mark.parametrize(
    "name",
    ["style", "style@", "@1", "style@0", "style@01", "style@-1", "Style@1", "a/b@1", "../x@1",
     "style@1\n", "style@1@2", "-x@1", "", "base"],
)  # fmt: skip
def test_what_is_no_name_is_told(filled: AdapterRegistry, name: str) -> None:
    for ask in (parse_name, filled.get, filled.promote):
        with pytest.raises(AdapterNotFound, match="expected role@step, such as style@3"):
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


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"use_dora": True}, "use_dora=True"),
        ({"modules_to_save": ["lm_head"]}, r"modules_to_save=\['lm_head'\]"),
        ({"trainable_token_indices": [1]}, "trainable_token_indices"),
        ({"bias": "lora_only"}, "bias=lora_only"),
        ({"init_lora_weights": "pissa_niter_4"}, "init_lora_weights=pissa_niter_4"),
        ({"peft_type": "IA3"}, "expected peft_type LORA, got 'IA3'"),
        ({"peft_type": None}, "expected peft_type LORA, got None"),
    ],
)
def test_what_cannot_share_a_batch_is_refused(
    registry: AdapterRegistry, copy: Path, settings: dict[str, Any], says: str
) -> None:
    configure(copy, **settings)
    with pytest.raises(AdapterUnfit, match=says):
        registry.add(copy, manifest("style@1"))
    assert names(registry) == []


@pytest.mark.parametrize("settings", [{"use_dora": True}, {"modules_to_save": ["lm_head"]}])
def test_it_is_refused_as_peft_itself_saves_it(
    registry: AdapterRegistry, tmp_path: Path, settings: dict[str, Any]
) -> None:
    made = random_adapter(tmp_path / "made", 1, init_lora_weights=True, **settings)
    with pytest.raises(AdapterUnfit, match="train it without"):
        registry.add(made, manifest("style@1"))


def test_tensors_that_are_no_lora_are_refused(
    registry: AdapterRegistry, copy: Path, tmp_path: Path
) -> None:
    saved = random_adapter(tmp_path / "made", 1, modules_to_save=["lm_head"])
    shutil.copy(saved / WEIGHTS, copy / WEIGHTS)  # the configuration says nothing of them
    with pytest.raises(AdapterUnfit, match="tensors of LoRA only .* got 1 others, such as .*head"):
        registry.add(copy, manifest("style@1"))


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        (WEIGHTS, None, f"{WEIGHTS} is missing"),
        (WEIGHTS, b"", "no whole safetensors file"),
        (WEIGHTS, b"pickled" * 100, "no whole safetensors file"),
        (CONFIG, None, f"{CONFIG} is missing"),
        (CONFIG, b"{", f"{CONFIG} is no JSON object"),
        (CONFIG, b"\xff", f"{CONFIG} is no JSON object"),
        (CONFIG, b"[]", f"{CONFIG} is no JSON object"),
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


def test_truncated_weights_are_not_added(registry: AdapterRegistry, copy: Path) -> None:
    spoil(copy / WEIGHTS, cut)
    with pytest.raises(AdapterDamaged, match="no whole safetensors file"):
        registry.add(copy, manifest("style@1"))


def test_checksums_that_the_trainer_gives_are_compared(
    registry: AdapterRegistry, copy: Path
) -> None:
    files = registry.add(copy, manifest("style@1")).manifest.files
    registry.add(copy, manifest("style@2", files={WEIGHTS: files[WEIGHTS]}))
    spoil(copy / WEIGHTS, flip)
    with pytest.raises(AdapterDamaged, match="was changed or damaged: expected sha256"):
        registry.add(copy, manifest("style@3", files=files))
    assert names(registry) == ["style@1", "style@2"]


def test_no_folder_is_no_adapter(registry: AdapterRegistry, tmp_path: Path) -> None:
    with pytest.raises(AdapterNotFound, match="there is none at .*nowhere"):
        registry.add(tmp_path / "nowhere", manifest("style@1"))


SPOILT = {
    "cut": (lambda at: spoil(at / WEIGHTS, cut), "was changed or damaged: expected sha256"),
    "one bit": (lambda at: spoil(at / WEIGHTS, flip), "was changed or damaged: expected sha256"),
    "settings": (lambda at: configure(at, lora_alpha=99), f"{CONFIG} was changed"),
    "no weights": (lambda at: (at / WEIGHTS).unlink(), f"{WEIGHTS} is missing"),
    "no manifest": (lambda at: (at / "manifest.json").unlink(), "manifest.json is missing"),
    "no JSON": (lambda at: (at / "manifest.json").write_text("{"), "is none that this patlm reads"),
    "a folder": (
        lambda at: ((at / WEIGHTS).unlink(), (at / WEIGHTS).mkdir()),
        f"{WEIGHTS} can't be read: Is a directory",
    ),
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


def test_a_folder_under_another_name_is_told(filled: AdapterRegistry) -> None:
    (filled.root / "style@3").rename(filled.root / "style@7")
    with pytest.raises(AdapterDamaged, match="adapter style@7: its manifest.json is that of sty"):
        filled.get("style@7")


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


def test_one_for_another_base_model_is_refused(filled: AdapterRegistry) -> None:
    assert filled.get("style@1", base=BASE).name == "style@1"
    with pytest.raises(AdapterUnfit, match=f"expected one for the base model {'f' * 16}, got one"):
        filled.get("style@1", base="f" * 16)


def test_rollback_goes_back_one_by_one_to_the_base_model(filled: AdapterRegistry) -> None:
    for name in ("style@1", "preference@1", "style@2", "style@2", "style@1", "style@3"):
        filled.promote(name)
    assert filled.promoted() == {"style": "style@3", "preference": "preference@1"}
    assert [filled.rollback("style") for _ in range(4)] == ["style@1", "style@2", "style@1", None]
    assert filled.promoted() == {"preference": "preference@1"}
    with pytest.raises(AdapterNotFound, match="of role 'style' is promoted.*: preference@1"):
        filled.rollback("style")
    filled.promote("style@2")
    assert filled.promoted()["style"] == "style@2"
    assert filled.rollback("style") is None, "what was rolled back is no history"


def test_promotions_survive_a_restart_and_others_see_them(filled: AdapterRegistry) -> None:
    other = AdapterRegistry(filled.root)
    assert other.promoted() == {}
    filled.promote("style@1")
    assert other.promoted() == {"style": "style@1"}
    filled.promote("style@2")
    assert other.promoted() == {"style": "style@2"}
    later = AdapterRegistry(filled.root)
    assert later.promoted() == {"style": "style@2"}
    assert later.rollback("style") == "style@1"
    assert filled.promoted() == other.promoted() == {"style": "style@1"}


def test_changes_within_one_tick_of_the_clock_are_seen(
    filled: AdapterRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Contents of one size, in two inodes that take turns: only the time tells them apart.
    other = AdapterRegistry(filled.root)
    monkeypatch.setattr("patlm.stores.adapter_promotions.time.time_ns", lambda: 10**18)
    for name in ("style@1", "preference@1"):
        filled.promote(name)
    for step in (2, 3, 2, 3, 2, 3):
        filled.promote(f"style@{step}")
        assert other.promoted()["style"] == f"style@{step}"
        assert filled.rollback("style") == "style@1"


def test_what_promoted_gives_is_the_callers_own(filled: AdapterRegistry) -> None:
    filled.promote("style@1")
    filled.promoted().clear()
    assert filled.promoted() == {"style": "style@1"}


def test_nothing_is_read_while_nothing_changes(
    filled: AdapterRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled.promote("style@1")
    filled.promoted()
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("read again"))
    assert filled.promoted() == {"style": "style@1"}


def test_a_promoted_one_that_vanished_is_told_by_get_alone(filled: AdapterRegistry) -> None:
    for step in (1, 3):
        filled.promote(f"style@{step}")
    shutil.rmtree(filled.root / "style@3")
    assert AdapterRegistry(filled.root).promoted() == {"style": "style@3"}
    with pytest.raises(AdapterNotFound, match="style@1, style@2; it is promoted all the same"):
        filled.get("style@3")
    assert filled.next_step("style") == 4, "a name that was in use is not given again"
    shutil.rmtree(filled.root / "style@1")
    assert filled.rollback("style") == "style@1", "the way back is never barred"


def test_damaged_promotions_are_told(filled: AdapterRegistry) -> None:
    filled.promote("style@1")
    content = (filled.root / "promoted.json").read_text()
    for broken in ("{", content.replace(": 1", ": 2"), content.replace("style@1", "../x@1")):
        (filled.root / "promoted.json").write_text(broken)
        for ask in (filled.promoted, lambda: filled.promote("style@2")):
            with pytest.raises(AdapterDamaged, match="promoted.json is none that this patlm reads"):
                ask()
    (filled.root / "promoted.json").unlink()
    assert filled.promoted() == {}
    filled.promote("style@2")
    assert filled.promoted() == {"style": "style@2"}


def test_two_processes_that_promote_lose_nothing(registry: AdapterRegistry, trained: Path) -> None:
    for name in ("style@1", "style@2", "preference@1", "preference@2"):
        registry.add(trained, manifest(name))
    workers = [
        SPAWN.Process(target=promote_in_turn, args=(registry.root, role, 50))
        for role in ("style", "preference")
    ]
    for worker in workers:
        worker.start()
    seen: list[dict[str, str]] = []
    while any(worker.is_alive() for worker in workers):
        seen.append(registry.promoted())  # never half a file
        time.sleep(0.001)
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert registry.promoted() == {"style": "style@2", "preference": "preference@2"}
    assert len({tuple(sorted(each.items())) for each in seen}) > 2, "nobody looked meanwhile"
    for role in ("style", "preference"):  # 50 promotions are 50 steps back
        way = [registry.rollback(role) for _ in range(50)]
        assert way == [f"{role}@{1 + turn % 2}" for turn in reversed(range(49))] + [None]


def test_threads_that_promote_lose_nothing(filled: AdapterRegistry) -> None:
    turns = [
        threading.Thread(target=filled.promote, args=(name,))
        for name in ("style@1", "style@2", "style@3", "preference@1")
    ]
    for turn in turns:
        turn.start()
    for turn in turns:
        turn.join()
    way = [filled.promoted()["style"], *(filled.rollback("style") for _ in range(3))]
    assert sorted(filter(None, way)) == ["style@1", "style@2", "style@3"] and way[3] is None
    assert filled.promoted() == {"preference": "preference@1"}


@pytest.mark.parametrize("place", ["copy", "manifest", "rename"])
def test_a_process_killed_while_adding_leaves_nothing_to_be_seen(
    registry: AdapterRegistry, trained: Path, place: Place
) -> None:
    worker = SPAWN.Process(target=add_and_die, args=(registry.root, trained, place))
    worker.start()
    worker.join()
    assert worker.exitcode == -signal.SIGKILL
    assert list(registry.root.glob(".adding-*")), "it was killed too early to show anything"
    assert names(registry) == [] and registry.next_step("style") == 1
    with pytest.raises(AdapterNotFound):
        registry.get("style@1")
    registry.add(trained, manifest("preference@1"))
    assert not list(registry.root.glob(".adding-*")), "remains are cleared away"
    assert registry.add(trained, manifest("style@1")) == registry.get("style@1")


def test_a_full_disk_leaves_nothing_behind(
    registry: AdapterRegistry, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(module.os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            registry.add(trained, manifest("style@1"))
    assert [path.name for path in registry.root.iterdir()] == [".adapters.lock"]


def test_processes_that_add_take_turns(registry: AdapterRegistry, trained: Path) -> None:
    workers = [
        SPAWN.Process(target=add_as_next, args=(registry.root, trained, 5)) for _ in range(2)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert [adapter.step for adapter in registry.adapters()] == list(range(1, 11))
    assert all(registry.get(name).name == name for name in names(registry))
