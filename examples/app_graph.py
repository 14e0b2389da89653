"""Use the loop as a node of an assistant's own graph and stream the draft.

The app's state contains those fields of the loop's request and result that it needs, under the
same names (`patlm.graph.Request`, `patlm.graph.Result`); LangGraph passes them in and out. If names
or values differ, a node before maps the app's fields to the request, and a node after maps the
result to the app's answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from patlm.graph import Personalizer


class AppState(TypedDict, total=False):
    """State of the app: its own fields, then the loop's."""

    signed_in: str
    wish: str
    reply: str
    user_id: str
    task: str
    topic_id: str | None
    instruction: str
    text: str
    stop_reason: str


def ask(state: AppState) -> AppState:
    """Map the app's fields to the loop's request."""
    return {
        "user_id": state["signed_in"],
        "task": "free",
        "topic_id": "wool-blanket",
        "instruction": state["wish"],
    }


def answer(state: AppState) -> AppState:
    """Map the loop's result to the app's answer."""
    return {"reply": f"Here is a draft: {state['text']} ({state['stop_reason']})"}


def build_app(personalizer: Personalizer) -> CompiledStateGraph[AppState, Any, AppState, AppState]:
    """Return the app's graph; `write` is the whole loop."""
    app = StateGraph(AppState)
    app.add_node("ask", ask)
    app.add_node("write", personalizer.graph)
    app.add_node("answer", answer)
    app.add_edge(START, "ask")
    app.add_edge("ask", "write")
    app.add_edge("write", "answer")
    app.add_edge("answer", END)
    return app.compile()


async def main() -> None:
    """Run the app once and print each draft while it is written."""
    given: AppState = {"signed_in": "tilly-types", "wish": "Recommend the blanket to a friend."}
    async with Personalizer() as personalizer:
        app = build_app(personalizer)
        events: AsyncIterator[Any] = app.astream(
            given, stream_mode=["messages", "values"], subgraphs=True
        )
        state: dict[str, Any] = {}
        async for namespace, mode, chunk in events:
            if mode == "messages":
                message, metadata = chunk
                # Reasoners stream tokens too; only integrate writes the draft.
                if metadata["langgraph_node"] == "integrate":
                    print(message.text, end="|", flush=True)
            elif not namespace:  # the app's own state, not the loop's
                state = chunk
    print()
    print(state["reply"])


if __name__ == "__main__":
    asyncio.run(main())
