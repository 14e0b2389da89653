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
    json: JsonOption = False,
) -> None:
    """Write report.html again from results.json and examples.json."""
    from ..bench.report import write_report
    from .output import emit_json, errors_as_lines, stdout

    with errors_as_lines():
        page = write_report(folder)
    if json:
        emit_json({"report": str(page)})
    else:
        stdout.print(str(page), markup=False)
