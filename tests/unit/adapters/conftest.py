"""A registry, empty and filled, and one adapter as a trainer leaves it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from adapter_fixtures import manifest, random_adapter
from patlm.stores.adapters.registry import AdapterRegistry


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
