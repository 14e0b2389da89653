"""`patlm bench ...`: is it true, is it fast?"""

from __future__ import annotations

import typer

from . import personalization, quality, speed

app = typer.Typer(help="Measure how good and how fast it is.", no_args_is_help=True)


@app.callback()
def bench() -> None:
    """Measure how good and how fast it is."""


for command in (quality, speed, personalization):
    command.register(app)
