"""`patlm show`: the way of a run through the loop, in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.rule import Rule

from .options import JsonOption

if TYPE_CHECKING:
    from ..stores.episode_schema import Episode, IterationRecord


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("show")(show)


def show(
    trace: Annotated[
        Path, typer.Argument(help="A trace file, or a folder of them.", show_default=False)
    ],
    run: Annotated[
        str | None, typer.Option(help="Beginning of a run's id. Default: the latest run.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Show all runs.")] = False,
    json: JsonOption = False,
) -> None:
    """Show evidence, summaries and drafts of a recorded run, and why it stopped."""
    from ..stores.episodes import UnknownEpisodeVersion, read_episodes
    from .output import emit_json, errors_as_lines, fail, warn

    with errors_as_lines():
        try:
            records = list(read_episodes(trace, report=lambda damaged: warn(str(damaged))))
        except (FileNotFoundError, UnknownEpisodeVersion) as error:
            fail(str(error))
    if run is not None:
        records = [record for record in records if record.run_id.startswith(run)]
    if not records:
        fail(f"no run{f' {run}' if run else ''} in {trace}: write one with `patlm write --trace`")
    chosen = records if every else [max(records, key=lambda record: record.created)]
    if json:
        emit_json({"runs": [record.model_dump(mode="json") for record in chosen]})
        return
    for record in chosen:
        _show_record(record)


def _show_record(record: Episode) -> None:
    from .episode_view import groups_line
    from .output import stdout

    if record.redacted is not None:
        stdout.print(Rule(f"run {record.run_id[:12]}, emptied: a person in it was forgotten"))
        return
    request = {key: value for key, value in record.request.items() if value is not None}
    stdout.print(Rule(f"run {record.run_id[:12]}, {record.created:%Y-%m-%d %H:%M:%S} UTC"))
    for key, value in request.items():
        stdout.print(f"[bold]{key}[/bold]: {escape(str(value))}")
    if record.cold_start is not None:
        read = len(record.own)
        stdout.print(f"[bold]history[/bold]: {record.cold_start} ({read} own texts read)")
    for iteration in record.iterations:
        _show_iteration(iteration)
    if record.groups:
        stdout.print(f"[bold]drawn[/bold]: {groups_line(record)}")
    stdout.print(Rule("end"))
    if record.error is not None:
        stdout.print(f"[red]failed: {escape(record.error)}[/red]")
    else:
        stdout.print(f"stopped: [bold]{record.stop_reason}[/bold]")
        stdout.print(f"result: {escape(record.text or '')}")
    for warning in record.warnings:
        stdout.print(f"[yellow]{escape(warning)}[/yellow]")
    seconds = ", ".join(f"{node} {value:.2f}" for node, value in record.timings.items())
    stdout.print(f"[dim]seconds: {seconds}[/dim]")


def _show_iteration(iteration: IterationRecord) -> None:
    from ..nodes.state import Evidence
    from .output import stdout
    from .result_view import show_evidence

    stdout.print(Rule(f"iteration {iteration.iteration}", align="left"))
    for side, pieces in iteration.evidence.items():
        evidence = [Evidence.model_validate(piece.model_dump()) for piece in pieces]
        show_evidence(f"{side}-retrieve", evidence)
    for side, summary in iteration.summaries.items():
        said = escape(summary) if summary is not None else "[dim]abstained[/dim]"
        stdout.print(f"[bold]{side}-reason[/bold]: {said}")
    if iteration.draft is None:
        return
    mark = "[green]kept[/green]" if iteration.kept else "not kept"
    stdout.print(f"[bold]integrate[/bold] ({mark}): {escape(iteration.draft)}")
    if iteration.score is not None:
        settled = (
            ""
            if iteration.similarity is None
            else (f", {iteration.similarity:.3f} like the iteration before")
        )
        stdout.print(f"[bold]check-stop[/bold]: score {iteration.score:.3f}{settled}")
