"""`patlm feedback`: store feedback on a draft beside the record of its run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("feedback")(feedback)


def feedback(
    trace: Annotated[Path, typer.Argument(help="Folder of records of runs.")],
    run: Annotated[str, typer.Option(help="Beginning of the run id that `patlm write` printed.")],
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
) -> None:
    """Record whether a draft was accepted, how it was corrected, or how good it was.

    Training can use it later: see `patlm episodes`.
    """
    from ...graph.feedback import give_feedback_on
    from ...stores.episodes.feedback import find_run
    from ..output import echo, errors_as_lines

    if accepted and rejected:
        raise typer.BadParameter("give one of --accepted and --rejected")
    with errors_as_lines():
        found = find_run(trace, run)
        text = None if edited is None else _read(edited)
        verdict = accepted if accepted or rejected else None
        said = {"accepted": verdict, "edited": text, "rating": rating}
        give_feedback_on(trace, None, found, said)
    echo(f"{found}: kept")


def _read(file: str) -> str:
    """Return a text without the final newline that editors and `echo` add."""
    text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    return text.removesuffix("\n")
