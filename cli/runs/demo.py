"""`patlm demo`: write for three people of the sample corpus, beside what the title alone gives."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer
from rich.markup import escape
from rich.padding import Padding
from rich.rule import Rule

from ..options import BaseUrlOption, JsonOption, ModelOption, TraceOption

if TYPE_CHECKING:
    from ...graph.settings import Settings
    from ...nodes.dependencies import Parts
    from ...nodes.state import Result


@dataclass(frozen=True)
class Scene:
    """One request of the demo.

    Attributes:
        user_id: Whom it is written for.
        known: How many texts of theirs are known, in words.
        topic_id: What it is about.
        title: Its title.
    """

    user_id: str
    known: str
    topic_id: str
    title: str


SCENES = (
    Scene("a-newcomer", "nothing", "city-walking-tour", "Two hours through the old quarter"),
    Scene("secondhand-sue", "one text", "wool-blanket", "A blanket for the long winter"),
    Scene("tilly-types", "several texts", "airport-hotel", "One night before an early flight"),
)

DEADLINE_S = 900.0
"""Time limit of each request: they share the processor."""

STEPS = {
    "style-retrieve": "found people who write alike",
    "preference-retrieve": "found texts on the topic",
    "style-reason": "described the style",
    "preference-reason": "summed up the opinions",
    "integrate": "wrote a draft",
    "check-stop": "compared the draft with the one before",
}
"""What each node of the loop has done when it ends."""

SUMMARIES = {
    "style": "how this person writes, in the model's words",
    "preference": "what people say of it, in the model's words",
}
"""Heading of each side's summary."""

Tell = Callable[[str, str], None]
"""Called with whom a step is for, and the step."""


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("demo")(demo)


def demo(
    model: ModelOption = None,
    base_url: BaseUrlOption = None,
    trace: TraceOption = None,
    json: JsonOption = False,
) -> None:
    """Write for three people: one unknown, one with one known text, one with several.

    Installs the best language model for the free memory and disk of this machine if none is named.
    Each draft stands beside what the same model writes from the title alone.
    """
    from ...graph.settings import Settings
    from ..output import emit_json, errors_as_lines, run

    given = {"model": model, "base_url": base_url, "trace": trace}
    with errors_as_lines():
        settings = Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
        name = _installed(settings)
        settings = settings.model_copy(update={"model": name})
    began = time.monotonic()
    shown = run(lambda: _play(settings))
    if json:
        runs = [{"user_id": scene.user_id, **a.model_dump()} for scene, a, _ in shown]
        emit_json({"runs": runs, "title_alone": [b.text for _, _, b in shown]})
    else:
        _show(shown, name, time.monotonic() - began)


def _installed(settings: Settings) -> str:
    """Return the model's name; install it, and the topic encoder, where they are missing."""
    from ...models.catalogue import AUTO, CATALOGUE, TOPIC
    from ...models.device import free_memory
    from ...models.errors import ModelError
    from ...models.installed import best_for_machine, best_installed, free_disk, install
    from ..model_choice import progress_bar
    from ..output import stderr

    name = settings.model
    if name == AUTO:
        fitting = [best_for_machine()]
        with suppress(ModelError):
            fitting.append(best_installed(settings.dtype))
        name = max(fitting, key=lambda each: each.parameters).name
        free = f"{free_memory() / 1e9:.0f} GB of memory and {free_disk() / 1e9:.0f} GB of disk"
        stderr.print(f"[dim]{free} are free: {name}, which {CATALOGUE[name].about}[/dim]")
    for needed in (TOPIC, name):
        if needed in CATALOGUE:
            with progress_bar() as report:
                install(needed, report)
    return name


async def _play(settings: Settings) -> list[tuple[Scene, Result, Result]]:
    """Write for all people at once, with the loop and from the title alone."""
    from ...evaluation.arms.registry import ARMS
    from ...graph.open import open_parts

    alone = ARMS["no_context"].configuration
    with _progress() as tell:
        tell("", "opening the model and the sample corpus")
        async with open_parts(settings) as parts:
            try:
                async with asyncio.TaskGroup() as group:
                    runs = [
                        (
                            scene,
                            group.create_task(_write(parts, scene, tell)),
                            group.create_task(_write(parts, scene, tell, alone)),
                        )
                        for scene in SCENES
                    ]
            except ExceptionGroup as failures:  # the others have been cancelled
                raise failures.exceptions[0] from None
    return [(scene, loop.result(), title.result()) for scene, loop, title in runs]


async def _write(parts: Parts, scene: Scene, tell: Tell, configuration: Any = None) -> Result:
    """Write for one person, with the sides of a configuration, and tell each step."""
    from ...evaluation.arms.reasoners import trajectories_of
    from ...graph.builder import build_graph
    from ...graph.events import STREAM_MODES, DraftToken, NodeUpdate, read_events
    from ...graph.request import read_context_fields, read_fields
    from ...nodes.reason import TRAJECTORIES
    from ...nodes.state import Result

    async def provide() -> Parts:
        return parts

    limits = {"deadline_s": DEADLINE_S, "max_iterations": 1}  # a second would double the wait
    sides = TRAJECTORIES if configuration is None else trajectories_of(configuration)
    graph = build_graph(provide, sides).compile()
    request = read_fields(
        {"user_id": scene.user_id, "topic_id": scene.topic_id, "title": scene.title}
    )
    who = scene.user_id if configuration is None else f"{scene.user_id}, title alone"
    result, words = None, 0
    stream = graph.astream(
        request, context=read_context_fields(limits), stream_mode=list(STREAM_MODES)
    )
    async for event in read_events(stream):
        if isinstance(event, DraftToken):
            words += event.text.count(" ")
            tell(who, f"writes, {words} words")
        elif isinstance(event, NodeUpdate):
            words = 0
            if configuration is None or event.node == "integrate":
                tell(who, STEPS.get(event.node, event.node))
        elif isinstance(event, Result):
            result = event
    assert result is not None  # the stream's last event
    return result


@contextmanager
def _progress() -> Iterator[Tell]:
    """Yield a function that shows what happens for whom: live, or a line for each step."""
    from ..output import echo, stderr

    began = time.monotonic()
    if stderr.redraws:
        with stderr.status("") as status:
            latest: dict[str, str] = {}

            def live(who: str, step: str) -> None:
                latest[who] = step
                said = [f"\n  {name}: {each}" if name else each for name, each in latest.items()]
                status.update(escape(f"{time.monotonic() - began:.0f} s  {''.join(said)}"))

            yield live
        return

    def line(who: str, step: str) -> None:
        if not step.startswith("writes, "):
            at = f"{time.monotonic() - began:4.0f} s"
            echo(f"{at}  {who}: {step}" if who else f"{at}  {step}", err=True)

    yield line


def _show(shown: list[tuple[Scene, Result, Result]], model: str, seconds: float) -> None:
    from ..output import stdout

    people = len(shown)
    stdout.print(
        f"\nThe same request by {model}, twice: with patlm, and from the title alone. "
        f"{people} people of the sample corpus, {seconds:.0f} s.\n"
    )
    for scene, loop, alone in shown:
        stdout.print(Rule(f"{scene.user_id}, known to us: {scene.known}", align="left"))
        stdout.print(f"asked for: a text on {scene.topic_id}, titled [bold]{scene.title}[/bold]")
        _show_sources(loop)
        for side, heading in SUMMARIES.items():
            _show_text(heading, loop.summaries.get(side) or "(nothing usable)", "dim")
        _show_text("with patlm", loop.text, "green")
        _show_text("from the title alone", alone.text, "yellow")
        for warning in loop.warnings:
            stdout.print(f"[dim]note: {escape(warning)}[/dim]")
        stdout.print()
    again = 'patlm write --user tilly-types --topic wool-blanket --title "Warm at last"'
    stdout.print(f"[dim]{again} writes another text; patlm ingest reads texts of yours.[/dim]")


def _show_sources(result: Result) -> None:
    """Print whose texts were read."""
    from ..output import shorten, stdout
    from .write import borrowed_from

    if result.own:
        own = escape(shorten(result.own[0].body, 120))
        stdout.print(f"own texts read: {len(result.own)}, the latest: [dim]{own}[/dim]")
    for side, people in borrowed_from(result).items():
        what = {"preference": "opinions"}.get(side, side)
        stdout.print(f"{what} borrowed from: {escape(', '.join(people))}")


def _show_text(heading: str, text: str, colour: str) -> None:
    from ..output import stdout

    stdout.print(f"[bold]{heading}[/bold]:")
    stdout.print(Padding(f"[{colour}]{escape(text)}[/{colour}]", (0, 0, 0, 2)), soft_wrap=False)
