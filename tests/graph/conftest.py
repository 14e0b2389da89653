"""A filled store for the tests of this folder; each copies it before it writes."""

import asyncio
from pathlib import Path

import pytest
from store_fixtures import TEXTS, opened


@pytest.fixture(scope="module")
def filled_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with `TEXTS`, made once a module."""
    path = tmp_path_factory.mktemp("filled") / "store"

    async def fill() -> None:
        async with opened(path) as store:
            await store.add(TEXTS)

    asyncio.run(fill())
    return path
