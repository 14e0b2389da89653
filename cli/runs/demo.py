"""`patlm demo`: write for three people of the sample corpus and show each step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer
from rich.markup import escape
from rich.rule import Rule

from ..options import BaseUrlOption, JsonOption, ModelOption, TraceOption

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...graph.personalizer import Personalizer
    from ...nodes.state import Result


@dataclass(frozen=True)
class Scene:
    """One request of the demo."""

    user_id: str
    known: str
    topic_id: str
    title: str


SCENES = (
    Scene("a-newcomer", "no text", "city-walking-tour", "Two hours through the old quarter"),
    Scene("secondhand-sue", "one text", "wool-blanket", "A blanket for the long winter"),
    Scene("tilly-types", "several texts", "airport-hotel", "One night before an early flight"),
)


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("demo")(demo)


def demo(
    model: ModelOption = None,
    base_url: BaseUrlOption = None,
    trace: TraceOption = None,
    json: JsonOption = False,
) -> None:
    """Write for a user with no history, one with one text and one with several."""
    from ...graph.personalizer import Personalizer
    from ..output import emit_json, run
    from .write import opened

    async def main() -> list[dict[str, Any]]:
        results = []
        parts = Personalizer(model=model, base_url=base_url, trace=trace)
        async with opened(parts) as personalizer:
            for scene in SCENES:
                result = await _play(personalizer, scene, silent=json)
                results.append({"user_id": scene.user_id, **result.model_dump()})
        return results

    results = run(main)
    if json:
        emit_json({"runs": results})


async def _play(personalizer: Personalizer, scene: Scene, *, silent: bool) -> Result:
    from ...graph.events import DraftToken, NodeUpdate
    from ..output import stdout

    if not silent:
        stdout.print(Rule(f"{scene.user_id}: {scene.known} of theirs known"))
        stdout.print(f"writes about [bold]{scene.topic_id}[/bold], title: {escape(scene.title)}")
    drafting, result = 0, None
    stream = personalizer.astream(scene.user_id, topic_id=scene.topic_id, title=scene.title)
    async for event in stream:
        if isinstance(event, DraftToken) and not silent:
            if event.iteration != drafting:
                drafting = event.iteration
                stdout.print(f"[bold]draft {drafting}[/bold]: ", end="")
            stdout.print(escape(event.text), end="")
        elif isinstance(event, NodeUpdate) and not silent:
            _tell(event.node, event.update)
        elif not isinstance(event, (DraftToken, NodeUpdate)):
            result = event
    assert result is not None  # the stream's last event
    if not silent:
        stdout.print(
            f"[dim]history: {result.cold_start}; stopped: {result.stop_reason} after "
            f"{result.iterations} iterations, {result.timings['total']:.1f} s; kept:[/dim]"
        )
        stdout.print(f"[green]{escape(result.text)}[/green]\n")
    return result


def _tell(node: str, update: Mapping[str, Any]) -> None:
    """Print what a node did."""
    from ..output import shorten, stdout

    for side, pieces in update.get("evidence", {}).items():
        if node.endswith("-retrieve"):
            people = ", ".join(dict.fromkeys(piece["user_id"] for piece in pieces))
            stdout.print(f"[dim]{node}[/dim]: {len(pieces)} texts by {escape(people)}")
            if side == "style" and update.get("own"):
                own = escape(shorten(update["own"][0]["body"], 90))
                stdout.print(f"[dim]{node}[/dim]: {len(update['own'])} own texts, latest: {own}")
    for side, summary in update.get("summaries", {}).items():
        if node == f"{side}-reason":
            why = [warning for entry in update["log"].values() for warning in entry["warnings"]]
            said = summary or "; ".join(why) or "abstains"
            stdout.print(f"[dim]{node}[/dim]: {escape(said)}")
    if node == "integrate":
        stdout.print()
