"""What several integration tests work with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from dev_server import DevServer, dev_server
from patlm.stores import TextStore
from processes import FAKE_MODEL
from store_fixtures import opened


@pytest.fixture(scope="session")
def fake_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    """Serve the sample corpus by `langgraph dev`, with a model that answers at once."""
    folder = tmp_path_factory.mktemp("dev-server")
    with dev_server(folder, PATLM_MODEL=FAKE_MODEL) as server:
        yield server


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[TextStore]:
    """An empty store with cheap encoders."""
    async with opened(tmp_path / "store") as store:
        yield store


@pytest.fixture(params=["memory", "disk"])
def read_from(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where texts are read from: a small namespace's from memory, a large one's from disk."""
    if request.param == "disk":
        monkeypatch.setattr("patlm.stores.texts.cache.RESIDENT_TEXTS", -1)
    return request.param
