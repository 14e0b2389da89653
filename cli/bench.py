"""`patlm bench ...`: is it true, is it fast? One file a command."""

from __future__ import annotations

import typer

from . import (
    bench_encoder,
    bench_evidence,
    bench_graph,
    bench_loop,
    bench_personalization,
    bench_report,
    bench_retrieval,
    bench_serving,
    bench_training,
)

app = typer.Typer(help="Measure how good and how fast it is.", no_args_is_help=True)


@app.callback()
def bench() -> None:
    """Measure how good and how fast it is."""


for command in (
    bench_encoder,
    bench_evidence,
    bench_graph,
    bench_loop,
    bench_personalization,
    bench_report,
    bench_retrieval,
    bench_serving,
    bench_training,
):
    command.register(app)
