"""Run the retrievals alone: the evidence of a request and the reasons, without a model."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from langgraph.graph import START
from pydantic import BaseModel, Field

from ..nodes.dependencies import Parts
from ..nodes.guards.personal_data import GuardSettings
from ..nodes.reason import TRAJECTORIES, too_few_authors
from ..nodes.state import ColdStart, Evidence, LoopState, Request, RunContext
from ..stores.search.request import MIN_AUTHORS
from .builder import LoopGraph
from .encoders import OWN
from .open import LEAST_CONFIDENCE, open_store_and_encoders


class NearUser(BaseModel):
    """A neighbour that a side found."""

    side: str = Field(description="The trajectory.")
    user_id: str = Field(description="Who.")
    score: float = Field(description="How near: a cosine for style, an alignment for preference.")


class Retrieved(BaseModel):
    """The retrievals of a request's first iteration."""

    evidence: dict[str, list[Evidence]] = Field(description="Other people's texts, by side.")
    own: list[Evidence] = Field(description="The user's own texts that style-reason would read.")
    neighbours: list[NearUser] = Field(description="The users behind the evidence, by side.")
    pool_sizes: dict[str, int] = Field(description="Candidates that each side chose among.")
    cold_start: ColdStart = Field(description="How much is known: zero, few or known.")
    confidence: dict[str, float] = Field(description="How sure each side is, 0 to 1.")
    abstains: list[str] = Field(description="The sides whose reasoner would not be asked.")
    warnings: list[str] = Field([], description="Why, where its evidence is by too few authors.")
    timings: dict[str, float] = Field(description="Seconds of each side.")


@asynccontextmanager
async def open_retrieval(
    store: str | None,
    *,
    encoder: str = "bundled",
    style_encoder: str = OWN,
    min_authors: int = MIN_AUTHORS,
    guards: GuardSettings = GuardSettings(),  # noqa: B008 - frozen
) -> AsyncIterator[Parts]:
    """Open what a retrieval needs: a store and its encoders, no language model.

    Args:
        store: Directory or object-store URI. Default: the sample corpus.
        encoder: The topic encoder, see `models.encoders.open`.
        style_encoder: See `encoders.open_encoders`.
        min_authors: Authors whose texts a preference needs at least.
        guards: What of other people's texts is replaced.

    Raises:
        StoreError: The store can't be opened, or was filled with other encoders.
        ModelError: The encoder can't be loaded.
    """
    opening = open_store_and_encoders(store, encoder=encoder, style_encoder=style_encoder)
    async with opening as (opened, encoders):
        yield Parts(
            store=opened,
            style_encoder=encoders.style,
            topic_encoder=encoders.topic,
            chat={},
            count=len,
            least_confidence=LEAST_CONFIDENCE,
            min_authors=min_authors,
            rating_scale=opened.rating_scale,
            scale_source=opened,
            guards=guards,
        )


async def retrieve(parts: Parts, request: Request, context: RunContext) -> Retrieved:
    """Run the retrieval nodes of the loop for a request.

    Args:
        parts: Their store and encoders are used.
        request: The request.
        context: As for a whole run.

    Raises:
        RequestError: The context names an unknown strategy.
    """

    async def provide() -> Parts:
        return parts

    builder = LoopGraph(LoopState, context_schema=RunContext, input_schema=Request)
    sides = {f"{each.name}-retrieve": each.name for each in TRAJECTORIES}
    for each in TRAJECTORIES:
        builder.add_node(f"{each.name}-retrieve", each.build_retrieve(provide))
        builder.add_edge(START, f"{each.name}-retrieve")
    state = await builder.compile().ainvoke(request, context=context)
    least = parts.least_confidence
    few = too_few_authors(
        state["evidence"]["preference"],
        request.user_id,
        context.min_authors or parts.min_authors,
        context.k or parts.budget.k,
    )
    doubtful = [s for s, sure in state["confidence"].items() if sure < least.get(s, 0.0)]
    # A side without confidence in its neighbours may still read the user's own texts.
    reads_own = {each.name for each in TRAJECTORIES if each.reads_own_texts}
    logs = {side: state["log"][f"{node}@1"] for node, side in sides.items()}
    return Retrieved(
        evidence=state["evidence"],
        own=state["own"],
        neighbours=[
            NearUser(side=side, **near) for side, log in logs.items() for near in log["neighbours"]
        ],
        pool_sizes={side: log["pool_size"] for side, log in logs.items()},
        cold_start=state["cold_start"],
        confidence=state["confidence"],
        abstains=[
            side
            for side in state["confidence"]
            if (side in doubtful and not (side in reads_own and state["own"]))
            or (side == "preference" and few)
        ],
        warnings=[few] if few else [],
        timings={side: log["seconds"] for side, log in logs.items()},
    )
