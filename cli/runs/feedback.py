"""`patlm feedback`: store feedback on a draft beside the record of its run."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("feedback")(feedback)


def feedback(
    trace: Annotated[Path, typer.Argument(help="Folder of records of runs.")],
    run_id: Annotated[
        str, typer.Option("--run", help="Beginning of the run id that `patlm write` printed.")
    ],
    accepted: Annotated[
        bool, typer.Option("--accepted", help="The draft was used unchanged.")
    ] = False,
    rejected: Annotated[
        bool, typer.Option("--rejected", help="The draft was rejected or changed.")
    ] = False,
    edited: Annotated[
        str | None,
        typer.Option(
            help="File with the corrected draft; - reads stdin.",
            show_default=False,
        ),
    ] = None,
    rating: Annotated[
        float | None,
        typer.Option(min=1, max=5, help="Rating of the draft, 1 to 5.", show_default=False),
    ] = None,
    add: Annotated[
        bool,
        typer.Option("--add", help="Add the corrected draft to the person's texts in --store."),
    ] = False,
    store: Annotated[
        str | None,
        typer.Option(
            "--store",
            envvar="PATLM_STORE",
            help="Folder or object-store URI of the store that --add adds to.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Record whether a draft was accepted, how it was corrected, or how good it was.

    Training can use it later: see `patlm episodes`.
    """
    from ...graph.feedback import give_feedback_on
    from ...stores.episodes.feedback import find_run
    from ..output import echo, errors_as_lines, run

    if add and (store is None or edited is None):
        raise typer.BadParameter("--add needs --edited and --store")

    if accepted and rejected:
        raise typer.BadParameter("give one of --accepted and --rejected")
    with errors_as_lines():
        found = find_run(trace, run_id)
        text = None if edited is None else _read(edited)
        verdict = accepted if accepted or rejected else None
        said = {"accepted": verdict, "edited": text, "rating": rating}
        if not add:
            give_feedback_on(trace, None, found, said)
    if add and store is not None:
        uri = store
        run(lambda: _add(uri, trace, found, said))
    echo(f"{found}: kept{', and added to the texts of its user' if add else ''}")


async def _add(store: str, trace: Path, run_id: str, said: Mapping[str, Any]) -> None:
    from ...graph.feedback import add_edited
    from ...graph.forget import Places
    from ...graph.open import open_store
    from ...graph.settings import Settings
    from ...stores.texts.connection import check_exists

    check_exists(store)
    settings = Settings()
    opened = open_store(store, encoder=settings.encoder, style_encoder=settings.style_encoder)
    async with opened as texts:
        places = Places(store, trace)
        await add_edited(texts, places, None, run_id, said, shared=settings.share)


def _read(file: str) -> str:
    """Return a text without the final newline that editors and `echo` add.

    A file may have any encoding that `patlm ingest` reads; stdin is UTF-8.

    Raises:
        FormatError: It is no text, or empty.
    """
    from ...stores.datasets.readers.decoding import open_text
    from ...stores.datasets.validation import FormatError
    from ..output import warn

    if file == "-":
        data = sys.stdin.buffer.read()
    else:
        source = open_text(Path(file))
        if source.encoding != "utf-8":
            warn(f"{file} is read as {source.encoding}")
        with source.open() as (stream, *_):
            data = stream.read()
    try:
        return data.decode().replace("\r\n", "\n").removesuffix("\n")
    except UnicodeDecodeError as error:
        raise FormatError(
            f"{file}: expected text in UTF-8, got {error.object[error.start : error.start + 4]!r} "
            f"at byte {error.start}: save it as UTF-8"
        ) from None
