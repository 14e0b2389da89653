"""Promoting and rolling back while requests run: each ends on the version it began with."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from adapter_fixtures import manifest, random_adapter
from loop_parts import MemoryTrace, loop_of, parts_of, run
from patlm.graph.adapters import ServedAdapters
from patlm.models.errors import AdapterRefused
from patlm.models.local.chat_model import LocalChatModel
from patlm.nodes.budget import Budget
from patlm.nodes.dependencies import ChatRole, Parts
from patlm.nodes.errors import ModelCallError
from patlm.nodes.state import RunContext
from patlm.stores.adapters.registry import AdapterRegistry
from raising import raises
from tiny_models import tiny_chat

REQUEST = {"user_id": "ana", "task": "long", "title": "By the sea"}
BASE = dict.fromkeys(("style", "preference", "integrate"), "base")


@pytest.fixture
def registry(tmp_path: Path) -> AdapterRegistry:
    registry = AdapterRegistry(tmp_path / "adapters")
    chat = tiny_chat()
    for step in (1, 2):
        made = random_adapter(tmp_path / f"made{step}", step)
        registry.add(made, manifest(f"style@{step}", base=chat.fingerprint))
    registry.add(tmp_path / "made1", manifest("preference@1", base="f" * 16))
    chat.close()
    return registry


def parts_over(registry: AdapterRegistry, trace: MemoryTrace) -> tuple[Parts, LocalChatModel]:
    served = ServedAdapters(registry.root)
    chat = tiny_chat(find_adapter=served.find, window=2048)
    roles = {role: ChatRole(chat, role, takes_adapters=True) for role in BASE}
    promoted = served.promoted_for(dict.fromkeys(BASE, chat))
    short = Budget(summary=6, answer={"long": 8})
    return parts_of(chat, chat=roles, promoted=promoted, trace=trace, budget=short), chat


@pytest.mark.slow
async def test_two_hundred_requests_while_versions_change(registry: AdapterRegistry) -> None:
    trace = MemoryTrace()
    parts, chat = parts_over(registry, trace)
    graph = loop_of(parts)
    turns, left = asyncio.Semaphore(16), 200

    async def ask() -> dict[str, object]:
        nonlocal left
        async with turns:
            result = await graph.ainvoke(REQUEST, context=RunContext(max_iterations=2))
            left -= 1
            return result

    async def swap() -> int:
        swaps = 0
        while left:
            for act in ("promote", "promote", "rollback"):
                step = 1 + swaps % 2
                change = registry.rollback if act == "rollback" else registry.promote
                await asyncio.to_thread(change, "style" if act == "rollback" else f"style@{step}")
                swaps += 1
                await asyncio.sleep(0.05)
        return swaps

    *results, swaps = await asyncio.gather(*(ask() for _ in range(200)), swap())
    assert swaps > 10
    used = Counter(result["adapters"]["style"] for result in results)  # type: ignore[index]
    assert set(used) == {"style@1", "style@2"} | ({"base"} & set(used))
    assert min(used["style@1"], used["style@2"]) > 5 and used.total() == 200
    assert len(trace.records) == 200
    for record in trace.records:
        of_style = {call.adapter for call in record.samples if call.role == "style"}
        assert of_style == {record.adapters["style"]}
        assert {call.adapter for call in record.samples if call.role != "style"} == {"base"}
    chat.close()


async def test_named_adapters_go_over_promoted_ones(registry: AdapterRegistry) -> None:
    parts, chat = parts_over(registry, MemoryTrace())
    registry.promote("style@2")
    assert (await run(parts, REQUEST))["adapters"] == {**BASE, "style": "style@2"}
    assert (await run(parts, REQUEST, adapters={}))["adapters"] == BASE
    named = await run(parts, REQUEST, adapters={"style": "style@1", "integrate": "base"})
    assert named["adapters"] == {**BASE, "style": "style@1"}
    chat.close()


async def test_a_promoted_adapter_of_another_model_is_left_aside(
    registry: AdapterRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    parts, chat = parts_over(registry, MemoryTrace())
    registry.promote("preference@1")
    assert (await run(parts, REQUEST))["adapters"] == BASE
    assert "preference@1 is left aside: it was made for the base model ffff" in caplog.text
    chat.close()


async def test_a_damaged_adapter_is_refused_or_falls_back_where_that_is_allowed(
    registry: AdapterRegistry,
) -> None:
    parts, chat = parts_over(registry, MemoryTrace())
    registry.promote("style@1")
    weights = registry.root / "style@1" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    with raises(ModelCallError, "model_failed", "style@1", weights.name) as caught:
        await run(parts, REQUEST)
    assert isinstance(caught.value.__cause__, AdapterRefused)
    fallen = await run(parts, REQUEST, adapter_fallback=True)
    assert fallen["adapters"] == BASE and fallen["text"] is not None
    chat.close()
