"""What is promoted serves: by command, by Personalizer and by the graph of `langgraph dev`."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from adapter_fixtures import manifest, random_adapter
from patlm.cli.main import app
from patlm.graph import Personalizer, Settings, make_graph
from patlm.graph import open as opening
from patlm.graph import runtime as dev
from patlm.graph.runtime import get_runtime
from patlm.stores.adapters.registry import AdapterRegistry
from store_fixtures import cheap_encoders
from tiny_models import tiny_chat, tiny_llama, tiny_tokenizer
from typer.testing import CliRunner

REQUEST = {"user_id": "gran-mcleish", "task": "long", "title": "By the sea"}
ONE_DRAFT = {"max_iterations": 1, "max_tokens": 32}
BASE = dict.fromkeys(("style", "preference", "integrate"), "base")
PROMOTED = {"style": "style@2", "preference": "preference@1", "integrate": "integrate@1"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model as a folder, with a window that the loop's prompts fit into."""
    folder, tokenizer = tmp_path_factory.mktemp("model"), tiny_tokenizer()
    tiny_llama(len(tokenizer), window=4096).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def registry(tmp_path: Path) -> AdapterRegistry:
    registry, chat = AdapterRegistry(tmp_path / "adapters"), tiny_chat()
    for seed, name in enumerate(("style@1", "style@2", "preference@1", "integrate@1")):
        made = random_adapter(tmp_path / name, seed)
        registry.add(made, manifest(name, base=chat.fingerprint))
    registry.add(tmp_path / "style@1", manifest("style@3", base="f" * 16))
    chat.close()
    return registry


@pytest.fixture
def surroundings(
    model: Path, registry: AdapterRegistry, sample_store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "open_encoders", cheap_encoders)
    for name, value in (
        ("STORE", sample_store_path),
        ("MODEL", model),
        ("ADAPTERS", registry.root),
        ("DTYPE", "fp32"),  # the same answer whatever shared a batch
    ):
        monkeypatch.setenv(f"PATLM_{name}", str(value))


def command(*words: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, [*words, "--json"])
    assert result.exit_code == 0, (result.output, result.exception)
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def written() -> dict[str, Any]:
    asked = ("--user", "gran-mcleish", "--title", "By the sea")
    found = command("write", *asked, "--iterations", "1", "--max-tokens", "32")
    return {key: found[key] for key in ("text", "summaries", "adapters", "warnings")}


@pytest.mark.usefixtures("surroundings")
def test_the_same_command_before_and_after_a_promotion_and_after_the_rollback() -> None:
    first = written()
    assert first["adapters"] == BASE and written() == first, "or no difference would mean anything"
    command("adapters", "promote", "style@1")
    second = written()
    assert second["adapters"] == {**BASE, "style": "style@1"}
    assert second["summaries"]["style"] != first["summaries"]["style"]
    assert second["summaries"]["preference"] == first["summaries"]["preference"]
    assert second["text"] != first["text"]
    command("adapters", "promote", "integrate@1")
    third = written()
    assert third["adapters"] == {**second["adapters"], "integrate": "integrate@1"}
    assert third["summaries"] == second["summaries"] and third["text"] != second["text"]
    for role, now in (("integrate", second), ("style", first)):
        command("adapters", "rollback", role)
        assert written() == now


Ask = Callable[[], Any]


async def assert_takes_what_is_promoted(ask: Ask, registry: AdapterRegistry) -> None:
    """See that a process that goes on running serves what is promoted, request by request."""

    async def answer() -> tuple[Mapping[str, str], str]:
        found = await ask()
        return found["adapters"], found["text"]

    first = await answer()
    assert first[0] == BASE
    for name in PROMOTED.values():
        await asyncio.to_thread(registry.promote, name)
    promoted = await answer()
    assert promoted[0] == PROMOTED and promoted[1] != first[1]
    await asyncio.to_thread(registry.promote, "style@1")
    assert (await answer())[0] == {**PROMOTED, "style": "style@1"}
    await asyncio.to_thread(registry.rollback, "style")
    assert await answer() == promoted
    for role in PROMOTED:
        await asyncio.to_thread(registry.rollback, role)
    assert await answer() == first


@pytest.mark.usefixtures("surroundings")
async def test_a_personalizer_takes_what_is_promoted(registry: AdapterRegistry) -> None:
    async with Personalizer() as personalizer:

        async def ask() -> Mapping[str, Any]:
            return (await personalizer.awrite(**REQUEST, **ONE_DRAFT)).model_dump()  # type: ignore[arg-type]

        await assert_takes_what_is_promoted(ask, registry)


@pytest.fixture
async def factory(surroundings: None) -> AsyncIterator[None]:
    yield
    await asyncio.to_thread(get_runtime(Settings()).close)
    dev._compiled.cache_clear()


@pytest.mark.slow
@pytest.mark.usefixtures("factory")
async def test_the_graph_of_the_factory_takes_what_is_promoted(registry: AdapterRegistry) -> None:
    async def ask() -> Any:
        return await make_graph().ainvoke(REQUEST, context=ONE_DRAFT)  # type: ignore[arg-type]

    await assert_takes_what_is_promoted(ask, registry)
