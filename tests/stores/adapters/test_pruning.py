"""Old adapters go; what is in use, the way back and all that these went on from stay."""

import multiprocessing
import signal
import threading
from pathlib import Path

import pytest
from adapter_fixtures import manifest, names, prune_and_die
from patlm.stores.adapters.registry import AdapterRegistry
from patlm.stores.errors import AdapterNotFound
from raising import raises

SPAWN = multiprocessing.get_context("spawn")
PARENTS = {3: 1, 6: 3}


@pytest.fixture
def many(registry: AdapterRegistry, trained: Path) -> AdapterRegistry:
    """Seven of style, 6 of them gone on from 3 and 3 from 1, and two of preference."""
    for step in range(1, 8):
        parent = f"style@{PARENTS[step]}" if step in PARENTS else None
        registry.add(trained, manifest(f"style@{step}", parent=parent))
    for step in (1, 2):
        registry.add(trained, manifest(f"preference@{step}"))
    return registry


def test_the_latest_of_each_role_stay_and_what_they_went_on_from(many: AdapterRegistry) -> None:
    size = sum(path.stat().st_size for path in (many.root / "style@2").iterdir())
    planned = many.prune(2, dry_run=True)
    assert len(names(many)) == 9
    pruned = many.prune(2)
    assert pruned == planned
    assert pruned.removed == ("style@2", "style@4", "style@5")
    assert abs(pruned.bytes - 3 * size) < 100, "manifests differ by a parent's name"
    assert pruned.kept == {
        "preference@1": "one of the latest 2 of its role",
        "preference@2": "one of the latest 2 of its role",
        "style@1": "parent of style@3",
        "style@3": "parent of style@6",
        "style@6": "one of the latest 2 of its role",
        "style@7": "one of the latest 2 of its role",
    }
    assert names(many) == list(pruned.kept)
    assert not list(many.root.glob(".removing-*"))
    with pytest.raises(AdapterNotFound):
        many.get("style@2")
    assert many.prune(2).removed == ()


def test_what_is_in_use_and_the_next_way_back_stay(many: AdapterRegistry) -> None:
    for step in (5, 4, 2, 1):
        many.promote(f"style@{step}")
    pruned = many.prune(1)
    assert pruned.kept == {
        "preference@2": "the latest",
        "style@1": "promoted",
        "style@2": "target of the next rollback",
        "style@7": "the latest",
    }
    assert many.promoted() == {"style": "style@1"}
    assert many.get(str(many.rollback("style"))).name == "style@2"
    assert many.rollback("style") is None, "the two before it went, and so did their promotions"
    assert many.next_step("style") == 8 and many.next_step("preference") == 3


def test_a_damaged_one_stays_with_its_reason(many: AdapterRegistry) -> None:
    (many.root / "style@2" / "manifest.json").write_text("{")
    pruned = many.prune(1)
    assert pruned.kept["style@2"] == "its manifest can't be read"
    assert (many.root / "style@2").is_dir() and not (many.root / "style@4").exists()


@pytest.mark.parametrize("keep", [0, -1])
def test_the_latest_number_is_never_free_again(many: AdapterRegistry, keep: int) -> None:
    with raises(ValueError, None, keep):
        many.prune(keep)
    assert len(names(many)) == 9


@pytest.mark.parametrize("place", ["rename", "delete"])
def test_a_killed_pruning_leaves_whole_adapters_and_is_finished_by_the_next(
    many: AdapterRegistry, trained: Path, place: str
) -> None:
    for step in (2, 7, 6):
        many.promote(f"style@{step}")
    worker = SPAWN.Process(target=prune_and_die, args=(many.root, place))
    worker.start()
    worker.join()
    assert worker.exitcode == -signal.SIGKILL
    assert bool(list(many.root.glob(".removing-*"))) == (place == "delete")
    assert many.promoted() == {"style": "style@6"}
    assert all(many.get(name).name == name for name in names(many)), "none is half there"
    assert many.rollback("style") == "style@7"
    many.add(trained, manifest("style@8"))
    assert not list(many.root.glob(".removing-*")), "remains are cleared away"
    many.prune(1)
    assert names(many) == ["preference@2", "style@7", "style@8"], "style@6 was rolled back"


def test_readers_beside_pruning_see_whole_adapters_or_none(
    registry: AdapterRegistry, trained: Path
) -> None:
    faults: list[Exception] = []
    looks, over = [0], threading.Event()

    def look() -> None:
        reader = AdapterRegistry(registry.root)
        while not over.is_set():
            for name in names(reader):
                try:
                    reader.get(name)
                    looks[0] += 1
                except AdapterNotFound:
                    pass  # gone between the list and the question
                except Exception as error:  # noqa: BLE001  (to be told by the main thread)
                    faults.append(error)

    registry.add(trained, manifest("style@1"))
    readers = [threading.Thread(target=look) for _ in range(2)]
    for reader in readers:
        reader.start()
    for step in range(2, 30):
        registry.add(trained, manifest(f"style@{step}"))
        registry.prune(1)
    over.set()
    for reader in readers:
        reader.join()
    assert looks[0] > 20, "nobody looked meanwhile"
    assert names(registry) == ["style@29"]
    assert faults == []
