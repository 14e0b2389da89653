"""`patlm show` prints a recorded run; `patlm view` shows recorded runs as a page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from heapq import nlargest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.rule import Rule

from ..options import JsonOption

if TYPE_CHECKING:
    from ...stores.episodes.schema import Episode, IterationRecord


def show(
    trace: Annotated[
        Path, typer.Argument(help="Trace file, or folder of traces.", show_default=False)
    ],
    run: Annotated[
        str | None, typer.Option(help="Beginning of a run id. Default: the latest run.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Show all runs.")] = False,
    json: JsonOption = False,
) -> None:
    """Show evidence, summaries and drafts of a recorded run, and why it stopped."""
    from ...stores.episodes.shards import UnknownEpisodeVersion, read_episodes
    from ..output import emit_json, errors_as_lines, fail, warn

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
    from ..output import stdout
    from .episodes import groups_line

    run = f"run {escape(record.run_id[:12])}"
    if record.redacted is not None:
        stdout.print(Rule(f"{run}, emptied: a person in it was forgotten"))
        return
    request = {key: value for key, value in record.request.items() if value is not None}
    stdout.print(Rule(f"{run}, {record.created:%Y-%m-%d %H:%M:%S} UTC"))
    for key, value in request.items():
        stdout.print(f"[bold]{escape(key)}[/bold]: {escape(str(value))}")
    if record.cold_start is not None:
        read = len(record.own)
        stdout.print(f"[bold]history[/bold]: {escape(record.cold_start)} ({read} own texts read)")
    for iteration in record.iterations:
        _show_iteration(iteration)
    if record.groups:
        stdout.print(f"[bold]drawn[/bold]: {groups_line(record)}")
    stdout.print(Rule("end"))
    if record.error is not None:
        stdout.print(f"[red]failed: {escape(record.error)}[/red]")
    else:
        stdout.print(f"stopped: [bold]{escape(str(record.stop_reason))}[/bold]")
        stdout.print(f"result: {escape(record.text or '')}")
    for warning in record.warnings:
        stdout.print(f"[yellow]{escape(warning)}[/yellow]")
    seconds = ", ".join(f"{node} {value:.2f}" for node, value in record.timings.items())
    stdout.print(f"[dim]seconds: {escape(seconds)}[/dim]")


def _show_iteration(iteration: IterationRecord) -> None:
    from ...nodes.state import Evidence
    from ..output import show_evidence, stdout

    stdout.print(Rule(f"iteration {iteration.iteration}", align="left"))
    for side, pieces in iteration.evidence.items():
        evidence = [Evidence.model_validate(piece.model_dump()) for piece in pieces]
        show_evidence(f"{side}-retrieve", evidence)
    for side, summary in iteration.summaries.items():
        said = escape(summary) if summary is not None else "[dim]abstained[/dim]"
        stdout.print(f"[bold]{escape(side)}-reason[/bold]: {said}")
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


_LATEST = 20
_NOTED = 10  # invalid lines that are listed with their place


def view(
    trace: Annotated[
        Path, typer.Argument(help="Trace file, or folder of traces.", show_default=False)
    ],
    html: Annotated[
        Path | None,
        typer.Option("--html", help="Write the page to this file.", show_default=False),
    ] = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="Serve the page on 127.0.0.1 until Ctrl-C.")
    ] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of --serve; 0: any free port.")
    ] = 0,
    run: Annotated[
        str | None,
        typer.Option(help="Beginning of a run id: show only this run.", show_default=False),
    ] = None,
    latest: Annotated[int, typer.Option(min=1, help="Number of latest runs to show.")] = _LATEST,
    every: Annotated[bool, typer.Option("--all", help="Show all runs.")] = False,
) -> None:
    """Show recorded runs as a page: the loop, evidence, changes, times, why it stopped.

    The page is one file without scripts or network access. It contains what people wrote:
    `patlm forget` removes it with who is in it.
    """
    from ...stores.copies.ledger import note_copy
    from ...stores.files import new_file
    from ..output import echo, errors_as_lines, fail, warn

    if html is None and not serve:
        raise typer.BadParameter("nothing to do: give --html FILE, or --serve, or both")
    number = None if every else latest
    with errors_as_lines():
        page, shown, notes = _make(trace, run, number)
        for note in notes:
            warn(note)
        if not shown and (run is not None or html is not None):
            fail(
                f"no run{f' {run}' if run else ''} in {trace}: write one with `patlm write --trace`"
            )
        if html is not None:
            note_copy("page", html, of=trace)
            # As the server does: a lone surrogate, which UTF-8 cannot encode, becomes `?`.
            new_file(html).write_text(page, encoding="utf-8", errors="replace")
            echo(f"{html}: {shown} run{'s' if shown != 1 else ''}")
        if serve:
            _serve(trace, run, number, port)


def _serve(trace: Path, run: str | None, number: int | None, port: int) -> None:
    from threading import Event

    from ...evaluation.report.html import serving
    from ..output import echo

    with (
        suppress(KeyboardInterrupt),
        serving(lambda: _make(trace, run, number)[0], port) as url,
    ):
        echo(f"{url} shows {trace}, updated at each reload; Ctrl-C stops it")
        Event().wait()
    echo("stopped", err=True)


def _make(trace: Path, run: str | None, number: int | None) -> tuple[str, int, list[str]]:
    """Return the page, how many runs it shows, and what was wrong with the file.

    Raises:
        OSError: The trace cannot be read.
        UnknownEpisodeVersion: A record has an unknown version.
    """
    from ...evaluation.report.trace import began, render_view
    from ...stores.episodes.shards import read_episodes
    from ...stores.files import DamagedLine

    damaged: list[DamagedLine] = []
    found = 0

    def wanted() -> Iterator[Episode]:
        nonlocal found
        for record in read_episodes(trace, report=damaged.append):
            if run is None or record.run_id.startswith(run):
                found += 1
                yield record

    # The heap holds only the latest ones: a folder of traces may be larger than memory.
    records = (
        nlargest(number, wanted(), key=began)
        if number is not None
        else sorted(wanted(), key=began, reverse=True)
    )
    notes = [f"{line.path.name}:{line.line}: {line.reason}" for line in damaged[:_NOTED]]
    if len(damaged) > _NOTED:
        notes.append(f"{len(damaged) - _NOTED} more lines are invalid")
    fewer = f"the latest {len(records)} of {found} runs: --latest N or --all shows more"
    shown = [*notes, fewer] if len(records) < found else notes
    return render_view(records, source=trace.resolve().name, notes=shown), len(records), notes


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command("show")(show)
    app.command("view")(view)
