"""Add a third trajectory to style and preference: what the user was busy with lately."""

from __future__ import annotations

import asyncio
from typing import Any

from patlm.graph import TRAJECTORIES, Parts, Request, Settings, Trajectory, build_graph, open_parts
from patlm.nodes.node import Turn
from patlm.nodes.prompts.build import ReasonerText
from patlm.nodes.trace import evidence_of_own

LATELY = ReasonerText(
    system="You say what has been on a person's mind.",
    evidence_heading="What the writer wrote lately, latest first:",
    question="In one short sentence, say what the writer has been busy with.",
    heading="What has been on the writer's mind",
)


async def retrieve(turn: Turn) -> tuple[dict[str, Any], dict[str, Any]]:
    """Take the user's latest texts on any topic."""
    request, context = turn.request, turn.context
    history = await turn.parts.store.history(
        context.namespace, request.user_id, topic_id=request.topic_id
    )
    evidence = evidence_of_own(history, context.k, request)
    confidence = 1.0 if evidence else 0.0  # without texts the reasoner abstains
    update = {"evidence": {"lately": evidence}, "confidence": {"lately": confidence}}
    return update, {"evidence": evidence, "confidence": confidence}


async def main() -> None:
    """Run the loop with three trajectories: name, prompts, retriever."""
    lately = Trajectory("lately", LATELY, retrieve)
    async with open_parts(Settings()) as parts:

        async def provide() -> Parts:
            return parts

        graph = build_graph(provide, [*TRAJECTORIES, lately]).compile()
        request = Request(user_id="gran-mcleish", task="long", title="A walk by the sea")
        result = await graph.ainvoke(request)
    for name, summary in result["summaries"].items():
        print(f"{name}: {summary}")
    print("draft:", result["text"])


if __name__ == "__main__":
    asyncio.run(main())
