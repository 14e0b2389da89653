"""`patlm retrieve`: the evidence for a request, and why, without a language model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ...nodes.strategies import STRATEGIES
from ..options import (
    InstructionOption,
    JsonOption,
    NamespaceOption,
    StoreOption,
    TaskOption,
    TextOption,
    TitleOption,
    TopicOption,
    UserOption,
)

if TYPE_CHECKING:
    from ...graph.retrieve import Retrieved


def strategies_of(side: str) -> str:
    """Return the names of a side's strategies, as they stand when the command is built."""
    return "|".join(name for name, strategy in STRATEGIES.items() if side in strategy.sides)


NumberOption = Annotated[
    int, typer.Option("--k", "-k", help="Number of evidence texts per trajectory.")
]


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("retrieve")(retrieve)


def retrieve(
    user: UserOption,
    task: TaskOption = None,
    topic: TopicOption = None,
    title: TitleOption = None,
    text: TextOption = None,
    instruction: InstructionOption = None,
    k: NumberOption = 4,
    style: Annotated[
        str, typer.Option(help="Strategy of the style side.", metavar=strategies_of("style"))
    ] = "aligned",
    preference: Annotated[
        str,
        typer.Option(help="Strategy of the preference side.", metavar=strategies_of("preference")),
    ] = "aligned",
    seed: Annotated[int, typer.Option(min=0, help="Random seed of strategies that sample.")] = 0,
    store: StoreOption = None,
    namespace: NamespaceOption = "default",
    json: JsonOption = False,
) -> None:
    """Show the evidence that both sides would read for USER, and its authors."""
    from ...graph import retrieve as retrieving
    from ...graph.request import read_context_fields, read_fields
    from ...graph.settings import Settings
    from ...nodes.node import check_strategies
    from ...stores.texts.connection import check_exists
    from ..output import emit_json, errors_as_lines, run

    with errors_as_lines():
        request = read_fields(
            {
                "user_id": user,
                "task": task,
                "topic_id": topic,
                "title": title,
                "text": text,
                "instruction": instruction,
            }
        )
        strategies = {"style": style, "preference": preference}
        context = read_context_fields(
            {"k": k, "namespace": namespace, "seed": seed, "strategies": strategies}
        )
        check_strategies(context, STRATEGIES)
        if store is not None:
            check_exists(store)

    async def main() -> Retrieved:
        given = Settings()
        named = given.model_dump(include={"encoder", "style_encoder", "min_authors"})
        opened = retrieving.open_retrieval(store, **named, guards=given.guards)
        async with opened as parts:
            return await retrieving.retrieve(parts, request, context)

    found = run(main)
    if json:
        emit_json(found.model_dump())
    else:
        show(found)


def show(found: Retrieved) -> None:
    """Print the evidence and confidence of both sides."""
    from ..output import show_evidence, stdout

    if found.own:
        show_evidence("the user's own texts", found.own)
    for side, pieces in found.evidence.items():
        show_evidence(f"{side} evidence", pieces)
    sides = [
        f"{side} {sure:.2f} (of {found.pool_sizes[side]:,} candidates, "
        f"{found.timings[side] * 1e3:.0f} ms)"
        for side, sure in found.confidence.items()
    ]
    stdout.print(f"[dim]history: {found.cold_start}; confidence: {', '.join(sides)}[/dim]")
    for warning in found.warnings:
        stdout.print(f"[yellow]{warning}[/yellow]")
    for side in found.abstains:
        if not (side == "preference" and found.warnings):
            stdout.print(f"[yellow]{side}: confidence too low, this side would abstain[/yellow]")
