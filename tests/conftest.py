"""Fixtures that several test files share; fakes are in `fakes`, the loop's in `loop_parts`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fakes import ScriptedChat
from patlm.stores.datasets.formats import read_texts
from patlm.stores.datasets.ingest import ingest
from patlm.stores.datasets.sample import sample_corpus
from patlm.stores.texts.store import TextStore
from store_fixtures import style_encoder, topic_encoder


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have a store, a model or a trace folder set."""
    for name in list(os.environ):
        if name.startswith("PATLM_") and name not in ("PATLM_DATA", "PATLM_CACHE"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("LANGSMITH_TRACING", "false")


@pytest.fixture
def model() -> ScriptedChat:
    return ScriptedChat()


@pytest.fixture(scope="session")
def sample_store_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of the sample corpus, made once with cheap encoders; only read by tests."""
    path = tmp_path_factory.mktemp("sample") / "store"

    async def fill() -> None:
        async with TextStore.open(
            str(path), style_encoder=style_encoder(), topic_encoder=topic_encoder()
        ) as store:
            await ingest(store, read_texts(sample_corpus()))

    asyncio.run(fill())
    return path


@pytest.fixture
async def sample_store(sample_store_path: Path) -> AsyncIterator[TextStore]:
    async with TextStore.open(
        str(sample_store_path), style_encoder=style_encoder(), topic_encoder=topic_encoder()
    ) as store:
        yield store
