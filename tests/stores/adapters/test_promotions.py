"""One adapter a role is in use; every process sees which, and the way back is never barred."""

import multiprocessing
import shutil
import time
from pathlib import Path

import pytest
from adapter_fixtures import manifest, promote_in_turn
from patlm.stores.adapters.registry import AdapterRegistry
from patlm.stores.errors import AdapterDamaged, AdapterNotFound
from raising import raises

SPAWN = multiprocessing.get_context("spawn")


def test_rollback_goes_back_one_by_one_to_the_base_model(filled: AdapterRegistry) -> None:
    for name in ("style@1", "preference@1", "style@2", "style@2", "style@1", "style@3"):
        filled.promote(name)
    assert filled.promoted() == {"style": "style@3", "preference": "preference@1"}
    assert [filled.rollback("style") for _ in range(4)] == ["style@1", "style@2", "style@1", None]
    assert filled.promoted() == {"preference": "preference@1"}
    with raises(AdapterNotFound, "nothing_promoted", "style", "preference@1"):
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
    monkeypatch.setattr("patlm.stores.adapters.promotions.time.time_ns", lambda: 10**18)
    for name in ("style@1", "preference@1"):
        filled.promote(name)
    for step in (2, 3, 2, 3, 2, 3):
        filled.promote(f"style@{step}")
        assert other.promoted()["style"] == f"style@{step}"
        assert filled.rollback("style") == "style@1"


def test_a_promoted_one_that_vanished_is_told_by_get_alone(filled: AdapterRegistry) -> None:
    for step in (1, 3):
        filled.promote(f"style@{step}")
    shutil.rmtree(filled.root / "style@3")
    assert AdapterRegistry(filled.root).promoted() == {"style": "style@3"}
    with raises(AdapterNotFound, "adapter_not_found", "style@1, style@2", "rollback style"):
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
            with raises(AdapterDamaged, "damaged_promotions", "promoted.json"):
                ask()
    (filled.root / "promoted.json").unlink()
    assert filled.promoted() == {}
    filled.promote("style@2")
    assert filled.promoted() == {"style": "style@2"}


def test_two_processes_that_promote_lose_nothing(registry: AdapterRegistry, trained: Path) -> None:
    for name in ("style@1", "style@2", "preference@1", "preference@2"):
        registry.add(trained, manifest(name))
    workers = [
        SPAWN.Process(target=promote_in_turn, args=(registry.root, role, 16))
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
    for role in ("style", "preference"):  # 16 promotions are 16 steps back
        way = [registry.rollback(role) for _ in range(16)]
        assert way == [f"{role}@{1 + turn % 2}" for turn in reversed(range(15))] + [None]
