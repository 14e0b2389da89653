"""`patlm refit`: embed a store again with another style encoder, while others use it."""

from __future__ import annotations

from typing import Annotated

import typer

from ..options import JsonOption, NeededStoreOption


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("refit")(refit)


def refit(
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
    """Embed STORE again by another style encoder; brings one of an older version up to date."""
    from ...graph.encoders import refit as embed_again
    from ..models import progress_bar
    from ..output import emit_json, run, stdout

    with progress_bar() as report:

        def progress(done: int, total: int) -> None:
            report(done / max(1, total), f"{done:,} of {total:,} texts")

        done = run(lambda: embed_again(store, style_encoder, progress))
    if json:
        emit_json(done.as_dict())
        return
    if done.upgraded:
        stdout.print("the store was of an older version and is up to date now")
    if not done.texts and done.former == done.encoder:
        stdout.print(f"the store's style vectors are those of {done.encoder} already")
        return
    stdout.print(
        f"{done.texts:,} texts embedded by {done.encoder} in {done.seconds:.1f} s; who opens the "
        f"store from now on uses it, who has it open goes on with {done.former}"
    )
