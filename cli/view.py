"""`patlm view`: recorded runs as a page, in a file or on this machine's own address."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from heapq import nlargest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..stores.episode_schema import Episode

_LATEST = 20
_NOTED = 10  # lines that are no records, of which is told where they stand


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("view")(view)


def view(
    trace: Annotated[
        Path, typer.Argument(help="A trace file, or a folder of them.", show_default=False)
    ],
    html: Annotated[
        Path | None,
        typer.Option("--html", help="File to write the page to.", show_default=False),
    ] = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="Serve the page on 127.0.0.1 until Ctrl-C.")
    ] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of --serve; 0: any that is free.")
    ] = 0,
    run: Annotated[
        str | None, typer.Option(help="Beginning of a run's id: only this one.", show_default=False)
    ] = None,
    latest: Annotated[int, typer.Option(min=1, help="How many runs, the latest ones.")] = _LATEST,
    every: Annotated[bool, typer.Option("--all", help="All runs.")] = False,
) -> None:
    """Show recorded runs as a page: the loop, evidence, what changed, times, why it stopped.

    The page is one file without scripts that asks for nothing from a network. It holds what people
    wrote, as the trace does: `patlm forget` does not find it.
    """
    from .output import errors_as_lines, fail, warn

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
            # As the server does: a lone surrogate, which UTF-8 has no place for, becomes `?`.
            html.write_text(page, encoding="utf-8", errors="replace")
            typer.echo(f"{html}: {shown} run{'s' if shown != 1 else ''}")
        if serve:
            _serve(trace, run, number, port)


def _serve(trace: Path, run: str | None, number: int | None, port: int) -> None:
    from threading import Event

    from ..bench.page_server import serving

    with (
        suppress(KeyboardInterrupt),
        serving(lambda: _make(trace, run, number)[0], port) as url,
    ):
        typer.echo(f"{url} shows {trace}, read anew at each reload; Ctrl-C ends it")
        Event().wait()
    typer.echo("stopped", err=True)


def _make(trace: Path, run: str | None, number: int | None) -> tuple[str, int, list[str]]:
    """Return the page, how many runs it shows, and what was odd about the file.

    Raises:
        OSError: The trace cannot be read.
        UnknownEpisodeVersion: A record is of a version that is not known here.
    """
    from ..bench.trace_view import began, render_view
    from ..stores.episodes import DamagedLine, read_episodes

    damaged: list[DamagedLine] = []
    found = 0

    def wanted() -> Iterator[Episode]:
        nonlocal found
        for record in read_episodes(trace, report=damaged.append):
            if run is None or record.run_id.startswith(run):
                found += 1
                yield record

    # The heap holds the latest ones alone: a folder of traces may be larger than the memory.
    records = (
        nlargest(number, wanted(), key=began)
        if number is not None
        else sorted(wanted(), key=began, reverse=True)
    )
    notes = [f"{line.path.name}:{line.line}: {line.reason}" for line in damaged[:_NOTED]]
    if len(damaged) > _NOTED:
        notes.append(f"{len(damaged) - _NOTED} more lines are no records")
    fewer = f"the latest {len(records)} of {found} runs: --latest N or --all shows more"
    shown = [*notes, fewer] if len(records) < found else notes
    return render_view(records, source=trace.resolve().name, notes=shown), len(records), notes
