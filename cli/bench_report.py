"""`patlm bench report`: write the report of a benchmark's results again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import JsonOption


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("report")(report)


def report(
    folder: Annotated[
        Path,
        typer.Argument(help="Where `bench personalization --out` wrote.", show_default=False),
    ],
    markdown: Annotated[
        bool,
        typer.Option(
            "--markdown", help="Print the tables as Markdown; also of a results file alone."
        ),
    ] = False,
    plots: Annotated[
        Path | None,
        typer.Option(
            "--plots", help="Write the plots as SVG files to this folder.", show_default=False
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Write report.html again from results.json and examples.json."""
    from ..bench.report import write_plots, write_report
    from ..bench.report_records import read_results
    from ..bench.results_tables import results_tables
    from .output import emit_json, errors_as_lines, stdout

    if markdown or plots is not None:
        with errors_as_lines():
            results = read_results(folder)
            written = [] if plots is None else write_plots(results, plots)
        for path in written:
            typer.echo(str(path), err=markdown)
        if markdown:
            typer.echo(results_tables(results))
        return
    with errors_as_lines():
        page = write_report(folder)
    if json:
        emit_json({"report": str(page)})
    else:
        stdout.print(str(page), markup=False)
