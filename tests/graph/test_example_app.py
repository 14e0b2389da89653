"""An app's own graph around the loop, and the synchronous call beside the asynchronous one."""

import asyncio
import importlib.util
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypedDict

import pytest
from fakes import DRAFT, DRAFT_LATER, word_by_word
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from patlm.graph import Personalizer
from patlm.graph import open as opening
from processes import ROOT
from store_fixtures import cheap_encoders

REQUEST = {"topic_id": "wool-blanket", "title": "A blanket for the long winter"}


@pytest.fixture(scope="module", autouse=True)
def no_weights() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "open_encoders", cheap_encoders)
        yield


@pytest.fixture(scope="module")
def personalizer(sample_store_path: Path) -> Iterator[Personalizer]:
    # Opened by its first call, and closed outside of any event loop: tests have loops of their own.
    personalizer = Personalizer(sample_store_path, model=word_by_word())
    yield personalizer
    personalizer.close()


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("app_graph", ROOT / "examples" / "app_graph.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def draft_tokens(stream: AsyncIterator[Any]) -> list[str]:
    """Return the tokens of drafts in a stream of messages with sub-graphs."""
    return [
        str(message.text)
        async for _, (message, metadata) in stream
        if metadata["langgraph_node"] == "integrate" and message.text
    ]


async def test_app_graph_streams_draft_tokens(
    personalizer: Personalizer, example: ModuleType
) -> None:
    app = example.build_app(personalizer)
    given = {"signed_in": "tilly-types", "wish": "Recommend the blanket to a friend."}
    tokens = await draft_tokens(app.astream(given, stream_mode="messages", subgraphs=True))
    assert len(tokens) > 1
    assert "".join(tokens).split() == f"{DRAFT} {DRAFT_LATER}".split()


async def test_app_graph_with_a_checkpointer_serves_turn_after_turn(
    personalizer: Personalizer, example: ModuleType
) -> None:
    app = example.build_app(personalizer)
    app.checkpointer = InMemorySaver()
    config = {"configurable": {"thread_id": "one"}}
    for user in ("tilly-types", "nobody-yet", "tilly-types"):
        state = await app.ainvoke({"signed_in": user, "wish": "Recommend it."}, config)
        assert state["user_id"] == user
        assert state["text"] in (DRAFT, DRAFT_LATER)


@dataclass
class AppContext:
    """A context of the app's own, which the loop knows nothing of."""

    locale: str = "pt"


class AppState(TypedDict, total=False):
    user_id: str
    task: str
    title: str
    text: str
    locale: str


async def test_app_graph_may_have_a_context_of_its_own(personalizer: Personalizer) -> None:
    def greet(state: AppState, runtime: Runtime[AppContext]) -> AppState:
        return {"locale": runtime.context.locale}

    app = StateGraph(AppState, context_schema=AppContext)
    app.add_node("greet", greet)
    app.add_node("write", personalizer.graph)
    app.add_edge(START, "greet")
    app.add_edge("greet", "write")
    given: AppState = {"user_id": "ana", "task": "long", "title": "Warm"}
    state = await app.compile().ainvoke(given, context=AppContext("de"))
    assert state["locale"] == "de"
    assert state["text"] in (DRAFT, DRAFT_LATER)


async def test_sub_graph_stays_in_the_tenant_of_its_personalizer(tmp_path: Path) -> None:
    async with Personalizer(
        tmp_path / "store", model=word_by_word(), namespace="acme"
    ) as personalizer:
        await personalizer.add("bo", "Warm as toast, that blanket.", topic_id="b", shared=True)
        request = {"user_id": "ana", "task": "long", "topic_id": "b", "title": "Warm"}
        state = await personalizer.graph.ainvoke(request)
        assert [piece["user_id"] for piece in state["evidence"]["preference"]] == ["bo"]


def test_write_works_after_an_asynchronous_use(personalizer: Personalizer) -> None:
    async def use() -> str:
        return (await personalizer.awrite("tilly-types", **REQUEST)).text

    first = asyncio.run(use())
    assert personalizer.write("tilly-types", **REQUEST).text == first
    assert asyncio.run(use()) == first
