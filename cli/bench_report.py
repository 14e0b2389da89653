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
    json: JsonOption = False,
) -> None:
    """Write report.html again from results.json and examples.json."""
    from ..bench.report import write_report
    from ..bench.report_records import read_results
    from ..bench.results_tables import results_tables
    from .output import emit_json, errors_as_lines, stdout

    if markdown:
        with errors_as_lines():
            tables = results_tables(read_results(folder))
        typer.echo(tables)
        return
    with errors_as_lines():
        page = write_report(folder)
    if json:
        emit_json({"report": str(page)})
    else:
        stdout.print(str(page), markup=False)
