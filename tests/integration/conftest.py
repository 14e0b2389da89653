"""What several integration tests work with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from dev_server import DevServer, dev_server
from processes import FAKE_MODEL


@pytest.fixture(scope="session")
def fake_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    """Serve the sample corpus by `langgraph dev`, with a model that answers at once."""
    folder = tmp_path_factory.mktemp("dev-server")
    with dev_server(folder, PATLM_MODEL=FAKE_MODEL) as server:
        yield server
