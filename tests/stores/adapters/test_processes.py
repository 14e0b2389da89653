"""Processes that add at once, are killed at it, or meet a full disk."""

import errno
import multiprocessing
import signal
from pathlib import Path

import pytest
from adapter_fixtures import add_and_die, add_as_next, manifest, names
from patlm.stores.adapters import registry as module
from patlm.stores.adapters.registry import AdapterRegistry
from patlm.stores.errors import AdapterNotFound

SPAWN = multiprocessing.get_context("spawn")


def test_a_process_killed_while_adding_leaves_nothing_to_be_seen(
    registry: AdapterRegistry, trained: Path
) -> None:
    worker = SPAWN.Process(target=add_and_die, args=(registry.root, trained))
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
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(module.os, "fsync", full)
        with pytest.raises(OSError) as raised:
            registry.add(trained, manifest("style@1"))
        assert raised.value.errno == errno.ENOSPC
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
