"""`patlm reembed`: embed a store again with another style encoder."""

from __future__ import annotations

from typing import Annotated

import typer

from ..options import JsonOption, NeededStoreOption


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("reembed")(reembed)


def reembed(
    store: NeededStoreOption,
    style_encoder: Annotated[
        str,
        typer.Option(
            help="store: no training, statistics of STORE's first texts; or a folder of "
            "`patlm train-encoder`, or a published encoder by path or hub id."
        ),
    ] = "store",
    json: JsonOption = False,
) -> None:
    """Embed STORE again with another style encoder; programs that use it must open it again."""
    from ...graph.encoders import reembed as embed_again
    from ..model_choice import progress_bar
    from ..output import emit_json, run, stdout

    with progress_bar() as report:

        def progress(done: int, total: int) -> None:
            report(done / max(1, total), f"{done:,} of {total:,} texts")

        done = run(lambda: embed_again(store, style_encoder, progress))
    if json:
        emit_json(done.as_dict())
    elif not done.texts:
        stdout.print(f"the store's style vectors are those of {done.encoder} already")
    else:
        stdout.print(
            f"{done.texts:,} texts embedded by {done.encoder} in {done.seconds:.1f} s; programs "
            f"that opened the store with {done.former} must open it again"
        )
