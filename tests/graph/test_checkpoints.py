"""A checkpointer is the app's own: it holds people's texts, and the app removes its threads."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fakes import ScriptedChat
from langgraph.checkpoint.memory import InMemorySaver
from patlm.graph import Personalizer
from patlm.graph import open as opening
from patlm.graph.builder import build_graph
from store_fixtures import cheap_encoders

SECRET = "My secret lamp ritual is nobody's business at all."
DATA_PAGE = Path(__file__).parents[2] / "docs" / "data.md"


@pytest.fixture
async def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Personalizer]:
    monkeypatch.setattr(opening, "open_encoders", cheap_encoders)
    async with Personalizer(tmp_path / "store", model=ScriptedChat()) as opened:
        await opened.add("u-sec", SECRET, topic_id="lamp", shared=True)
        await opened.add("u-ana", "Bright. Warm. Fine.", topic_id="sea", shared=True)
        yield opened


def held(saver: InMemorySaver) -> str:
    """Return all that a checkpointer keeps in memory."""
    return repr([dict(saver.storage), dict(saver.writes), dict(saver.blobs)])


async def run(app: Personalizer, saver: InMemorySaver, user: str, thread: str) -> None:
    graph = build_graph(app._runtime.parts).compile(checkpointer=saver)
    asked: Any = {"user_id": user, "task": "long", "title": "A lamp", "topic_id": "lamp"}
    if user == "u-sec":  # what she wrote on the topic itself is no history of hers
        asked |= {"topic_id": "sea"}
    await graph.ainvoke(asked, {"configurable": {"thread_id": thread}})


@pytest.mark.parametrize("user", ["u-ana", "u-sec"])
async def test_checkpoints_hold_texts_until_their_thread_is_deleted(
    app: Personalizer, user: str
) -> None:
    """As evidence of another's run and as the person's own: forgetting does not reach them."""
    saver = InMemorySaver()
    await run(app, saver, user, "1")
    await run(app, saver, user, "2")
    assert "secret lamp ritual" in held(saver)
    assert (await app.forget("u-sec")).removed["texts"] == 1
    assert "secret lamp ritual" in held(saver), "or the page about it could be shorter"
    for thread in ("1", "2"):
        await saver.adelete_thread(thread)
    assert "secret lamp ritual" not in held(saver)
    await run(app, saver, user, "3")
    assert "secret lamp ritual" not in held(saver)


async def test_a_personalizer_keeps_no_checkpoints(app: Personalizer) -> None:
    assert app.graph.checkpointer is None


def test_the_page_says_how_they_are_removed() -> None:
    page = " ".join(DATA_PAGE.read_text(encoding="utf-8").split())
    assert "adelete_thread" in page and ".langgraph_api" in page
