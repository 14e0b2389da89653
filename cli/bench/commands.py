"""`patlm bench ...`: measure quality and speed."""

from __future__ import annotations

import typer

from . import personalization, quality, speed

app = typer.Typer(help="Measure quality and speed.", no_args_is_help=True)


@app.callback()
def bench() -> None:
    """Measure quality and speed."""


for command in (quality, speed, personalization):
    command.register(app)
