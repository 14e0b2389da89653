"""Fixtures that several test files share; fakes and helpers are in `support/`."""

import asyncio
import gc
import os
import resource
import shutil
import signal
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from adapter_fixtures import manifest, random_adapter
from fakes import ScriptedChat
from patlm.graph import open as opening
from patlm.stores.adapters.registry import AdapterRegistry
from patlm.stores.texts.store import TextStore
from patlm.stores.types import StoreLimits
from processes import FAKE_MODEL
from servers import DevServer, dev_server
from store_fixtures import cheap_encoders, opened, style_encoder, topic_encoder

# A fifth of the time of tests that train went into looking for cycles among all that is imported.
gc.set_threshold(10_000, 20, 20)


def pytest_collection_finish() -> None:
    """What is imported until now stays to the end: no search for cycles looks at it again."""
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest: the last one is run by one process alone."""
    items.sort(key=lambda item: "training" not in item.path.parts)


@pytest.fixture(autouse=True)
def no_settings_from_outside(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whoever runs the tests may have a store, a model or a trace folder set."""
    for name in list(os.environ):
        if name.startswith("PATLM_") and name not in ("PATLM_DATA", "PATLM_CACHE"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("LANGSMITH_TRACING", "false")
    # Else copies that tests make would be noted in the list of whoever runs them.
    copies = tmp_path_factory.mktemp("copies") / "copies.jsonl"
    monkeypatch.setenv("PATLM_COPIES", str(copies))
    # By name: the default takes the largest model that is installed here.
    monkeypatch.setenv("PATLM_MODEL", "smollm2-135m")
    # No test speaks TLS, and each client of a provider would read all certificates of the web.
    monkeypatch.setenv("SSL_CERT_DIR", os.path.dirname(__file__))
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", lambda *given, **more: None)


@pytest.fixture
def file_limit() -> Iterator[Callable[[int], None]]:
    """A function that limits the bytes of a file, in this process, until the test ends.

    It stands for a full disk: the system refuses to write on.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda limit: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.fixture
def model() -> ScriptedChat:
    return ScriptedChat()


@pytest.fixture(scope="session")
def sample_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with the store of the sample corpus, by cheap encoders; only read by tests."""
    folder = tmp_path_factory.mktemp("sample-cache")

    async def fill() -> None:
        async with opening.open_store(None):
            pass

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "open_encoders", cheap_encoders)
        patch.setenv("PATLM_CACHE", str(folder))
        asyncio.run(fill())
    return folder


@pytest.fixture(scope="session")
def sample_store_path(sample_cache: Path) -> Path:
    """The store of the sample corpus, by cheap encoders; only read by tests."""
    (path,) = sample_cache.glob("sample-store-*")
    return path


@pytest.fixture
async def sample_store(sample_store_path: Path) -> AsyncIterator[TextStore]:
    async with TextStore.open(
        str(sample_store_path), style_encoder=style_encoder(), topic_encoder=topic_encoder()
    ) as store:
        yield store


@pytest.fixture(scope="session")
def fake_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    """Serve the sample corpus by `langgraph dev`, with a model that answers at once."""
    folder = tmp_path_factory.mktemp("dev-server")
    with dev_server(folder, PATLM_MODEL=FAKE_MODEL) as server:
        yield server


@pytest.fixture
def limits() -> StoreLimits:
    """The limits of `store`; `store_fixtures.from_memory_and_disk` gives others."""
    return StoreLimits()


@pytest.fixture
async def store(tmp_path: Path, limits: StoreLimits) -> AsyncIterator[TextStore]:
    """An empty store with cheap encoders."""
    async with opened(tmp_path / "store", limits) as store:
        yield store


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
