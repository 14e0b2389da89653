"""What the benches' commands share: options, and telling on stderr how far they are."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

DataOption = Annotated[
    list[Path], typer.Option("--data", help="File of texts; may be given several times.")
]
PlotOption = Annotated[
    Path | None, typer.Option("--plot", help="File of a picture (png, svg, pdf).")
]


def say(part: str) -> None:
    """Tell on stderr what is done next, and when."""
    from .output import stderr

    stderr.print(f"{time.strftime('%H:%M:%S')}  {part}", highlight=False)
